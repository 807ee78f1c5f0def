"""What power each connection point can reach at most, and where that is not enough."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from optimization.checks import FloatArray, ProblemError
from optimization.dispatch.plant import Electrolyser, Generator, Load, Renewable
from optimization.dispatch.problem import Asset, ConnectionPoint, DispatchProblem
from optimization.dispatch.storage import Battery, Fleet, HeatStore, Vehicle

Reach = dict[str, tuple[FloatArray, FloatArray]]
"""By point, the least and greatest net injection [T]."""

_TINY_MW = 1e-6


def depth_first(points: tuple[ConnectionPoint, ...]) -> list[ConnectionPoint]:
    """Return the points of a tree so that each comes after all points behind it."""
    behind: dict[str | None, list[ConnectionPoint]] = defaultdict(list)
    for point in points:
        behind[point.parent].append(point)
    order, open_ = [], list(behind[None])
    while open_:
        point = open_.pop()
        order.append(point)
        open_ += behind[point.name]
    return order[::-1]


def hard_limits(point: ConnectionPoint) -> tuple[float, float]:
    """Return the most that may be imported and exported, endless where going beyond has a price."""
    if point.excess_price_per_mwh is not None:
        return np.inf, np.inf
    return point.max_import_mw, point.max_export_mw


def power_range(asset: Asset, n_steps: int) -> tuple[FloatArray, FloatArray]:
    """Return the least and greatest injection [T] of an asset, step by step."""
    nothing = np.zeros(n_steps)

    def steps(values: tuple[float, ...] | None) -> FloatArray:
        return nothing if values is None else np.asarray(values, dtype=np.float64)

    match asset:
        case Battery() | Vehicle():
            return nothing - asset.max_charge_mw, nothing + asset.max_discharge_mw
        case HeatStore():
            return -steps(asset.max_draw_mw), -steps(asset.min_draw_mw)
        case Fleet():
            return steps(asset.min_mw), steps(asset.max_mw)
        case Renewable():
            return steps(asset.must_take_mw), steps(asset.available_mw)
        case Generator():
            least = asset.min_mw if asset.must_run else 0.0
            return nothing + least, nothing + asset.max_mw
        case Electrolyser():
            return nothing - asset.max_mw, nothing
        case Load():
            demand = steps(asset.demand_mw)
            return -demand - steps(asset.max_more_mw), steps(asset.max_less_mw) - demand


def reachable(problem: DispatchProblem) -> Reach:
    """Return, by point, the least and greatest net injection [T] of all behind it, unlimited."""
    n_steps = problem.n_steps
    sums = {p.name: (np.zeros(n_steps), np.zeros(n_steps)) for p in problem.points}
    for asset in problem.assets:
        least, most = power_range(asset, n_steps)
        sums[asset.point][0][:] += least
        sums[asset.point][1][:] += most
    for point in depth_first(problem.points):
        low, high = sums[point.name]
        if point.fixed_mw is not None:
            low += point.fixed_mw
            high += point.fixed_mw
        if point.parent is not None:
            above = sums[point.parent]
            max_import, max_export = hard_limits(point)
            above[0][:] += np.clip(low, -max_import, max_export)
            above[1][:] += np.clip(high, -max_import, max_export)
    return sums


def unmet(problem: DispatchProblem) -> Iterator[ProblemError]:
    """Yield a fault for each point whose demand, or whose surplus, nothing can meet."""
    sums = reachable(problem)
    for point in problem.points:
        low, high = sums[point.name]
        max_import, max_export = hard_limits(point)
        for limit, value, excess_mw, what in (
            ("max_import_mw", max_import, -high - max_import, "demand"),
            ("max_export_mw", max_export, low - max_export, "injection"),
        ):
            step = int(np.argmax(excess_mw))
            if excess_mw[step] > _TINY_MW:
                rule = (
                    f"{what} behind it exceeds this and everything that can help by "
                    f"{excess_mw[step]:.6g} MW in step {step}"
                )
                yield ProblemError(f"points[{point.name}].{limit}", value, rule)
