"""A backup comes back whole, into any kind of database, or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from alembic import command
from sqlalchemy import Engine, MetaData, inspect, select, text, update

from cluster.backup.archive import Manifest, Member
from cluster.backup.make import make_backup
from cluster.backup.restore import restore_backup
from cluster.home import Home
from cluster.storage.actor_store import open_actor_store
from cluster.storage.audit import AuditFact, append, first_broken
from cluster.storage.database import Database
from cluster.storage.engine import (
    migrate,
    migrating,
    migration_config,
    open_engine,
    reading,
    revisions,
    writing,
)
from cluster.storage.operations import SqlOperations
from cluster.storage.tables import METADATA
from cluster.storage.tables.operations import AUDIT_HEAD, AUDIT_LOG, IDEMPOTENCY_KEYS
from controllers.kernel.errors import ConfigError, ConflictError, StorageUnavailableError
from controllers.kernel.timebase import ManualClock, SystemClock
from controllers.ports.operations import IdempotencyRecord
from tests.support.databases import ServerDatabases, migrated_sqlite
from tests.support.rows import fill
from tests.support.waiting import eventually

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
KEYS = IDEMPOTENCY_KEYS.c


@contextmanager
def engine_on(url: str) -> Iterator[Engine]:
    engine = open_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


@dataclass(frozen=True)
class Trip:
    """From one installation into a file, and from there into an empty one."""

    home: Home
    source: Engine
    file: Path
    fresh: Home
    target: Engine
    clock: ManualClock

    def make(self) -> None:
        """Back up the first."""
        make_backup(self.home, self.source, self.file, self.clock, quiet)

    def restore(self) -> None:
        """Bring it back into the second."""
        restore_backup(self.fresh, self.target, self.file, self.clock, quiet)

    def assert_untouched(self) -> None:
        """Check that a refusal left nothing behind."""
        assert inspect(self.target).get_table_names() == []
        files = [path for path in self.fresh.path.rglob("*") if path.is_file()]
        assert [path.name for path in files if path.name != "lock"] == []


def quiet(_line: str) -> None:
    pass


def furnished_home(path: Path) -> Home:
    """Return a data directory with an actor and secrets."""
    home = Home(path)
    store = open_actor_store(str(home.actors), "box")
    epoch = store.acquire()
    store.commit(epoch, b"checkpoint", [("sent", NOW, b"{}")])
    store.put_document(epoch, "report", "r1", NOW, b"done")
    store.close()
    home.jwt_secret_file.read_text()
    return home


def furnish(engine: Engine) -> None:
    """Put rows into every table, with a whole audit chain."""
    with writing(engine) as connection:
        fact = AuditFact(at=NOW, principal="anna", action="note", subject="零", data={"x": [1.5]})
        append(connection, [fact] * 3)
    with migrating(engine) as connection:
        fill(connection)


@pytest.fixture
def trip(tmp_path: Path) -> Iterator[Trip]:
    """Yield a trip from SQLite to SQLite."""
    with (
        engine_on(migrated_sqlite(tmp_path / "source.sqlite")) as source,
        engine_on(f"sqlite:///{tmp_path / 'target.sqlite'}") as target,
    ):
        furnish(source)
        yield trip_of(tmp_path, source, target)


def trip_of(folder: Path, source: Engine, target: Engine) -> Trip:
    return Trip(
        home=furnished_home(folder / "home"),
        source=source,
        file=folder / "park.backup",
        fresh=Home(folder / "fresh"),
        target=target,
        clock=ManualClock(NOW),
    )


def content(engine: Engine) -> dict[str, list[tuple[object, ...]]]:
    """Return all rows but those of the audit chain, which a backup and its return lengthen."""
    with reading(engine) as connection:
        return {
            table.name: [
                tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))
            ]
            for table in METADATA.sorted_tables
            if table not in (AUDIT_LOG, AUDIT_HEAD)
        }


def chain(engine: Engine) -> list[str]:
    """Return the actions of a chain that is whole."""
    with reading(engine) as connection:
        assert first_broken(connection) is None
        query = select(AUDIT_LOG.c.action).order_by(AUDIT_LOG.c.seq)
        return list(connection.execute(query).scalars())


def empty(request: pytest.FixtureRequest, kind: str, path: Path) -> str:
    if kind == "sqlite":
        return f"sqlite:///{path}"
    databases: ServerDatabases = request.getfixturevalue(f"{kind}_databases")
    return databases.empty()


@pytest.mark.parametrize(
    ("of", "to"),
    [
        ("sqlite", "sqlite"),
        ("sqlite", "postgresql"),
        ("postgresql", "mariadb"),
        ("mariadb", "sqlite"),
    ],
)
def test_a_backup_comes_back_whole_on_any_database(
    request: pytest.FixtureRequest, tmp_path: Path, of: str, to: str
) -> None:
    with (
        engine_on(empty(request, of, tmp_path / "a.sqlite")) as source,
        engine_on(empty(request, to, tmp_path / "b.sqlite")) as target,
    ):
        migrate(source)
        furnish(source)
        trip = trip_of(tmp_path, source, target)
        trip.make()
        trip.restore()
        assert content(target) == content(source)
        assert chain(target) == ["note", "note", "note", "backup.make", "backup.restore"]
    key = trip.fresh.path / "secrets" / "jwt"
    assert key.read_bytes() == trip.home.jwt_secret_file.read_bytes()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (key, trip.file)] == [0o600, 0o600]
    assert list(trip.fresh.path.glob(".*")) == []


def test_a_restored_actor_is_ahead_of_all_it_may_have_said_since(trip: Trip) -> None:
    trip.make()
    # Life goes on after the backup.
    lived = open_actor_store(str(trip.home.actors), "box")
    last_epoch = max(lived.acquire() for _ in range(5))
    lived.commit(last_epoch, None, [("sent", NOW, b"{}")] * 5)
    last_seq = lived.pending(100)[-1].seq
    lived.close()
    trip.restore()
    restored = open_actor_store(str(trip.fresh.actors), "box")
    epoch = restored.acquire()
    assert epoch > last_epoch
    assert restored.load() == b"checkpoint"
    assert restored.document("report", "r1") == b"done"
    restored.commit(epoch, None, [("sent", NOW, b"{}")])
    first, second = restored.pending(10)
    assert first.seq == 1
    assert second.seq > last_seq
    restored.close()


async def test_a_backup_of_a_busy_park_is_of_one_moment(trip: Trip) -> None:
    database = Database(str(trip.source.url), SystemClock())
    store = SqlOperations(database)
    done = asyncio.Event()

    async def write() -> None:
        n = 0
        while not done.is_set():
            n += 1
            record = IdempotencyRecord(
                key=f"k{n}", principal="p", fingerprint="f", subject_id=f"s{n}"
            )
            await store.begin(record, "dispatch", f"s{n}", {})

    writer = asyncio.create_task(write())
    query = select(IDEMPOTENCY_KEYS).where(KEYS.principal == "p")
    await eventually(lambda: database.read(lambda c: c.execute(query).first()), within_s=10.0)
    await asyncio.to_thread(trip.make)
    done.set()
    await writer
    await asyncio.to_thread(database.close)
    await asyncio.to_thread(trip.restore)
    of_dispatch = AUDIT_LOG.c.action == "dispatch"
    with reading(trip.target) as connection:
        keys = connection.execute(select(KEYS.key).where(KEYS.principal == "p"))
        audited = connection.execute(select(AUDIT_LOG.c.subject).where(of_dispatch))
        n_keys, n_audited = len(keys.all()), len(audited.all())
    assert n_keys == n_audited > 0
    assert chain(trip.target)[-1] == "backup.restore"


# --- what is refused, and that nothing is left of it


def test_no_file_is_overwritten(trip: Trip) -> None:
    trip.file.write_text("precious")
    with pytest.raises(ConfigError, match="there already"):
        trip.make()
    assert trip.file.read_text() == "precious"
    assert list(trip.file.parent.glob("*.part")) == []


def test_a_failed_backup_leaves_nothing(trip: Trip) -> None:
    (trip.home.actors / "broken.sqlite").write_text("no database")
    with pytest.raises(StorageUnavailableError, match="broken"):
        trip.make()
    assert list(trip.file.parent.glob("park.backup*")) == []


def test_tables_of_another_version_are_not_backed_up(trip: Trip) -> None:
    with pytest.raises(ConfigError, match="revision none"):
        replace(trip, source=trip.target).make()
    assert not trip.file.exists()


Members = dict[str, bytes]


def rewrite(path: Path, change: Callable[[Members], None]) -> None:
    """Write a backup anew with other members."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, body in members.items():
            archive.writestr(name, body)


