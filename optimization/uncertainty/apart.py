"""Scenarios one by one: a first bid, a bound, and what a bid comes to.

Each is solved as if it were known to come. What the scenarios would sell, averaged in each class of
prices, and the least reserve any of them would hold make a bid, on which each is then judged by
itself. That takes as many small models as there are scenarios, twice, where all together grow out
of proportion. What they would cost if known to come is no more than what they cost with any bid.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from optimization.dispatch.fields import series
from optimization.dispatch.problem import DispatchProblem
from optimization.highs_session import Progress, Watch
from optimization.uncertainty.answer import outcomes_of
from optimization.uncertainty.curves import day_classes, day_curves, to_ticks
from optimization.uncertainty.problem import BiddingProblem, Scenario
from optimization.uncertainty.result import Bid, Outcome, tail
from optimization.uncertainty.scenarios import positions_between, probabilities
from optimization.uncertainty.search import Search

_PATIENCE = 5.0
"""So many times its share of the time one scenario may take; most take less."""


@dataclass(slots=True)
class Apart:
    """Scenarios solved one by one, by a time."""

    problem: BiddingProblem
    scenarios: tuple[Scenario, ...]
    dispatches: Mapping[str, DispatchProblem]
    gap_frac: float
    watch: Watch | None
    due: float
    bound: float = -np.inf
    """No bid has a lower objective."""

    def first(self) -> tuple[Bid, tuple[Outcome, ...]] | None:
        """Return a bid and its outcomes, None when there is none in time."""
        known = self._each(None, 0.5)
        if known is None:
            return None
        bid = self._mean(known)
        outcomes = self.judge(bid)
        # What is known to come bounds every bid, what was judged only this one.
        self.bound = self._weighed(known)
        return None if outcomes is None else (bid, outcomes)

    def judge(self, bid: Bid) -> tuple[Outcome, ...] | None:
        """Return what a bid comes to in each scenario, None when that is not found in time.

        The bound is then that of this bid: it leaves no decision that scenarios share.
        """
        judged = self._each(bid, 1.0)
        if judged is None:
            return None
        self.bound = self._weighed(judged)
        best = [search.best for search in judged if search.best is not None]
        outcomes = [outcomes_of(one.coupled, one.values)[0] for one in best]
        share = probabilities(self.scenarios).tolist()
        return tuple(
            replace(outcome, probability=probability)
            for outcome, probability in zip(outcomes, share, strict=True)
        )

    def _each(self, bid: Bid | None, share: float) -> list[Search] | None:
        """Search each scenario by itself within a share of the time left, None if one fails."""
        due = time.perf_counter() + share * (self.due - time.perf_counter())
        searches = []
        for n_done, scenario in enumerate(self.scenarios):
            begun = time.perf_counter()
            left_s = max(due - begun, 0.0)
            fair_frac = 1 / (len(self.scenarios) - n_done)
            search = Search(
                replace(self.problem, risk_weight=0.0),
                (scenario,),
                self.dispatches,
                bid,
                begun,
                min(_PATIENCE * fair_frac, 1.0) * left_s,
                self.gap_frac,
                None if self.watch is None else self._watching,
            )
            search.run()
            if search.best is None:
                return None
            searches.append(search)
        return searches

    def _watching(self, progress: Progress) -> bool:
        """Ask whether to stop; what one scenario costs is nobody's cost."""
        told = replace(progress, cost=np.inf, bound=-np.inf)
        return self.watch is not None and self.watch(told)

    def _weighed(self, searches: Sequence[Search]) -> float:
        """Return the objective of bounds; it rises with each of them, so they bound it."""
        costs = np.array([search.bound for search in searches])
        if not np.isfinite(costs).all():
            return -np.inf
        share, weight = probabilities(self.scenarios), self.problem.risk_weight
        _, beyond = tail(costs, share, self.problem.confidence_frac)
        return float((1 - weight) * (share @ costs) + weight * beyond)

    def _mean(self, known: Sequence[Search]) -> Bid:
        """Return the bid of means by class of prices, and of the least reserve."""
        market, share = self.problem.market, probabilities(self.scenarios)
        price = np.array([scenario.price_per_mwh for scenario in self.scenarios])
        ticks = to_ticks(price, market.limits)
        most = int(min(market.max_stairs, market.limits.max_points))
        classes = day_classes(ticks, share, most)
        best = [search.best for search in known if search.best is not None]
        alone = np.array([one.values[one.coupled.position[0]] for one in best])
        power_mw = np.empty_like(alone)
        for step, place in enumerate(classes.T):
            sums = np.bincount(place, weights=share * alone[:, step])
            means = np.maximum.accumulate(sums / np.bincount(place, weights=share))
            power_mw[:, step] = means[place]
        between_mw = positions_between(self.problem, self.dispatches)
        held = [search.found.reserve_mw for search in known if search.found is not None]
        return Bid(
            curves=day_curves(ticks, classes, power_mw, between_mw, market.limits),
            reserve_mw={
                name: series(np.min([sold[name] for sold in held], axis=0)) for name in held[0]
            },
        )
