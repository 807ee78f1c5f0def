"""The AggregationFindings on SQL: conflicts on record, and the last figures of aggregations."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, RowMapping, insert, select, update

from cluster.storage.asset_book import SqlAssetBook
from cluster.storage.database import Database
from cluster.storage.paging import page_of
from cluster.storage.park_rows import lock_park
from cluster.storage.tables.aggregations import AGGREGATION_CONFLICTS, AGGREGATION_REALTIME
from controllers.aggregation.conflicts import Conflict, ConflictState, FoundConflict
from controllers.aggregation.realtime import RealtimeFigures
from controllers.kernel.ids import IdSource
from controllers.ports.acts import Act, Done
from controllers.ports.assets import ConflictBatch
from controllers.ports.pages import Page, PageRequest

_C = AGGREGATION_CONFLICTS.c


class SqlFindings:
    """AggregationFindings on a migrated database.

    Args:
        database: of this process.
        book: tells which park is wanted.
        ids: names what is found.
    """

    def __init__(self, database: Database, book: SqlAssetBook, ids: IdSource) -> None:
        self._database = database
        self._book = book
        self._ids = ids

    async def record_conflicts(
        self, act: Act, found: Sequence[FoundConflict]
    ) -> Done[ConflictBatch]:
        """Keep what was found; open conflicts not found again are resolved."""

        def work(connection: Connection) -> ConflictBatch:
            park_id, now = lock_park(connection), self._database.clock.now()
            query = select(AGGREGATION_CONFLICTS).where(
                _C.park_id == park_id,
                _C.aggregation_id == act.subject,
                _C.state == str(ConflictState.OPEN),
            )
            standing = {
                (conflict.rule, conflict.subject): conflict
                for conflict in map(_conflict, connection.execute(query).mappings())
            }
            items = []
            for finding in found:
                before = standing.pop((finding.rule, finding.subject), None)
                conflict = Conflict(
                    id=before.id if before else self._ids.new("conflict"),
                    aggregation_id=act.subject,
                    **msgspec.structs.asdict(finding),
                    state=ConflictState.OPEN,
                    found_at=before.found_at if before else now,
                    seen_at=now,
                    resolved_at=None,
                )
                _store(connection, park_id, conflict, fresh=before is None)
                items.append(conflict)
            for gone in standing.values():
                ended = msgspec.structs.replace(gone, state=ConflictState.RESOLVED, resolved_at=now)
                _store(connection, park_id, ended, fresh=False)
            return ConflictBatch(items=items)

        return await self._database.act(act, work, ConflictBatch)

    async def conflicts(
        self, aggregation_id: str, state: ConflictState | None, request: PageRequest
    ) -> Page[Conflict]:
        """Return the conflicts of an aggregation, newest first."""
        query = select(AGGREGATION_CONFLICTS).where(
            _C.park_id == self._book.park().id, _C.aggregation_id == aggregation_id
        )
        if state is not None:
            query = query.where(_C.state == str(state))
        return await self._database.read(
            lambda connection: page_of(
                connection,
                query,
                request,
                sorts={"found_at": _C.found_at, "seen_at": _C.seen_at},
                default_sort="-found_at",
                id_column=_C.id,
                build=_conflict,
            )
        )

    async def realtime(self, aggregation_id: str) -> RealtimeFigures | None:
        """Return the last figures on record."""
        table = AGGREGATION_REALTIME
        query = select(table).where(table.c.aggregation_id == aggregation_id)

        def read(connection: Connection) -> RealtimeFigures | None:
            row = connection.execute(query).mappings().one_or_none()
            if row is None:
                return None
            return RealtimeFigures(**{n: row[n] for n in RealtimeFigures.__struct_fields__})

        return await self._database.read(read)


def _conflict(row: RowMapping) -> Conflict:
    fields = {name: row[name] for name in Conflict.__struct_fields__ if name != "rule"}
    return msgspec.convert({**fields, "rule": row["rule_name"]}, Conflict)


def _store(connection: Connection, park_id: str, conflict: Conflict, *, fresh: bool) -> None:
    fields = msgspec.structs.asdict(conflict)
    row = {
        **fields,
        "park_id": park_id,
        "rule_name": fields.pop("rule"),
        "severity": str(conflict.severity),
        "state": str(conflict.state),
    }
    del row["rule"]
    if fresh:
        connection.execute(insert(AGGREGATION_CONFLICTS), row)
    else:
        connection.execute(update(AGGREGATION_CONFLICTS).where(_C.id == conflict.id).values(row))
