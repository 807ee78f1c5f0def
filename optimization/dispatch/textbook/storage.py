"""Chapter one: what stores energy."""

from __future__ import annotations

from math import isfinite

from optimization.dispatch.storage import Battery, Fleet, HeatStore, Vehicle
from optimization.dispatch.textbook.page import Expr, Page
from optimization.dispatch.textbook.reserves import hold_in_store


def battery(page: Page, b: Battery) -> None:
    """Write ``e[t] = (1 - loss)^h e[t-1] + h (eta_c c[t] - d[t] / eta_d)`` and what follows."""
    most_in, most_out = [b.max_charge_mw] * len(page.h), [b.max_discharge_mw] * len(page.h)
    charge, discharge = _either(page, b.name, most_in, most_out)
    energy = page.var(f"{b.name} energy", None)
    idle = [b.initial_mwh * (1 - b.standing_loss_frac_per_h) ** end for end in page.end]
    low = [min(b.min_mwh, level) for level in idle]
    high = [max(b.max_mwh, level) for level in idle]
    called = hold_in_store(
        page,
        b,
        net=[discharge[t] - charge[t] for t in page.T],
        limits=([-limit for limit in most_in], most_out),
        energy=(energy, b.initial_mwh, low, high),
        efficiency=(b.charge_efficiency, b.discharge_efficiency),
        wear=b.wear_per_mwh,
    )
    floor = page.breach(f"{b.name} below floor")
    deep = page.var(f"{b.name} deep")
    for t in page.T:
        kept = (1 - b.standing_loss_frac_per_h) ** page.h[t]
        before = b.initial_mwh if t == 0 else energy[t - 1]
        gain = b.charge_efficiency * charge[t] - discharge[t] / b.discharge_efficiency
        page.rule(energy[t] == kept * before + page.h[t] * gain + called[t])
        page.rule((low[t], energy[t], high[t]))
        if b.floor_mwh > b.min_mwh:
            page.rule(energy[t] + floor[t] >= b.floor_mwh)
        page.rule(energy[t] + deep[t] >= b.deep_mwh)
        page.cost += b.deep_cost_per_mwh_h * page.h[t] * deep[t]
        page.cost += b.wear_per_mwh * page.h[t] * (charge[t] + discharge[t])
        page.inject(b.point, t, discharge[t] - charge[t])
    if isfinite(b.max_discharge_mwh):
        page.rule(sum(page.h[t] * discharge[t] for t in page.T) <= b.max_discharge_mwh)
    page.cost += b.terminal_value_per_mwh * (b.initial_mwh - energy[page.T[-1]])


def vehicle(page: Page, v: Vehicle) -> None:
    """Write a battery that is there only between arrival and departure."""
    stay = [
        max(min(v.departure_h, page.end[t]) - max(v.arrival_h, page.start[t]), 0.0) / page.h[t]
        for t in page.T
    ]
    charge, discharge = _either(
        page,
        v.name,
        [v.max_charge_mw * share for share in stay],
        [v.max_discharge_mw * share for share in stay],
    )
    energy = page.var(f"{v.name} energy", min(v.min_mwh, v.initial_mwh), v.max_mwh)
    for t in page.T:
        before = v.initial_mwh if t == 0 else energy[t - 1]
        gain = v.charge_efficiency * charge[t] - discharge[t] / v.discharge_efficiency
        page.rule(energy[t] == before + page.h[t] * gain)
        page.cost += v.wear_per_mwh * page.h[t] * (charge[t] + discharge[t])
        page.inject(v.point, t, discharge[t] - charge[t])
    later_h = max(v.departure_h - max(v.arrival_h, page.end[-1]), 0.0)
    due = v.target_mwh - later_h * v.max_charge_mw * v.charge_efficiency
    missing = page.number(f"{v.name} missing")
    page.rule(energy[page.T[-1]] + missing >= due)
    page.cost += page.problem.breach_price_per_mwh * missing


def heat_store(page: Page, s: HeatStore) -> None:
    """Write ``q[t] = (1 - loss)^h q[t-1] + h (cop p[t] + heat[t] - demand[t])`` with comfort."""
    heat = page.var(f"{s.name} heat", None)
    power = page.var(f"{s.name} power")
    cold, hot = page.breach(f"{s.name} cold"), page.breach(f"{s.name} hot")
    for t in page.T:
        page.rule((page.given(s.min_draw_mw)[t], power[t], s.max_draw_mw[t]))
        kept = (1 - s.standing_loss_frac_per_h) ** page.h[t]
        before = s.initial_mwh if t == 0 else heat[t - 1]
        gain = s.cop[t] * power[t] + page.heat[s.name][t] - s.heat_demand_mw[t]
        page.rule(heat[t] == kept * before + page.h[t] * gain)
        page.rule(heat[t] + cold[t] >= s.min_mwh)
        page.rule(heat[t] - hot[t] <= s.max_mwh)
        page.inject(s.point, t, -power[t])
    page.cost += s.terminal_value_per_mwh * (s.initial_mwh - heat[page.T[-1]])


def fleet(page: Page, f: Fleet) -> None:
    """Write an envelope: power and energy within bounds, ``e[t] = e[t-1] + h (inflow - p[t])``."""
    power = page.var(f"{f.name} power", None)
    moved = page.var(f"{f.name} moved")
    energy = page.var(f"{f.name} energy", None)
    called = hold_in_store(
        page,
        f,
        net=power,
        limits=(f.min_mw, f.max_mw),
        energy=(energy, f.initial_mwh, f.min_mwh, f.max_mwh),
        efficiency=(1.0, 1.0),
        wear=f.cost_per_mwh,
    )
    inflow = page.given(f.inflow_mw)
    for t in page.T:
        before = f.initial_mwh if t == 0 else energy[t - 1]
        page.rule(energy[t] == before + page.h[t] * (inflow[t] - power[t]) + called[t])
        page.rule((f.min_mwh[t], energy[t], f.max_mwh[t]))
        page.rule((f.min_mw[t], power[t], f.max_mw[t]))
        page.rule(moved[t] >= power[t])
        page.rule(moved[t] >= -power[t])
        page.cost += f.cost_per_mwh * page.h[t] * moved[t]
        page.inject(f.point, t, power[t])
    page.cost += f.terminal_value_per_mwh * (f.initial_mwh - energy[page.T[-1]])


def _either(
    page: Page, name: str, max_charge_mw: list[float], max_discharge_mw: list[float]
) -> tuple[Expr, Expr]:
    """Write charge and discharge of which only one is above zero."""
    charge, discharge = page.var(f"{name} charge"), page.var(f"{name} discharge")
    charging = page.binary(f"{name} charging")
    for t in page.T:
        page.rule(charge[t] <= max_charge_mw[t] * charging[t])
        page.rule(discharge[t] <= max_discharge_mw[t] * (1 - charging[t]))
    return charge, discharge
