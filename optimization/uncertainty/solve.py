"""The way to a bid by a deadline: relax, round, separate what runs both ways, fit to the venue.

The scenarios' models are one (``couple``), searched as a dispatch problem is: a relaxation for the
bound, a dive and a search for whole numbers, binaries only for stores that take and give at once.
The best bid is then brought into the venue's form, which leaves every dispatch feasible, as
imbalance takes what differs; with the positions held the dispatch is made anew.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from optimization.checks import BoolArray, FloatArray
from optimization.dispatch.fields import series
from optimization.dispatch.problem import DispatchProblem
from optimization.dispatch.result import Conflict, DispatchStatus
from optimization.dispatch.solve import solve_dispatch
from optimization.dispatch.sparse.extract import both_ways, breaches, cost_terms, schedules
from optimization.dive import dive
from optimization.highs import Ended
from optimization.highs_session import Progress, Session, Watch, fractional
from optimization.uncertainty.couple import Coupled, couple
from optimization.uncertainty.curves import power_at, venue_curve
from optimization.uncertainty.foresight import ForesightError, anticipations
from optimization.uncertainty.problem import BiddingProblem, Scenario
from optimization.uncertainty.result import Bid, BiddingResult, Curve, Outcome, tail
from optimization.uncertainty.rules import check_bid, check_dispatches, check_statement
from optimization.uncertainty.scenarios import dispatch_in, drawn

_SEARCH_FRAC = 0.8
"""Share of the time for the search; the rest is for the venue's form."""
_DIVE_FRAC = 0.4
_EXPLAIN_S = 2.0
_TINY_COST = 1e-6


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
    search = _Search(problem, scenarios, dispatches, bid, begun, deadline_s, gap_frac, watch)
    search.run()
    if search.contradicts:
        return _contradiction(dispatches, max(search.left_s(), _EXPLAIN_S), begun)
    if search.best is None:
        reason = f"no bid was found within {deadline_s:g} s"
        spent = time.perf_counter() - begun
        return BiddingResult(status=DispatchStatus.LATE, solve_s=spent, reason=reason)
    return search.result(time.perf_counter() - begun)


@dataclass(frozen=True, slots=True, eq=False)
class _Incumbent:
    coupled: Coupled
    session: Session
    values: FloatArray
    objective: float


