"""The DispatchStore, on every database: deep pages, filters, what is live on top, final reports."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from sqlalchemy import select

from cluster.storage.database import Database
from cluster.storage.dispatches import SqlDispatches
from cluster.storage.engine import open_engine, reading
from cluster.storage.records import SqlRecordSink
from cluster.storage.tables.operations import COMMAND_RECORDS, DISPATCH_REPORTS, DISPATCHES
from controllers.aggregation.instruction import Instruction, InstructionState
from controllers.kernel.errors import DomainError, NotFoundError
from controllers.kernel.timebase import ManualClock
from controllers.ports.actors import OutboxRecord
from controllers.ports.dispatches import DispatchFilter
from controllers.ports.pages import PageRequest
from tests.support.dispatches import (
    make_book,
    make_dispatch,
    make_report,
    records_of,
    report_record,
    submitted,
)

# A cursor that somebody made: its place in time is before the first year.
BEFORE_ALL_TIME = base64.urlsafe_b64encode(
    b'{"sort":"-issued_at","value":"0001-01-01T00:00:00+14:00","id":"x"}'
).decode()
NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
ALL = DispatchFilter()
# Databases that compare by language would put these in other orders.
TIES = ["vpp.a-1", "vpp.a.1", "vpp.a1", "vpp.a_1", "vpp.ab", "vpp.b-10", "vpp.b-9"]


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[SqlDispatches]:
    database = Database(database_url, ManualClock(NOW))
    yield SqlDispatches(database)
    await asyncio.to_thread(database.close)


@pytest.fixture
def sink(database_url: str) -> Iterator[SqlRecordSink]:
    sink = SqlRecordSink(database_url)
    yield sink
    sink.close()


def at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


async def walk(
    store: SqlDispatches,
    wanted: DispatchFilter = ALL,
    *,
    limit: int = 3,
    sort: str = "",
    live: Sequence[Instruction] = (),
) -> list[Instruction]:
    """Return all pages' items."""
    items: list[Instruction] = []
    cursor = None
    while True:
        request = PageRequest(limit=limit, sort=sort, cursor=cursor)
        page = await store.page(wanted, request, live)
        assert len(page.items) <= limit
        items += page.items
        cursor = page.next_cursor
        if cursor is None:
            return items


async def test_a_dispatch_comes_back_as_it_was_given(
    store: SqlDispatches, sink: SqlRecordSink
) -> None:
    given = make_dispatch("vpp.d-1", NOW, reason="evening 晚高峰", ramp_kw_per_min=None)
    sink.write(submitted([given]))
    assert await walk(store) == [given]


async def test_pages_reach_beyond_a_thousand(store: SqlDispatches, sink: SqlRecordSink) -> None:
    given = [make_dispatch(f"vpp.d-{n:04}", at(10 * n)) for n in range(1205)]
    sink.write(submitted(given))
    assert await walk(store, limit=200) == given[::-1]
    assert await walk(store, limit=200, sort="start_at") == given


@pytest.mark.parametrize("sort", ["issued_at", "-issued_at", "start_at", "-start_at"])
@pytest.mark.parametrize("limit", [1, 2, 7, 50])
async def test_live_and_recorded_are_merged_without_gap_or_double(
    store: SqlDispatches, sink: SqlRecordSink, sort: str, limit: int
) -> None:
    given = [
        make_dispatch(id_, at(10 * n), issued_at=at(-n // 2 if n > 3 else 0))
        for n, id_ in enumerate(TIES)
    ]
    sink.write(submitted(given[::2] + given[1:2]))
    amended = msgspec.structs.replace(given[2], target_kw=1.0, version=2)
    live = [amended, given[5], given[3]]
    expected = sorted(
        [amended if one.id == amended.id else one for one in given],
        key=lambda one: (getattr(one, sort.removeprefix("-")), one.id),
        reverse=sort.startswith("-"),
    )
    assert await walk(store, limit=limit, sort=sort, live=live) == expected


async def test_filters_judge_a_live_dispatch_as_it_stands(
    store: SqlDispatches, sink: SqlRecordSink
) -> None:
    given = [make_dispatch(f"vpp.d-{n}", at(10 * n)) for n in range(6)]
    sink.write(submitted(given))
    ended = [msgspec.structs.replace(one, state=InstructionState.CANCELLED) for one in given[:4]]
    accepted = DispatchFilter(state=InstructionState.ACCEPTED)
    assert await walk(store, accepted, limit=1, live=ended) == [given[5], given[4]]
    cancelled = DispatchFilter(state=InstructionState.CANCELLED)
    assert await walk(store, cancelled, limit=1, live=ended) == ended[::-1]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (DispatchFilter(aggregation_id="inner"), ["inner.d-1"]),
        (DispatchFilter(within=["vpp"]), ["vpp.d-3", "vpp.d-2"]),
        (DispatchFilter(within=[]), []),
        (DispatchFilter(issued_by="anna"), ["vpp.d-3"]),
        (DispatchFilter(from_at=at(20)), ["vpp.d-3", "vpp.d-2"]),
        (DispatchFilter(from_at=at(10), to_at=at(20)), ["inner.d-1"]),
    ],
)
@pytest.mark.parametrize("are_live", [False, True])
async def test_each_filter_takes_its_own_live_or_recorded(
    store: SqlDispatches,
    sink: SqlRecordSink,
    wanted: DispatchFilter,
    expected: list[str],
    are_live: bool,
) -> None:
    inner = make_dispatch("inner.d-1", at(10))
    others = [make_dispatch("vpp.d-2", at(20)), make_dispatch("vpp.d-3", at(30), issued_by="anna")]
    if not are_live:
        sink.write([*submitted([inner]), *submitted(others)])
    live = [inner, *others] if are_live else []
    assert [one.id for one in await walk(store, wanted, limit=1, live=live)] == expected


