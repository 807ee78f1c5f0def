"""Folds records of aggregates into the tables of dispatches and of their final reports."""

from __future__ import annotations

import logging
from datetime import datetime

import msgspec
from sqlalchemy import Connection, Table, delete, insert, select

from cluster.storage.tables.operations import DISPATCH_REPORTS, DISPATCHES
from controllers.aggregation.events import REPORT_KIND
from controllers.aggregation.instruction import DeliveryReport, InstructionState
from controllers.kernel.states import Priority
from controllers.kernel.wire import Wire, encode
from controllers.ports.actors import OutboxRecord

INSTRUCTION_KIND = "instruction"

_log = logging.getLogger(__name__)


class _Standing(Wire, forbid_unknown_fields=False):
    """What a dispatch needs of an instruction's record."""

    instruction_id: str
    state: InstructionState
    version: int
    target_kw: float
    ramp_kw_per_min: float | None
    start_at: datetime
    end_at: datetime
    issued_by: str
    note: str
    # Records of earlier versions may still wait in an outbox, without these.
    reason: str | None = None
    priority: Priority = Priority.MARKET
    tolerance_kw: float = 0.0
    issued_at: datetime | None = None
    ended_at: datetime | None = None


def fold_dispatch(connection: Connection, record: OutboxRecord) -> None:
    """Take in how a dispatch stands, or its final report; other records pass.

    The latest of the aggregate's sequence wins; one that cannot be read is logged.
    """
    try:
        if record.kind == INSTRUCTION_KIND:
            _fold_standing(connection, record)
        elif record.kind == REPORT_KIND:
            _fold_report(connection, record)
    except msgspec.ValidationError as error:
        _log.warning("%s record %d is no %s: %s", record.actor_id, record.seq, record.kind, error)


def _fold_standing(connection: Connection, record: OutboxRecord) -> None:
    standing = msgspec.convert(record.data, _Standing)
    row = msgspec.structs.asdict(standing)
    id_ = row.pop("instruction_id")
    row |= {
        "id": id_,
        "aggregation_id": record.actor_id,
        "state": str(standing.state),
        "priority": int(standing.priority),
        "reason": standing.note if standing.reason is None else standing.reason,
        "issued_at": standing.issued_at or record.at,
        "recorded_at": record.at,
        "record_seq": record.seq,
    }
    _put(connection, DISPATCHES, "id", row)


def _fold_report(connection: Connection, record: OutboxRecord) -> None:
    report = msgspec.convert(record.data, DeliveryReport)
    row = {
        "dispatch_id": report.instruction.id,
        "record_seq": record.seq,
        "report": encode(report).decode(),
    }
    _put(connection, DISPATCH_REPORTS, "dispatch_id", row)


def _put(connection: Connection, table: Table, key: str, row: dict[str, object]) -> None:
    same = table.c[key] == row[key]
    folded_seq = connection.execute(select(table.c.record_seq).where(same)).scalar_one_or_none()
    if folded_seq is not None and folded_seq >= row["record_seq"]:
        return
    connection.execute(delete(table).where(same))
    connection.execute(insert(table), row)
