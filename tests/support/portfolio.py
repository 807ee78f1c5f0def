"""Portfolios of many different batteries and generators behind one connection, for benchmarks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from optimization.dispatch.fields import series
from optimization.dispatch.plant import CostPoint, Generator, StartCost
from optimization.dispatch.problem import ConnectionPoint, DispatchProblem
from optimization.dispatch.result import DispatchResult
from optimization.dispatch.storage import Battery

Rng = np.random.Generator


def portfolio(n_batteries: int, n_gensets: int, *, n_steps: int = 96) -> DispatchProblem:
    """Return a day with two price peaks and a load that the connection can just carry."""
    rng = np.random.default_rng(1)
    step_h = 24 / n_steps
    hour = np.arange(n_steps) * step_h
    day = np.sin((hour - 9) / 24 * 2 * np.pi)
    price = 70 + 35 * np.sin((hour - 15) / 12 * 2 * np.pi) + 15 * day + rng.normal(0, 6, n_steps)
    batteries = tuple(_battery(rng, i) for i in range(n_batteries))
    generators = tuple(_genset(rng, i) for i in range(n_gensets))
    peak_mw = 0.25 * n_batteries + 2 * n_gensets
    load = peak_mw * (1.1 + 0.35 * day + rng.normal(0, 0.03, n_steps))
    grid = ConnectionPoint(
        name="grid",
        max_import_mw=float(load.max() * 1.05),
        max_export_mw=peak_mw / 2,
        fixed_mw=series(-load),
    )
    return DispatchProblem(
        step_h=(step_h,) * n_steps,
        points=(grid,),
        import_price_per_mwh=series(price + 8),
        export_price_per_mwh=series(price - 4),
        batteries=batteries,
        generators=generators,
    )


def one_step_later(problem: DispatchProblem, result: DispatchResult) -> DispatchProblem:
    """Return the problem after its first step went as planned; the day repeats."""

    def rolled(values: tuple[float, ...] | None) -> tuple[float, ...] | None:
        return None if values is None else (*values[1:], values[0])

    schedules, hour = result.schedules, problem.step_h[0]
    generators = []
    for unit in problem.generators:
        on = bool((schedules[unit.name].running or (False,))[0])
        same = on == (unit.initial_h > 0)
        since_h = (abs(unit.initial_h) if same else 0.0) + hour
        power_mw = schedules[unit.name].power_mw[0]
        initial_h = since_h if on else -since_h
        generators.append(replace(unit, initial_h=initial_h, initial_mw=max(power_mw, 0.0)))
    return replace(
        problem,
        points=tuple(replace(p, fixed_mw=rolled(p.fixed_mw)) for p in problem.points),
        import_price_per_mwh=rolled(problem.import_price_per_mwh),
        export_price_per_mwh=rolled(problem.export_price_per_mwh),
        batteries=tuple(
            replace(b, initial_mwh=max((schedules[b.name].energy_mwh or (0.0, 0.0))[1], 0.0))
            for b in problem.batteries
        ),
        generators=tuple(generators),
    )


def _battery(rng: Rng, i: int) -> Battery:
    power_mw = rng.uniform(0.2, 2.0)
    size_mwh = power_mw * rng.uniform(1.0, 4.0)
    efficiency = rng.uniform(0.88, 0.98)
    return Battery(
        name=f"battery{i}",
        point="grid",
        max_charge_mw=power_mw,
        max_discharge_mw=power_mw * rng.uniform(0.8, 1.0),
        initial_mwh=size_mwh * rng.uniform(0.1, 0.9),
        min_mwh=0.05 * size_mwh,
        max_mwh=size_mwh,
        charge_efficiency=efficiency,
        discharge_efficiency=efficiency,
        standing_loss_frac_per_h=rng.uniform(0.0, 0.002),
        wear_per_mwh=rng.uniform(1.0, 8.0),
        terminal_value_per_mwh=rng.uniform(50.0, 70.0),
    )


def _genset(rng: Rng, i: int) -> Generator:
    most = rng.uniform(1.0, 5.0)
    least, slope, base = 0.4 * most, rng.uniform(60.0, 110.0), rng.uniform(5.0, 40.0)
    return Generator(
        name=f"genset{i}",
        point="grid",
        min_mw=least,
        max_mw=most,
        curve=(
            CostPoint(power_mw=least, cost_per_h=base + slope * least),
            CostPoint(power_mw=most, cost_per_h=base + slope * most),
        ),
        starts=(StartCost(off_h=1.0, cost=rng.uniform(20.0, 150.0)),),
        min_up_h=rng.uniform(1.0, 4.0),
        min_down_h=rng.uniform(1.0, 4.0),
        ramp_up_mw_per_h=most * 2,
        ramp_down_mw_per_h=most * 2,
        initial_h=float(rng.choice([-5.0, 5.0])),
        initial_mw=least,
    )