def change_a_row(members: Members) -> None:
    members["tables/users.jsonl"] = members["tables/users.jsonl"].replace(b"1", b"2", 1)


def add_a_file(members: Members) -> None:
    members["secrets/../../evil"] = b"x"


def climb(members: Members) -> None:
    members["manifest.json"] = members["manifest.json"].replace(b"secrets/jwt", b"secrets/../x")
    members["secrets/../x"] = members.pop("secrets/jwt")


def drop_a_file(members: Members) -> None:
    del members["secrets/jwt"]


def other_format(members: Members) -> None:
    members["manifest.json"] = members["manifest.json"].replace(b'"format": 1', b'"format": 2')


def other_revision(members: Members) -> None:
    manifest = msgspec.json.decode(members["manifest.json"])
    manifest["revision"] = "9999"
    members["manifest.json"] = msgspec.json.encode(manifest)


def no_manifest(members: Members) -> None:
    del members["manifest.json"]


def nonsense_manifest(members: Members) -> None:
    members["manifest.json"] = b'{"format": 1, "tables": 7}'


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (change_a_row, "changed or damaged: tables/users.jsonl"),
        (add_a_file, "does not hold what its manifest tells"),
        (climb, "belongs nowhere"),
        (drop_a_file, "does not hold what its manifest tells"),
        (other_format, "of format 2"),
        (other_revision, "of revision 9999"),
        (no_manifest, "is no backup"),
        (nonsense_manifest, "cannot be read"),
    ],
)
def test_a_file_that_was_changed_is_refused(
    trip: Trip, change: Callable[[Members], None], why: str
) -> None:
    trip.make()
    rewrite(trip.file, change)
    with pytest.raises(ConfigError, match=why):
        trip.restore()
    trip.assert_untouched()