async def test_how_it_ended_is_kept_with_the_report(
    store: SqlDispatches, sink: SqlRecordSink
) -> None:
    book = make_book("vpp")
    book.submit(make_dispatch("vpp.d-1", NOW), NOW)
    cancelled = book.cancel("vpp.d-1", None, at(1), operator="anna", reason="storm")
    report = make_report(cancelled)
    earlier = make_report(cancelled, delivered_kwh=1.0)
    records = records_of(book, "vpp")
    sink.write([*records, report_record(report, 9)])
    sink.write([report_record(report, 9), report_record(earlier, 8)])
    assert await walk(store) == [cancelled]
    assert (cancelled.state, cancelled.ended_at) == (InstructionState.CANCELLED, at(1))
    assert await store.report("vpp.d-1") == report


async def test_a_report_that_is_none_does_not_stop_the_others(
    store: SqlDispatches, sink: SqlRecordSink
) -> None:
    report = make_report(make_dispatch("vpp.d-1", NOW))
    broken = OutboxRecord(actor_id="vpp", seq=1, kind="delivery_report", at=NOW, data={"kw": 1})
    sink.write([broken, report_record(report, 2)])
    assert await store.report("vpp.d-1") == report
    with pytest.raises(NotFoundError, match=r"vpp\.d-2"):
        await store.report("vpp.d-2")


@pytest.mark.parametrize(
    ("sort", "cursor"),
    [
        ("target_kw", None),
        ("", "bm8"),
        ("-issued_at", "e30"),
        ("-issued_at", BEFORE_ALL_TIME),
    ],
)
async def test_what_is_no_place_in_the_list_is_refused(
    store: SqlDispatches, sort: str, cursor: str | None
) -> None:
    with pytest.raises(DomainError):
        await store.page(ALL, PageRequest(sort=sort, cursor=cursor), [])


async def test_the_same_records_from_api_and_recorder_at_once_are_stored_once(
    store: SqlDispatches, sink: SqlRecordSink, database_url: str
) -> None:
    # What a deactivation stores, the recorder may be storing in the same moment.
    book = make_book("vpp")
    n_rounds, last = 30, 0
    for n in range(n_rounds):
        start_at = at(20.0 * n)
        book.submit(make_dispatch(f"vpp.d-{n}", start_at), start_at)
        cancelled = book.cancel(
            f"vpp.d-{n}", None, start_at + timedelta(minutes=1), operator="anna", reason="storm"
        )
        records = records_of(book, "vpp", last + 1)
        last = records[-1].seq + 1
        batch = [*records, report_record(make_report(cancelled), last)]
        await asyncio.gather(
            store.record(batch),
            asyncio.to_thread(sink.write, batch),
            store.record(batch[1:]),
            asyncio.to_thread(sink.write, batch[:-1]),
        )
    engine = open_engine(database_url)
    with reading(engine) as connection:
        stored = connection.execute(select(DISPATCHES.c.id, DISPATCHES.c.state)).all()
        reports = connection.execute(select(DISPATCH_REPORTS.c.dispatch_id)).scalars().all()
        seqs = connection.execute(select(COMMAND_RECORDS.c.seq)).scalars().all()
    engine.dispose()
    ids = sorted(f"vpp.d-{n}" for n in range(n_rounds))
    assert sorted(map(tuple, stored)) == [(id_, "cancelled") for id_ in ids]
    assert sorted(reports) == ids
    # A report has a table of its own.
    assert len(seqs) == last - n_rounds
