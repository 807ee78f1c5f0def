"""The OperationsStore on SQL: users, idempotency, audit and wanted kills.

Writes go through one group-committing thread, reads through a small pool of their own, so that the
event loop never waits for a disk and a reader never waits for a writer. Every call ends within
``answer_within_s``: a write that was not begun by then is withdrawn; one that was may still become
durable, which its caller finds out by repeating it, since every write is idempotent or audit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import msgspec
from sqlalchemy import Connection, bindparam, delete, insert, select, update

from cluster.storage.audit import AuditFact, append, entry_of
from cluster.storage.engine import open_engine, reading
from cluster.storage.group_writer import GroupWriter
from cluster.storage.tables import AUDIT_LOG, IDEMPOTENCY_KEYS, WANTED_KILLS
from cluster.storage.users import find_user
from controllers.kernel.errors import NotFoundError, StorageUnavailableError
from controllers.kernel.timebase import Clock, SystemClock
from controllers.ports import AuditEntry, IdempotencyRecord, User

T = TypeVar("T")

ANSWER_WITHIN_S = 3.0

_N_READERS = 2
_ENTRY_COLUMNS = [AUDIT_LOG.c[name] for name in AuditEntry.__struct_fields__]


_STANDING = select(
    *[IDEMPOTENCY_KEYS.c[name] for name in IdempotencyRecord.__struct_fields__]
).where(
    IDEMPOTENCY_KEYS.c.principal == bindparam("principal"),
    IDEMPOTENCY_KEYS.c.key == bindparam("key"),
)
_BEGIN = insert(IDEMPOTENCY_KEYS)


class _Group:
    """What the writes of one transaction share; new rows are gathered and inserted together."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.facts: list[AuditFact] = []
        self._begun: dict[tuple[str, str], IdempotencyRecord] = {}

    def begin(self, record: IdempotencyRecord, fact: AuditFact) -> IdempotencyRecord:
        id_ = (record.principal, record.key)
        if id_ in self._begun:
            return self._begun[id_]
        where = {"principal": record.principal, "key": record.key}
        row = self.connection.execute(_STANDING, where).mappings().one_or_none()
        if row is not None:
            return IdempotencyRecord(**row)
        self._begun[id_] = record
        self.facts.append(fact)
        return record

    def close(self) -> None:
        if self._begun:
            now = self.facts[-1].at
            rows = [
                {**msgspec.structs.asdict(record), "created_at": now}
                for record in self._begun.values()
            ]
            self.connection.execute(_BEGIN, rows)
        if self.facts:
            append(self.connection, self.facts)


def open_operations(url: str) -> SqlOperations:
    """Return the store behind a database URL; with ``functools.partial`` a picklable factory.

    Raises:
        StorageUnavailableError: the URL names no usable database.
    """
    return SqlOperations(url, SystemClock())


class SqlOperations:
    """An OperationsStore on a migrated database.

    Args:
        url: of the database.
        clock: gives the instants of audit entries.
        answer_within_s: the longest any call takes.
    """

    def __init__(self, url: str, clock: Clock, *, answer_within_s: float = ANSWER_WITHIN_S) -> None:
        self._engine = open_engine(url)
        self._clock = clock
        self._answer_within_s = answer_within_s
        self._writer = GroupWriter(self._engine, _Group, _Group.close)
        self._readers = ThreadPoolExecutor(_N_READERS, thread_name_prefix="sql-reader")

    async def user(self, username: str) -> User | None:
        """Return an account."""
        return await self._read(lambda connection: find_user(connection, username))

    async def begin(
        self, record: IdempotencyRecord, action: str, subject: str, data: Mapping[str, object]
    ) -> IdempotencyRecord:
        """Insert an idempotency record with its audit entry, or return the one that stands."""
        fact = self._fact(record.principal, action, subject, data)
        return await self._write(lambda group: group.begin(record, fact))

    async def finish(self, principal: str, key: str, status: int, response: str) -> None:
        """Store the answer of an idempotent request.

        Raises:
            NotFoundError: ``begin`` was never called for it.
        """
        keys = IDEMPOTENCY_KEYS.c
        answered = (
            update(IDEMPOTENCY_KEYS)
            .where(keys.principal == principal, keys.key == key)
            .values(status=status, response=response)
        )

        def write(group: _Group) -> None:
            if group.connection.execute(answered).rowcount == 0:
                raise NotFoundError("idempotency record", key)

        await self._write(write)

    async def audit(
        self, principal: str, action: str, subject: str, data: Mapping[str, object]
    ) -> None:
        """Append an audit entry."""
        fact = self._fact(principal, action, subject, data)
        await self._write(lambda group: group.facts.append(fact))

    async def audit_entries(self, limit: int, subject: str | None = None) -> list[AuditEntry]:
        """Return the newest entries, newest first."""
        query = select(*_ENTRY_COLUMNS).order_by(AUDIT_LOG.c.seq.desc()).limit(limit)
        if subject is not None:
            query = query.where(AUDIT_LOG.c.subject == subject)

        def read(connection: Connection) -> list[AuditEntry]:
            return [entry_of(row) for row in connection.execute(query).mappings()]

        return await self._read(read)

    async def want_kill(self, resource_ids: Sequence[str], on: bool, principal: str) -> None:
        """Note which kill switches are wanted on or off."""
        ids = sorted(set(resource_ids))
        now = self._clock.now()
        rows = [{"resource_id": id_, "principal": principal, "wanted_at": now} for id_ in ids]

        def write(group: _Group) -> None:
            # One by one: ten thousand ids are more than a statement may have parameters.
            kills = WANTED_KILLS.c
            for id_ in ids:
                group.connection.execute(delete(WANTED_KILLS).where(kills.resource_id == id_))
            if on and rows:
                group.connection.execute(insert(WANTED_KILLS), rows)

        await self._write(write)

    async def ping(self) -> None:
        """Take and release the write lock."""
        await self._write(lambda _group: None)

    def close(self) -> None:
        """Finish what is queued and release files; blocks for at most the lock wait."""
        self._writer.close()
        self._readers.shutdown()
        self._engine.dispose()

    def _fact(
        self, principal: str, action: str, subject: str, data: Mapping[str, object]
    ) -> AuditFact:
        return AuditFact(
            at=self._clock.now(),
            principal=principal,
            action=action,
            subject=subject,
            data=dict(data),
        )

    async def _write(self, work: Callable[[_Group], T]) -> T:
        return await self._answered(self._writer.submit(work))

    async def _read(self, work: Callable[[Connection], T]) -> T:
        def run() -> T:
            with reading(self._engine) as connection:
                return work(connection)

        return await self._answered(self._readers.submit(run))

    async def _answered(self, future: Future[T]) -> T:
        try:
            async with asyncio.timeout(self._answer_within_s):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            message = f"database: no answer within {self._answer_within_s:g} s"
            raise StorageUnavailableError(message) from error
