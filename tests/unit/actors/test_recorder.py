"""The recorder gives up what is too old, until nothing is left or its turn is over."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from actors import recorder, runtime
from actors.recorder import RecorderActor
from controllers.kernel.errors import StorageUnavailableError
from controllers.ports.actors import OutboxRecord


class Sink:
    """A sink with some portions to prune; fails at first."""

    def __init__(self, n_portions: int) -> None:
        self.n_portions = n_portions
        self.n_calls = 0

    def write(self, records: Sequence[OutboxRecord]) -> None:
        """Take nothing."""

    def prune(self) -> int:
        """Give up a portion."""
        self.n_calls += 1
        if self.n_calls == 1:
            raise StorageUnavailableError("locked")
        self.n_portions -= self.n_portions > 0
        return int(self.n_portions > 0)


async def test_pruning_goes_on_after_a_failure_until_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runtime, "list_names", list)
    monkeypatch.setattr(recorder, "PRUNE_S", 0.01)
    sink = Sink(50)
    actor = RecorderActor(lambda: sink)
    async with asyncio.timeout(10):
        while sink.n_portions:  # noqa: ASYNC110 - the sink is called in a thread
            await asyncio.sleep(0.01)
    await actor.stop()
    assert sink.n_calls > 50
