"""Folds the AlarmActor's records into alarms, their steps and the deliveries of notices."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, delete, insert

from cluster.storage.tables.alarms import ALARM_DELIVERIES, ALARM_STEPS, ALARMS
from controllers.alarms.channels import Attempt
from controllers.alarms.events import DELIVERY_KIND, STEP_KIND
from controllers.alarms.lifecycle import ENDED, Alarm
from controllers.alarms.rules import Severity
from controllers.kernel.wire import Wire
from controllers.ports.actors import OutboxRecord

ALARM_KINDS = frozenset({STEP_KIND, DELIVERY_KIND})

_CHUNK = 500
_LEVEL = {severity: level for level, severity in enumerate(Severity)}
_log = logging.getLogger(__name__)


class _Step(Wire):
    trigger: str
    by: str
    step_note: str


class _Delivery(Wire):
    notice_id: str
    alarm_id: str
    channel_id: str
    reason: str
    created_at: datetime
    outcome: str
    attempts: str


def fold_alarms(connection: Connection, records: Sequence[OutboxRecord]) -> None:
    """Fold records that were never folded before; one that cannot be read is logged.

    Args:
        connection: an open writing transaction.
        records: of the kinds in ``ALARM_KINDS``, in order.
    """
    alarms: dict[str, dict[str, Any]] = {}
    steps: dict[tuple[str, int], dict[str, Any]] = {}
    deliveries: dict[str, dict[str, Any]] = {}
    for record in records:
        try:
            if record.kind == STEP_KIND:
                alarm, step = _read_step(record)
                alarms[alarm["id"]] = alarm
                steps[step["alarm_id"], step["seq"]] = step
            else:
                delivery = _read_delivery(record)
                deliveries[delivery["notice_id"]] = delivery
        except msgspec.ValidationError as error:
            _log.warning("%s record %d is no alarm: %s", record.actor_id, record.seq, error)
    _replace(connection, ALARMS, "id", alarms)
    _replace(connection, ALARM_DELIVERIES, "notice_id", deliveries)
    if steps:
        connection.execute(insert(ALARM_STEPS), list(steps.values()))


def _read_step(record: OutboxRecord) -> tuple[dict[str, Any], dict[str, Any]]:
    names = _Step.__struct_fields__
    step = msgspec.convert({n: record.data[n] for n in names if n in record.data}, _Step)
    told = {name: value for name, value in record.data.items() if name not in names}
    alarm = msgspec.convert(told, Alarm)
    row = {
        "id": alarm.id,
        "rule_id": alarm.rule_id,
        "subject_id": alarm.subject_id,
        "group_id": alarm.group_id,
        "severity": alarm.severity.value,
        "severity_level": _LEVEL[alarm.severity],
        "priority": alarm.priority,
        "state": alarm.state.value,
        "is_standing": alarm.state not in ENDED,
        "raised_at": alarm.raised_at,
        "changed_at": alarm.changed_at,
        "alarm": told,
        "record_seq": record.seq,
    }
    return row, {
        "alarm_id": alarm.id,
        "seq": record.seq,
        "at": record.at,
        "step": step.trigger,
        "state": alarm.state.value,
        "severity": alarm.severity.value,
        "principal": step.by,
        "note": step.step_note,
    }


def _read_delivery(record: OutboxRecord) -> dict[str, Any]:
    delivery = msgspec.convert(record.data, _Delivery)
    attempts = msgspec.json.decode(delivery.attempts, type=list[Attempt])
    return {
        **msgspec.structs.asdict(delivery),
        "attempts": msgspec.to_builtins(attempts),
        "finished_at": record.at,
    }


def _replace(
    connection: Connection, table: Table, key: str, rows: dict[str, dict[str, Any]]
) -> None:
    ids = list(rows)
    for start in range(0, len(ids), _CHUNK):
        part = ids[start : start + _CHUNK]
        connection.execute(delete(table).where(table.c[key].in_(part)))
        connection.execute(insert(table), [rows[id_] for id_ in part])
