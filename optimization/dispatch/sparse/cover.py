"""Rows that say how much must run, in indicators alone.

They are sums of rows of the model (the balance of power, the limits of each generator, the
reserve demanded), so even a relaxed schedule keeps them. But the cuts that tell a whole number of
generators from a fraction are found in a row of whole numbers, not in hundreds of others.
"""

from __future__ import annotations

import numpy as np

from optimization.checks import FloatArray
from optimization.dispatch.plant import Generator
from optimization.dispatch.problem import DispatchProblem
from optimization.dispatch.reach import hard_limits, power_range
from optimization.dispatch.sparse.draft import Draft
from optimization.rounding_cuts import Row


def cover_rows(draft: Draft) -> list[Row]:
    """Return, for each step where something must run, that enough does."""
    if not draft.units:
        return []
    columns, steps, mw = (
        np.concatenate(part) for part in zip(*(units.most for units in draft.units), strict=True)
    )
    needed = _needed_mw(draft.problem)
    places = [(step, steps == step) for step in np.flatnonzero(needed > 0)]
    return [Row(columns[here], mw[here], float(needed[step])) for step, here in places]


def _needed_mw(problem: DispatchProblem) -> FloatArray:
    """Return [T], the power and reserve that only generators are left to give.

    Limits of points but the grid's are left out: reserve may be held behind them.
    """
    needed = np.zeros(problem.n_steps)
    for point in problem.points:
        needed -= 0.0 if point.fixed_mw is None else np.array(point.fixed_mw)
        if point.parent is None:
            needed -= hard_limits(point)[0]
    for asset in problem.assets:
        if not isinstance(asset, Generator):
            needed -= power_range(asset, problem.n_steps)[1]
    for product in problem.reserves:
        demanded = product.direction == "up" and product.shortfall_price_per_mw_h is None
        if demanded and product.required_mw is not None:
            needed += product.required_mw
    return needed
