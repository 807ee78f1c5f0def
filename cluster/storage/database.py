"""One database for all stores of a process: reads from a small pool, writes in shared transactions.

Writes go through one group-committing thread, reads through a few of their own, so that the event
loop never waits for a disk and a reader never waits for a writer. Every call ends within
``answer_within_s``: a write that was not begun by then is withdrawn; one that was may still become
durable, which its caller finds out by repeating it under the same idempotency key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from typing import TypeVar

import msgspec
from sqlalchemy import Connection, bindparam, insert, select

from cluster.storage.audit import AuditFact, append
from cluster.storage.engine import open_engine, reading
from cluster.storage.group_writer import GroupWriter
from cluster.storage.replica import Replica
from cluster.storage.tables.operations import IDEMPOTENCY_KEYS
from controllers.kernel.breaker import Breaker
from controllers.kernel.errors import KeyReusedError, StorageUnavailableError
from controllers.kernel.timebase import Clock, SystemClock
from controllers.kernel.wire import decode, encode
from controllers.ports.acts import Act, Done
from controllers.ports.operations import IdempotencyRecord

T = TypeVar("T")

ANSWER_WITHIN_S = 3.0

_N_READERS = 2
_MAX_RESPONSE_BYTES = 16_777_216
_DONE = 200

_STANDING = select(
    *[IDEMPOTENCY_KEYS.c[name] for name in IdempotencyRecord.__struct_fields__]
).where(
    IDEMPOTENCY_KEYS.c.principal == bindparam("principal"),
    IDEMPOTENCY_KEYS.c.key == bindparam("key"),
)
_BEGIN = insert(IDEMPOTENCY_KEYS)


class Group:
    """What the writes of one transaction share; audit entries and keys are inserted together."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self.connection = connection
        self._clock = clock
        self._facts: list[AuditFact] = []
        self._begun: dict[tuple[str, str], IdempotencyRecord] = {}

    def audit(
        self, principal: str, action: str, subject: str, data: Mapping[str, object]
    ) -> datetime:
        """Note an audit entry; returns its instant."""
        now = self._clock.now()
        fact = AuditFact(
            at=now, principal=principal, action=action, subject=subject, data=dict(data)
        )
        self._facts.append(fact)
        return now

    def begin(self, record: IdempotencyRecord) -> IdempotencyRecord:
        """Return the record that stands under a key; the offered one if it is the first."""
        standing = self._standing(record.principal, record.key)
        if standing is None:
            standing = self._begun[record.principal, record.key] = record
        return standing

    def act(self, act: Act, work: Callable[[Connection], T], type_: type[T]) -> Done[T]:
        """Do what an act asks, with its audit entry; or return what an earlier use of its key did.

        Args:
            act: who does what.
            work: the effect; it alone is undone when it raises.
            type_: of its result.

        Raises:
            KeyReusedError: the key stands for another request.
        """
        if act.key is not None:
            standing = self._standing(act.principal, act.key)
            if standing is not None:
                return _replay(act, standing, type_)
        with self.connection.begin_nested():
            value = work(self.connection)
        self.audit(act.principal, act.action, act.subject, act.data)
        if act.key is not None:
            self._begun[act.principal, act.key] = IdempotencyRecord(
                key=act.key,
                principal=act.principal,
                fingerprint=act.fingerprint,
                subject_id=act.subject,
                status=_DONE,
                response=encode(value).decode(),
            )
        return Done(value=value)

    def close(self) -> None:
        """Insert what was gathered."""
        if self._begun:
            now = self._clock.now()
            rows = [
                {**msgspec.structs.asdict(record), "created_at": now}
                for record in self._begun.values()
            ]
            self.connection.execute(_BEGIN, rows)
        if self._facts:
            append(self.connection, self._facts)

    def _standing(self, principal: str, key: str) -> IdempotencyRecord | None:
        begun = self._begun.get((principal, key))
        if begun is not None:
            return begun
        where = {"principal": principal, "key": key}
        row = self.connection.execute(_STANDING, where).mappings().one_or_none()
        return None if row is None else IdempotencyRecord(**row)