@dataclass(slots=True)
class _Search:
    """Rounds of solving until the best bid is close enough to the bound."""

    problem: BiddingProblem
    scenarios: tuple[Scenario, ...]
    dispatches: Mapping[str, DispatchProblem]
    bid: Bid | None
    begun: float
    deadline_s: float
    gap_frac: float
    watch: Watch | None
    bound: float = -np.inf
    best: _Incumbent | None = None
    contradicts: bool = False
    proving: bool = True
    """What is being solved is the whole problem: its bound proves something."""
    curves: tuple[Curve, ...] = ()
    reason: str = ""

    def run(self) -> None:
        """Search, then bring the bid into the venue's form."""
        exclusive: list[dict[str, BoolArray]] = [{} for _ in self.scenarios]
        while self._round(exclusive):
            pass
        if self.best is None:
            return
        if self.bid is None:
            self._fit(self.best)
        else:
            self.curves = self.bid.curves

    def left_s(self, share: float = 1.0) -> float:
        """Return the time left of a share of all time."""
        return max(self.begun + share * self.deadline_s - time.perf_counter(), 0.0)

    def _watching(self, progress: Progress) -> bool:
        objective = np.inf if self.best is None else self.best.objective
        bound = max(self.bound, progress.bound) if self.proving else self.bound
        told = Progress(
            cost=min(objective, progress.cost),
            bound=bound,
            elapsed_s=time.perf_counter() - self.begun,
        )
        return self.watch is not None and self.watch(told)

    def _close(self) -> bool:
        if self.best is None:
            return False
        excess = self.best.objective - self.bound
        return excess <= max(self.gap_frac * abs(self.best.objective), _TINY_COST)

    def _round(self, exclusive: list[dict[str, BoolArray]]) -> bool:
        """Solve one model; tell whether it is worth solving one with more binaries, now listed."""
        market = self.problem.market
        # A bid that is handed in may tell any two prices apart.
        n_classes = min(market.max_stairs, market.limits.max_points)
        n_classes = len(self.scenarios) if self.bid is not None else int(n_classes)
        coupled = couple(self.problem, self.scenarios, self.dispatches, exclusive, n_classes)
        session = Session(coupled.model, None if self.watch is None else self._watching)
        if self.bid is not None:
            _hold(coupled, session, self.bid)
        values = self._solve(coupled, session)
        if values is None or session.stopped or self._close() or self.left_s(_SEARCH_FRAC) <= 0:
            return False
        more = False
        for known, (draft, part) in zip(exclusive, coupled.parts(values), strict=True):
            for name, steps in both_ways(draft, part).items():
                # A store that offends again gets all its binaries, so that rounds are few.
                wanted = np.ones_like(steps) if name in known else steps
                more = more or name not in known or not known[name].all()
                known[name] = wanted
        return more

    def _solve(self, coupled: Coupled, session: Session) -> FloatArray | None:
        """Return the solution of one model, which may still run both ways."""
        relaxed = session.relax(time_limit_s=self.left_s(_SEARCH_FRAC))
        if relaxed.ended is Ended.INFEASIBLE:
            self.contradicts = self.best is None
            return None
        if relaxed.ended is not Ended.OPTIMAL:
            return None
        self.bound = max(self.bound, relaxed.bound)
        if not fractional(relaxed.values, session.integers).any():
            self._offer(coupled, session, relaxed.values)
            return relaxed.values
        worst = np.inf if self.best is None else self.best.objective
        due = time.perf_counter() + _DIVE_FRAC * self.left_s(_SEARCH_FRAC)
        values = dive(session, relaxed.values, worst_cost=worst, due=due)
        if values is not None:
            self._offer(coupled, session, values)
        if self._close() or session.stopped:
            return values
        whole = session.search(
            time_limit_s=self.left_s(_SEARCH_FRAC), gap_frac=self.gap_frac, start=values
        )
        if whole.ended is Ended.INFEASIBLE:
            self.contradicts = self.best is None
            return values
        self.bound = max(self.bound, whole.bound)
        if not whole.values.size:
            return values
        self._offer(coupled, session, whole.values)
        return whole.values

    def _offer(self, coupled: Coupled, session: Session, values: FloatArray) -> None:
        """Keep a solution if it is the best; stores are held to one direction first."""
        if any(both_ways(draft, part) for draft, part in coupled.parts(values)):
            one_way = self._one_way(coupled, session, values)
            if one_way is None:
                return
            values = one_way
        values = coupled.netted(values)
        objective = coupled.objective(values)
        if self.best is None or objective < self.best.objective:
            self.best = _Incumbent(coupled, session, values, objective)

    def _one_way(self, coupled: Coupled, session: Session, values: FloatArray) -> FloatArray | None:
        """Fix each store's direction by its net flow and all commitments; solve what is left."""
        for (draft, part), columns in zip(coupled.parts(values), coupled.columns, strict=True):
            for store in draft.two_way:
                round_trip = (store.into_efficiency * store.out_efficiency)[:, None]
                # The energy inside can follow the same path with the smaller flow left out.
                taking = part[store.into] * round_trip >= part[store.out]
                for resting in (store.into[~taking], store.out[taking]):
                    session.cap(columns[resting], np.zeros(len(resting)))
        return self._redispatch(session, values)

    def _redispatch(self, session: Session, values: FloatArray) -> FloatArray | None:
        """Solve what whole numbers leave open, within bounds that were set; free all of them."""
        whole = np.flatnonzero(session.integers)
        session.fix(whole, np.round(values[whole]))
        solution = session.relax(time_limit_s=max(self.left_s(), 0.1))
        session.free()
        return solution.values if solution.values.size else None

    def _fit(self, found: _Incumbent) -> None:
        """Bring the best bid into the venue's form and dispatch anew for it."""
        coupled, session, values = found.coupled, found.session, found.values
        self.curves = _venue_curves(coupled, values)
        held = _positions(coupled, self.curves)
        moved = coupled.repositioned(values, held)
        self.best = _Incumbent(coupled, session, moved, coupled.objective(moved))
        if session.stopped or np.allclose(held, values[coupled.position], rtol=0, atol=1e-9):
            return
        self.proving = False
        session.hold(coupled.position.ravel(), held.ravel())
        anew = self._redispatch(session, values)
        if anew is not None:
            self._offer(coupled, session, anew)
        excess = self.best.objective - found.objective
        if not self._close() and excess > _TINY_COST:
            self.reason = f"bringing the bid onto the venue's lots costs {excess:.6g}"

    def result(self, solve_s: float) -> BiddingResult:
        """Return the best bid with its proof.

        Raises:
            ForesightError: it does not stand the check.
        """
        if self.best is None:
            raise ValueError("there is no bid")
        coupled, values = self.best.coupled, self.best.values
        outcomes = _outcomes(coupled, values)
        bid = Bid(
            curves=self.curves,
            reserve_mw={
                name: series(np.maximum(values[columns], 0.0))
                for name, columns in coupled.sold.items()
            },
        )
        flaws = anticipations(self.problem, self.scenarios, bid, outcomes)
        if flaws:
            raise ForesightError(flaws)
        costs = np.array([outcome.cost for outcome in outcomes])
        confidence, weight = self.problem.confidence_frac, self.problem.risk_weight
        at_risk, beyond = tail(costs, coupled.probability, confidence)
        mean = float(coupled.probability @ costs)
        objective = (1 - weight) * mean + weight * beyond
        bound = min(self.bound, objective)
        known = np.isfinite(bound)
        scale = max(abs(objective), _TINY_COST)
        return BiddingResult(
            status=DispatchStatus.OPTIMAL if self._close() else DispatchStatus.INCUMBENT,
            solve_s=solve_s,
            reason=self.reason,
            bid=bid,
            expected_cost=mean,
            value_at_risk=at_risk,
            conditional_value_at_risk=beyond,
            objective=objective,
            bound=float(bound) if known else None,
            gap_frac=float((objective - bound) / scale) if known else None,
            outcomes=outcomes,
        )


