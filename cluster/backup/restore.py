"""Bringing a backup back, into an installation that has nothing yet.

The database may be of another kind than the one the backup was made from. What it holds appears in
one step; where a step of the tables cannot be undone (MariaDB, MySQL) a refusal says what is left.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from alembic import command
from sqlalchemy import Connection, Engine, delete, func, inspect, select, table

from cluster.backup.archive import Manifest, Reader, TableHead, whole_archive
from cluster.backup.make import BY
from cluster.backup.rows import load
from cluster.home import Home
from cluster.storage.actor_store import outrun
from cluster.storage.audit import AuditFact, append, first_broken
from cluster.storage.engine import migrating, migration_config, reading, revisions
from controllers.kernel.errors import ConfigError, ConflictError
from controllers.kernel.timebase import Clock

Say = Callable[[str], None]

_FOLDERS = ("actors", "secrets", "broker")


def restore_backup(home: Home, engine: Engine, path: Path, clock: Clock, say: Say) -> None:
    """Bring a backup back.

    Args:
        home: an empty data directory.
        engine: an empty database.
        path: of the backup.
        clock: gives the instant of the audit entry.
        say: is told what was done, one line at a time.

    Raises:
        ConfigError: the file is no backup, was changed, or is of a later version.
        ConflictError: there is something already, or a park runs here.
        StorageUnavailableError: the database failed.
    """
    with home.locked(), whole_archive(path) as archive:
        _check_version(path, archive.manifest)
        _check_empty(home, engine)
        say(f"{path} is whole: made at {archive.manifest.made_at:%Y-%m-%d %H:%M:%S} UTC")
        with tempfile.TemporaryDirectory(dir=home.path, prefix=".restore-") as folder:
            _unpack(archive, Path(folder))
            with migrating(engine) as connection:
                _fill(connection, archive, say)
                _close(connection, archive.manifest, clock)
            for name in _FOLDERS:
                _move(Path(folder) / name, home.path / name)
    say(f"{len(archive.names('actors'))} actors; the park can be started")


def _check_version(path: Path, manifest: Manifest) -> None:
    if manifest.revision not in revisions():
        problem = (
            f"{path}: its tables are of revision {manifest.revision}, which this program does not "
            f"know; restore it with Parkgrid {manifest.program} or later"
        )
        raise ConfigError("restore", [problem])


def _check_empty(home: Home, engine: Engine) -> None:
    for name in _FOLDERS:
        folder = home.path / name
        if folder.is_dir() and any(folder.iterdir()):
            message = f"{folder} is not empty; restore into a new data directory (--home)"
            raise ConflictError(message, current=str(folder))
    with reading(engine) as connection:
        there = inspect(connection).get_table_names()
    if there:
        message = f"the database has {len(there)} tables already; restore into an empty one"
        raise ConflictError(message, current=there[0])


def _unpack(archive: Reader, folder: Path) -> None:
    for name in _FOLDERS:
        (folder / name).mkdir(mode=0o700)
        for member in archive.names(name):
            archive.extract(member, folder / member)
    for actor in (folder / "actors").iterdir():
        outrun(actor)


def _fill(connection: Connection, archive: Reader, say: Say) -> None:
    manifest = archive.manifest
    command.upgrade(migration_config(connection), manifest.revision)
    there = set(inspect(connection).get_table_names()) - {"alembic_version"}
    told = {head.name for head in manifest.tables}
    if there != told:
        odd = ", ".join(sorted(there ^ told))
        raise ConfigError("restore", [f"the backup is not of the tables it says: {odd}"])
    for head in reversed(manifest.tables):
        # What a migration puts there is in the backup as well.
        connection.execute(delete(table(head.name)))
    for head in manifest.tables:
        _fill_table(connection, archive, head)
        if head.n_rows:
            say(f"{head.name}: {head.n_rows} rows")


def _fill_table(connection: Connection, archive: Reader, head: TableHead) -> None:
    with archive.open(f"tables/{head.name}.jsonl") as source:
        load(connection, head.name, head.columns, source)
    query = select(func.count()).select_from(table(head.name))
    n_rows = connection.execute(query).scalar_one()
    if n_rows != head.n_rows:
        problem = f"{head.name}: {n_rows} rows of {head.n_rows}"
        raise ConfigError("restore", [problem])


def _close(connection: Connection, manifest: Manifest, clock: Clock) -> None:
    command.upgrade(migration_config(connection), "head")
    broken_at = first_broken(connection)
    if broken_at is not None:
        problem = f"the audit chain of the backup is broken at entry {broken_at}; nothing restored"
        raise ConfigError("restore", [problem])
    data: dict[str, object] = {"made_at": manifest.made_at.isoformat(), "program": manifest.program}
    fact = AuditFact(
        at=clock.now(), principal=BY, action="backup.restore", subject="park", data=data
    )
    append(connection, [fact])


def _move(source: Path, target: Path) -> None:
    if any(source.iterdir()):
        if target.is_dir():
            target.rmdir()
        shutil.move(source, target)
