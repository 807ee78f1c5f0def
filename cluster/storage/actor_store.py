"""Durable state of one actor in one SQLite file: checkpoint, outbox and documents, epoch-fenced.

Every write checks the writer's epoch inside the transaction that writes, so a predecessor that is
still alive cannot overwrite its successor. What a call returned from survives the loss of the
process; flushed writes, epochs and records that were handed out survive the loss of power too.
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import msgspec

from controllers.kernel.errors import DomainError, FencedError, StorageUnavailableError
from controllers.ports.actors import OutboxRecord

OUTBOX_MAX_RECORDS = 200_000
"""Beyond this the oldest unconfirmed records are given up; the gap shows in ``seq``."""
OUTBOX_MAX_BYTES = 16_777_216
"""Of records handed out at once; a greater one goes alone."""

DOCUMENTS_KEPT = timedelta(days=400)
"""How long documents are kept, unless told otherwise."""

_BUSY_WAIT_S = 2.0
_OUTRUN = 1_000_000_000
_ACTOR_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS writer (id INTEGER PRIMARY KEY CHECK (id = 1), epoch INTEGER NOT NULL);
INSERT OR IGNORE INTO writer VALUES (1, 0);
CREATE TABLE IF NOT EXISTS checkpoint (
    id INTEGER PRIMARY KEY CHECK (id = 1), epoch INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL, at TEXT NOT NULL, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS document (
    serial INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL, at TEXT, UNIQUE (kind, id));
"""
# A few at a time: what is put in is less than what may be given up.
_PRUNE_DOCUMENTS = """
DELETE FROM document WHERE serial IN (
    SELECT serial FROM document WHERE at < ? ORDER BY at LIMIT 5);
"""
_PENDING = """
SELECT seq, kind, at, data FROM (
    SELECT *, sum(length(data)) OVER (ORDER BY seq) - length(data) AS bytes_before
    FROM (SELECT * FROM outbox ORDER BY seq LIMIT ?))
WHERE bytes_before < ? ORDER BY seq;
"""
_TRIM_OUTBOX = """
DELETE FROM outbox
WHERE (SELECT max(seq) FROM outbox) - (SELECT min(seq) FROM outbox) >= ?
AND seq <= (SELECT seq FROM outbox ORDER BY seq DESC LIMIT 1 OFFSET ?);
"""


def open_actor_store(
    directory: str, actor_id: str, *, documents_kept: timedelta = DOCUMENTS_KEPT
) -> SqliteActorStore:
    """Return the store of an actor; with ``functools.partial(open_actor_store, dir)`` a factory.

    Raises:
        DomainError: the id cannot name a file.
        StorageUnavailableError: the file cannot be opened.
    """
    if not _ACTOR_ID.fullmatch(actor_id):
        raise DomainError("actor_id", actor_id, f"must match {_ACTOR_ID.pattern}")
    path = Path(directory) / f"{actor_id}.sqlite"
    return SqliteActorStore(path, documents_kept=documents_kept)


def copy_actor_store(source: Path, target: Path) -> None:
    """Copy the store of an actor, which may go on writing.

    Raises:
        StorageUnavailableError: the file cannot be read, or the copy not be written.
    """
    try:
        with (
            closing(sqlite3.connect(f"file:{quote(str(source))}?mode=ro", uri=True)) as original,
            closing(sqlite3.connect(target)) as copy,
        ):
            original.backup(copy)
            # One file, without a log beside it.
            copy.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        raise StorageUnavailableError(f"{source.name}: {error}") from error


def outrun(path: Path) -> None:
    """Put a store that was brought back ahead of all that its actor may have said since.

    Devices refuse an epoch that is not greater than the last, and the database passes over a record
    that it has: both would else take what the actor says from now on for the past.

    Raises:
        StorageUnavailableError: the file is not the store of an actor.
    """
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("BEGIN")
            db.execute("UPDATE writer SET epoch = epoch + ?", (_OUTRUN,))
            (last,) = db.execute(
                "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'outbox'"
            ).fetchone()
            db.execute("DELETE FROM sqlite_sequence WHERE name = 'outbox'")
            db.execute("INSERT INTO sqlite_sequence VALUES ('outbox', ?)", (last + _OUTRUN,))
            db.execute("COMMIT")
    except sqlite3.Error as error:
        raise StorageUnavailableError(f"{path.name}: {error}") from error