def _hold(coupled: Coupled, session: Session, bid: Bid) -> None:
    session.hold(coupled.position.ravel(), _positions(coupled, bid.curves).ravel())
    for name, columns in coupled.sold.items():
        session.hold(columns, np.array(bid.reserve_mw[name]))


def _venue_curves(coupled: Coupled, values: FloatArray) -> tuple[Curve, ...]:
    low, high = coupled.between_mw
    limits = coupled.problem.market.limits
    power_mw = values[coupled.position]
    return tuple(
        venue_curve(
            coupled.ticks[:, step],
            coupled.classes[:, step],
            power_mw[:, step],
            (float(low[step]), float(high[step])),
            limits,
        )
        for step in range(coupled.ticks.shape[1])
    )


def _positions(coupled: Coupled, curves: tuple[Curve, ...]) -> FloatArray:
    """Return what curves take [S, T] at the prices of the scenarios."""
    return np.array(
        [
            [power_at(curve, price) for curve, price in zip(curves, s.price_per_mwh, strict=True)]
            for s in coupled.scenarios
        ]
    )


def _outcomes(coupled: Coupled, values: FloatArray) -> tuple[Outcome, ...]:
    market = coupled.problem.market
    outcomes = []
    for place, (draft, part) in enumerate(coupled.parts(values)):
        scenario, taken = coupled.scenarios[place], values[coupled.position[place]]
        injected = part[draft.net[market.point]]
        terms = cost_terms(draft, part)
        promise = draft.problem.commitments[-1]
        off = (injected - taken) * draft.step_h
        settled = np.where(
            off > 0, promise.up_price_per_mwh, np.negative(promise.down_price_per_mwh)
        )
        terms["imbalance"] = float(settled @ off)
        terms["commitments"] -= terms["imbalance"]
        terms["day_ahead"] = -float(coupled.income[place] @ taken)
        outcomes.append(
            Outcome(
                name=scenario.name,
                probability=float(coupled.probability[place]),
                price_per_mwh=scenario.price_per_mwh,
                position_mw=series(taken),
                injected_mw=series(injected),
                cost=sum(terms.values()),
                cost_terms=dict(sorted(terms.items())),
                schedules=schedules(draft, part),
                breaches=tuple(b for b in breaches(draft, part) if b.name != market.name),
            )
        )
    return tuple(outcomes)


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
