"""The RecordSink on SQL: outbox records become rows, and instructions become dispatches.

A batch may come again, whole or in part, after a failure: a record that is already stored is passed
over. A record of kind ``instruction`` says how a dispatch stands, one of kind ``delivery_report``
how it went; alarms and their notices are folded likewise. One that cannot be read is logged, and
stored as a record all the same unless it is a report.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from cluster.storage.alarm_records import ALARM_KINDS, fold_alarms
from cluster.storage.device_pruning import find_too_old, forget
from cluster.storage.dispatch_records import fold_dispatch
from cluster.storage.engine import open_engine, reading, writing
from cluster.storage.tables.aggregations import AGGREGATION_REALTIME
from cluster.storage.tables.operations import COMMAND_RECORDS, IDEMPOTENCY_KEYS
from controllers.aggregation.events import REPORT_KIND
from controllers.aggregation.realtime import RealtimeFigures
from controllers.kernel.timebase import Clock, SystemClock
from controllers.ports.actors import OutboxRecord

KEYS_KEPT = timedelta(days=14)
"""How long the first answer to an idempotency key is found again, unless told otherwise."""
DEVICE_RECORDS_KEPT = timedelta(days=400)
"""How long connectivity, ended commands and firmware of devices are kept, unless told otherwise."""

_PRUNED_AT_ONCE = 500


def open_record_sink(
    url: str, *, keys_kept: timedelta, device_records_kept: timedelta
) -> SqlRecordSink:
    """Return the sink behind a database URL; with ``functools.partial`` a picklable factory.

    Raises:
        StorageUnavailableError: the URL names no usable database.
    """
    return SqlRecordSink(
        url, SystemClock(), keys_kept=keys_kept, device_records_kept=device_records_kept
    )


class SqlRecordSink:
    """A RecordSink on a migrated database.

    Args:
        url: of the database.
        clock: says how old something is.
        keys_kept: how long an idempotency key is remembered.
        device_records_kept: how long the devices' past is.
    """

    def __init__(
        self,
        url: str,
        clock: Clock | None = None,
        *,
        keys_kept: timedelta = KEYS_KEPT,
        device_records_kept: timedelta = DEVICE_RECORDS_KEPT,
    ) -> None:
        self._engine = open_engine(url)
        self._clock = clock or SystemClock()
        self._keys_kept = keys_kept
        self._device_records_kept = device_records_kept

    def write(self, records: Sequence[OutboxRecord]) -> None:
        """Store a batch.

        Raises:
            StorageUnavailableError: nothing was stored; offer the batch again.
        """
        with writing(self._engine) as connection:
            store_records(connection, records)

    def prune(self) -> int:
        """Forget some idempotency keys and device records that are too old; returns how many.

        Raises:
            StorageUnavailableError: some may have been forgotten.
        """
        return self._prune_keys() + self._prune_device_records()

    def _prune_device_records(self) -> int:
        before = self._clock.now() - self._device_records_kept
        with reading(self._engine) as connection:
            found = find_too_old(connection, before, _PRUNED_AT_ONCE)
        if not any(keys for _, keys in found):
            return 0
        with writing(self._engine) as connection:
            return forget(connection, found)

    def _prune_keys(self) -> int:
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


def store_records(connection: Connection, records: Sequence[OutboxRecord]) -> None:
    """Store a batch within a transaction; what is there already is passed over."""
    fresh = _not_yet_stored(connection, records)
    # A report is kept once, in its own table.
    rows = [msgspec.structs.asdict(r) for r in fresh if r.kind != REPORT_KIND]
    if rows:
        connection.execute(insert(COMMAND_RECORDS), rows)
    for record in fresh:
        fold_dispatch(connection, record)
    fold_alarms(connection, [r for r in fresh if r.kind in ALARM_KINDS])


def _not_yet_stored(connection: Connection, records: Sequence[OutboxRecord]) -> list[OutboxRecord]:
    by_key = {(record.actor_id, record.seq): record for record in records}
    stored: set[tuple[str, int]] = set()
    for actor_id in {record.actor_id for record in records}:
        seqs = [record.seq for record in records if record.actor_id == actor_id]
        columns = COMMAND_RECORDS.c
        query = select(columns.seq).where(columns.actor_id == actor_id, columns.seq.in_(seqs))
        stored |= {(actor_id, seq) for seq in connection.execute(query).scalars()}
    return [record for key, record in sorted(by_key.items()) if key not in stored]
