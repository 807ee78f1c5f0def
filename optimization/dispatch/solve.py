"""The one entry: check a problem, search by a deadline, and say why where there is no schedule."""

from __future__ import annotations

import time

from optimization.decomposed.pool import Here, Pool
from optimization.decomposed.search import decomposition
from optimization.dispatch.explain import explain, in_words
from optimization.dispatch.previous import PreviousPlan
from optimization.dispatch.problem import DispatchProblem
from optimization.dispatch.result import DispatchResult, DispatchStatus
from optimization.dispatch.rules import check
from optimization.dispatch.search import Search
from optimization.highs_session import Watch
from optimization.warm_start import WarmStart

_LEAST_EXPLAIN_S = 2.0


def solve_dispatch(
    problem: DispatchProblem,
    *,
    deadline_s: float = 10.0,
    gap_frac: float = 1e-3,
    previous: PreviousPlan | None = None,
    watch: Watch | None = None,
    pool: Pool | None = None,
    warm: WarmStart | None = None,
) -> DispatchResult:
    """Return the cheapest schedule that can be found in time, or why there is none.

    Args:
        problem: what to plan.
        deadline_s: the answer is due about then, counted from the call; explaining a contradiction
            may take two seconds longer.
        gap_frac: a cost this close to the bound, relative to the cost but for what is missed at a
            price, counts as optimal.
        previous: the plan in force, to start from and to fall back on.
        watch: asked now and then whether to stop; told True, the best so far is the answer.
        pool: computes for a large portfolio; left out, this process does.
        warm: left by solving the plan in force, to begin with; holds this solve's end afterwards.
            Large portfolios do without.

    Raises:
        ProblemRefusedError: the problem breaks rules; no solver was run.
    """
    begun = time.perf_counter()
    check(problem)
    due = begun + deadline_s
    search = decomposition(
        problem,
        due=due,
        gap_frac=gap_frac,
        previous=previous,
        watch=watch,
        pool=Here() if pool is None else pool,
    ) or Search(problem, due, gap_frac, previous, watch, warm)
    search.run()
    if search.contradicts:
        conflicts = explain(problem, max(search.left_s(), _LEAST_EXPLAIN_S))
        return DispatchResult(
            status=DispatchStatus.INFEASIBLE,
            solve_s=time.perf_counter() - begun,
            reason=in_words(conflicts),
            contradiction=conflicts,
        )
    if search.best is None:
        reason = f"no feasible schedule was found within {deadline_s:g} s"
        spent = time.perf_counter() - begun
        if previous is not None:
            return previous.degraded(problem, reason, spent)
        return DispatchResult(status=DispatchStatus.LATE, solve_s=spent, reason=reason)
    return search.result(time.perf_counter() - begun)
