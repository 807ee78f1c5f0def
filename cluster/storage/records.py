"""The RecordSink on SQL: outbox records become rows, and instructions become dispatches.

A batch may come again, whole or in part, after a failure: a record that is already stored is passed
over. A record of kind ``instruction`` says how a dispatch stands; the latest of its aggregate's
sequence wins; alarms and their notices are folded likewise. One that cannot be read is stored as a
record all the same, and logged.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from cluster.storage.alarm_records import ALARM_KINDS, fold_alarms
from cluster.storage.engine import open_engine, writing
from cluster.storage.tables.aggregations import AGGREGATION_REALTIME
from cluster.storage.tables.operations import (
    COMMAND_RECORDS,
    DISPATCHES,
    IDEMPOTENCY_KEYS,
)
from controllers.aggregation.instruction import InstructionState
from controllers.aggregation.realtime import RealtimeFigures
from controllers.kernel.timebase import Clock, SystemClock
from controllers.kernel.wire import Wire
from controllers.ports.actors import OutboxRecord

INSTRUCTION_KIND = "instruction"
KEYS_KEPT = timedelta(days=14)
"""How long the first answer to an idempotency key is found again, unless told otherwise."""

_PRUNED_AT_ONCE = 500

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


def open_record_sink(url: str, *, keys_kept: timedelta) -> SqlRecordSink:
    """Return the sink behind a database URL; with ``functools.partial`` a picklable factory.

    Raises:
        StorageUnavailableError: the URL names no usable database.
    """
    return SqlRecordSink(url, SystemClock(), keys_kept=keys_kept)


class SqlRecordSink:
    """A RecordSink on a migrated database.

    Args:
        url: of the database.
        clock: says how old a key is.
        keys_kept: how long an idempotency key is remembered.
    """

    def __init__(
        self, url: str, clock: Clock | None = None, *, keys_kept: timedelta = KEYS_KEPT
    ) -> None:
        self._engine = open_engine(url)
        self._clock = clock or SystemClock()
        self._keys_kept = keys_kept

    def write(self, records: Sequence[OutboxRecord]) -> None:
        """Store a batch.

        Raises:
            StorageUnavailableError: nothing was stored; offer the batch again.
        """
        with writing(self._engine) as connection:
            fresh = _not_yet_stored(connection, records)
            if fresh:
                rows = [msgspec.structs.asdict(record) for record in fresh]
                connection.execute(insert(COMMAND_RECORDS), rows)
            for record in fresh:
                if record.kind == INSTRUCTION_KIND:
                    _fold(connection, record)
            fold_alarms(connection, [r for r in fresh if r.kind in ALARM_KINDS])

    def prune(self) -> int:
        """Forget some idempotency keys that are too old; returns how many.

        Raises:
            StorageUnavailableError: none was forgotten.
        """
        made_at = IDEMPOTENCY_KEYS.c.created_at
        too_old = made_at < self._clock.now() - self._keys_kept
        some = select(made_at).where(too_old).order_by(made_at).limit(_PRUNED_AT_ONCE)
        with writing(self._engine) as connection:
            instants = connection.execute(some).scalars().all()
            if not instants:
                return 0
            forgotten = delete(IDEMPOTENCY_KEYS).where(made_at <= instants[-1])
            return connection.execute(forgotten).rowcount

    def write_figures(self, figures: Sequence[RealtimeFigures]) -> None:
        """Store the last figures of aggregates, in place of those before.

        Raises:
            StorageUnavailableError: nothing was stored; newer ones will come.
        """
        columns = AGGREGATION_REALTIME.c
        with writing(self._engine) as connection:
            for one in figures:
                row = msgspec.structs.asdict(one)
                same = columns.aggregation_id == one.aggregation_id
                there = update(AGGREGATION_REALTIME).where(same).values(row)
                if connection.execute(there).rowcount == 0:
                    connection.execute(insert(AGGREGATION_REALTIME), row)

    def close(self) -> None:
        """Release files."""
        self._engine.dispose()


def _not_yet_stored(connection: Connection, records: Sequence[OutboxRecord]) -> list[OutboxRecord]:
    by_key = {(record.actor_id, record.seq): record for record in records}
    stored: set[tuple[str, int]] = set()
    for actor_id in {record.actor_id for record in records}:
        seqs = [record.seq for record in records if record.actor_id == actor_id]
        columns = COMMAND_RECORDS.c
        query = select(columns.seq).where(columns.actor_id == actor_id, columns.seq.in_(seqs))
        stored |= {(actor_id, seq) for seq in connection.execute(query).scalars()}
    return [record for key, record in sorted(by_key.items()) if key not in stored]


def _fold(connection: Connection, record: OutboxRecord) -> None:
    try:
        standing = msgspec.convert(record.data, _Standing)
    except msgspec.ValidationError as error:
        _log.warning("%s record %d is no instruction: %s", record.actor_id, record.seq, error)
        return
    row = msgspec.structs.asdict(standing)
    id_ = row.pop("instruction_id")
    columns = DISPATCHES.c
    query = select(columns.record_seq).where(columns.id == id_)
    folded_seq = connection.execute(query).scalar_one_or_none()
    if folded_seq is not None and folded_seq >= record.seq:
        return
    row |= {
        "id": id_,
        "aggregation_id": record.actor_id,
        "state": str(standing.state),
        "recorded_at": record.at,
        "record_seq": record.seq,
    }
    connection.execute(delete(DISPATCHES).where(columns.id == id_))
    connection.execute(insert(DISPATCHES), row)
