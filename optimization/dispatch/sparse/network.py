"""Network, promises, peak and the exchange with the grid."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from optimization.checks import FloatArray
from optimization.dispatch.problem import ConnectionPoint, DispatchProblem
from optimization.dispatch.reach import depth_first, hard_limits
from optimization.dispatch.sparse.draft import Draft, Slack, add_exclusion

_LIMITS = "import and export limits"


def add_network(draft: Draft) -> None:
    """Add net injection of every point that matters, the exchange with the grid and promises.

    A point without limits and promises is one with the point it is connected to.
    """
    problem, model = draft.problem, draft.model
    home = homes_of(problem)
    kept = [point for point in depth_first(problem.points) if home[point.name] == point.name]
    fixed = _fixed_mw(draft, home)
    for point in kept:
        shape = (1, draft.n_steps)
        max_import, max_export = hard_limits(point)
        net = model.columns(shape, -max_import, max_export, of=(point.name,), what=_LIMITS)
        rows = model.rows(
            shape, fixed[point.name], fixed[point.name], of=(point.name,), what="power balance"
        )
        draft.net[point.name], draft.balance[point.name] = net[0], rows[0]
        model.add(rows, net, 1)
        if point.excess_price_per_mwh is not None:
            _add_excess(draft, point, point.excess_price_per_mwh)
    for point in kept:
        if point.parent is not None:
            model.add(draft.balance[home[point.parent]], draft.net[point.name], -1)
    _add_injections(draft, home)
    _add_grid(draft, kept[-1])
    _add_commitments(draft)


def homes_of(problem: DispatchProblem) -> dict[str, str]:
    """Return, by point, the nearest point towards the grid that needs columns of its own."""
    promised = {promise.point for promise in problem.commitments}
    home: dict[str, str] = {}
    for point in reversed(depth_first(problem.points)):
        bounded = np.isfinite(point.max_import_mw) or np.isfinite(point.max_export_mw)
        if point.parent is None or bounded or point.name in promised:
            home[point.name] = point.name
        else:
            home[point.name] = home[point.parent]
    return home


def _add_excess(draft: Draft, point: ConnectionPoint, price_per_mwh: float) -> None:
    """Let net injection go beyond the limits of a point, at a price."""
    shape, cost = (1, draft.n_steps), (price_per_mwh * draft.step_h)[None]
    for what, limit, sign in (
        ("import above its limit", point.max_import_mw, 1.0),
        ("export above its limit", point.max_export_mw, -1.0),
    ):
        if np.isfinite(limit):
            beyond = draft.model.columns(shape, 0, np.inf, cost, term="breaches")
            rows = draft.model.rows(shape, -limit, np.inf)
            draft.model.add(rows, draft.net[point.name][None], sign)
            draft.model.add(rows, beyond, 1)
            draft.slacks.append(Slack((point.name,), what, beyond, "MW", cost))


def _fixed_mw(draft: Draft, home: dict[str, str]) -> dict[str, FloatArray]:
    """Return, by kept point, what is injected there [T] whatever is decided."""
    fixed = {name: np.zeros(draft.n_steps) for name in home.values()}
    for point in draft.problem.points:
        if point.fixed_mw is not None:
            fixed[home[point.name]] += point.fixed_mw
    points = {asset.name: asset.point for asset in draft.problem.assets}
    for names, power_mw in draft.constants:
        for name, row in zip(names, power_mw, strict=True):
            fixed[home[points[name]]] += row
    return fixed


def _add_injections(draft: Draft, home: dict[str, str]) -> None:
    points = {asset.name: home[asset.point] for asset in draft.problem.assets}
    for injection in draft.injections:
        rows = np.stack([draft.balance[points[name]] for name in injection.names])
        draft.model.add(rows, injection.columns, -np.asarray(injection.factor))


def _add_grid(draft: Draft, grid: ConnectionPoint) -> None:
    """Split the net injection of the grid's point into import and export, each with its price.

    Where exporting is paid better than importing costs, doing both at once would make money out of
    nothing; only there a binary keeps them apart.
    """
    problem, model, step_h = draft.problem, draft.model, draft.step_h
    low, high = draft.reach[grid.name]
    most_import, most_export = hard_limits(grid)
    max_import, max_export = np.clip(-low, 0, most_import), np.clip(high, 0, most_export)
    none = (0.0,) * draft.n_steps
    bought = np.array(problem.import_price_per_mwh or none) * step_h + carbon_cost(problem)
    sold = np.array(problem.export_price_per_mwh or none) * step_h
    shape = (draft.n_steps,)
    draft.grid_import, draft.grid_export = (
        model.columns((1, draft.n_steps), 0, most, cost, term=term, of=(grid.name,), what=_LIMITS)[
            0
        ]
        for most, cost, term in ((max_import, bought, "import"), (max_export, -sold, "export"))
    )
    split = model.rows(shape, 0, 0)
    model.add(split, draft.net[grid.name], 1)
    model.add(split, draft.grid_export, -1)
    model.add(split, draft.grid_import, 1)
    both_pay = np.flatnonzero(bought < sold)
    add_exclusion(
        model,
        (draft.grid_import[both_pay], max_import[both_pay]),
        (draft.grid_export[both_pay], max_export[both_pay]),
    )
    if problem.peak_price_per_mw > 0:
        so_far = problem.peak_so_far_mw
        peak = model.columns((1,), so_far, np.inf, problem.peak_price_per_mw, term="peak")
        model.constant("peak", -problem.peak_price_per_mw * so_far)
        rows = model.rows(shape, -np.inf, 0)
        model.add(rows, draft.grid_import, 1)
        model.add(rows, peak, -1)


def carbon_cost(problem: DispatchProblem) -> FloatArray:
    """Return [T], the carbon cost of importing one MW through each step."""
    if problem.carbon_kg_co2_per_mwh is None:
        return np.zeros(problem.n_steps)
    per_mwh = np.array(problem.carbon_kg_co2_per_mwh) * problem.carbon_price_per_kg_co2
    return np.asarray(per_mwh * problem.step_h)


def _add_commitments(draft: Draft) -> None:
    for promise in draft.problem.commitments:
        names, shape = (promise.name,), (1, draft.n_steps)
        rows = draft.model.rows(shape, [promise.power_mw], [promise.power_mw])
        draft.model.add(rows, draft.net[promise.point], 1)
        draft.promised[promise.name] = rows[0]
        for what, sign, price in _deviations(promise.up_price_per_mwh, promise.down_price_per_mwh):
            cost = (np.array(price) * draft.step_h)[None]
            off = draft.model.columns(shape, 0, np.inf, cost, term="commitments")
            draft.model.add(rows, off, -sign)
            draft.slacks.append(Slack(names, what, off, "MW", cost))


def _deviations(
    up: tuple[float, ...], down: tuple[float, ...]
) -> Iterator[tuple[str, float, tuple[float, ...]]]:
    yield "net injection above what was promised", 1.0, up
    yield "net injection below what was promised", -1.0, down
