"""One model of the whole problem: relax, round, separate what runs both ways, search.

Stores first get no binaries. The relaxation gives a bound and a point near which good commitments
lie: a dive rounds it step by step; where that leads nowhere, what is whole is fixed and the rest
searched. Where generators must carry what nothing else can, cuts raise the bound and searches where
solution and relaxation differ lower the cost; only when all that is not good enough the whole model
is searched. Where the solution takes and gives at the same instant (negative prices make burning
energy attractive) each store is first held to its net direction, and only when that costs more than
the gap allows binaries are added at those steps. Every bound stays valid for the rounds after.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from optimization.checks import BoolArray, FloatArray, IntArray
from optimization.dispatch.fields import Series
from optimization.dispatch.previous import PreviousPlan
from optimization.dispatch.problem import DispatchProblem
from optimization.dispatch.result import DispatchResult, DispatchStatus
from optimization.dispatch.sparse.assemble import assemble
from optimization.dispatch.sparse.cover import cover_rows
from optimization.dispatch.sparse.draft import Draft
from optimization.dispatch.sparse.extract import (
    both_ways,
    breaches,
    cost_terms,
    grid_prices,
    netted,
    point_mw,
    reserve_prices,
    schedules,
)
from optimization.dive import dive
from optimization.highs import Ended, Solution
from optimization.highs_session import Progress, Session, Watch, fractional
from optimization.rounding_cuts import Row, rounding_cuts
from optimization.warm_start import WarmStart

_RESERVED_FRAC = 0.2
"""Share of the time left kept for turning a solution into one that stores can follow."""
_LOCAL_FRAC = 0.4
"""Share of the time left a search near the relaxation may take."""
_LOCAL_GAP_FRAC = 0.3
"""Of the demanded gap: how well a search near the relaxation is finished."""
TINY_COST = 1e-6
_CUT_ROUNDS = 8
_LEAST_RISE_FRAC = 0.01
"""Of the demanded gap: a round of cuts that raises the bound by less is the last."""
_AGREED = 0.05
"""So close to a solution the relaxation is taken to agree with it."""
_LEAST_SAVED_FRAC = 0.1
"""Of the demanded gap: a search near a solution that saves less is the last."""
_LEAST_SOUGHT_FRAC = 1e-4
"""More digits of the whole cost are not asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class _Incumbent:
    draft: Draft
    values: FloatArray
    cost: float


