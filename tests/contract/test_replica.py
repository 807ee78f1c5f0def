"""A read replica answers what may be old; when it fails the primary answers instead."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy import select

from cluster.storage.database import Database
from cluster.storage.engine import migrate, open_engine
from cluster.storage.operations import SqlOperations
from cluster.storage.replica import Replica
from cluster.storage.tables.operations import AUDIT_HEAD
from controllers.kernel.errors import StorageUnavailableError
from controllers.kernel.timebase import SystemClock
from tests.conftest import running
from tests.support.audit import newest_entries
from tests.support.databases import ServerDatabases
from tests.support.servers import Postgresql, PostgresqlReplica
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def primary() -> Iterator[Postgresql]:
    with running(Postgresql) as server:
        yield server


@pytest.fixture(scope="module")
def url(primary: Postgresql) -> str:
    url = ServerDatabases(primary).empty()
    engine = open_engine(url)
    migrate(engine)
    engine.dispose()
    return url


@pytest.fixture(scope="module")
def standby(primary: Postgresql, url: str) -> Iterator[PostgresqlReplica]:
    """Yield a hot standby of the primary, of the same databases."""
    server = PostgresqlReplica(primary)
    try:
        server.prepare()
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
async def replica(standby: PostgresqlReplica, url: str) -> Replica:
    return Replica(standby.database(url.rpartition("/")[2]), rest_s=0.2)


@pytest.fixture
async def store(replica: Replica, url: str) -> AsyncIterator[SqlOperations]:
    database = Database(url, SystemClock(), replica=replica)
    yield SqlOperations(database)
    await asyncio.to_thread(database.close)


async def n_entries(store: SqlOperations) -> int:
    return len(await newest_entries(store, 200))


async def test_lists_come_from_the_replica_and_the_rest_from_the_primary(
    store: SqlOperations, replica: Replica, primary: Postgresql, standby: PostgresqlReplica
) -> None:
    await store.audit("ops", "note", "vpp", {})
    # A write reaches the standby, in its time.
    await eventually(lambda: n_entries(store), within_s=10.0)
    primary.freeze()
    try:
        assert await n_entries(store) == 1
        with pytest.raises(StorageUnavailableError):
            await version(store)
    finally:
        primary.thaw()
    await eventually(lambda: answers(store), within_s=10.0)
    assert await version(store) == 1
    assert not replica.rests


async def test_while_the_replica_is_gone_or_hangs_the_primary_answers(
    store: SqlOperations, replica: Replica, standby: PostgresqlReplica
) -> None:
    await eventually(lambda: answers(store), within_s=10.0)
    n_before = await n_entries(store)
    standby.freeze()
    try:
        begun_s = time.monotonic()
        assert await n_entries(store) == n_before
        assert replica.rests
        assert time.monotonic() - begun_s < 3.0
    finally:
        standby.kill()
    await store.audit("ops", "note", "vpp", {})
    for _ in range(3):
        assert await n_entries(store) == n_before + 1
    standby.start()
    await eventually(lambda: healthy(replica), within_s=10.0)
    assert await eventually(lambda: n_entries(store), within_s=5.0) >= n_before


async def version(store: SqlOperations) -> int:
    """Return the number of the last audit entry, as the primary has it."""
    query = select(AUDIT_HEAD.c.seq)
    return await store._database.read(lambda connection: connection.execute(query).scalar_one())


async def answers(store: SqlOperations) -> bool:
    try:
        await store.ping()
    except StorageUnavailableError:
        return False
    return True


async def healthy(replica: Replica) -> bool:
    try:
        await replica.ping()
    except StorageUnavailableError:
        return False
    return True
