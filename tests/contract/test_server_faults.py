"""A database server killed, frozen or blocked: bounded waits, nothing lost and nothing doubled."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, Engine, func, insert, select

from cluster.storage.audit import first_broken
from cluster.storage.database import ANSWER_WITHIN_S, Database
from cluster.storage.engine import open_engine, reading, writing
from cluster.storage.operations import SqlOperations
from cluster.storage.records import SqlRecordSink
from cluster.storage.tables.operations import AUDIT_LOG, COMMAND_RECORDS, IDEMPOTENCY_KEYS
from cluster.storage.tables.park import WANTED_KILLS
from controllers.kernel.errors import StorageUnavailableError
from controllers.kernel.timebase import SystemClock
from controllers.kernel.wire import Wire
from controllers.ports.actors import OutboxRecord
from controllers.ports.acts import Act
from tests.support.audit import newest_entries
from tests.support.databases import ServerDatabases, SqlServer
from tests.support.waiting import eventually

# A connection that timed out is closed by pg8000 only when Python takes the object away.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
SPARE_S = 1.0
LANES = 20


class Kill(Wire):
    """A kill as wanted."""

    resource_id: str


@pytest.fixture(params=["postgresql", "mariadb"])
def databases(request: pytest.FixtureRequest) -> ServerDatabases:
    databases: ServerDatabases = request.getfixturevalue(f"{request.param}_databases")
    return databases


@pytest.fixture
def server(databases: ServerDatabases) -> Iterator[SqlServer]:
    yield databases.server
    # Whatever a test did to it, the next one finds it well.
    databases.server.kill()
    databases.server.start()
    gc.collect()


@pytest.fixture
def url(databases: ServerDatabases, server: SqlServer) -> str:
    return databases.migrated()


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    database = Database(url, SystemClock())
    yield database
    await asyncio.to_thread(database.close)


@pytest.fixture
def store(database: Database) -> SqlOperations:
    return SqlOperations(database)


@contextmanager
def engine_on(url: str) -> Iterator[Engine]:
    engine = open_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def want(resource_id: str) -> tuple[Act, Callable[[Connection], Kill]]:
    """Return an act and its effect, which would fail if it were done twice."""
    act = Act(
        principal="anna",
        action="kill.want",
        subject=resource_id,
        data={},
        key=f"key-{resource_id}",
        fingerprint="f",
    )

    def work(connection: Connection) -> Kill:
        row = {"resource_id": resource_id, "principal": "anna", "wanted_at": NOW}
        connection.execute(insert(WANTED_KILLS), row)
        return Kill(resource_id=resource_id)

    return act, work


def record(seq: int) -> OutboxRecord:
    return OutboxRecord(actor_id="a", seq=seq, kind="sent", at=NOW, data={})


async def refused_within_s(call: Callable[[], object]) -> float:
    """Return how long a call took to be refused."""
    begun_s = time.monotonic()
    with pytest.raises(StorageUnavailableError):
        await call()  # type: ignore[misc]  # every call given here is awaitable
    return time.monotonic() - begun_s


async def answers(store: SqlOperations) -> bool:
    try:
        await store.ping()
    except StorageUnavailableError:
        return False
    return True


class Load:
    """Callers who repeat what was refused, as they are told to, and a recorder likewise."""

    def __init__(self, database: Database, url: str) -> None:
        self.acknowledged: list[str] = []
        self.n_recorded = 0
        self.longest_s = 0.0
        self._database = database
        self._url = url
        self._stop = asyncio.Event()
        self._tasks = [asyncio.create_task(self._caller(lane)) for lane in range(LANES)]
        self._tasks.append(asyncio.create_task(self._recorder()))

    async def goes_on(self) -> None:
        """Wait until 200 more acts are acknowledged."""
        wanted = len(self.acknowledged) + 200
        await eventually(lambda: len(self.acknowledged) >= wanted, within_s=30.0)

    async def end(self) -> None:
        """Finish what is under way."""
        self._stop.set()
        await asyncio.gather(*self._tasks)

    async def _caller(self, lane: int) -> None:
        n = 0
        while not self._stop.is_set():
            n += 1
            act, work = want(f"r{lane}-{n}")
            await eventually(lambda a=act, w=work: self._done(a, w), within_s=60.0)
            self.acknowledged.append(act.subject)

    async def _done(self, act: Act, work: Callable[[Connection], Kill]) -> bool:
        begun_s = time.monotonic()
        try:
            await self._database.act(act, work, Kill)
        except StorageUnavailableError:
            return False
        finally:
            self.longest_s = max(self.longest_s, time.monotonic() - begun_s)
        return True

    async def _recorder(self) -> None:
        sink = SqlRecordSink(self._url)
        while not self._stop.is_set():
            batch = [record(self.n_recorded + n) for n in range(1, 21)]
            try:
                await asyncio.to_thread(sink.write, batch)
            except StorageUnavailableError:
                await asyncio.sleep(0.05)
                continue
            self.n_recorded += len(batch)
        await asyncio.to_thread(sink.close)


@pytest.mark.parametrize("n_kills", [1, pytest.param(8, marks=pytest.mark.soak)])
@pytest.mark.timeout(180)
async def test_a_server_killed_under_load_loses_and_doubles_nothing(
    database: Database, url: str, server: SqlServer, n_kills: int
) -> None:
    load = Load(database, url)
    for _ in range(n_kills):
        await load.goes_on()
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
    await load.goes_on()
    await load.end()

    assert load.longest_s < ANSWER_WITHIN_S + SPARE_S
    with engine_on(url) as engine, reading(engine) as connection:
        effects = set(connection.execute(select(WANTED_KILLS.c.resource_id)).scalars())
        keys = set(connection.execute(select(IDEMPOTENCY_KEYS.c.subject_id)).scalars())
        audited = list(connection.execute(select(AUDIT_LOG.c.subject)).scalars())
        recorded = list(connection.execute(select(COMMAND_RECORDS.c.seq)).scalars())
        assert first_broken(connection) is None
    assert set(load.acknowledged) == effects == keys
    assert sorted(audited) == sorted(load.acknowledged)
    assert sorted(recorded) == list(range(1, load.n_recorded + 1))


async def test_a_server_that_hangs_is_refused_in_time_and_found_again(
    store: SqlOperations, url: str, server: SqlServer
) -> None:
    await store.audit("ops", "note", "before", {})
    sink = SqlRecordSink(url)
    server.freeze()
    waited_s = await asyncio.gather(
        refused_within_s(store.ping),
        refused_within_s(lambda: store.killed_since(["box"], NOW)),
        refused_within_s(lambda: store.audit("ops", "note", "during", {})),
        refused_within_s(lambda: asyncio.to_thread(sink.write, [record(1)])),
    )
    assert max(waited_s[:3]) < ANSWER_WITHIN_S + SPARE_S
    # The recorder may wait: for the connection and for one answer on it.
    assert waited_s[3] < 10.0
    server.thaw()
    await eventually(lambda: answers(store), within_s=20.0)
    await asyncio.to_thread(sink.write, [record(1)])
    await asyncio.to_thread(sink.close)
    subjects = {entry.subject for entry in await newest_entries(store, 10)}
    assert "before" in subjects
    with engine_on(url) as engine, reading(engine) as connection:
        assert first_broken(connection) is None
        query = select(func.count()).select_from(COMMAND_RECORDS)
        assert connection.execute(query).scalar_one() == 1


async def test_a_writer_that_keeps_its_lock_delays_writers_in_bounds_and_readers_not_at_all(
    store: SqlOperations, url: str
) -> None:
    await store.audit("ops", "note", "before", {})
    with engine_on(url) as engine:
        with writing(engine):
            waited_s = await refused_within_s(store.ping)
            assert waited_s < ANSWER_WITHIN_S + SPARE_S
            assert len(await newest_entries(store, 10)) == 1
        await store.ping()


async def test_checks_and_effects_of_two_processes_are_never_torn_apart(url: str) -> None:
    # Each looks for the highest number and inserts the next: without the write lock two would find
    # the same.
    def add(connection: Connection) -> Kill:
        n = connection.execute(select(func.count()).select_from(WANTED_KILLS)).scalar_one()
        return want(f"n{n}")[1](connection)

    both = [Database(url, SystemClock()) for _ in range(2)]
    for n in range(25):
        act = Act(principal="anna", action="add", subject=f"s{n}", data={})
        await asyncio.gather(*(one.act(act, add, Kill) for one in both))
    for one in both:
        await asyncio.to_thread(one.close)
    with engine_on(url) as engine, reading(engine) as connection:
        assert len(connection.execute(select(WANTED_KILLS)).all()) == 50
        assert first_broken(connection) is None


async def test_a_reading_transaction_sees_one_picture(database: Database, url: str) -> None:
    count = select(func.count()).select_from(WANTED_KILLS)
    with engine_on(url) as engine, reading(engine) as connection:
        assert connection.execute(count).scalar_one() == 0
        act, work = want("r1")
        await database.act(act, work, Kill)
        assert connection.execute(count).scalar_one() == 0
    assert await database.read(lambda connection: connection.execute(count).scalar_one()) == 1


async def test_a_reading_transaction_cannot_write(database: Database) -> None:
    with pytest.raises(StorageUnavailableError):
        await database.read(want("r1")[1])


async def test_nobody_listening_is_refused_at_once(store: SqlOperations, server: SqlServer) -> None:
    server.kill()
    assert await refused_within_s(store.ping) < ANSWER_WITHIN_S + SPARE_S
    assert (
        await refused_within_s(lambda: store.killed_since(["box"], NOW)) < ANSWER_WITHIN_S + SPARE_S
    )
