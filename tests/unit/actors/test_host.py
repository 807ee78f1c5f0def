"""The host commits before it acts, shares one flush among many, and survives what may come."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from actors import host as host_module
from actors import journal, performing
from actors.host import Host
from cluster.storage.actor_store import SqliteActorStore
from controllers.control.events import Effect, Event, PublishState, Record, Tick
from controllers.kernel.errors import (
    ActorUnavailableError,
    ConflictError,
    DeviceUnreachableError,
    FencedError,
    StorageUnavailableError,
)
from controllers.kernel.states import ResourceState
from controllers.kernel.timebase import ManualClock
from controllers.kernel.wire import Wire, decode
from tests.support.live_states import make_resource_state
from tests.support.waiting import eventually

AT = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)


class Add(Event, tag="add"):
    """Adds to the sum; odd numbers must be durable."""

    n: int


class Show(Event, tag="show"):
    """Has a state published."""

    state: ResourceState
    sampled: bool


class Refuse(Event, tag="refuse"):
    """Is refused."""


class Crash(Event, tag="crash"):
    """Meets a mistake in the logic."""


class Say(Effect, tag="say"):
    """Tell the sum."""

    total: int


class _Sum(Wire):
    total: int = 0
    n_ticks: int = 0


class _Outcome(Wire):
    state: _Sum
    effects: list[Effect] = []
    durable: bool = False


class _Adder:
    """A logic that adds up."""

    def resume(self, epoch: int, checkpoint: bytes | None, now: datetime) -> _Outcome:
        state = decode(checkpoint, _Sum) if checkpoint else _Sum()
        return _Outcome(state=state, effects=[Say(total=state.total)], durable=True)

    def decide(self, state: _Sum, event: Event, now: datetime) -> _Outcome:
        match event:
            case Add(n=n):
                total = state.total + n
                record = Record(kind="added", at=now, data={"n": n})
                effects: list[Effect] = [record, Say(total=total)]
                after = msgspec.structs.replace(state, total=total)
                return _Outcome(state=after, effects=effects, durable=n % 2 == 1)
            case Tick():
                return _Outcome(state=msgspec.structs.replace(state, n_ticks=state.n_ticks + 1))
            case Show():
                publish = PublishState(state=event.state, sampled=event.sampled)
                return _Outcome(state=state, effects=[publish])
            case Refuse():
                raise ConflictError("no", current="1")
            case _:
                raise ZeroDivisionError


class _FakeLink:
    """A link whose messages a test puts in and whose effects it reads."""

    def __init__(self) -> None:
        self.wake = asyncio.Event()
        self.waiting: list[Event] = []
        self.said: list[int] = []
        self.shown: list[int] = []
        self.unreachable = False
        self.broken = asyncio.Event()
        self.admit: Callable[[], Awaitable[None]]

    def put(self, *events: Event) -> None:
        self.waiting += events
        self.wake.set()

    def drain(self, limit: int) -> list[Event]:
        taken, self.waiting = self.waiting[:limit], self.waiting[limit:]
        return taken

    async def perform(self, effect: Effect) -> None:
        if self.unreachable:
            raise DeviceUnreachableError("bess1")
        match effect:
            case Say():
                self.said.append(effect.total)
            case PublishState():
                self.shown.append(effect.state.seq)

    async def run(self, admit: Callable[[], Awaitable[None]]) -> None:
        self.admit = admit
        await self.broken.wait()
        self.broken.clear()
        raise RuntimeError("the link met something unforeseen")

    def metrics(self) -> dict[str, int]:
        return {"link": 1}


class _SlowStore(SqliteActorStore):
    """A store whose commits a test can hold up or refuse."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.gate = threading.Event()
        self.gate.set()
        self.refuses = False
        self.commits: list[int] = []
        self.flushed: list[bool] = []

    def commit(
        self,
        epoch: int,
        checkpoint: bytes | None,
        records: Sequence[tuple[str, datetime, bytes]],
        *,
        flush: bool = True,
    ) -> None:
        self.gate.wait(5)
        if self.refuses:
            raise StorageUnavailableError("the disk is full")
        super().commit(epoch, checkpoint, records, flush=flush)
        self.commits.append(len(records))
        self.flushed.append(flush)


class Rig:
    """A host with everything around it in a test's hands."""

    def __init__(self, directory: Path, *, tick_s: float = 3600.0) -> None:
        self.path = directory / "bess1.sqlite"
        self.store = _SlowStore(self.path)
        self.link = _FakeLink()
        self.host = Host(
            "bess1",
            open_store=lambda: self.store,
            clock=ManualClock(AT),
            logic=_Adder(),
            link=self.link,
            wake=self.link.wake,
            tick_s=tick_s,
        )


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    made = Rig(tmp_path)
    await made.host.ready()
    await eventually(lambda: made.link.said, within_s=2)
    yield made
    made.store.gate.set()
    await made.host.stop()


