"""Acts have one effect and one trace; pages follow one another without gap or repeat."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, func, insert, select

from cluster.storage.database import Database
from cluster.storage.operations import SqlOperations
from cluster.storage.paging import page_of
from cluster.storage.tables.park import WANTED_KILLS
from controllers.kernel.errors import ConflictError, DomainError, KeyReusedError
from controllers.kernel.timebase import ManualClock
from controllers.kernel.wire import Wire
from controllers.ports.acts import Act
from controllers.ports.pages import Page, PageRequest
from tests.support.audit import newest_entries

NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)


class Kill(Wire):
    """A kill as wanted."""

    resource_id: str


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, ManualClock(NOW))
    yield database
    await asyncio.to_thread(database.close)


def act(subject: str, *, key: str | None = None, fingerprint: str = "f") -> Act:
    return Act(
        principal="anna",
        action="kill.want",
        subject=subject,
        data={"why": "test"},
        key=key,
        fingerprint=fingerprint,
    )


def want(resource_id: str, at: datetime = NOW) -> Callable[[Connection], Kill]:
    def work(connection: Connection) -> Kill:
        row = {"resource_id": resource_id, "principal": "anna", "wanted_at": at}
        connection.execute(insert(WANTED_KILLS), row)
        return Kill(resource_id=resource_id)

    return work


def refused(connection: Connection) -> Kill:
    want("half")(connection)
    raise ConflictError("no", current="x")


async def n_kills(database: Database) -> int:
    query = select(func.count()).select_from(WANTED_KILLS)
    return await database.read(lambda connection: int(connection.execute(query).scalar_one()))


async def subjects(database: Database) -> list[str]:
    return [entry.subject for entry in await newest_entries(SqlOperations(database), 100)]


async def test_an_act_and_its_trace_are_one(database: Database) -> None:
    done = await database.act(act("pv1"), want("pv1"), Kill)
    assert (done.value, done.replayed) == (Kill(resource_id="pv1"), False)
    assert await subjects(database) == ["pv1"]


async def test_a_refused_act_leaves_no_effect_and_no_trace_and_harms_no_neighbour(
    database: Database,
) -> None:
    results = await asyncio.gather(
        database.act(act("pv1"), want("pv1"), Kill),
        database.act(act("half"), refused, Kill),
        database.act(act("pv2"), want("pv2"), Kill),
        return_exceptions=True,
    )
    assert isinstance(results[1], ConflictError)
    assert await n_kills(database) == 2
    assert sorted(await subjects(database)) == ["pv1", "pv2"]


async def test_a_key_has_one_effect_however_often_it_is_sent(database: Database) -> None:
    first, second = await asyncio.gather(
        database.act(act("pv1", key="k"), want("pv1"), Kill),
        database.act(act("other", key="k"), want("other"), Kill),
    )
    later = await database.act(act("third", key="k"), want("third"), Kill)
    assert first.value == second.value == later.value == Kill(resource_id="pv1")
    assert [first.replayed, second.replayed, later.replayed] == [False, True, True]
    assert await n_kills(database) == 1
    assert await subjects(database) == ["pv1"]


async def test_a_key_used_for_another_request_is_refused(database: Database) -> None:
    await database.act(act("pv1", key="k"), want("pv1"), Kill)
    with pytest.raises(KeyReusedError):
        await database.act(
            act("pv2", key="k", fingerprint="g"),
            want("pv2"),
            Kill,
        )


async def test_a_refused_act_does_not_use_up_its_key(database: Database) -> None:
    with pytest.raises(ConflictError):
        await database.act(act("half", key="k"), refused, Kill)
    done = await database.act(act("pv1", key="k"), want("pv1"), Kill)
    assert not done.replayed


# --- pages

KILLS = WANTED_KILLS.c


async def page(database: Database, request: PageRequest) -> Page[str]:
    return await database.read(
        lambda connection: page_of(
            connection,
            select(WANTED_KILLS),
            request,
            sorts={"wanted_at": KILLS.wanted_at, "resource_id": KILLS.resource_id},
            default_sort="resource_id",
            id_column=KILLS.resource_id,
            build=lambda row: str(row["resource_id"]),
        )
    )


@pytest.mark.parametrize("sort", ["", "resource_id", "-resource_id", "wanted_at", "-wanted_at"])
async def test_pages_hold_every_row_once(database: Database, sort: str) -> None:
    # Three rows share each instant, so that ties are broken by id.
    for n in range(11):
        at = NOW + timedelta(seconds=n // 3)
        await database.act(act(f"r{n:02}"), want(f"r{n:02}", at), Kill)
    seen: list[str] = []
    cursor = None
    for _ in range(4):
        found = await page(database, PageRequest(limit=3, sort=sort, cursor=cursor))
        seen += found.items
        cursor = found.next_cursor
    assert cursor is None
    assert seen == sorted(seen, reverse=sort.startswith("-"))
    assert len(set(seen)) == len(seen) == 11


async def test_an_unknown_order_is_refused(database: Database) -> None:
    with pytest.raises(DomainError, match="resource_id, wanted_at"):
        await page(database, PageRequest(sort="password"))


@pytest.mark.parametrize("cursor", ["", "x", "é", "eyJzb3J0IjoieCJ9", "A" * 3000, "e30", "bnVsbA"])
async def test_a_foreign_cursor_is_refused(database: Database, cursor: str) -> None:
    with pytest.raises(DomainError, match="next_cursor"):
        await page(database, PageRequest(cursor=cursor))


async def test_a_cursor_of_another_order_is_refused(database: Database) -> None:
    for n in range(2):
        await database.act(act(f"r{n}"), want(f"r{n}"), Kill)
    first = await page(database, PageRequest(limit=1))
    with pytest.raises(DomainError, match="next_cursor"):
        await page(database, PageRequest(sort="wanted_at", cursor=first.next_cursor))
