"""The OperationsStore on SQL: idempotency, audit and wanted kills."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from cluster.storage.audit import entry_of
from cluster.storage.database import Database, Group
from cluster.storage.paging import page_of
from cluster.storage.tables.operations import AUDIT_LOG, IDEMPOTENCY_KEYS
from cluster.storage.tables.park import WANTED_KILLS
from controllers.kernel.errors import NotFoundError
from controllers.ports.operations import AuditEntry, AuditFilter, IdempotencyRecord
from controllers.ports.pages import Page, PageRequest

_ENTRY_COLUMNS = [AUDIT_LOG.c[name] for name in AuditEntry.__struct_fields__]


class SqlOperations:
    """An OperationsStore on a migrated database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(
        self, record: IdempotencyRecord, action: str, subject: str, data: Mapping[str, object]
    ) -> IdempotencyRecord:
        """Insert an idempotency record with its audit entry, or return the one that stands."""

        def write(group: Group) -> IdempotencyRecord:
            standing = group.begin(record)
            if standing is record:
                group.audit(record.principal, action, subject, data)
            return standing

        return await self._database.write(write)

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

        def write(group: Group) -> None:
            if group.connection.execute(answered).rowcount == 0:
                raise NotFoundError("idempotency record", key)

        await self._database.write(write)

    async def audit(
        self, principal: str, action: str, subject: str, data: Mapping[str, object]
    ) -> None:
        """Append an audit entry."""
        await self._database.write(lambda group: group.audit(principal, action, subject, data))

    async def audit_page(self, wanted: AuditFilter, request: PageRequest) -> Page[AuditEntry]:
        """Return a page of entries; by ``seq``, with bounds in time by ``at``; newest first."""
        log = AUDIT_LOG.c
        query = select(*_ENTRY_COLUMNS)
        for column, value in (
            (log.principal, wanted.principal),
            (log.action, wanted.action),
            (log.subject, wanted.subject),
        ):
            if value is not None:
                query = query.where(column == value)
        if wanted.from_at is not None:
            query = query.where(log.at >= wanted.from_at)
        if wanted.to_at is not None:
            query = query.where(log.at < wanted.to_at)
        # Whatever bounds it must also order it, or a million rows are sorted for one page.
        bounded = wanted.from_at is not None or wanted.to_at is not None
        return await self._database.read(
            lambda connection: page_of(
                connection,
                query,
                request,
                sorts={"seq": log.seq, "at": log.at},
                default_sort="-at" if bounded else "-seq",
                id_column=log.seq,
                build=entry_of,
            ),
            old_will_do=True,
        )

    async def want_kill(self, resource_ids: Sequence[str], on: bool, principal: str) -> None:
        """Note which kill switches are wanted on or off."""
        ids = sorted(set(resource_ids))
        now = self._database.clock.now()
        rows = [{"resource_id": id_, "principal": principal, "wanted_at": now} for id_ in ids]

        def write(group: Group) -> None:
            # One by one: ten thousand ids are more than a statement may have parameters.
            kills = WANTED_KILLS.c
            for id_ in ids:
                group.connection.execute(delete(WANTED_KILLS).where(kills.resource_id == id_))
            if on and rows:
                group.connection.execute(insert(WANTED_KILLS), rows)

        await self._database.write(write)

    async def killed_since(self, resource_ids: Sequence[str], instant: datetime) -> list[str]:
        """Return those resources whose kill switch was wanted on after an instant, and still is."""
        wanted = set(resource_ids)
        query = select(WANTED_KILLS.c.resource_id).where(WANTED_KILLS.c.wanted_at > instant)

        def read(connection: Connection) -> list[str]:
            return sorted(wanted.intersection(connection.execute(query).scalars()))

        return await self._database.read(read)

    async def ping(self) -> None:
        """Take and release the write lock."""
        await self._database.write(lambda _group: None)
