"""Assembly of a day plan into one sparse model: asset blocks, group limits and the balance.

Every asset's injection is a constant plus signed columns, so balance, limits and schedules are one
sum for all kinds.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from optimization.checks import BoolArray, FloatArray, IntArray
from optimization.day_assets import (
    add_batteries,
    add_charging_stations,
    add_flexible_loads,
    add_gensets,
    add_heat_stores,
    add_renewables,
)
from optimization.day_blocks import DayModel, Slack, add_exclusion
from optimization.day_plan import (
    Batteries,
    ChargingStations,
    DayPlanProblem,
    FlexibleLoads,
    Gensets,
    GroupLimit,
    HeatStores,
    Renewables,
)


def assemble(
    problem: DayPlanProblem,
    exclusive: Mapping[str, BoolArray] | None = None,
    *,
    open_limits: bool = False,
) -> DayModel:
    """Build the model of a checked problem.

    Args:
        problem: checked.
        exclusive: by battery, the steps [T] at which charge and discharge get a binary.
        open_limits: ignore all cost and minimise what connection and group limits have to give.
    """
    end_h = np.cumsum(problem.step_h)
    day = DayModel(problem=problem, start_h=end_h - problem.step_h, end_h=end_h)
    for group in problem.groups:
        match group:
            case Batteries():
                add_batteries(day, group, exclusive or {})
            case Renewables():
                add_renewables(day, group)
            case FlexibleLoads():
                add_flexible_loads(day, group)
            case ChargingStations():
                add_charging_stations(day, group)
            case Gensets():
                add_gensets(day, group)
            case HeatStores():
                add_heat_stores(day, group)
    for limit in problem.limits:
        _add_limit(day, limit)
    _add_grid(day)
    if open_limits:
        _open_limits(day)
    return day


def import_cost_per_mwh(problem: DayPlanProblem) -> FloatArray:
    """Return [T], the import price with its carbon."""
    return problem.import_price_per_mwh + carbon_cost_per_mwh(problem)


def carbon_cost_per_mwh(problem: DayPlanProblem) -> FloatArray:
    """Return [T], the carbon price of an imported MWh."""
    if problem.carbon_kg_co2_per_mwh is None:
        return np.zeros(problem.n_steps)
    return problem.carbon_kg_co2_per_mwh * problem.carbon_price_per_kg_co2


def _add_limit(day: DayModel, limit: GroupLimit) -> None:
    model, n_steps = day.model, day.problem.n_steps
    members = frozenset(limit.members)
    constant = np.zeros(n_steps)
    for names, power_mw in day.constants:
        constant += power_mw[[name in members for name in names]].sum(axis=0)
    rows = model.rows((n_steps,), -limit.max_import_mw - constant, limit.max_export_mw - constant)
    for injection in day.injections:
        chosen = [name in members for name in injection.names]
        model.add(rows, injection.columns[chosen], injection.sign)
    _add_limit_slack(day, limit.name, rows)


def _add_limit_slack(day: DayModel, name: str, rows: IntArray) -> None:
    for what, sign in (("import", 1.0), ("export", -1.0)):
        slack = day.model.columns(rows.shape, 0, 0)
        day.model.add(rows, slack, sign)
        day.limits.append(Slack((name,), what, slack[None]))


def _add_grid(day: DayModel) -> None:
    """Balance everything with the connection point, as import less export.

    Where exporting is paid better than importing costs, doing both at once would make money out of
    nothing; only there a binary keeps them apart.
    """
    problem, model = day.problem, day.model
    constant = np.zeros(problem.n_steps) if problem.fixed_mw is None else problem.fixed_mw.copy()
    for _, power_mw in day.constants:
        constant += power_mw.sum(axis=0)
    least, most = constant.copy(), constant.copy()
    lower, upper = model.bounds()
    for injection in day.injections:
        ends = injection.sign * lower[injection.columns], injection.sign * upper[injection.columns]
        least += np.minimum(*ends).sum(axis=0)
        most += np.maximum(*ends).sum(axis=0)
    max_import = np.minimum(problem.max_import_mw, np.maximum(-least, 0))
    max_export = np.minimum(problem.max_export_mw, np.maximum(most, 0))
    bought = import_cost_per_mwh(problem) * problem.step_h
    sold = problem.export_price_per_mwh * problem.step_h
    shape = (problem.n_steps,)
    day.grid_import = model.columns(shape, 0, max_import, bought, term="import")
    day.grid_export = model.columns(shape, 0, max_export, -sold, term="export")
    both_pay = np.flatnonzero(bought < sold)
    add_exclusion(
        model,
        (day.grid_import[both_pay], max_import[both_pay]),
        (day.grid_export[both_pay], max_export[both_pay]),
    )
    balance = model.rows(shape, -constant, -constant)
    for injection in day.injections:
        model.add(balance, injection.columns, injection.sign)
    model.add(balance, day.grid_import, 1)
    model.add(balance, day.grid_export, -1)
    _add_limit_slack(day, "connection", balance)


def _open_limits(day: DayModel) -> None:
    model = day.model
    lower, upper = model.bounds()
    cost = np.zeros(model.n_columns)
    for slack in day.limits:
        upper[slack.columns] = np.inf
        cost[slack.columns] = day.problem.step_h
    model.lower, model.upper, model.cost = [lower], [upper], [cost]
