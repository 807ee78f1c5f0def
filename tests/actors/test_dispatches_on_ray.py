"""Dispatches of an AggregateActor on a real cluster: many at once, listed live, then recorded."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from actors import runtime
from actors.aggregate import AggregateActor
from actors.calls import ActorCalls
from actors.handles import RayControlPlane
from actors.recorder import RecorderActor
from cluster.storage.actor_store import open_actor_store
from cluster.storage.database import Database
from cluster.storage.dispatches import SqlDispatches
from cluster.storage.records import open_record_sink
from controllers.aggregation.instruction import Instruction, InstructionState
from controllers.kernel.errors import ActorUnavailableError, ConflictError, NotFoundError
from controllers.kernel.timebase import SystemClock
from controllers.ports.dispatches import DispatchFilter
from controllers.ports.pages import PageRequest
from controllers.supervision import RECORDER, aggregate_actor
from tests.support.broker import Broker
from tests.support.databases import migrated_sqlite
from tests.support.device import utc_now
from tests.support.dispatches import make_dispatch
from tests.support.live_states import make_park
from tests.support.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.broker, pytest.mark.timeout(150)]

N = 300
_FIRST_CALL_S = 30.0
OWNERS = ("site", "stores")


@pytest.fixture
def control(ray_cluster: str, mosquitto: Broker, tmp_path: Path) -> Iterator[RayControlPlane]:
    for id_ in OWNERS:
        runtime.spawn(
            AggregateActor,
            aggregate_actor(id_),
            make_park(),
            id_,
            mosquitto.settings,
            functools.partial(open_actor_store, str(tmp_path)),
        )
    yield RayControlPlane(ActorCalls(deadline_s=_FIRST_CALL_S))
    for id_ in OWNERS:
        runtime.kill(aggregate_actor(id_))


@pytest.fixture
async def recorded(tmp_path: Path) -> AsyncIterator[tuple[str, SqlDispatches]]:
    url = migrated_sqlite(tmp_path / "parkgrid.sqlite")
    database = Database(url, SystemClock())
    yield url, SqlDispatches(database)
    await asyncio.to_thread(database.close)


def many() -> list[Instruction]:
    """Return dispatches of two aggregations in turn, an hour ahead and one after the other."""
    begin = utc_now() + timedelta(hours=1)
    return [
        make_dispatch(
            f"{OWNERS[n % 2]}.bulk-{n:04}",
            begin + timedelta(minutes=10 * n),
            target_kw=1.0,
            issued_at=begin - timedelta(hours=1),
        )
        for n in range(N)
    ]


async def test_many_are_accepted_in_order_and_each_refusal_stands_for_itself(
    control: RayControlPlane,
) -> None:
    wanted = many()
    again = make_dispatch("site.other", wanted[0].start_at, target_kw=1.0)
    stranger = make_dispatch("nobody.d-1", wanted[0].start_at)
    outcomes = await control.submit_all([again, *wanted[1:], stranger, wanted[0]])
    assert [one.id for one in outcomes[:-2] if isinstance(one, Instruction)] == [
        again.id,
        *(one.id for one in wanted[1:]),
    ]
    assert isinstance(outcomes[-2], ActorUnavailableError)
    assert isinstance(outcomes[-1], ConflictError)
    assert outcomes[-1].current == again.id
    repeated = await control.submit_all(wanted[1:])
    assert repeated == outcomes[1:-2]


async def test_what_is_not_recorded_is_told_live_and_lists_agree_before_and_after(
    control: RayControlPlane, recorded: tuple[str, SqlDispatches]
) -> None:
    url, store = recorded
    wanted = many()
    accepted = await control.submit_all(wanted)
    cancelled = await control.cancel("site", wanted[0].id, None, "anna", "storm")
    expected = [cancelled, *(one for one in accepted[1:] if isinstance(one, Instruction))]
    expected.sort(key=lambda one: (one.issued_at, one.id), reverse=True)
    assert len(expected) == N

    async def listed() -> list[Instruction]:
        items: list[Instruction] = []
        request = PageRequest(limit=100)
        while True:
            live = [one for id_ in OWNERS for one in await control.unrecorded(id_)]
            page = await store.page(DispatchFilter(), request, live)
            items += page.items
            if page.next_cursor is None:
                return items
            request = PageRequest(limit=100, cursor=page.next_cursor)

    assert await listed() == expected
    with pytest.raises(NotFoundError):
        await store.report(cancelled.id)
    # Handed out and stored beside the recorder, a record still counts once.
    handed = await control.records("site")
    assert handed == await control.records("site")
    assert {one.kind for one in handed} == {"instruction", "delivery_report"}
    await store.record(handed)
    assert await listed() == expected
    sink = functools.partial(
        open_record_sink,
        url,
        keys_kept=timedelta(days=1),
        device_records_kept=timedelta(days=31),
    )
    runtime.spawn(RecorderActor, RECORDER, sink)
    try:

        async def all_recorded() -> bool:
            # Pages agree at any moment, whatever has been carried over by then.
            assert await listed() == expected
            return not [one for id_ in OWNERS for one in await control.unrecorded(id_)]

        await eventually(all_recorded, within_s=60)
        report = await store.report(cancelled.id)
    finally:
        runtime.kill(RECORDER)
    assert report.instruction.state is InstructionState.CANCELLED
    assert report == await control.instruction("site", cancelled.id)
    assert (await store.page(DispatchFilter(), PageRequest(limit=200), [])).items == expected[:200]
