"""A line about a command carries its id, whichever part of an actor writes it."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from actors.host import Host
from cluster.storage.actor_store import SqliteActorStore
from controllers.control.contract import Ack, AckResult, Command, Fallback, FallbackKind, Telemetry
from controllers.control.events import (
    AckReceived,
    Effect,
    Event,
    LinkChanged,
    PublishState,
    SendCommand,
    TelemetryReceived,
    Tick,
)
from controllers.kernel.errors import DeviceUnreachableError
from controllers.kernel.timebase import ManualClock
from controllers.kernel.wire import Wire
from tests.support.live_states import make_resource_state
from tests.support.log_lines import captured_lines
from tests.support.waiting import eventually

AT = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)


def command(id_: str) -> SendCommand:
    return SendCommand(
        command=Command(
            command_id=id_,
            epoch=1,
            seq=1,
            issued_at=AT,
            valid_from=AT,
            expires_at=AT + timedelta(seconds=30),
            lifetime_s=30.0,
            setpoint_kw=5.0,
            fallback=Fallback(kind=FallbackKind.ZERO),
        )
    )


class _Outcome(Wire):
    state: int = 0
    effects: list[Effect] = []
    durable: bool = False


class _Mistaken:
    """A logic that has effects to begin with and bears no event."""

    def __init__(self, effects: list[Effect]) -> None:
        self._effects = effects

    def resume(self, epoch: int, checkpoint: bytes | None, now: datetime) -> _Outcome:
        return _Outcome(effects=self._effects)

    def decide(self, state: int, event: Event, now: datetime) -> _Outcome:
        if isinstance(event, Tick):
            return _Outcome()
        raise ZeroDivisionError


class _Link:
    """A link that says what it sends, and cannot send everything."""

    def __init__(self) -> None:
        self.wake = asyncio.Event()
        self.waiting: list[Event] = []

    def drain(self, limit: int) -> list[Event]:
        taken, self.waiting = self.waiting, []
        return taken

    async def perform(self, effect: Effect) -> None:
        await asyncio.sleep(0)
        logging.getLogger("link").info("sending")
        if isinstance(effect, SendCommand) and effect.command.command_id == "c-lost":
            raise DeviceUnreachableError("bess1")
        if isinstance(effect, SendCommand) and effect.command.command_id == "c-broken":
            raise ValueError("no such topic")

    async def run(self, admit: Callable[[], Awaitable[None]]) -> None:
        await asyncio.Event().wait()

    def metrics(self) -> dict[str, int]:
        return {}


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    with captured_lines(actor="resource:bess1") as lines:
        yield lines


@pytest.fixture
async def link(log: io.StringIO, tmp_path: Path) -> AsyncIterator[_Link]:
    link = _Link()
    state = PublishState(state=make_resource_state(), sampled=True)
    host = Host(
        "bess1",
        open_store=lambda: SqliteActorStore(tmp_path / "bess1.sqlite"),
        clock=ManualClock(AT),
        logic=_Mistaken([command("c-1"), state, command("c-lost"), command("c-broken")]),
        link=link,
        wake=link.wake,
        tick_s=3600.0,
    )
    await host.ready()
    yield link
    await host.stop()


def lines(log: io.StringIO, word: str) -> list[dict[str, Any]]:
    entries = [json.loads(line) for line in log.getvalue().splitlines()]
    return [entry for entry in entries if word in entry["message"]]


async def test_what_is_said_while_a_command_is_sent_carries_its_id(
    link: _Link, log: io.StringIO
) -> None:
    await eventually(lambda: lines(log, "effect failed") and lines(log, "not sent"), within_s=5)
    sent = [entry.get("command_id") for entry in lines(log, "sending")]
    assert sent == ["c-1", None, "c-lost", "c-broken"]
    (failed,) = lines(log, "an effect failed")
    assert (failed["command_id"], failed["actor"]) == ("c-broken", "resource:bess1")
    (lost,) = lines(log, "not sent")
    assert (lost["command_id"], lost["level"]) == ("c-lost", "DEBUG")


async def test_an_answer_that_cannot_be_judged_is_told_with_its_command(
    link: _Link, log: io.StringIO
) -> None:
    ack = Ack(command_id="c-2", epoch=1, seq=1, result=AckResult.ACCEPTED, acked_at=AT)
    read = Telemetry(seq=1, measured_at=AT, power_kw=5.0, setpoint_kw=5.0, command_id="c-3")
    free = Telemetry(seq=2, measured_at=AT, power_kw=5.0)
    link.waiting = [
        AckReceived(ack=ack),
        TelemetryReceived(sample=read),
        TelemetryReceived(sample=free),
        LinkChanged(up=True),
    ]
    link.wake.set()
    await eventually(lambda: len(lines(log, "deciding on")) == 4, within_s=5)
    told = [(e["message"].split()[3], e.get("command_id")) for e in lines(log, "deciding on")]
    assert told == [
        ("AckReceived", "c-2"),
        ("TelemetryReceived", "c-3"),
        ("TelemetryReceived", None),
        ("LinkChanged", None),
    ]
