"""The audit log can be searched and paged on every database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from cluster.storage.database import Database
from cluster.storage.operations import SqlOperations
from controllers.kernel.timebase import ManualClock
from controllers.ports.operations import AuditFilter
from controllers.ports.pages import PageRequest

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[SqlOperations]:
    """Yield a store with ten entries, one a minute, by anna and ben in turn."""
    clock = ManualClock(NOW)
    database = Database(database_url, clock, answer_within_s=20.0)
    store = SqlOperations(database)
    for n in range(1, 11):
        principal, subject = ("anna", "bess1") if n % 2 else ("ben", "pv1")
        action = "kill.set" if n % 3 else "login.refused"
        await store.audit(principal, action, subject, {"n": n})
        clock.advance(timedelta(minutes=1))
    yield store
    await asyncio.to_thread(database.close)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (AuditFilter(), [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]),
        (AuditFilter(principal="ben"), [10, 8, 6, 4, 2]),
        (AuditFilter(action="login.refused"), [9, 6, 3]),
        (AuditFilter(subject="pv1", action="login.refused"), [6]),
        (AuditFilter(from_at=NOW + timedelta(minutes=7)), [10, 9, 8]),
        (AuditFilter(to_at=NOW + timedelta(minutes=2)), [2, 1]),
        (
            AuditFilter(
                principal="anna",
                from_at=NOW + timedelta(minutes=2),
                to_at=NOW + timedelta(minutes=6),
            ),
            [5, 3],
        ),
        (AuditFilter(principal="nobody"), []),
    ],
    ids=str,
)
async def test_filters_hold_on_every_page(
    store: SqlOperations, wanted: AuditFilter, expected: list[int]
) -> None:
    seen: list[int] = []
    cursor: str | None = None
    while True:
        page = await store.audit_page(wanted, PageRequest(limit=2, cursor=cursor))
        seen += [entry.seq for entry in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == expected


async def test_the_log_can_be_read_from_its_beginning(store: SqlOperations) -> None:
    page = await store.audit_page(AuditFilter(), PageRequest(limit=3, sort="seq"))
    assert [entry.seq for entry in page.items] == [1, 2, 3]
    assert page.items[0].data == {"n": 1}
