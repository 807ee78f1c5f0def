"""One block of columns and rows per kind of asset.

Storage is recursive: energy at the end of a step from the end of the step before. Unit commitment
uses three binaries per step (running, started, stopped) with minimum times as sums of starts and
stops. Charge and discharge of a battery share its power, ``c / C + d / D <= 1``, and get a binary
only at the steps the caller names.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from optimization.checks import BoolArray, FloatArray, IntArray
from optimization.day_blocks import (
    BatteryColumns,
    DayModel,
    Injection,
    add_exclusion,
    add_preference,
    add_recursion,
    before,
    begun_within,
    column,
    ended_within,
)
from optimization.day_plan import (
    Batteries,
    ChargingStations,
    FlexibleLoads,
    Gensets,
    HeatStores,
    Renewables,
)


def add_batteries(day: DayModel, group: Batteries, exclusive: Mapping[str, BoolArray]) -> None:
    """Add N batteries: shared power, recursive energy, wear."""
    model, step_h = day.model, day.problem.step_h
    shape = (len(group.names), day.problem.n_steps)
    wear = column(group.wear_per_mwh) * step_h
    charge = model.columns(shape, 0, column(group.max_charge_mw), wear, term="wear")
    discharge = model.columns(shape, 0, column(group.max_discharge_mw), wear, term="wear")
    energy = _add_store(day, group, group.min_mwh, group.max_mwh)
    recursion = add_recursion(day, energy, group.initial_mwh, group.standing_loss_frac_per_h)
    model.add(recursion, charge, -column(group.charge_efficiency) * step_h)
    model.add(recursion, discharge, step_h / column(group.discharge_efficiency))
    shared = model.rows(shape, -np.inf, 1)
    for columns, limit in ((charge, group.max_charge_mw), (discharge, group.max_discharge_mw)):
        used = limit > 0
        model.add(shared[used], columns[used], 1 / column(limit[used]))
    budget = model.rows((shape[0],), -np.inf, group.max_discharge_mwh)
    model.add(column(budget), discharge, step_h)
    for n, name in enumerate(group.names):
        steps = np.flatnonzero(exclusive.get(name, np.zeros(shape[1], dtype=np.bool_)))
        if steps.size:
            add_exclusion(
                model,
                (charge[n, steps], group.max_charge_mw[n]),
                (discharge[n, steps], group.max_discharge_mw[n]),
            )
    day.injections += [Injection(group.names, discharge, 1), Injection(group.names, charge, -1)]
    day.batteries.append(BatteryColumns(group, charge, discharge))


def _add_store(
    day: DayModel,
    group: Batteries | HeatStores,
    min_mwh: FloatArray | float,
    max_mwh: FloatArray | float,
) -> IntArray:
    """Add energy columns [N, T]; what is left at the end earns its terminal value.

    A store found outside its limits need not be driven back, but may not go further out: it keeps
    what standing losses leave of where it began.
    """
    idle = column(group.initial_mwh) * (1 - column(group.standing_loss_frac_per_h)) ** day.end_h
    cost = np.zeros(idle.shape)
    cost[:, -1] = -group.terminal_value_per_mwh
    day.model.constant("stored", float(group.terminal_value_per_mwh @ group.initial_mwh))
    lower = np.minimum(np.asarray(min_mwh).reshape(-1, 1), idle)
    upper = np.maximum(np.asarray(max_mwh).reshape(-1, 1), idle)
    energy = day.model.columns(idle.shape, lower, upper, cost, term="stored")
    day.stored.append((group.names, energy, group.initial_mwh))
    return energy


def add_renewables(day: DayModel, group: Renewables) -> None:
    """Add N plants that take at most what is available."""
    step_h = day.problem.step_h
    lower = np.where(column(group.curtailable), 0.0, group.available_mw)
    # Curtailment is what is available less what is taken: a constant and a refund.
    cost = column(group.curtailment_cost_per_mwh) * step_h
    shape = group.available_mw.shape
    power = day.model.columns(shape, lower, group.available_mw, -cost, term="curtailment")
    day.model.constant("curtailment", float((cost * group.available_mw).sum()))
    day.injections.append(Injection(group.names, power, 1))


def add_flexible_loads(day: DayModel, group: FlexibleLoads) -> None:
    """Add N loads that may draw less and owe for it."""
    model, step_h = day.model, day.problem.step_h
    shape = group.demand_mw.shape
    cost = column(group.interruption_cost_per_mwh) * step_h
    less = model.columns(shape, 0, group.max_less_mw, cost, term="interruption")
    more = model.columns(shape, 0, group.max_more_mw)
    owed = model.columns(shape, 0, np.inf)
    either = (group.max_less_mw > 0) & (group.max_more_mw > 0)
    shared = model.rows((int(either.sum()),), -np.inf, 1)
    model.add(shared, less[either], 1 / group.max_less_mw[either])
    model.add(shared, more[either], 1 / group.max_more_mw[either])

    recursion = add_recursion(day, owed, group.owed_mwh, np.zeros(len(group.names)))
    model.add(recursion, less, -column(group.rebound_frac) * step_h)
    model.add(recursion, more, step_h)
    still_due = before(day, group.window_h, ends=True)
    late = add_preference(day, group.names, "energy owed after its window", shape)
    returned = model.rows(shape, -np.inf, np.where(still_due, column(group.owed_mwh), 0.0))
    model.add(returned, owed, 1)
    model.add(returned, late, -1)
    recent = ended_within(day, group.window_h)
    # Nothing is owed beyond the horizon: a plan may not end on credit.
    recent[:, -1, :] = False
    n, t, s = np.nonzero(recent)
    model.add(returned[n, t], less[n, s], -group.rebound_frac[n] * step_h[s])

    pause = model.rows(shape, -np.inf, column(group.max_interruption_h))
    n, t, s = np.nonzero(ended_within(day, 2 * group.max_interruption_h))
    used = group.max_less_mw[n, s] > 0
    n, t, s = n[used], t[used], s[used]
    model.add(pause[n, t], less[n, s], step_h[s] / group.max_less_mw[n, s])
    day.constants.append((group.names, -group.demand_mw))
    day.injections += [Injection(group.names, less, 1), Injection(group.names, more, -1)]


def add_charging_stations(day: DayModel, group: ChargingStations) -> None:
    """Add N stations and, behind them, a block of steps per vehicle."""
    model, step_h = day.model, day.problem.step_h
    shape = (len(group.names), day.problem.n_steps)
    power = model.columns(shape, 0, column(group.max_charge_mw))
    station = model.rows(shape, 0, 0)
    model.add(station, power, 1)
    plugged_h = np.clip(column(group.session_departure_h) - day.start_h, 0, step_h)
    v, t = np.nonzero(plugged_h > 0)
    upper = group.session_max_mw[v] * plugged_h[v, t] / step_h[t]
    charging = model.columns(v.shape, 0, upper)
    model.add(station[group.session_station[v], t], charging, -1)
    wanted = group.session_energy_mwh
    due = model.rows(wanted.shape, wanted, wanted)
    model.add(due[v], charging, step_h[t])
    missing = add_preference(
        day, group.session_names, "energy missing at departure", (len(wanted), 1), per_h=False
    )
    model.add(due, missing[:, 0], 1)
    day.injections.append(Injection(group.names, power, -1))


def add_gensets(day: DayModel, group: Gensets) -> None:
    """Add N engines with commitment, minimum times and ramps."""
    model, step_h = day.model, day.problem.step_h
    shape = (len(group.names), day.problem.n_steps)
    was_running = group.initial_h > 0
    forced_h = np.where(was_running, group.min_up_h, group.min_down_h) - np.abs(group.initial_h)
    forced = before(day, forced_h)
    on = model.columns(
        shape,
        forced & column(was_running),
        ~(forced & ~column(was_running)),
        integer=True,
    )
    started = model.columns(shape, 0, 1, column(group.start_cost), term="starts", integer=True)
    stopped = model.columns(shape, 0, 1, integer=True)
    fuel = column(group.cost_per_mwh) * step_h
    power = model.columns(shape, 0, column(group.max_mw), fuel, term="fuel")

    change = np.zeros(shape)
    change[:, 0] = was_running
    logic = model.rows(shape, change, change)
    model.add(logic, on, 1)
    model.add(logic[:, 1:], on[:, :-1], -1)
    model.add(logic, started, -1)
    model.add(logic, stopped, 1)
    floor, ceiling = model.rows(shape, 0, np.inf), model.rows(shape, -np.inf, 0)
    for rows, limit in ((floor, group.min_mw), (ceiling, group.max_mw)):
        model.add(rows, power, 1)
        model.add(rows, on, -column(limit))

    stay_on, stay_off = model.rows(shape, -np.inf, 0), model.rows(shape, -np.inf, 1)
    model.add(stay_on, on, -1)
    model.add(stay_off, on, 1)
    for rows, begun, least_h in (
        (stay_on, started, group.min_up_h),
        (stay_off, stopped, group.min_down_h),
    ):
        n, t, s = np.nonzero(begun_within(day, least_h))
        model.add(rows[n, t], begun[n, s], 1)
    _add_ramps(day, group, np.stack([on, started, stopped, power]))
    day.injections.append(Injection(group.names, power, 1))
    day.running.append((group.names, on))


def _add_ramps(day: DayModel, group: Gensets, columns: IntArray) -> None:
    """Limit the change from step to step; starts and stops may always pass through the minimum."""
    model = day.model
    on, started, stopped, power = columns
    reach_mw = column(group.ramp_mw_per_h) * day.problem.step_h
    # A step long enough to cross the whole range needs no rows.
    n, t = np.nonzero(reach_mw < column(group.max_mw))
    first = t == 0
    ran = (group.initial_h > 0)[n] * first
    initial_mw = np.clip(group.initial_mw, group.min_mw, group.max_mw)[n] * ran
    reach = reach_mw[n, t]
    jump = np.maximum(reach, group.min_mw[n])
    up = model.rows(n.shape, -np.inf, initial_mw + reach * ran)
    down = model.rows(n.shape, -np.inf, -initial_mw)
    model.add(up, power[n, t], 1)
    model.add(up, started[n, t], -jump)
    model.add(down, power[n, t], -1)
    model.add(down, on[n, t], -reach)
    model.add(down, stopped[n, t], -jump)
    n, t = n[~first], t[~first]
    model.add(up[~first], power[n, t - 1], -1)
    model.add(up[~first], on[n, t - 1], -reach[~first])
    model.add(down[~first], power[n, t - 1], 1)


def add_heat_stores(day: DayModel, group: HeatStores) -> None:
    """Add N heaters, each with a store that its demand drains."""
    model, step_h = day.model, day.problem.step_h
    shape = group.heat_demand_mw.shape
    power = model.columns(shape, group.min_draw_mw, group.max_draw_mw)
    # Both ends of the band are comfort: a cold store is a breach, not a contradiction.
    heat = _add_store(day, group, -np.inf, np.inf)
    recursion = add_recursion(
        day,
        heat,
        group.initial_mwh,
        group.standing_loss_frac_per_h,
        group.heat_demand_mw * step_h,
    )
    model.add(recursion, power, -group.cop * step_h)
    for what, sign, limit in (
        ("heat below the store's minimum", 1, group.min_mwh),
        ("heat above the store's maximum", -1, group.max_mwh),
    ):
        outside = add_preference(day, group.names, what, shape)
        band = model.rows(shape, sign * column(limit), np.inf)
        model.add(band, heat, sign)
        model.add(band, outside, 1)
    day.injections.append(Injection(group.names, power, -1))