@pytest.mark.parametrize("kept_frac", [0.0, 0.5, 0.99])
def test_a_file_that_was_cut_short_is_refused(trip: Trip, kept_frac: float) -> None:
    trip.make()
    body = trip.file.read_bytes()
    trip.file.write_bytes(body[: int(len(body) * kept_frac)])
    with pytest.raises(ConfigError, match="damaged, or no backup"):
        trip.restore()
    trip.assert_untouched()


def test_a_missing_file_is_refused(trip: Trip) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        trip.restore()


def test_a_broken_audit_chain_is_not_brought_back(trip: Trip) -> None:
    with writing(trip.source) as connection:
        connection.execute(update(AUDIT_LOG).where(AUDIT_LOG.c.seq == 2).values(principal="ben"))
    trip.make()
    with pytest.raises(ConfigError, match="broken at entry 2"):
        trip.restore()
    trip.assert_untouched()


def test_what_is_there_is_never_replaced(trip: Trip) -> None:
    trip.make()
    before = content(trip.source)
    with pytest.raises(ConflictError, match="is not empty"):
        replace(trip, fresh=trip.home).restore()
    with pytest.raises(ConflictError, match="tables already"):
        replace(trip, target=trip.source).restore()
    assert content(trip.source) == before
    trip.assert_untouched()


def tables_of_first_revision(path: Path) -> tuple[str, MetaData]:
    first = revisions()[-1]
    tables = MetaData()
    with engine_on(f"sqlite:///{path}") as engine:
        with migrating(engine) as connection:
            command.upgrade(migration_config(connection), first)
        tables.reflect(engine)
    return first, tables


def test_a_backup_of_an_earlier_version_is_brought_up_to_date(trip: Trip, tmp_path: Path) -> None:
    first, tables = tables_of_first_revision(tmp_path / "first.sqlite")

    def age(members: Members) -> None:
        manifest = msgspec.json.decode(members["manifest.json"], type=Manifest)
        kept = []
        for head in manifest.tables:
            name = f"tables/{head.name}.jsonl"
            body = members.pop(name)
            if head.name not in tables.tables:
                continue
            known = set(tables.tables[head.name].columns.keys())
            places = [i for i, one in enumerate(head.columns) if one.name in known]
            rows = [msgspec.json.decode(row) for row in body.splitlines()]
            aged = [msgspec.json.encode([row[i] for i in places]) for row in rows]
            members[name] = b"".join(row + b"\n" for row in aged)
            columns = [head.columns[i] for i in places]
            kept.append(msgspec.structs.replace(head, columns=columns))
        told = [
            Member(name=name, sha256=hashlib.sha256(body).hexdigest())
            for name, body in members.items()
            if name != "manifest.json"
        ]
        manifest = msgspec.structs.replace(manifest, revision=first, tables=kept, members=told)
        members["manifest.json"] = msgspec.json.encode(manifest)

    trip.make()
    rewrite(trip.file, age)
    trip.restore()
    assert chain(trip.target)[-1] == "backup.restore"
    with reading(trip.target) as connection:
        assert connection.execute(text("SELECT count(*) FROM vpp_resources")).scalar_one() == 2
