"""Making a backup of an installation, running or not.

The actors' files come before the database: a record that leaves an outbox in between is in the
database already, and one that is in both is taken once.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from sqlalchemy import Connection, Engine

from cluster.backup.archive import FORMAT, Manifest, TableHead, Writer, new_archive
from cluster.backup.rows import heads_of, lines
from cluster.home import Home
from cluster.storage.actor_store import copy_actor_store
from cluster.storage.audit import AuditFact, append
from cluster.storage.engine import (
    PATIENT_S,
    open_engine,
    reading,
    revision_of,
    revisions,
    writing,
)
from cluster.storage.tables import METADATA
from controllers.kernel.errors import ConfigError
from controllers.kernel.timebase import Clock

Say = Callable[[str], None]

BY = "cli"

_KEPT_FILES = ("secrets/*", "broker/credentials.json")
"""What a park cannot draw anew without its devices and its stored secrets noticing."""


def make_backup(home: Home, engine: Engine, path: Path, clock: Clock, say: Say) -> None:
    """Write a backup to a new file, readable by its owner only.

    Args:
        home: the data directory.
        engine: its database.
        path: of the new file.
        clock: gives the instants.
        say: is told what was done, one line at a time.

    Raises:
        ConfigError: the file is there already or cannot be written, or the database is not of this
            version; nothing is left behind.
        StorageUnavailableError: the database or an actor's file cannot be read; as above.
    """
    patient = open_engine(engine.url, statement_s=PATIENT_S)
    try:
        with reading(patient) as connection:
            _check_revision(connection)
        with new_archive(path) as archive:
            _note(engine, clock)
            _add_files(archive, home, say)
            with reading(patient) as connection:
                tables = [_add_table(archive, connection, name, say) for name in _names()]
                revision = revision_of(connection)
            manifest = Manifest(
                format=FORMAT,
                made_at=clock.now(),
                program=version("parkgrid"),
                revision=str(revision),
                tables=tables,
                members=archive.members,
            )
            archive.finish(manifest)
    finally:
        patient.dispose()
    n_rows = sum(table.n_rows for table in tables)
    say(f"Wrote {path}: {n_rows} rows, {path.stat().st_size / 1e6:.1f} MB; it holds secrets")


def _check_revision(connection: Connection) -> None:
    found, newest = revision_of(connection), revisions()[0]
    if found != newest:
        problem = (
            f"the database's tables are of revision {found or 'none'}, this program's of {newest}; "
            "start the park with this program once, or back it up with its own"
        )
        raise ConfigError("backup", [problem])


def _note(engine: Engine, clock: Clock) -> None:
    # Whoever has the file can read everything, so that it was made is worth an entry.
    with writing(engine) as connection:
        fact = AuditFact(
            at=clock.now(), principal=BY, action="backup.make", subject="park", data={}
        )
        append(connection, [fact])


def _add_files(archive: Writer, home: Home, say: Say) -> None:
    actors = sorted(home.actors.glob("*.sqlite"))
    with tempfile.TemporaryDirectory(dir=home.path, prefix=".backup-") as folder:
        copy = Path(folder) / "copy.sqlite"
        for actor in actors:
            copy_actor_store(actor, copy)
            archive.add_file(f"actors/{actor.name}", copy)
            copy.unlink()
    say(f"{len(actors)} actors")
    for pattern in _KEPT_FILES:
        for file in sorted(home.path.glob(pattern)):
            archive.add_file(file.relative_to(home.path).as_posix(), file)


def _names() -> list[str]:
    return [str(table.name) for table in METADATA.sorted_tables]


def _add_table(archive: Writer, connection: Connection, name: str, say: Say) -> TableHead:
    table = METADATA.tables[name]
    n_rows = archive.add(f"tables/{name}.jsonl", lines(connection, table))
    if n_rows:
        say(f"{name}: {n_rows} rows")
    return TableHead(name=name, columns=heads_of(table), n_rows=n_rows)
