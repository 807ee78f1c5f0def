"""Deployed optimizers and their scores, valid by default."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from controllers.kernel.errors import NotFoundError, StorageUnavailableError
from controllers.optimizers.deployment import (
    BUILT_IN,
    RUNNING,
    Optimizer,
    OptimizerCode,
    OptimizerState,
)
from controllers.optimizers.scores import Outcome, Score


def make_score(id_: str, optimizer_id: str, at: datetime, **changes: object) -> Score:
    """Return the score of a plan that holds and costs 1 less than the built-in's."""
    score = Score(
        id=id_,
        optimizer_id=optimizer_id,
        at=at,
        promoted=False,
        dispatched=False,
        outcome=Outcome.VALID,
        reason="",
        solve_s=0.5,
        currency="EUR",
        cost=99.0,
        result=-99.0,
        n_breaches=0,
        incumbent=BUILT_IN,
        incumbent_cost=100.0,
        incumbent_result=-100.0,
        incumbent_n_breaches=0,
    )
    return msgspec.structs.replace(score, **changes)


class FakeLedger:
    """An OptimizerLedger in memory; tests change who runs with ``put``."""

    def __init__(self) -> None:
        self.optimizers: dict[str, Optimizer] = {}
        self.scores: list[Score] = []
        self.demoted: dict[str, str] = {}
        self.broken = False
        self._revision = 0

    def put(self, optimizer_id: str, state: OptimizerState) -> None:
        """Let an optimizer be in a state."""
        self.optimizers[optimizer_id] = make_optimizer(optimizer_id, state)
        self._revision += 1

    def of(self, optimizer_id: str) -> list[Score]:
        """Return what was recorded of an optimizer, oldest first."""
        return [score for score in self.scores if score.optimizer_id == optimizer_id]

    def revision(self) -> int:
        """Return a number that rises with every change."""
        if self.broken:
            raise StorageUnavailableError("database: on purpose")
        return self._revision

    def running(self) -> list[Optimizer]:
        """Return who is in shadow or promoted."""
        return [o for o in self.optimizers.values() if o.state in RUNNING]

    def code(self, optimizer_id: str) -> OptimizerCode:
        """Return nothing: whoever asks here has the code already."""
        raise NotFoundError("optimizer", optimizer_id)

    def record(self, scores: Sequence[Score]) -> None:
        """Keep scores."""
        if self.broken:
            raise StorageUnavailableError("database: on purpose")
        self.scores += scores

    def demote(self, optimizer_id: str, reason: str) -> None:
        """Take an optimizer out of force."""
        self.demoted[optimizer_id] = reason
        self.put(optimizer_id, OptimizerState.DEMOTED)


def make_optimizer(optimizer_id: str, state: OptimizerState) -> Optimizer:
    """Return an optimizer in a state."""
    at = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
    return Optimizer(
        id=optimizer_id,
        name=optimizer_id,
        file_name="optimizer.py",
        environment=None,
        sha256="",
        n_bytes=1,
        note="",
        state=state,
        replaced=None,
        reason="",
        version=2,
        deployed_at=at,
        deployed_by="quinn",
        changed_at=at,
        changed_by="quinn",
    )