def _replay(act: Act, record: IdempotencyRecord, type_: type[T]) -> Done[T]:
    if record.fingerprint != act.fingerprint or record.response is None:
        raise KeyReusedError(record.key, record.subject_id)
    value = decode(record.response.encode(), type_, max_bytes=_MAX_RESPONSE_BYTES)
    return Done(value=value, replayed=True)


def open_database(url: str) -> Database:
    """Return the database behind a URL; with ``functools.partial`` a picklable factory.

    Raises:
        StorageUnavailableError: the URL names no usable database.
    """
    return Database(url, SystemClock())


class Database:
    """The database of this process; all its stores share one.

    Args:
        url: of a migrated database.
        clock: gives the instants of audit entries.
        replica: answers reads that say an old picture will do; closed with this.
        answer_within_s: the longest any call takes, apart from a replica's failing first.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        replica: Replica | None = None,
        answer_within_s: float = ANSWER_WITHIN_S,
    ) -> None:
        self._engine = open_engine(url)
        self._replica = replica
        self.clock = clock
        self._answer_within_s = answer_within_s
        self._writer = GroupWriter(
            self._engine, lambda connection: Group(connection, clock), Group.close
        )
        self._readers = ThreadPoolExecutor(_N_READERS, thread_name_prefix="sql-reader")
        # Apart, because a locked database can be read.
        self._reads, self._writes = Breaker(), Breaker()

    async def act(self, act: Act, work: Callable[[Connection], T], type_: type[T]) -> Done[T]:
        """Do an act, once per key; durable on return. See ``Group.act``."""
        return await self.write(lambda group: group.act(act, work, type_))

    async def write(self, work: Callable[[Group], T]) -> T:
        """Run a write in the next transaction; durable on return.

        Raises:
            StorageUnavailableError: nothing is known of the outcome.
        """
        return await self._answered(self._writes, lambda: self._writer.submit(work))

    async def read(self, work: Callable[[Connection], T], *, old_will_do: bool = False) -> T:
        """Run a read in a transaction of its own: one consistent picture.

        Args:
            work: the read.
            old_will_do: for lists and history that nobody decides by: a read replica may answer,
                which may not have the caller's own last write yet.

        Raises:
            StorageUnavailableError: the database does not answer.
        """
        if old_will_do and self._replica is not None and not self._replica.rests:
            with suppress(StorageUnavailableError):
                return await self._replica.read(work)

        def run() -> T:
            with reading(self._engine) as connection:
                return work(connection)

        return await self._answered(self._reads, lambda: self._readers.submit(run))

    def close(self) -> None:
        """Finish what is queued and release files; blocks for at most the lock wait."""
        self._writer.close()
        self._readers.shutdown()
        self._engine.dispose()
        if self._replica is not None:
            self._replica.close()

    def n_breakers_open(self) -> int:
        """Return how many of reading and writing are refused at once for having failed."""
        return self._reads.is_open + self._writes.is_open

    def n_waiting(self) -> int:
        """Return how many writes wait for a transaction."""
        return self._writer.n_waiting()

    async def _answered(self, breaker: Breaker, submit: Callable[[], Future[T]]) -> T:
        loop = asyncio.get_running_loop()
        if not breaker.admits(loop.time()):
            raise StorageUnavailableError("database: it failed a moment ago")
        future = submit()
        try:
            async with asyncio.timeout(self._answer_within_s):
                value = await asyncio.wrap_future(future)
        except TimeoutError as error:
            breaker.failed(loop.time())
            message = f"database: no answer within {self._answer_within_s:g} s"
            raise StorageUnavailableError(message) from error
        except StorageUnavailableError:
            breaker.failed(loop.time())
            raise
        except Exception:
            # A refusal is an answer.
            breaker.succeeded()
            raise
        breaker.succeeded()
        return value
