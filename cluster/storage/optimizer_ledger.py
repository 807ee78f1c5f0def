"""The OptimizerLedger on SQL: who runs, with what code, and how their plans did."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import timedelta

import msgspec
from sqlalchemy import delete, insert, select

from cluster.storage.audit import AuditFact, append
from cluster.storage.engine import open_engine, reading, writing
from cluster.storage.optimizers import optimizer_of, store
from cluster.storage.tables.optimizers import OPTIMIZER_REVISION, OPTIMIZER_SCORES, OPTIMIZERS
from controllers.kernel.errors import NotFoundError
from controllers.kernel.timebase import Clock, SystemClock
from controllers.optimizers.deployment import (
    OPTIMIZER_MACHINE,
    RUNNING,
    Optimizer,
    OptimizerCode,
    OptimizerStep,
)
from controllers.optimizers.scores import Score
from controllers.supervision import OPTIMIZER

SCORES_KEPT = timedelta(days=400)

_FORGOTTEN_AT_ONCE = 500
_O, _S = OPTIMIZERS.c, OPTIMIZER_SCORES.c
_COLUMNS = [_O[name] for name in Optimizer.__struct_fields__]


def open_optimizer_ledger(url: str) -> SqlOptimizerLedger:
    """Return the ledger behind a database URL; with ``functools.partial`` a picklable factory.

    Raises:
        StorageUnavailableError: the URL names no usable database.
    """
    return SqlOptimizerLedger(url, SystemClock())


class SqlOptimizerLedger:
    """An OptimizerLedger on a migrated database.

    Args:
        url: of the database.
        clock: says how old a score is.
    """

    def __init__(self, url: str, clock: Clock) -> None:
        self._engine = open_engine(url)
        self._clock = clock

    def revision(self) -> int:
        """Return a number that rises with every change of who runs."""
        with reading(self._engine) as connection:
            return int(connection.execute(select(OPTIMIZER_REVISION.c.revision)).scalar_one())

    def running(self) -> list[Optimizer]:
        """Return who is in shadow or promoted, by id."""
        states = [state.value for state in RUNNING]
        query = select(*_COLUMNS).where(_O.state.in_(states)).order_by(_O.id)
        with reading(self._engine) as connection:
            return [optimizer_of(row) for row in connection.execute(query).mappings()]

    def code(self, optimizer_id: str) -> OptimizerCode:
        """Return what was deployed."""
        query = select(_O.id, _O.file_name, _O.content, _O.environment)
        with reading(self._engine) as connection:
            row = connection.execute(query.where(_O.id == optimizer_id)).mappings().one_or_none()
        if row is None:
            raise NotFoundError("optimizer", optimizer_id)
        return OptimizerCode(**{**row, "content": base64.b64decode(row["content"])})

    def record(self, scores: Sequence[Score]) -> None:
        """Store scores, once each, and forget some that are too old."""
        too_old = self._clock.now() - SCORES_KEPT
        rows = {
            score.id: {**msgspec.structs.asdict(score), "outcome": score.outcome.value}
            for score in scores
        }
        with writing(self._engine) as connection:
            stored = connection.execute(select(_S.id).where(_S.id.in_(rows))).scalars().all()
            fresh = [row for id_, row in rows.items() if id_ not in stored]
            if fresh:
                connection.execute(insert(OPTIMIZER_SCORES), fresh)
            old = select(_S.id).where(_S.at < too_old).order_by(_S.at).limit(_FORGOTTEN_AT_ONCE)
            forgotten = connection.execute(old).scalars().all()
            if forgotten:
                connection.execute(delete(OPTIMIZER_SCORES).where(_S.id.in_(forgotten)))

    def demote(self, optimizer_id: str, reason: str) -> None:
        """Take a promoted optimizer out of force; nothing happens if it is promoted no more."""
        with writing(self._engine) as connection:
            query = select(*_COLUMNS).where(_O.id == optimizer_id)
            row = connection.execute(query).mappings().one_or_none()
            if row is None:
                return
            optimizer = optimizer_of(row)
            if not OPTIMIZER_MACHINE.allows(optimizer.state, OptimizerStep.DEMOTE):
                return
            now = self._clock.now()
            store(connection, optimizer.after(OptimizerStep.DEMOTE, OPTIMIZER, reason, now))
            fact = AuditFact(
                at=now,
                principal=OPTIMIZER,
                action="optimizer.demote",
                subject=optimizer_id,
                data={"reason": reason},
            )
            append(connection, [fact])

    def close(self) -> None:
        """Release files."""
        self._engine.dispose()
