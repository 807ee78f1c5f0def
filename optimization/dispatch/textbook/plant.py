"""Chapter two: renewables, electrolysers and loads."""

from __future__ import annotations

from math import isfinite

from optimization.dispatch.plant import Electrolyser, Load, Renewable
from optimization.dispatch.textbook.page import Page

_EPS_H = 1e-9


def renewable(page: Page, r: Renewable) -> None:
    """Write power between what must be taken and what is available."""
    power = page.var(f"{r.name} power")
    for t in page.T:
        page.rule((page.given(r.must_take_mw)[t], power[t], r.available_mw[t]))
        page.cost += r.curtailment_cost_per_mwh * page.h[t] * (r.available_mw[t] - power[t])
        page.inject(r.point, t, power[t])


def electrolyser(page: Page, e: Electrolyser) -> None:
    """Write a draw that is zero or between two limits, and starts that cost."""
    power = page.var(f"{e.name} power")
    on, started = page.binary(f"{e.name} on"), page.binary(f"{e.name} started")
    missing = page.number(f"{e.name} missing")
    for t in page.T:
        page.rule(power[t] >= e.min_mw * on[t])
        page.rule(power[t] <= e.max_mw * on[t])
        page.rule(started[t] >= on[t] - (float(e.running) if t == 0 else on[t - 1]))
        page.cost += e.start_cost * started[t] - e.value_per_mwh[t] * page.h[t] * power[t]
        page.inject(e.point, t, -power[t])
    page.rule(sum(page.h[t] * power[t] for t in page.T) + missing >= e.target_mwh)
    page.cost += page.problem.breach_price_per_mwh * missing


def load(page: Page, d: Load) -> None:
    """Write a demand that may be lowered for a while and made up for within a window."""
    most_less, most_more = page.given(d.max_less_mw), page.given(d.max_more_mw)
    if d.max_less_mw is None and d.owed_mwh == 0:
        most_more = (0.0,) * len(page.h)
    less, more = page.var(f"{d.name} less"), page.var(f"{d.name} more")
    owed, late = page.var(f"{d.name} owed"), page.breach(f"{d.name} late")
    for t in page.T:
        page.rule(less[t] <= most_less[t])
        page.rule(more[t] <= most_more[t])
        if most_less[t] > 0 and most_more[t] > 0:
            page.rule(less[t] / most_less[t] + more[t] / most_more[t] <= 1)
        before = d.owed_mwh if t == 0 else owed[t - 1]
        page.rule(owed[t] == before + page.h[t] * (d.rebound_frac * less[t] - more[t]))
        age_h = {s: page.end[t] - page.start[s] for s in page.T[: t + 1]}
        recent = [s for s in age_h if s == t or age_h[s] <= d.window_h + _EPS_H]
        if t == page.T[-1]:
            recent = []  # a plan may not end on credit
        fresh = d.owed_mwh if page.end[t] < d.window_h - _EPS_H else 0.0
        page.rule(
            owed[t] <= late[t] + fresh + sum(page.h[s] * d.rebound_frac * less[s] for s in recent)
        )
        if isfinite(d.max_interruption_h):
            paused = [s for s in age_h if s == t or age_h[s] <= 2 * d.max_interruption_h + _EPS_H]
            depths = [page.h[s] * less[s] / most_less[s] for s in paused if most_less[s] > 0]
            if depths:
                page.rule(sum(depths) <= d.max_interruption_h)
        page.cost += d.interruption_cost_per_mwh * page.h[t] * less[t]
        page.inject(d.point, t, less[t] - d.demand_mw[t] - more[t])
