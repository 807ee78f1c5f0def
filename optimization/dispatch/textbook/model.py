"""The whole book: all chapters, the network and the objective, and how to solve it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import pyomo.environ as pyo
from pyomo.contrib.appsi.solvers.highs import Highs

from optimization.dispatch.problem import ConnectionPoint, DispatchProblem
from optimization.dispatch.reach import depth_first, reachable
from optimization.dispatch.textbook.generators import generator
from optimization.dispatch.textbook.page import Expr, Page
from optimization.dispatch.textbook.plant import electrolyser, load, renewable
from optimization.dispatch.textbook.reserves import requirements
from optimization.dispatch.textbook.storage import battery, fleet, heat_store, vehicle


@dataclass(frozen=True, slots=True, kw_only=True)
class TextbookAnswer:
    """What the readable model came to."""

    cost: float
    """Infinite when there is no schedule."""
    bound: float
    solve_s: float
    """Of the solver and of handing the model to it, without writing it."""
    cpu_s: float
    """Of the processor, likewise."""


def textbook(problem: DispatchProblem) -> Page:
    """Write the model of a checked problem."""
    page = Page(problem)
    for g in problem.generators:
        generator(page, g)
    for b in problem.batteries:
        battery(page, b)
    for v in problem.vehicles:
        vehicle(page, v)
    for s in problem.heat_stores:
        heat_store(page, s)
    for f in problem.fleets:
        fleet(page, f)
    for r in problem.renewables:
        renewable(page, r)
    for e in problem.electrolysers:
        electrolyser(page, e)
    for d in problem.loads:
        load(page, d)
    requirements(page)
    _network(page)
    page.model.objective = pyo.Objective(expr=page.cost)
    return page


def _network(page: Page) -> None:
    """Write the net injection of each point, its limits, promises and the exchange."""
    problem = page.problem
    net = {}
    for point in depth_first(problem.points):
        net[point.name] = page.var(f"net of {point.name}", None)
        over = [_excess(page, f"{point.name} {way}", point) for way in ("import", "export")]
        fixed = page.given(point.fixed_mw)
        behind = [child.name for child in problem.points if child.parent == point.name]
        for t in page.T:
            inside = sum(net[name][t] for name in behind)
            page.rule(net[point.name][t] == fixed[t] + page.injection[point.name][t] + inside)
            if isfinite(point.max_import_mw):
                page.rule(net[point.name][t] >= -point.max_import_mw - over[0][t])
            if isfinite(point.max_export_mw):
                page.rule(net[point.name][t] <= point.max_export_mw + over[1][t])
        if point.parent is None:
            _grid(page, point.name, net[point.name])
    for promise in problem.commitments:
        more, less = page.var(f"{promise.name} above"), page.var(f"{promise.name} below")
        for t in page.T:
            page.rule(net[promise.point][t] - promise.power_mw[t] == more[t] - less[t])
            page.cost += page.h[t] * promise.up_price_per_mwh[t] * more[t]
            page.cost += page.h[t] * promise.down_price_per_mwh[t] * less[t]


def _excess(page: Page, name: str, point: ConnectionPoint) -> Sequence[Expr]:
    """Write MW beyond a limit, at its price; none where the limit is hard."""
    if point.excess_price_per_mwh is None:
        return page.given(None)
    beyond = page.var(f"{name} beyond its limit")
    for t in page.T:
        page.cost += point.excess_price_per_mwh * page.h[t] * beyond[t]
    return [beyond[t] for t in page.T]


def _grid(page: Page, name: str, net: pyo.Var) -> None:
    """Write import and export, of which only one is above zero, and the peak."""
    problem = page.problem
    buys, sells = page.var("import"), page.var("export")
    importing = page.binary("importing")
    peak = page.number("peak", problem.peak_so_far_mw)
    low, high = reachable(problem)[name]
    carbon = page.given(problem.carbon_kg_co2_per_mwh)
    for t in page.T:
        page.rule(net[t] == sells[t] - buys[t])
        page.rule(buys[t] <= max(-float(low[t]), 0.0) * importing[t])
        page.rule(sells[t] <= max(float(high[t]), 0.0) * (1 - importing[t]))
        page.rule(peak >= buys[t])
        buy = page.given(problem.import_price_per_mwh)[t]
        page.cost += page.h[t] * (buy + problem.carbon_price_per_kg_co2 * carbon[t]) * buys[t]
        page.cost -= page.h[t] * page.given(problem.export_price_per_mwh)[t] * sells[t]
    page.cost += problem.peak_price_per_mw * (peak - problem.peak_so_far_mw)


def solve_textbook(
    problem: DispatchProblem, *, gap_frac: float = 1e-3, time_limit_s: float = 60.0
) -> TextbookAnswer:
    """Write and solve the model of a checked problem, with HiGHS."""
    page = textbook(problem)
    solver = Highs()
    solver.config.load_solution = False
    solver.config.time_limit = time_limit_s
    solver.highs_options = {"mip_rel_gap": gap_frac}
    begun, cpu_s = time.perf_counter(), time.process_time()
    outcome = solver.solve(page.model)
    spent, cpu_s = time.perf_counter() - begun, time.process_time() - cpu_s
    cost, bound = outcome.best_feasible_objective, outcome.best_objective_bound
    return TextbookAnswer(
        cost=float("inf") if cost is None else float(cost),
        bound=float("-inf") if bound is None else float(bound),
        solve_s=spent,
        cpu_s=cpu_s,
    )
