"""The small model that finds prices: network and rest in full, groups of stores by what they did.

Each group does a mixture of what it answered to earlier prices. Any vector of prices gives a proven
bound: what the rest can save at best, plus what each group answers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from optimization.checks import FloatArray, IntArray
from optimization.decomposed.portfolio import Portfolio
from optimization.dispatch.reach import reachable
from optimization.dispatch.sparse.assemble import assemble
from optimization.highs import Ended
from optimization.highs_session import Session, Watch

_TINY = 1e-7


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mixture:
    """A solution of the model."""

    cost: float
    missing_mw: float
    """Most power from nowhere in a step: more, and the prices would be further away."""
    duals: FloatArray
    """Of all rows of the rest."""
    floors: FloatArray
    """By group [G], what an answer must cost less than to be of use."""
    weights: FloatArray
    """By column, in the order they were added."""


class Master:
    """The model; it grows by a column per group and answer.

    Args:
        portfolio: the problem in two parts.
        watch: asked now and then whether to stop.
    """

    def __init__(self, portfolio: Portfolio, watch: Watch | None = None) -> None:
        self._portfolio, self._watch = portfolio, watch
        self.draft = draft = assemble(portfolio.core, reach=reachable(portfolio.problem))
        model = draft.model
        self.links = np.stack([draft.balance[home] for home in portfolio.homes])  # [P, T]
        self.n_rows = model.n_rows
        self._matrix = model.matrix()
        self._costs, self._bounds, self._rows = model.costs(), model.bounds(), model.row_bounds()
        self._constant = sum(model.constants.values())
        self._group_home = portfolio.group_home
        n_groups = len(self._group_home)
        self._convex = model.rows((n_groups,), 1, 1)
        self._missing = np.stack([model.columns(self.links.shape, 0, np.inf) for _ in range(2)])
        for columns, sign in zip(self._missing, (1, -1), strict=True):
            model.add(self.links, columns, sign)
        self.session = Session(model, watch)
        self._n_own, self._solved = model.n_columns, False
        self.group = np.zeros(0, dtype=np.int64)
        """By column, its group."""
        self.answer = np.zeros(0, dtype=np.int64)
        """By column, which answer it is."""

    def prices(self, duals: FloatArray) -> FloatArray:
        """Return what is paid for each MWh injected at each home [P, T]."""
        return np.asarray(-duals[self.links] / self.draft.step_h)

    def reduced(self, duals: FloatArray, cost: FloatArray, power_mw: FloatArray) -> FloatArray:
        """Return what answers [G] cost less what their power [G, T] earns."""
        return np.asarray(cost + (power_mw * duals[self.links[self._group_home]]).sum(axis=1))

    def bound(self, duals: FloatArray, reduced: FloatArray) -> float:
        """Return a cost that no schedule of the whole problem can be below.

        Args:
            duals: of all rows of the rest; anything is valid.
            reduced: of each group's best answer to just these prices.
        """
        slope = self._costs - self._matrix.T @ duals
        return float(
            _least(slope, *self._bounds)
            + _least(duals, *self._rows)
            + reduced.sum()
            + self._constant
        )

    def keep_near(self, duals: FloatArray, width_per_mwh: float) -> None:
        """Hold the prices to be found near others, by power from nowhere at a little more."""
        width = width_per_mwh * self.draft.step_h
        for columns, sign in zip(self._missing, (1, -1), strict=True):
            self.session.price(columns, sign * duals[self.links] + width)

    def whole_bound(self, duals: FloatArray, *, time_limit_s: float, gap_frac: float) -> float:
        """Return the rest's part of a bound that knows what takes whole numbers only.

        Args:
            duals: of all rows of the rest.
            time_limit_s: HiGHS stops about then.
            gap_frac: how exact it is to be, relative to itself.
        """
        draft = assemble(self._portfolio.core, reach=self.draft.reach)
        least, most = self._portfolio.power_range()
        bought = draft.model.columns(self.links.shape, least, most, -duals[self.links])
        draft.model.add(self.links, bought, -1)
        session = Session(draft.model, self._watch)
        return session.search(time_limit_s=time_limit_s, gap_frac=gap_frac).bound

    def add(self, answer: int, groups: IntArray, cost: FloatArray, power_mw: FloatArray) -> None:
        """Add a column for some groups.

        Args:
            answer: which it is.
            groups: the N groups.
            cost: [N].
            power_mw: [N, T].
        """
        n, n_steps = power_mw.shape
        rows = np.hstack([self.links[self._group_home[groups]], self._convex[groups][:, None]])
        values = np.hstack([-power_mw, np.ones((n, 1))])
        columns = np.repeat(np.arange(n), n_steps + 1)
        shape = (self.n_rows + len(self._convex), n)
        entries = sparse.csc_matrix((values.ravel(), (rows.ravel(), columns)), shape=shape)
        entries.eliminate_zeros()
        self.session.grow(cost, np.full(n, np.inf), entries)
        self.group = np.append(self.group, groups)
        self.answer = np.append(self.answer, np.full(n, answer))

    def solve(self, *, time_limit_s: float) -> Mixture | None:
        """Return the cheapest mixture; None when there was no time, or the rest is impossible."""
        solution = self.session.relax(time_limit_s=time_limit_s, grown=self._solved)
        self._solved = solution.ended is Ended.OPTIMAL
        if solution.ended is not Ended.OPTIMAL:
            return None
        duals = self.session.row_duals()
        return Mixture(
            cost=solution.bound,
            missing_mw=float(solution.values[self._missing].max(initial=0)),
            duals=duals[: self.n_rows],
            floors=duals[self._convex],
            weights=solution.values[self._n_own :],
        )


def _least(slope: FloatArray, lower: FloatArray, upper: FloatArray) -> float:
    """Return the least sum of slope times value, each value within its bounds."""
    chosen = np.where(slope > 0, lower, upper)
    endless = np.isinf(chosen)
    if (np.abs(slope[endless]) > _TINY).any():
        return -np.inf
    return float(slope[~endless] @ chosen[~endless])
