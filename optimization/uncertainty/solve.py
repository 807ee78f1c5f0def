"""The way to a bid by a deadline: a first one scenario by scenario, then all of them together.

However many scenarios there are, one by one they soon give a bid and a bound (``apart``); together
(``search``) they give the best, but take out of proportion longer. A bid that is handed in leaves
nothing that scenarios decide together, unless they share nodes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from optimization.dispatch.problem import DispatchProblem
from optimization.dispatch.result import Conflict, DispatchStatus
from optimization.dispatch.solve import solve_dispatch
from optimization.highs_session import Watch
from optimization.uncertainty.answer import answer, outcomes_of
from optimization.uncertainty.apart import Apart
from optimization.uncertainty.couple import shared_nodes
from optimization.uncertainty.problem import BiddingProblem
from optimization.uncertainty.result import Bid, BiddingResult, Outcome
from optimization.uncertainty.rules import check_bid, check_dispatches, check_statement
from optimization.uncertainty.scenarios import dispatch_in, drawn
from optimization.uncertainty.search import Search

_FIRST_FRAC = 0.7
"""Share of the time that a first bid may take."""
_EXPLAIN_S = 2.0
_APART = "the scenarios were not searched together in time, or in vain; the bid is of their means"


def solve_bidding(
    problem: BiddingProblem,
    *,
    deadline_s: float = 60.0,
    gap_frac: float = 1e-3,
    bid: Bid | None = None,
    watch: Watch | None = None,
) -> BiddingResult:
    """Return the best bid that can be found in time with its outcome in each scenario.

    Args:
        problem: what to bid for.
        deadline_s: the answer is due about then, counted from the call; explaining a contradiction
            may take two seconds longer.
        gap_frac: an objective this close to the bound, relative to itself, counts as optimal.
        bid: handed in already: it is only judged, bound and gap are of the dispatch that follows.
        watch: asked now and then whether to stop; told True, the best so far is the answer.

    Raises:
        ProblemRefusedError: the problem or the bid breaks rules; no solver was run.
        ForesightError: the answer did not stand its check; a defect.
    """
    begun = time.perf_counter()
    check_statement(problem)
    if bid is not None:
        check_bid(problem, bid)
    scenarios = drawn(problem)
    dispatches = {scenario.name: dispatch_in(problem, scenario) for scenario in scenarios}
    check_dispatches(problem, dispatches)
    share = 1.0 if bid is not None else _FIRST_FRAC
    apart = Apart(problem, scenarios, dispatches, gap_frac, watch, begun + share * deadline_s)
    search = Search(problem, scenarios, dispatches, bid, begun, deadline_s, gap_frac, watch)
    options: list[tuple[Bid, tuple[Outcome, ...], str]] = []
    tied = bool(shared_nodes(scenarios))
    if bid is not None and not tied and (outcomes := apart.judge(bid)) is not None:
        options.append((bid, outcomes, ""))
        search.bound = apart.bound
    else:
        if bid is None and not tied and (first := apart.first()) is not None:
            options.append((*first, _APART))
        search.bound = apart.bound
        search.run()
    if search.contradicts:
        return _contradiction(dispatches, max(search.left_s(), _EXPLAIN_S), begun)
    if search.best is not None and search.found is not None:
        outcomes = outcomes_of(search.best.coupled, search.best.values)
        options.append((search.found, outcomes, search.reason))
    results = [
        answer(
            problem,
            scenarios,
            found,
            outcomes,
            bound=search.bound,
            gap_frac=gap_frac,
            reason=reason,
            begun=begun,
        )
        for found, outcomes, reason in options
    ]
    if results:
        return min(results, key=lambda result: result.objective or 0.0)
    reason = f"no bid was found within {deadline_s:g} s"
    spent = time.perf_counter() - begun
    return BiddingResult(status=DispatchStatus.LATE, solve_s=spent, reason=reason)


def _contradiction(
    dispatches: Mapping[str, DispatchProblem], time_limit_s: float, begun: float
) -> BiddingResult:
    """Say which scenario cannot be met, or that all of them cannot be with one bid."""
    due = time.perf_counter() + time_limit_s
    reason = "no bid suits all scenarios, though none was found that cannot be met by itself"
    contradiction: tuple[Conflict, ...] = ()
    for name, dispatch in dispatches.items():
        left_s = due - time.perf_counter()
        if left_s <= 0:
            break
        alone = solve_dispatch(dispatch, deadline_s=left_s, gap_frac=1.0)
        if alone.status is DispatchStatus.INFEASIBLE:
            reason, contradiction = f"in {name}: {alone.reason}", alone.contradiction
            break
    return BiddingResult(
        status=DispatchStatus.INFEASIBLE,
        solve_s=time.perf_counter() - begun,
        reason=reason,
        contradiction=contradiction,
    )