class SqliteActorStore:
    """An ActorStore on one file; the actor's id is the file's stem. Safe to share by threads.

    Raises:
        StorageUnavailableError: the file cannot be opened, is locked by another process for longer
            than ``busy_wait_s``, or its disk refuses.
    """

    def __init__(
        self,
        path: Path,
        *,
        busy_wait_s: float = _BUSY_WAIT_S,
        documents_kept: timedelta = DOCUMENTS_KEPT,
    ) -> None:
        self._documents_kept = documents_kept
        self._actor_id = path.stem
        self._path = path
        self._lock = threading.Lock()
        with self._mapped():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                path, timeout=busy_wait_s, isolation_level=None, check_same_thread=False
            )
            self._db.execute("PRAGMA journal_mode=WAL")
            self._flushes(True)
            self._db.executescript(_SCHEMA)
            columns = self._db.execute("SELECT name FROM pragma_table_info('document')").fetchall()
            if ("at",) not in columns:
                # Of an earlier version; its documents have no age and stay.
                self._db.execute("ALTER TABLE document ADD COLUMN at TEXT")
            self._db.execute("CREATE INDEX IF NOT EXISTS document_at ON document (at)")

    def acquire(self) -> int:
        """Take a new epoch, greater than any before; fences off all predecessors."""
        with self._transaction() as db:
            row = db.execute("UPDATE writer SET epoch = epoch + 1 RETURNING epoch").fetchone()
            return int(row[0])

    def load(self) -> bytes | None:
        """Return the last checkpoint."""
        row = self._one("SELECT body FROM checkpoint")
        return None if row is None else bytes(row[0])

    def commit(
        self,
        epoch: int,
        checkpoint: bytes | None,
        records: Sequence[tuple[str, datetime, bytes]],
        *,
        flush: bool = True,
    ) -> None:
        """Write a checkpoint (None keeps the last) and append records, atomically.

        Args:
            epoch: of the writer.
            checkpoint: the whole state.
            records: kind, instant and JSON object of each fact.
            flush: whether it must survive the loss of power, with all that was written before.

        Raises:
            FencedError: a later epoch has been acquired; nothing was written.
        """
        with self._transaction(epoch, flush=flush) as db:
            if checkpoint is not None:
                db.execute(
                    "INSERT OR REPLACE INTO checkpoint VALUES (1, ?, ?)", (epoch, checkpoint)
                )
            if records:
                db.executemany(
                    "INSERT INTO outbox (kind, at, data) VALUES (?, ?, ?)",
                    [(kind, at.isoformat(), data) for kind, at, data in records],
                )
                # Counted, not reckoned from the numbers: those of a restored outbox have a gap.
                db.execute(_TRIM_OUTBOX, (OUTBOX_MAX_RECORDS, OUTBOX_MAX_RECORDS))

    def put_document(self, epoch: int, kind: str, id_: str, at: datetime, body: bytes) -> None:
        """Keep a document; the last of an id wins, and some that are too old are given up.

        Raises:
            FencedError: a later epoch has been acquired; nothing was written.
        """
        with self._transaction(epoch) as db:
            db.execute(
                "INSERT OR REPLACE INTO document (kind, id, body, at) VALUES (?, ?, ?, ?)",
                (kind, id_, body, at.astimezone(UTC).isoformat()),
            )
            oldest = (at - self._documents_kept).astimezone(UTC).isoformat()
            db.execute(_PRUNE_DOCUMENTS, (oldest,))

    def document(self, kind: str, id_: str) -> bytes | None:
        """Return a kept document."""
        row = self._one("SELECT body FROM document WHERE kind = ? AND id = ?", kind, id_)
        return None if row is None else bytes(row[0])

    def documents(self, kind: str, limit: int) -> list[bytes]:
        """Return the newest documents of a kind, newest first."""
        sql = "SELECT body FROM document WHERE kind = ? ORDER BY serial DESC LIMIT ?"
        return [bytes(body) for (body,) in self._all(sql, kind, limit)]

    def pending(self, limit: int) -> list[OutboxRecord]:
        """Return the oldest records not yet confirmed."""
        # A record that got lost after it was stored elsewhere would give its number to another.
        self._flush_written()
        rows = self._all(_PENDING, limit, OUTBOX_MAX_BYTES)
        return [
            OutboxRecord(
                actor_id=self._actor_id,
                seq=int(seq),
                kind=str(kind),
                at=datetime.fromisoformat(str(at)),
                data=msgspec.json.decode(data, type=dict[str, object]),
            )
            for seq, kind, at, data in rows
        ]

    def confirm(self, up_to_seq: int) -> None:
        """Forget records up to and including a sequence number."""
        with self._transaction() as db:
            db.execute("DELETE FROM outbox WHERE seq <= ?", (up_to_seq,))

    def close(self) -> None:
        """Release files."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _transaction(
        self, epoch: int | None = None, *, flush: bool = True
    ) -> Iterator[sqlite3.Connection]:
        with self._lock, self._mapped():
            if flush != self._flushing:
                self._flushes(flush)
            # IMMEDIATE takes the write lock first, so the epoch read below cannot go stale.
            self._db.execute("BEGIN IMMEDIATE")
            try:
                if epoch is not None:
                    self._check(epoch)
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _flushes(self, on: bool) -> None:
        # In WAL mode NORMAL leaves the last commits to the system's cache, in order and whole.
        self._db.execute(f"PRAGMA synchronous={'FULL' if on else 'NORMAL'}")
        self._flushing = on

    def _flush_written(self) -> None:
        with self._lock, self._mapped():
            if self._flushing:
                return
            log = os.open(f"{self._path}-wal", os.O_RDONLY)
            try:
                os.fsync(log)
            finally:
                os.close(log)

    def _check(self, epoch: int) -> None:
        (current,) = self._db.execute("SELECT epoch FROM writer").fetchone()
        if epoch != current:
            raise FencedError(self._actor_id, epoch, int(current))

    def _one(self, sql: str, *values: object) -> tuple[bytes, ...] | None:
        rows = self._all(sql, *values)
        return rows[0] if rows else None

    def _all(self, sql: str, *values: object) -> list[tuple[bytes, ...]]:
        with self._lock, self._mapped():
            return self._db.execute(sql, values).fetchall()

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StorageUnavailableError(f"{self._path.name}: {error}") from error
