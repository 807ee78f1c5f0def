"""The search for a bid: relax, round, separate what runs both ways, fit to the venue.

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
from optimization.dispatch.sparse.extract import both_ways
from optimization.dive import dive
from optimization.highs import Ended
from optimization.highs_session import Progress, Session, Watch, fractional
from optimization.uncertainty.couple import Coupled, couple
from optimization.uncertainty.curves import day_curves, power_at
from optimization.uncertainty.problem import BiddingProblem, Scenario
from optimization.uncertainty.result import Bid, Curve

_SEARCH_FRAC = 0.8
"""Share of the time for the search; the rest is for the venue's form."""
_DIVE_FRAC = 0.4
_TINY_COST = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Incumbent:
    """The best so far: a solution of one model."""

    coupled: Coupled
    session: Session
    values: FloatArray
    objective: float


@dataclass(slots=True)
class Search:
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
    """No bid has a lower objective."""
    best: Incumbent | None = None
    contradicts: bool = False
    proving: bool = True
    """What is being solved is the whole problem: its bound proves something."""
    found: Bid | None = None
    """The best bid, in the venue's form."""
    reason: str = ""

    def run(self) -> None:
        """Search, then bring the bid into the venue's form."""
        exclusive: list[dict[str, BoolArray]] = [{} for _ in self.scenarios]
        while self._round(exclusive):
            pass
        if self.best is None:
            return
        curves = self._fit(self.best) if self.bid is None else self.bid.curves
        coupled, values = self.best.coupled, self.best.values
        sold = {name: series(np.maximum(values[at], 0.0)) for name, at in coupled.sold.items()}
        self.found = Bid(curves=curves, reserve_mw=sold)

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
            self.best = Incumbent(coupled, session, values, objective)

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

    def _fit(self, found: Incumbent) -> tuple[Curve, ...]:
        """Bring the best bid into the venue's form, dispatch anew for it and return its curves."""
        coupled, session, values = found.coupled, found.session, found.values
        power_mw, limits = values[coupled.position], self.problem.market.limits
        curves = day_curves(coupled.ticks, coupled.classes, power_mw, coupled.between_mw, limits)
        held = _positions(coupled, curves)
        moved, was_close = coupled.repositioned(values, held), self._close()
        self.best = Incumbent(coupled, session, moved, coupled.objective(moved))
        if session.stopped or np.allclose(held, values[coupled.position], rtol=0, atol=1e-9):
            return curves
        self.proving = False
        session.hold(coupled.position.ravel(), held.ravel())
        anew = self._redispatch(session, values)
        if anew is not None:
            self._offer(coupled, session, anew)
        excess = self.best.objective - found.objective
        if was_close and not self._close():
            self.reason = f"bringing the bid onto the venue's lots costs {excess:.6g}"
        return curves


def _hold(coupled: Coupled, session: Session, bid: Bid) -> None:
    session.hold(coupled.position.ravel(), _positions(coupled, bid.curves).ravel())
    for name, columns in coupled.sold.items():
        session.hold(columns, np.array(bid.reserve_mw[name]))


def _positions(coupled: Coupled, curves: tuple[Curve, ...]) -> FloatArray:
    """Return what curves take [S, T] at the prices of the scenarios."""
    return np.array(
        [
            [power_at(curve, price) for curve, price in zip(curves, s.price_per_mwh, strict=True)]
            for s in coupled.scenarios
        ]
    )