async def test_a_call_returns_after_its_state_is_on_disk(rig: Rig) -> None:
    state = await rig.host.call(Add(n=3))
    assert state.total == 3
    kept = rig.store.load()
    assert kept is not None
    assert decode(kept, _Sum).total == 3
    assert [r.kind for r in rig.store.pending(10)] == ["added"]


async def test_no_effect_happens_before_its_commit(rig: Rig) -> None:
    rig.store.gate.clear()
    calling = asyncio.create_task(rig.host.call(Add(n=3)))
    with pytest.raises(TimeoutError):
        await eventually(lambda: rig.link.said[1:] or calling.done(), within_s=0.2)
    rig.store.gate.set()
    await calling
    await eventually(lambda: rig.link.said == [0, 3], within_s=2)


async def test_what_somebody_is_told_survives_the_loss_of_power(rig: Rig) -> None:
    before = len(rig.store.flushed)
    rig.link.put(Add(n=1))
    await eventually(lambda: rig.link.said == [0, 1], within_s=2)
    await rig.host.call(Add(n=1))
    assert rig.store.flushed[before:] == [False, True]


async def test_who_waits_at_the_outbox_gets_what_comes_and_forgets_what_it_confirms(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_module, "GATHER_RECORDS_S", 0.01)
    waiting = asyncio.create_task(rig.host.outbox(10, 0, 5.0))
    await asyncio.sleep(0)
    await rig.host.call(Add(n=3))
    (record,) = await waiting
    assert record.data == {"n": 3}
    assert await rig.host.outbox(10, record.seq, 0.0) == []
    assert await rig.host.outbox(10, 0, 0.01) == []


