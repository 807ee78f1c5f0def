"""A locked, slow or missing database: refused in bounded time, nothing acknowledged lost."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cluster.storage import group_writer
from cluster.storage.database import Database
from cluster.storage.engine import migrate, open_engine, reading
from cluster.storage.operations import SqlOperations
from cluster.storage.records import SqlRecordSink
from controllers.kernel.breaker import REST_S
from controllers.kernel.errors import StorageUnavailableError
from controllers.kernel.timebase import SystemClock
from controllers.ports.actors import OutboxRecord
from controllers.ports.operations import IdempotencyRecord
from tests.support.audit import newest_entries
from tests.support.waiting import eventually

_WRITER = """
import asyncio, sys
from cluster.storage.database import open_database
from cluster.storage.operations import SqlOperations
from controllers.ports.operations import IdempotencyRecord

async def main():
    store = SqlOperations(open_database(sys.argv[1]))
    async def write(lane):
        n = 0
        while True:
            n += 1
            key = f"{lane}-{n}"
            record = IdempotencyRecord(key=key, principal="p", fingerprint="f", subject_id=key)
            await store.begin(record, "dispatch", key, {"n": n})
            print(key, flush=True)
    await asyncio.gather(*(write(lane) for lane in range(20)))

asyncio.run(main())
"""


def key(n: int) -> IdempotencyRecord:
    return IdempotencyRecord(key=f"k-{n}", principal="p", fingerprint="f", subject_id=f"d-{n}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "parkgrid.sqlite"
    engine = open_engine(f"sqlite:///{path}")
    migrate(engine)
    engine.dispose()
    return path


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqlOperations]:
    database = Database(f"sqlite:///{path}", SystemClock(), answer_within_s=2.5)
    yield SqlOperations(database)
    await asyncio.to_thread(database.close)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the write lock from another connection."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


async def test_a_locked_database_refuses_in_time_and_recovers(
    store: SqlOperations, path: Path
) -> None:
    await store.begin(key(1), "dispatch", "vpp", {})
    with locked(path):
        begun = time.monotonic()
        results = await asyncio.gather(
            *(store.begin(key(n), "dispatch", "vpp", {}) for n in range(2, 30)),
            store.ping(),
            return_exceptions=True,
        )
        assert time.monotonic() - begun < 4.0
        assert {type(result) for result in results} == {StorageUnavailableError}
        # Readers do not wait for the writer.
        assert len(await newest_entries(store, 10)) == 1
        # Who fails again and again is refused at once.
        begun = time.monotonic()
        with pytest.raises(StorageUnavailableError, match="a moment ago"):
            await store.ping()
        assert time.monotonic() - begun < 0.5
    await asyncio.sleep(REST_S)
    await store.ping()
    assert await store.begin(key(2), "dispatch", "vpp", {}) == key(2)
    assert [entry.seq for entry in await newest_entries(store, 10)] == [2, 1]


async def test_a_write_that_was_not_begun_in_time_is_withdrawn(path: Path) -> None:
    database = Database(f"sqlite:///{path}", SystemClock(), answer_within_s=0.2)
    store = SqlOperations(database)
    with locked(path):
        # Once the first write is stuck behind the lock, the second is still queued when time ends.
        first = asyncio.create_task(store.begin(key(1), "dispatch", "vpp", {}))
        await asyncio.sleep(0)
        await eventually(database._writer._queue.empty, within_s=5.0)
        with pytest.raises(StorageUnavailableError, match=r"no answer within 0\.2 s"):
            await store.begin(key(2), "dispatch", "vpp", {})
        with pytest.raises(StorageUnavailableError):
            await first
    await asyncio.to_thread(database.close)
    rows = sqlite3.connect(path).execute("SELECT key FROM idempotency_keys").fetchall()
    assert ("k-2",) not in rows


async def test_a_full_queue_refuses_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_writer, "MAX_PENDING", 3)
    database = Database(f"sqlite:///{path}", SystemClock(), answer_within_s=5.0)
    store = SqlOperations(database)
    with locked(path):
        results = await asyncio.gather(
            *(store.begin(key(n), "dispatch", "vpp", {}) for n in range(10)),
            return_exceptions=True,
        )
    refused = [str(result) for result in results if isinstance(result, StorageUnavailableError)]
    assert any("3 writes are waiting" in reason for reason in refused)
    await asyncio.to_thread(database.close)


async def test_a_missing_table_is_not_taken_for_a_lost_key(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'new.sqlite'}", SystemClock())
    store = SqlOperations(database)
    with pytest.raises(StorageUnavailableError, match="no such table"):
        await store.begin(key(1), "dispatch", "vpp", {})
    await asyncio.to_thread(database.close)


def test_a_directory_that_is_gone_is_unavailable(tmp_path: Path) -> None:
    sink = SqlRecordSink(f"sqlite:///{tmp_path / 'none' / 'parkgrid.sqlite'}")
    record = OutboxRecord(
        actor_id="a", seq=1, kind="sent", at=datetime(2026, 1, 1, tzinfo=UTC), data={}
    )
    with pytest.raises(StorageUnavailableError, match="unable to open"):
        sink.write([record])
    sink.close()


@pytest.mark.parametrize("url", ["", "not a url", "nosuchdialect://x"])
def test_a_url_that_names_no_database_is_refused(url: str) -> None:
    with pytest.raises(StorageUnavailableError, match="URL cannot be used"):
        open_engine(url)


def test_the_password_in_a_url_stays_out_of_the_error() -> None:
    with pytest.raises(StorageUnavailableError) as caught:
        open_engine("nosuchdialect://user:hunter2@host/db")
    assert "hunter2" not in str(caught.value)


def test_a_killed_writer_loses_nothing_it_acknowledged(path: Path) -> None:
    url = f"sqlite:///{path}"
    writer = subprocess.Popen(
        [sys.executable, "-c", _WRITER, url], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    acknowledged = [writer.stdout.readline().strip() for _ in range(300)]
    writer.send_signal(signal.SIGKILL)
    rest, _ = writer.communicate(timeout=10)
    # The last line may be cut short by the kill.
    acknowledged += rest.splitlines()[:-1]

    engine = open_engine(url)
    with reading(engine) as connection:
        stored = set(connection.exec_driver_sql("SELECT key FROM idempotency_keys").scalars())
        audited = set(connection.exec_driver_sql("SELECT subject FROM audit_log").scalars())
    engine.dispose()
    assert set(acknowledged) <= stored
    assert stored == audited
