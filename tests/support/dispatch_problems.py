"""Random dispatch problems of every asset mix, for property and oracle tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from optimization.dispatch.fields import INF, series
from optimization.dispatch.plant import (
    CostPoint,
    Electrolyser,
    Generator,
    Load,
    Renewable,
    StartCost,
)
from optimization.dispatch.problem import (
    Asset,
    Commitment,
    ConnectionPoint,
    DispatchProblem,
    ReserveProduct,
)
from optimization.dispatch.storage import Battery, Fleet, HeatStore, Vehicle

Rng = np.random.Generator
POINTS = ("grid", "hall", "yard")


def random_problem(
    seed: int,
    *,
    n_steps: int = 6,
    kinds: tuple[str, ...] | None = None,
    n_each: int = 2,
    reserves: bool = True,
) -> DispatchProblem:
    """Return a feasible problem; prices may be negative and exports may pay more than imports."""
    rng = np.random.default_rng(seed)
    step_h = rng.choice([0.25, 0.5, 1.0], n_steps)
    price = rng.normal(60.0, 60.0, n_steps)
    kinds = KINDS if kinds is None else kinds
    priced = seed % 2 == 1
    assets = {kind: tuple(_MAKERS[kind](rng, i, step_h) for i in range(n_each)) for kind in kinds}
    if {"generators", "heat_stores"} <= set(kinds):
        assets["generators"] = tuple(
            replace(unit, heat_store=store.name)  # type: ignore[type-var, call-arg]
            for unit, store in zip(assets["generators"], assets["heat_stores"], strict=True)
        )
    return DispatchProblem(
        step_h=series(step_h),
        points=(
            ConnectionPoint(
                name="grid",
                max_import_mw=30.0,
                max_export_mw=30.0,
                fixed_mw=series(rng.uniform(-2.0, 0.5, n_steps)),
            ),
            # Wide enough for what cannot be moved, narrow enough to bind now and then.
            ConnectionPoint(name="hall", parent="grid", max_import_mw=9.0, max_export_mw=10.0),
            ConnectionPoint(
                name="yard",
                parent="hall",
                max_import_mw=4.0 if priced else 8.0,
                max_export_mw=2.0 if priced else 9.0,
                excess_price_per_mwh=500.0 if priced else None,
            ),
        ),
        import_price_per_mwh=series(price + rng.uniform(-5.0, 20.0, n_steps)),
        export_price_per_mwh=series(price),
        peak_price_per_mw=float(rng.choice([0.0, 30.0])),
        peak_so_far_mw=1.0,
        carbon_kg_co2_per_mwh=series(rng.uniform(0.0, 800.0, n_steps)),
        carbon_price_per_kg_co2=0.005,
        breach_price_per_mwh=2000.0,
        commitments=_commitments(rng, n_steps),
        reserves=_reserves(rng, n_steps) if reserves else (),
        **assets,  # type: ignore[arg-type]
    )


def _commitments(rng: Rng, n_steps: int) -> tuple[Commitment, ...]:
    down = rng.uniform(0.0, 50.0, n_steps)
    return (
        Commitment(
            name="promise",
            point="hall",
            power_mw=series(rng.uniform(-2.0, 1.0, n_steps)),
            up_price_per_mwh=series(rng.uniform(-1.0, 1.0, n_steps) * down),
            down_price_per_mwh=series(down),
        ),
    )


def _reserves(rng: Rng, n_steps: int) -> tuple[ReserveProduct, ...]:
    most = rng.uniform(0.2, 1.0, n_steps)
    return (
        ReserveProduct(
            name="raise",
            direction="up",
            required_mw=series(rng.uniform(0.0, 1.0, n_steps)),
            shortfall_price_per_mw_h=300.0,
            duration_h=0.5,
        ),
        ReserveProduct(
            name="lower",
            direction="down",
            required_mw=series(most / 2),
            max_mw=series(most),
            price_per_mw_h=series(rng.uniform(0.0, 20.0, n_steps)),
            shortfall_price_per_mw_h=300.0,
            duration_h=0.25,
            activation_frac=0.05,
            activation_price_per_mwh=5.0,
        ),
    )


def _point(i: int) -> str:
    return POINTS[i % len(POINTS)]


def _battery(rng: Rng, i: int, step_h: np.ndarray) -> Battery:
    size = rng.uniform(0.5, 3.0)
    return Battery(
        name=f"battery{i}",
        point=_point(i),
        max_charge_mw=rng.uniform(0.3, 1.5),
        max_discharge_mw=rng.uniform(0.3, 1.5),
        initial_mwh=size * rng.uniform(0.0, 1.0),
        min_mwh=size * 0.1,
        max_mwh=size * 0.9,
        floor_mwh=size * float(rng.choice([0.0, 0.3])),
        charge_efficiency=rng.uniform(0.8, 1.0),
        discharge_efficiency=rng.uniform(0.8, 1.0),
        standing_loss_frac_per_h=rng.uniform(0.0, 0.01),
        wear_per_mwh=rng.uniform(0.0, 5.0),
        deep_mwh=size * 0.4,
        deep_cost_per_mwh_h=float(rng.choice([0.0, 3.0])),
        max_discharge_mwh=size * float(rng.choice([1.0, INF])),
        terminal_value_per_mwh=rng.uniform(0.0, 80.0),
    )


def _vehicle(rng: Rng, i: int, step_h: np.ndarray) -> Vehicle:
    size, end_h = 0.08, float(step_h.sum())
    arrival_h = rng.uniform(0.0, 0.4) * end_h
    return Vehicle(
        name=f"vehicle{i}",
        point=_point(i),
        arrival_h=arrival_h,
        departure_h=arrival_h + rng.uniform(0.2, 0.8) * end_h,
        max_charge_mw=rng.uniform(0.01, 0.05),
        max_discharge_mw=float(rng.choice([0.0, 0.02])),
        initial_mwh=size * rng.uniform(0.1, 0.8),
        max_mwh=size,
        target_mwh=size * rng.uniform(0.3, 1.0),
        charge_efficiency=rng.uniform(0.85, 1.0),
        discharge_efficiency=rng.uniform(0.85, 1.0),
        wear_per_mwh=rng.uniform(0.0, 5.0),
    )


def _heat_store(rng: Rng, i: int, step_h: np.ndarray) -> HeatStore:
    size, most = rng.uniform(1.0, 4.0), rng.uniform(0.3, 1.0)
    n_steps = len(step_h)
    return HeatStore(
        name=f"heat{i}",
        point=_point(i),
        max_draw_mw=(most,) * n_steps,
        min_draw_mw=series(rng.choice([0.0, 0.1]) * np.full(n_steps, most)),
        cop=series(rng.uniform(2.0, 4.0, n_steps)),
        heat_demand_mw=series(rng.uniform(0.0, 1.5, n_steps) * most),
        initial_mwh=size * rng.uniform(0.0, 1.0),
        min_mwh=size * 0.1,
        max_mwh=size * 0.9,
        standing_loss_frac_per_h=rng.uniform(0.0, 0.02),
        terminal_value_per_mwh=rng.uniform(0.0, 30.0),
    )


def _fleet(rng: Rng, i: int, step_h: np.ndarray) -> Fleet:
    n_steps = len(step_h)
    return Fleet(
        name=f"fleet{i}",
        point=_point(i),
        min_mw=series(-rng.uniform(0.2, 0.6, n_steps)),
        max_mw=series(rng.uniform(0.0, 0.4, n_steps)),
        initial_mwh=0.5,
        min_mwh=series(rng.uniform(0.0, 0.2, n_steps)),
        max_mwh=series(rng.uniform(0.9, 1.2, n_steps)),
        inflow_mw=series(rng.uniform(-0.1, 0.05, n_steps)),
        cost_per_mwh=rng.uniform(0.0, 4.0),
        terminal_value_per_mwh=rng.uniform(0.0, 40.0),
    )


def _renewable(rng: Rng, i: int, step_h: np.ndarray) -> Renewable:
    available = rng.uniform(0.0, 3.0, len(step_h))
    return Renewable(
        name=f"plant{i}",
        point=_point(i),
        available_mw=series(available),
        must_take_mw=series(available * float(rng.choice([0.0, 0.5, 1.0]))),
        curtailment_cost_per_mwh=rng.uniform(0.0, 1.0),
    )


def _generator(rng: Rng, i: int, step_h: np.ndarray) -> Generator:
    most = rng.uniform(0.5, 2.0)
    least = most * rng.uniform(0.2, 0.5)
    middle = (least + most) / 2
    slope, base = rng.uniform(20.0, 100.0), rng.uniform(0.0, 20.0)
    initial_h = float(rng.choice([-2.0, -0.4, 0.4, 2.0]))
    return Generator(
        name=f"engine{i}",
        point=_point(i),
        min_mw=least,
        max_mw=most,
        curve=(
            CostPoint(power_mw=least, cost_per_h=base + slope * least),
            CostPoint(power_mw=middle, cost_per_h=base + slope * middle),
            CostPoint(power_mw=most, cost_per_h=base + slope * (middle + 1.3 * (most - middle))),
        ),
        starts=(
            StartCost(off_h=0.5, cost=rng.uniform(0.0, 20.0)),
            StartCost(off_h=1.5, cost=rng.uniform(20.0, 60.0)),
        ),
        stop_cost=float(rng.choice([0.0, 2.0])),
        min_up_h=float(rng.choice([0.0, 1.0, 1.5])),
        min_down_h=float(rng.choice([0.0, 1.0, 1.5])),
        ramp_up_mw_per_h=most * float(rng.choice([0.4, 1.0, INF])),
        ramp_down_mw_per_h=most * float(rng.choice([0.4, 1.0, INF])),
        start_mw=float(rng.choice([least * 1.2, INF])),
        stop_mw=float(rng.choice([least * 1.2, INF])),
        initial_h=initial_h,
        initial_mw=least * (initial_h > 0),
        must_run=bool(initial_h > 0 and rng.random() < 0.2),
        heat_per_mw=1.2,
    )


def _electrolyser(rng: Rng, i: int, step_h: np.ndarray) -> Electrolyser:
    most = rng.uniform(0.3, 1.5)
    return Electrolyser(
        name=f"electrolyser{i}",
        point=_point(i),
        min_mw=most * float(rng.choice([0.0, 0.3])),
        max_mw=most,
        value_per_mwh=series(rng.uniform(10.0, 90.0, len(step_h))),
        start_cost=float(rng.choice([0.0, 10.0])),
        running=bool(rng.random() < 0.5),
        target_mwh=float(rng.choice([0.0, 0.5])),
    )


def _load(rng: Rng, i: int, step_h: np.ndarray) -> Load:
    demand = rng.uniform(0.2, 2.0, len(step_h))
    return Load(
        name=f"load{i}",
        point=_point(i),
        demand_mw=series(demand),
        max_less_mw=series(demand * rng.uniform(0.0, 0.6)),
        max_more_mw=series(rng.uniform(0.1, 0.8, len(step_h))),
        interruption_cost_per_mwh=rng.uniform(0.0, 40.0),
        max_interruption_h=float(rng.choice([0.5, 1.0, INF])),
        rebound_frac=float(rng.choice([0.0, 0.6, 1.0])),
        window_h=float(rng.choice([1.0, 2.0])),
        owed_mwh=float(rng.choice([0.0, 0.3])),
    )


_MAKERS: dict[str, Callable[[Rng, int, np.ndarray], Asset]] = {
    "batteries": _battery,
    "vehicles": _vehicle,
    "heat_stores": _heat_store,
    "fleets": _fleet,
    "renewables": _renewable,
    "generators": _generator,
    "electrolysers": _electrolyser,
    "loads": _load,
}

KINDS = tuple(_MAKERS)