async def test_changes_without_a_sample_are_published_once_together(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(performing, "GATHER_STATES_S", 0.05)
    states = [make_resource_state("bess1", seq=n) for n in range(4)]
    rig.link.put(*(Show(state=state, sampled=False) for state in states[:3]))
    await eventually(lambda: rig.link.shown == [2], within_s=2)
    rig.link.put(Show(state=states[0], sampled=False), Show(state=states[3], sampled=True))
    await eventually(lambda: rig.link.shown == [2, 3], within_s=2)
    await asyncio.sleep(0.1)
    assert rig.link.shown == [2, 3]
    monkeypatch.setattr(performing, "GATHER_STATES_S", 3600.0)
    await rig.host.call(Show(state=states[1], sampled=False))
    await eventually(lambda: rig.link.shown == [2, 3, 1], within_s=2)


async def test_what_gathers_during_a_flush_shares_the_next_one(rig: Rig) -> None:
    before = len(rig.store.commits)
    rig.store.gate.clear()
    calls = [asyncio.create_task(rig.host.call(Add(n=1)))]
    await eventually(lambda: rig.host.health()["calls"] == 1, within_s=2)
    calls += [asyncio.create_task(rig.host.call(Add(n=1))) for _ in range(50)]
    await eventually(lambda: rig.host.health()["calls_waiting"] == 50, within_s=2)
    rig.store.gate.set()
    await asyncio.gather(*calls)
    assert rig.store.commits[before:] == [1, 50]


async def test_what_need_not_be_durable_waits_for_no_disk(rig: Rig) -> None:
    rig.store.gate.clear()
    rig.link.put(Add(n=2))
    await eventually(lambda: rig.link.said == [0, 2], within_s=2)


async def test_records_without_haste_are_written_with_the_next_tick(tmp_path: Path) -> None:
    rig = Rig(tmp_path, tick_s=0.02)
    await rig.host.ready()
    rig.link.put(Add(n=2))
    await eventually(lambda: rig.store.pending(1), within_s=2)
    await rig.host.stop()


async def test_a_refusal_reaches_its_caller_and_changes_nothing(rig: Rig) -> None:
    await rig.host.call(Add(n=3))
    with pytest.raises(ConflictError):
        await rig.host.call(Refuse())
    assert (await rig.host.state()).total == 3
    assert rig.host.health()["refused"] == 1


async def test_a_mistake_in_the_logic_costs_one_event_only(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.link.put(Crash(), Add(n=3))
    await eventually(lambda: rig.link.said == [0, 3], within_s=2)
    with pytest.raises(ZeroDivisionError):
        await rig.host.call(Crash())
    assert rig.host.health()["crashed"] == 2


async def test_an_unreachable_device_is_counted_and_survived(rig: Rig) -> None:
    rig.link.unreachable = True
    await rig.host.call(Add(n=3))
    await eventually(lambda: rig.host.health()["unperformed"] == 1, within_s=2)
    rig.link.unreachable = False
    await rig.host.call(Add(n=1))
    await eventually(lambda: rig.link.said == [0, 4], within_s=2)


async def test_a_store_that_refuses_holds_effects_back_and_callers_learn_why(rig: Rig) -> None:
    rig.store.refuses = True
    with pytest.raises(StorageUnavailableError):
        await rig.host.call(Add(n=3), deadline_s=0.1)
    assert rig.host.health()["store_ok"] is False
    assert rig.link.said == [0]
    rig.store.refuses = False
    await eventually(lambda: rig.link.said == [0, 3], within_s=2)
    assert rig.host.health()["store_ok"] is True


async def test_effects_that_waited_too_long_for_the_store_are_given_up(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "EFFECT_MAX_WAIT_S", 0.05)
    rig.store.refuses = True
    with pytest.raises(StorageUnavailableError):
        await rig.host.call(Add(n=3), deadline_s=0.1)
    rig.store.refuses = False
    await eventually(lambda: rig.host.health()["given_up"] == 1, within_s=2)
    await rig.host.call(Add(n=1))
    await eventually(lambda: rig.link.said == [0, 4], within_s=2)


async def test_a_fenced_host_ends_and_says_so(rig: Rig) -> None:
    SqliteActorStore(rig.path).acquire()
    with pytest.raises(FencedError):
        await rig.host.call(Add(n=3))
    with pytest.raises(FencedError):
        await rig.host.ready()
    assert rig.link.said == [0]
    assert rig.host.health()["ready"] is False


async def test_a_fenced_host_does_not_connect_again(rig: Rig) -> None:
    await rig.link.admit()
    SqliteActorStore(rig.path).acquire()
    with pytest.raises(FencedError):
        await rig.link.admit()


async def test_a_successor_continues_from_the_last_state(rig: Rig, tmp_path: Path) -> None:
    await rig.host.call(Add(n=3))
    successor = Rig(tmp_path)
    assert await successor.host.ready() == 2
    await eventually(lambda: successor.link.said == [3], within_s=2)
    await successor.host.stop()


async def test_a_host_whose_link_broke_starts_over_from_its_checkpoint(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_module, "_RESTART_PAUSE_S", 0.01)
    await rig.host.call(Add(n=3))
    rig.link.broken.set()
    await eventually(lambda: rig.host.health()["epoch"] == 2, within_s=2)
    assert (await rig.host.call(Add(n=1))).total == 4


async def test_a_full_mailbox_refuses_further_calls(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_module, "MAX_CALLS", 2)
    rig.store.gate.clear()
    calls = [asyncio.create_task(rig.host.call(Add(n=1)))]
    await eventually(lambda: rig.host.health()["calls"] == 1, within_s=2)
    calls += [asyncio.create_task(rig.host.call(Add(n=1))) for _ in range(2)]
    await eventually(lambda: rig.host.health()["calls_waiting"] == 2, within_s=2)
    with pytest.raises(ActorUnavailableError):
        await rig.host.call(Add(n=1))
    rig.store.gate.set()
    assert [state.total for state in await asyncio.gather(*calls)] == [1, 2, 3]


async def test_ticks_come_although_messages_never_stop(tmp_path: Path) -> None:
    rig = Rig(tmp_path, tick_s=0.02)
    await rig.host.ready()

    async def flood() -> None:
        while True:
            rig.link.put(Add(n=0))
            await asyncio.sleep(0)

    flooding = asyncio.create_task(flood())
    ticks = eventually(lambda: rig.host._state.n_ticks > 5, within_s=3)
    await ticks
    flooding.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await flooding
    await rig.host.stop()


async def test_stopping_writes_the_last_state(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    await rig.host.ready()
    rig.link.put(Add(n=2))
    await eventually(lambda: rig.link.said == [0, 2], within_s=2)
    await rig.host.stop()
    kept = SqliteActorStore(rig.path).load()
    assert kept is not None
    assert decode(kept, _Sum).total == 2
    with pytest.raises(ActorUnavailableError):
        await rig.host.call(Add(n=1))


async def test_a_store_that_cannot_be_opened_yet_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_module, "_STORE_RETRY_S", 0.01)
    attempts = 0

    def open_store() -> SqliteActorStore:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise StorageUnavailableError("locked")
        return SqliteActorStore(tmp_path / "bess1.sqlite")

    link = _FakeLink()
    host: Host[_Sum] = Host(
        "bess1",
        open_store=open_store,
        clock=ManualClock(AT),
        logic=_Adder(),
        link=link,
        wake=link.wake,
    )
    assert await host.ready() == 1
    assert attempts == 3
    await host.stop()
