"""Ray as the actors see it: named, found again, restarted, with errors that arrive as raised."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from actors import runtime
from controllers.kernel.errors import (
    ActorUnavailableError,
    ConflictError,
    NotFoundError,
)
from tests.support.waiting import eventually, wait_until

pytestmark = pytest.mark.cluster


class _Counter:
    """Counts calls; knows its process."""

    def __init__(self, start: int) -> None:
        self._n = start

    async def add(self, by: int) -> int:
        self._n += by
        return self._n

    async def pid(self) -> int:
        return os.getpid()

    async def refuse(self) -> None:
        raise ConflictError("no", current="v3")

    async def crash(self) -> None:
        raise ZeroDivisionError

    async def hang(self) -> None:
        await asyncio.sleep(3600)


@pytest.fixture
def counter(ray_cluster: str) -> Iterator[Any]:
    yield runtime.spawn(_Counter, "counter", 10)
    runtime.kill("counter")
    wait_until(lambda: "counter" not in runtime.list_names(), within_s=10)


async def test_a_second_spawn_of_a_name_finds_the_first(counter: Any) -> None:
    assert await runtime.call(counter, "add", 1, deadline_s=30) == 11
    again = runtime.spawn(_Counter, "counter", 99)
    assert await runtime.call(again, "add", 1) == 12
    assert await runtime.call(runtime.find("counter"), "add", 1) == 13
    assert "counter" in runtime.list_names()


def test_a_name_that_nobody_has_is_not_found(ray_cluster: str) -> None:
    with pytest.raises(NotFoundError):
        runtime.find("nobody")
    runtime.kill("nobody")


async def test_a_refusal_arrives_as_raised(counter: Any) -> None:
    with pytest.raises(ConflictError) as refusal:
        await runtime.call(counter, "refuse", deadline_s=30)
    assert type(refusal.value) is ConflictError
    assert refusal.value.current == "v3"


async def test_a_mistake_is_not_mistaken_for_an_absence(counter: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        await runtime.call(counter, "crash", deadline_s=30)


async def test_no_answer_by_the_deadline_is_unavailable(counter: Any) -> None:
    await runtime.call(counter, "pid", deadline_s=30)
    with pytest.raises(ActorUnavailableError, match="counter"):
        await runtime.call(counter, "hang", deadline_s=0.1, actor_id="counter")


async def test_a_killed_process_is_restarted_and_the_call_made_again(counter: Any) -> None:
    pid = await runtime.call(counter, "pid", deadline_s=30)
    os.kill(pid, signal.SIGKILL)
    assert await runtime.call(counter, "add", 1, deadline_s=30) == 11
    assert await runtime.call(counter, "pid") != pid


async def test_an_actor_ended_for_good_is_unavailable_and_forgotten(counter: Any) -> None:
    await runtime.call(counter, "pid", deadline_s=30)
    runtime.kill("counter")
    await eventually(lambda: "counter" not in runtime.list_names(), within_s=10)
    with pytest.raises(ActorUnavailableError):
        await runtime.call(counter, "pid", deadline_s=30)