@dataclass(slots=True)
class Search:
    """Rounds of solving until the best schedule is close enough to the bound."""

    problem: DispatchProblem
    due: float
    gap_frac: float
    previous: PreviousPlan | None
    watch: Watch | None
    warm: WarmStart | None = None
    demanded_frac: float = field(init=False)
    """The gap relative to the whole cost, with what is missed at a price."""
    bound: float = -np.inf
    best: _Incumbent | None = None
    contradicts: bool = False
    local: bool = False
    """What is being searched is only a part: its bound proves nothing."""
    prices: Series = ()
    reserve_prices: dict[str, Series] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Demand the gap as given, until it is known what is missed."""
        self.demanded_frac = self.gap_frac

    def run(self) -> None:
        """Search; ``best``, ``bound`` and ``contradicts`` tell what came of it."""
        exclusive: dict[str, BoolArray] = {}
        while True:
            draft = assemble(self.problem, exclusive)
            session = Session(draft.model, None if self.watch is None else self._watching)
            values = self._round(draft, session)
            if values is None or session.stopped:
                return
            offenders = both_ways(draft, values)
            if not offenders or self._close() or self.left_s() <= 0:
                return
            known = sum(int(steps.sum()) for steps in exclusive.values())
            for name, steps in offenders.items():
                # A store that offends again gets all its binaries, so that rounds are few.
                exclusive[name] = np.ones_like(steps) if name in exclusive else steps
            if sum(int(steps.sum()) for steps in exclusive.values()) == known:
                return

    def _watching(self, progress: Progress) -> bool:
        """Pass on where the whole search stands."""
        cost = np.inf if self.best is None else self.best.cost
        bound = self.bound if self.local else max(self.bound, progress.bound)
        told = Progress(cost=min(cost, progress.cost), bound=bound, elapsed_s=progress.elapsed_s)
        return self.watch is not None and self.watch(told)

    def left_s(self) -> float:
        """Return the time left."""
        return max(self.due - time.perf_counter(), 0.0)

    def _close(self) -> bool:
        if self.best is None:
            return False
        return self.best.cost - self.bound <= max(
            self.demanded_frac * abs(self.best.cost), TINY_COST
        )

    def _round(self, draft: Draft, session: Session) -> FloatArray | None:
        """Solve one model; return its solution, which may still run both ways."""
        relaxed = self._relax(draft, session)
        if relaxed.ended is Ended.INFEASIBLE:
            self.contradicts = self.best is None
            return None
        if relaxed.ended is not Ended.OPTIMAL:
            return self._rescue(draft, session)
        self.bound = max(self.bound, relaxed.bound)
        self.demanded_frac = self.gap_frac * sought_frac(draft.model.cost_terms(relaxed.values))
        self._read_prices(draft, session.row_duals())
        if not fractional(relaxed.values, session.integers).any():
            self._offer(draft, session, relaxed.values)
            return relaxed.values
        basis = session.basis()
        self._follow_previous(draft, session)
        if self.best is not None and self._close():
            return self.best.values
        values = self._dive(draft, session, relaxed.values)
        rows = cover_rows(draft)
        if rows and not self._close() and not session.stopped:
            session.resume(basis)
            nearer = self._strengthen(session, rows, relaxed.values)
            values = self._improve(draft, session, nearer, values)
        if values is None and not session.stopped:
            values = self._search_near(draft, session, relaxed.values)
        if self._close() or session.stopped:
            return values
        return self._search_all(draft, session, values)

    def _relax(self, draft: Draft, session: Session) -> Solution:
        """Solve the relaxation, from where that of the plan in force ended."""
        if self.warm is not None and self.previous is not None:
            places = self.previous.places(draft.start_h, draft.end_h)
            basis = self.warm.take(draft.model, places)
            if basis is not None:
                session.resume(basis)
        relaxed = session.relax(time_limit_s=self.left_s())
        if self.warm is not None and relaxed.ended is Ended.OPTIMAL and self.best is None:
            self.warm.keep(draft.model, draft.n_steps, session.basis())
        return relaxed

    def _strengthen(self, session: Session, rows: Sequence[Row], relaxed: FloatArray) -> FloatArray:
        """Raise the bound by cuts that say how much must run; return the relaxed solution then."""
        session.demand(rows)
        for _ in range(_CUT_ROUNDS):
            cuts = list(rounding_cuts(rows, relaxed))
            session.demand(cuts)
            cut = session.relax(time_limit_s=_LOCAL_FRAC * self.left_s())
            if not cuts or cut.ended is not Ended.OPTIMAL:
                break
            least = self.bound + _LEAST_RISE_FRAC * self.demanded_frac * abs(self.bound)
            self.bound, relaxed = max(self.bound, cut.bound), cut.values
            if self._close() or self.bound < least:
                break
        return relaxed

    def _improve(
        self, draft: Draft, session: Session, relaxed: FloatArray, values: FloatArray | None
    ) -> FloatArray | None:
        """Search where a solution and the relaxation differ, as long as that finds better ones."""
        while values is not None and not self._close() and not session.stopped:
            cost = draft.model.costs() @ values
            agreed = session.integers & (np.abs(relaxed - values) < _AGREED)
            better = self._search_fixed(draft, session, np.flatnonzero(agreed), values)
            saved = 0.0 if better is None else cost - draft.model.costs() @ better
            if saved <= _LEAST_SAVED_FRAC * self.demanded_frac * abs(cost):
                break
            values = better
        return values

    def _search_all(
        self, draft: Draft, session: Session, values: FloatArray | None
    ) -> FloatArray | None:
        """Search the whole model from the best so far."""
        here = self.best is not None and self.best.draft is draft
        whole = session.search(
            time_limit_s=(1 - _RESERVED_FRAC) * self.left_s(),
            gap_frac=self.demanded_frac,
            start=self.best.values if self.best is not None and here else values,
        )
        if whole.ended is Ended.INFEASIBLE:
            self.contradicts = self.best is None
            return values
        self.bound = max(self.bound, whole.bound)
        if not whole.values.size:
            return values
        self._offer(draft, session, whole.values)
        return whole.values

    def _dive(self, draft: Draft, session: Session, relaxed: FloatArray) -> FloatArray | None:
        """Round the relaxation step by step."""
        worst = np.inf if self.best is None else self.best.cost
        values = dive(session, relaxed, worst_cost=worst, due=self._share_due())
        if values is not None:
            self._offer(draft, session, values)
        return values

    def _share_due(self) -> float:
        """Return until when a part of the search may take."""
        return time.perf_counter() + _LOCAL_FRAC * self.left_s()

    def _search_near(
        self, draft: Draft, session: Session, relaxed: FloatArray
    ) -> FloatArray | None:
        """Search with everything fixed that is whole in the relaxation."""
        settled = session.integers & ~fractional(relaxed, session.integers, 1e-3)
        return self._search_fixed(draft, session, np.flatnonzero(settled), relaxed)

    def _search_fixed(
        self, draft: Draft, session: Session, fixed: IntArray, values: FloatArray
    ) -> FloatArray | None:
        """Search with some columns fixed at whole numbers."""
        session.fix(fixed, np.round(values[fixed]))
        self.local = True
        near = session.search(
            time_limit_s=_LOCAL_FRAC * self.left_s(),
            gap_frac=_LOCAL_GAP_FRAC * self.demanded_frac,
        )
        self.local = False
        session.free()
        if not near.values.size:
            return None
        self._offer(draft, session, near.values)
        return near.values

    def _follow_previous(self, draft: Draft, session: Session) -> None:
        """Try the commitments of the plan in force."""
        if self.previous is None:
            return
        for names, columns in draft.running:
            states = self.previous.running(names, draft.start_h, draft.end_h)
            free = (session.lower[columns] < session.upper[columns]) & ~np.isnan(states)
            session.fix(columns[free], states[free])
        followed = session.relax(time_limit_s=_LOCAL_FRAC * self.left_s())
        if followed.ended is Ended.OPTIMAL:
            self._dive(draft, session, followed.values)
        session.free()

    def _rescue(self, draft: Draft, session: Session) -> FloatArray | None:
        """Take any feasible point when not even the relaxation was solved in time."""
        self._follow_previous(draft, session)
        return None if self.best is None else self.best.values

    def _offer(self, draft: Draft, session: Session, values: FloatArray) -> None:
        """Keep a solution if it is the best; stores are held to one direction first."""
        if both_ways(draft, values):
            one_way = self._one_way(draft, session, values)
            if one_way is None:
                return
            values = one_way
        values = netted(draft, values)
        cost = float(draft.model.costs() @ values) + sum(draft.model.constants.values())
        if self.best is None or cost < self.best.cost:
            self.best = _Incumbent(draft, values, cost)

    def _one_way(self, draft: Draft, session: Session, values: FloatArray) -> FloatArray | None:
        """Fix each store's direction by its net flow and all commitments; solve what is left."""
        for store in draft.two_way:
            into, out = values[store.into], values[store.out]
            round_trip = (store.into_efficiency * store.out_efficiency)[:, None]
            # The energy inside can follow the same path with the smaller flow left out.
            taking = into * round_trip >= out
            for columns in (store.into[~taking], store.out[taking]):
                session.cap(columns, np.zeros(len(columns)))
        whole = np.flatnonzero(session.integers)
        session.fix(whole, np.round(values[whole]))
        solution = session.relax(time_limit_s=max(self.left_s(), 0.1))
        session.free()
        return solution.values if solution.values.size else None

    def _read_prices(self, draft: Draft, duals: FloatArray) -> None:
        self.prices = grid_prices(draft, duals)
        self.reserve_prices = reserve_prices(draft, duals)

    def result(self, solve_s: float) -> DispatchResult:
        """Return the best schedule with its proof."""
        if self.best is None:
            raise ValueError("there is no schedule")
        draft, values = self.best.draft, self.best.values
        terms = cost_terms(draft, values)
        cost = sum(terms.values())
        bound = min(self.bound, cost)
        known = np.isfinite(bound)
        return DispatchResult(
            status=DispatchStatus.OPTIMAL if self._close() else DispatchStatus.INCUMBENT,
            solve_s=solve_s,
            schedules=schedules(draft, values),
            point_mw=point_mw(draft, values),
            cost=cost,
            cost_terms=terms,
            bound=float(bound) if known else None,
            gap_frac=float((cost - bound) / max(abs(cost), TINY_COST)) if known else None,
            price_per_mwh=self.prices,
            reserve_price_per_mw_h=self.reserve_prices,
            breaches=breaches(draft, values),
        )


def sought_frac(cost_terms: Mapping[str, float]) -> float:
    """Return the share of a cost that is sought: without what must be missed at a price."""
    cost = sum(cost_terms.values())
    sought = abs(cost - cost_terms.get("breaches", 0.0)) / max(abs(cost), TINY_COST)
    return min(max(sought, _LEAST_SOUGHT_FRAC), 1.0)
