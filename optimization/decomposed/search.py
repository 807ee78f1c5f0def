"""The way to an answer for a large portfolio: ask prices, mix the answers, ask better prices.

The first prices are those of a sample. Each round every store answers prices near the best so far,
which proves a bound, and the model of mixtures finds the next: power from nowhere, priced a little
beside the best, keeps them from straying. When mixtures cost hardly more than the bound, one of
them becomes a schedule.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from optimization.checks import FloatArray
from optimization.decomposed.answers import Mixed, answer, mix
from optimization.decomposed.master import Master, Mixture
from optimization.decomposed.pool import Pool
from optimization.decomposed.portfolio import Portfolio, decidable, divide
from optimization.decomposed.recover import follow
from optimization.decomposed.sample import first_duals
from optimization.dispatch.previous import PreviousPlan
from optimization.dispatch.problem import DispatchProblem
from optimization.dispatch.result import DispatchResult, DispatchStatus
from optimization.dispatch.search import TINY_COST, Search, sought_frac
from optimization.dispatch.sparse.extract import grid_prices, reserve_prices
from optimization.highs_session import Progress, Watch

_INWARDS_FRAC = 0.9
"""Of the way from the prices of the mixtures to the best so far."""
_WIDTH_FRAC = 0.1
"""Of the mean price: how far from the best prices others are looked for at first."""
_WIDER = 1.5
"""Times as far in each round in which they would rather be further away."""
_FAR = 100.0
"""Times the price of a breach: so far there are no prices that anything would follow."""
_TINY_MW = 1e-9
_CLOSE_FRAC = 0.8
"""Of the demanded gap: so close to the bound a mixture is worth a schedule."""
_FEW_HOMES = 4
_STORES_PER_HOME = 8
"""With more connection points and fewer stores behind each, it is mostly limits that decide: one
model knows better."""
_CLOSER = 3.0
"""Times as close the next time."""
LEAST_STORES = 400
"""Fewer are solved sooner in one model."""
_SAMPLE_FRAC = 0.3
"""Share of the time that the first prices may take."""
_MOST_WHOLE = 200_000
"""Stores times steps that one model can hold when prices alone do not close the gap."""
_TINY_WEIGHT = 1e-9
_N_FREE = 64
"""Stores planned anew in the first schedule."""
_WHOLE_FRAC = 0.1
"""Of the demanded gap: how exact the proof about whole numbers is."""
_SCHEDULE_FRAC = 0.5
"""Share of the time kept for a first schedule, and of the time left that one may take."""


class Decomposition:
    """Rounds of prices and answers until a schedule is close enough to the bound.

    Args:
        portfolio: the problem in two parts.
        duals: the first, of all rows of the rest.
        pool: computes the answers.
        due: by ``time.perf_counter``, when an answer is due.
        gap_frac: a cost this close to the bound, relative to the cost, is close enough.
        previous: the plan in force.
        watch: asked now and then whether to stop.
    """

    def __init__(
        self,
        portfolio: Portfolio,
        duals: FloatArray,
        *,
        pool: Pool,
        due: float,
        gap_frac: float,
        previous: PreviousPlan | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.bound = -np.inf
        self.best: DispatchResult | None = None
        self.contradicts = False
        self._portfolio = portfolio
        self._center = duals
        self._due = due
        self._gap_frac = gap_frac
        self._previous = previous
        self._watch = watch
        self._begun = time.perf_counter()
        self._stopped = False
        self._center_least = -np.inf
        self._n_free = _N_FREE
        self._close_frac = _CLOSE_FRAC * gap_frac
        self._sought_frac = 1.0
        self._burns = self._proving = False
        self._pool = pool
        self._blocks = [pool.share(block) for block in portfolio.blocks]
        self._asked: list[FloatArray] = []
        self._master = Master(portfolio, self._watching)
        self._keep_s = _SCHEDULE_FRAC * self.left_s()
        self._width = _WIDTH_FRAC * float(np.abs(self._master.prices(duals)).mean()) + 1.0
        self._duals, self._exact = duals, False
        self._mixture: Mixture | None = None

    def left_s(self) -> float:
        """Return the time left."""
        return max(self._due - time.perf_counter(), 0.0)

    def run(self) -> None:
        """Search; ``best``, ``bound`` and ``contradicts`` tell what came of it."""
        while self._round():
            pass

    def _round(self) -> bool:
        """Ask, mix, make a schedule where it is time to; tell whether to go on."""
        n_new = self._ask()
        if self._stopped or self._closed():
            return False
        self._master.keep_near(self._center, self._width)
        found = self._master.solve(time_limit_s=self._mixing_s())
        self._mixture = found or self._mixture
        if self._mixture is None:
            return False
        held = self._mixture.missing_mw > _TINY_MW
        settled = self._exact and not n_new and not held
        if settled or found is None or self._is_time(self._mixture, held=held):
            self._schedule(self._mixture)
        ended = self._closed() or self._stopped or self.contradicts or self.left_s() <= 0
        if ended or (settled and not self._go_on()):
            return False
        if held:
            self._width *= _WIDER
        self._exact = not n_new
        inwards = 0.0 if self._exact else _INWARDS_FRAC
        self._duals = inwards * self._center + (1 - inwards) * self._mixture.duals
        return True

    def _is_time(self, mixture: Mixture, *, held: bool) -> bool:
        """Tell whether to make a schedule of a mixture."""
        far = self._width > _FAR * self._portfolio.problem.breach_price_per_mwh
        if self.best is None and (far or self._mixing_s() <= 0):
            return True
        return not held and self._is_close(mixture.cost, self._close_frac)

    def _mixing_s(self) -> float:
        """Return the time left until a first schedule must be begun, then until the end."""
        return self.left_s() if self.best is not None else max(self.left_s() - self._keep_s, 0.0)

    def _go_on(self) -> bool:
        """Tell whether there is anything left to do once no answer is of use any more."""
        if self.best is None:
            return self._n_free < 2 * len(self._portfolio.members)
        if self._burns and not self._proving:
            self._proving = True
            return True
        if len(self._portfolio.members) * self._portfolio.problem.n_steps <= _MOST_WHOLE:
            self._search_whole()
        return False

    def _search_whole(self) -> None:
        """Search one model of the whole problem, with all whole numbers that it needs."""
        problem = self._portfolio.problem
        plan = None if self.best is None else PreviousPlan(result=self.best, step_h=problem.step_h)
        search = Search(problem, self._due, self._gap_frac, plan, self._watching)
        search.run()
        self.bound = max(self.bound, search.bound)
        if search.best is not None and search.best.cost < self._best_cost():
            self.best = search.result(0.0)
            self._sought_frac = sought_frac(self.best.cost_terms)

    def _ask(self) -> int:
        """Let all groups answer; return how many answers are of use."""
        master, duals, mixture = self._master, self._duals, self._mixture
        price = master.prices(duals)
        parts = self._pool.run(answer, [(block, price) for block in self._blocks])
        self._asked.append(price)
        least = np.concatenate([part.least for part in parts])
        self._burns |= any(part.best is not part.one_way for part in parts)
        columns = [part.best if self._proving else part.one_way for part in parts]
        cost, power = (np.concatenate(part) for part in zip(*columns, strict=True))
        bound = master.bound(duals, least)
        if bound > self.bound or not self._asked[1:]:
            self.bound = max(bound, self.bound)
            self._center, self._center_least = duals, float(least.sum())
        useful = np.ones(len(cost), dtype=np.bool_)
        if mixture is not None:
            saved = mixture.floors - master.reduced(mixture.duals, cost, power)
            useful = saved > TINY_COST * np.maximum(np.abs(mixture.floors), 1.0)
        groups = np.flatnonzero(useful)
        if groups.size:
            master.add(len(self._asked) - 1, groups, cost[groups], power[groups])
        self._watching(None)
        return len(groups)

    def _prove_whole(self) -> None:
        """Raise the bound by what whole numbers in the rest cost at the best prices."""
        if not self._master.session.integers.any() or self.left_s() <= 0:
            return
        bound = self._master.whole_bound(
            self._center,
            time_limit_s=_SCHEDULE_FRAC * self.left_s(),
            gap_frac=_WHOLE_FRAC * self._gap_frac * self._sought_frac,
        )
        self.bound = max(self.bound, bound + self._center_least)

    def _is_close(self, cost: float, gap_frac: float) -> bool:
        return cost - self.bound <= max(gap_frac * self._sought_frac * abs(cost), TINY_COST)

    def _closed(self) -> bool:
        cost = self._best_cost()
        return bool(np.isfinite(cost)) and self._is_close(cost, self._gap_frac)

    def _schedule(self, mixture: Mixture) -> None:
        """Make a schedule of a mixture; keep it if it is the best."""
        if self._proving:
            return
        followed = follow(self._portfolio, self._mixed(mixture), self._n_free)
        # What is left of the demanded gap once the mixture's own is taken.
        gap = self._gap_frac * self._sought_frac * abs(mixture.cost)
        allowed = max(gap - (mixture.cost - self.bound), _CLOSE_FRAC * gap) / 2
        here = max(abs(mixture.cost - sum(followed.cost_terms.values())), TINY_COST)
        search = Search(
            followed.problem,
            time.perf_counter() + _SCHEDULE_FRAC * self.left_s(),
            allowed / here,
            self._previous,
            self._watching,
        )
        search.run()
        if search.best is None:
            self.contradicts = search.contradicts and len(followed.crowds) == len(
                self._portfolio.members
            )
        self._n_free *= 2
        self._close_frac /= _CLOSER
        if search.best is None:
            return
        found = followed.complete(search.result(0.0))
        if found.cost is not None and found.cost < self._best_cost():
            self.best, self._sought_frac = found, sought_frac(found.cost_terms)
        if not self._closed():
            self._prove_whole()

    def _best_cost(self) -> float:
        return np.inf if self.best is None or self.best.cost is None else self.best.cost

    def _mixed(self, mixture: Mixture) -> list[Mixed]:
        """Return what the stores of each block do in a mixture."""
        weights = np.zeros((len(self._portfolio.group_home), len(self._asked)))
        used = np.flatnonzero(mixture.weights > _TINY_WEIGHT)
        weights[self._master.group[used], self._master.answer[used]] = mixture.weights[used]
        weights /= weights.sum(axis=1, keepdims=True)
        taken = np.flatnonzero(weights.any(axis=0))
        prices = np.stack([self._asked[number] for number in taken])
        ends = np.cumsum([len(block.starts) for block in self._portfolio.blocks])[:-1]
        calls = zip(self._blocks, np.split(weights[:, taken], ends), strict=True)
        return self._pool.run(mix, [(block, prices, part) for block, part in calls])

    def _watching(self, progress: Progress | None) -> bool:
        """Tell where the whole search stands, whatever part of it is running."""
        if self._watch is not None and not self._stopped:
            elapsed_s = time.perf_counter() - self._begun
            self._stopped = self._watch(
                Progress(cost=self._best_cost(), bound=self.bound, elapsed_s=elapsed_s)
            )
        return self._stopped

    def result(self, solve_s: float) -> DispatchResult:
        """Return the best schedule with its proof."""
        if self.best is None:
            raise ValueError("there is no schedule")
        cost = self._best_cost()
        bound = min(self.bound, cost)
        draft = self._master.draft
        return replace(
            self.best,
            status=DispatchStatus.OPTIMAL if self._closed() else DispatchStatus.INCUMBENT,
            solve_s=solve_s,
            bound=bound,
            gap_frac=(cost - bound) / max(abs(cost), TINY_COST),
            price_per_mwh=grid_prices(draft, self._center),
            reserve_price_per_mw_h=reserve_prices(draft, self._center),
        )


def is_large(problem: DispatchProblem) -> bool:
    """Tell whether a problem has so many stores that it is searched by prices where that helps."""
    return len(decidable(problem)) >= LEAST_STORES


def decomposition(
    problem: DispatchProblem,
    *,
    due: float,
    gap_frac: float,
    pool: Pool,
    previous: PreviousPlan | None = None,
    watch: Watch | None = None,
    least: int = LEAST_STORES,
) -> Decomposition | None:
    """Return a search by prices; None where one model of the whole problem is better.

    Args:
        problem: checked.
        due: by ``time.perf_counter``, when an answer is due.
        gap_frac: a cost this close to the bound, relative to the cost, is close enough.
        pool: computes the answers.
        previous: the plan in force.
        watch: asked now and then whether to stop.
        least: fewer stores that prices can decide are not worth it.
    """
    stores = decidable(problem)
    if len(stores) < least:
        return None
    portfolio = divide(problem, stores)
    if len(portfolio.homes) > max(len(stores) // _STORES_PER_HOME, _FEW_HOMES):
        return None
    if any(block.framed.empty.any() for block in portfolio.blocks):
        return None
    duals = first_duals(portfolio, time_limit_s=_SAMPLE_FRAC * (due - time.perf_counter()))
    if duals is None:
        return None
    return Decomposition(
        portfolio,
        duals,
        pool=pool,
        due=due,
        gap_frac=gap_frac,
        previous=previous,
        watch=watch,
    )
