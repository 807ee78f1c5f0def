"""Why a problem has no solution: a smallest set of constraints that contradict, in words."""

from __future__ import annotations

from optimization.dispatch.problem import DispatchProblem
from optimization.dispatch.result import Conflict


def explain(problem: DispatchProblem, time_limit_s: float) -> tuple[Conflict, ...]:
    """Return constraints that cannot all hold while any of them could be dropped."""
    return ()
