"""The DispatchStore on SQL: pages of recorded dispatches, with what is live laid over them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, select

from cluster.storage.database import Database
from cluster.storage.paging import Overlay, page_of
from cluster.storage.records import store_records
from cluster.storage.tables.operations import DISPATCH_REPORTS, DISPATCHES
from controllers.aggregation.instruction import DeliveryReport, Instruction, InstructionState
from controllers.kernel.errors import NotFoundError
from controllers.kernel.states import Priority
from controllers.kernel.wire import decode
from controllers.ports.actors import OutboxRecord
from controllers.ports.dispatches import DispatchFilter
from controllers.ports.pages import Page, PageRequest

REPORT_MAX_BYTES = 16_777_216

_COLUMNS = DISPATCHES.c
# What never changes in a dispatch: a page that is being read does not lose its place.
_SORTS = {"issued_at": _COLUMNS.issued_at, "start_at": _COLUMNS.start_at}


class SqlDispatches:
    """A DispatchStore on a migrated database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, wanted: DispatchFilter, request: PageRequest, live: Sequence[Instruction]
    ) -> Page[Instruction]:
        """Return a page of dispatches; by ``issued_at`` or ``start_at``, the last issued first."""
        overlay = Overlay(
            hidden=frozenset(one.id for one in live),
            shown=[one for one in live if wanted.takes(one)],
        )

        def read(connection: Connection) -> Page[Instruction]:
            return page_of(
                connection,
                _filtered(wanted),
                request,
                sorts=_SORTS,
                default_sort="-issued_at",
                id_column=_COLUMNS.id,
                build=_instruction,
                overlay=overlay,
            )

        # Not from a replica: what is no longer live elsewhere must be here.
        return await self._database.read(read)

    async def record(self, records: Sequence[OutboxRecord]) -> None:
        """Store what an aggregate has on record, before it is no more."""
        await self._database.write(lambda group: store_records(group.connection, records))

    async def report(self, dispatch_id: str) -> DeliveryReport:
        """Return the final report of a dispatch that ended."""
        kept = DISPATCH_REPORTS.c
        query = select(kept.report).where(kept.dispatch_id == dispatch_id)

        def read(connection: Connection) -> str | None:
            text: str | None = connection.execute(query).scalar_one_or_none()
            return text

        text = await self._database.read(read)
        if text is None:
            raise NotFoundError("dispatch", dispatch_id)
        return decode(text.encode(), DeliveryReport, max_bytes=REPORT_MAX_BYTES)


def _filtered(wanted: DispatchFilter) -> Select[Any]:
    query = select(DISPATCHES)
    for column, value in (
        (_COLUMNS.aggregation_id, wanted.aggregation_id),
        (_COLUMNS.state, wanted.state),
        (_COLUMNS.issued_by, wanted.issued_by),
    ):
        if value is not None:
            query = query.where(column == str(value))
    if wanted.from_at is not None:
        query = query.where(_COLUMNS.start_at >= wanted.from_at)
    if wanted.to_at is not None:
        query = query.where(_COLUMNS.start_at < wanted.to_at)
    if wanted.within is not None:
        query = query.where(_COLUMNS.aggregation_id.in_(wanted.within))
    return query


def _instruction(row: RowMapping) -> Instruction:
    return Instruction(
        id=row["id"],
        aggregate_id=row["aggregation_id"],
        target_kw=row["target_kw"],
        start_at=row["start_at"],
        end_at=row["end_at"],
        ramp_kw_per_min=row["ramp_kw_per_min"],
        priority=Priority(row["priority"]),
        reason=row["reason"],
        issued_by=row["issued_by"],
        issued_at=row["issued_at"],
        version=row["version"],
        tolerance_kw=row["tolerance_kw"],
        state=InstructionState(row["state"]),
        ended_at=row["ended_at"],
    )
