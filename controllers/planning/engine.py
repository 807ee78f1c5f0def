"""The engine on this machine: whatever it is asked, it answers."""

from __future__ import annotations

from controllers.planning.pose import GAP_FRAC
from optimization.dispatch.previous import PreviousPlan
from optimization.dispatch.problem import DispatchProblem
from optimization.dispatch.result import DispatchResult, DispatchStatus
from optimization.dispatch.rules import ProblemRefusedError
from optimization.dispatch.solve import solve_dispatch
from optimization.warm_start import WarmStart


def answer(
    problem: DispatchProblem,
    *,
    deadline_s: float,
    previous: PreviousPlan | None = None,
    warm: WarmStart | None = None,
) -> DispatchResult:
    """Return what ``solve_dispatch`` finds; what breaks a rule has no solution, and why.

    Args:
        problem: what to plan.
        deadline_s: how long solving may take.
        previous: the plan in force, to start from.
        warm: left by the solve before, to begin with.
    """
    try:
        return solve_dispatch(
            problem, deadline_s=deadline_s, gap_frac=GAP_FRAC, previous=previous, warm=warm
        )
    except ProblemRefusedError as refused:
        return DispatchResult(status=DispatchStatus.INFEASIBLE, solve_s=0.0, reason=str(refused))
