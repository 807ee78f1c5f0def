"""Random day-plan problems of every asset mix, for property and oracle tests."""

from __future__ import annotations

import numpy as np

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

KINDS = ("batteries", "renewables", "flexible", "charging", "gensets", "heat")


def random_problem(
    seed: int, *, n_steps: int = 8, kinds: tuple[str, ...] = KINDS, n_each: int = 2
) -> DayPlanProblem:
    """Return a feasible problem; prices may be negative and exports may pay more than imports."""
    rng = np.random.default_rng(seed)
    step_h = np.full(n_steps, 0.5)
    step_h[0] = rng.uniform(0.1, 0.5)
    price = rng.normal(60.0, 60.0, n_steps)
    groups = [_MAKERS[kind](rng, n_each, n_steps) for kind in kinds]
    names = [name for group in groups for name in group.names]
    limits = (
        # Wide enough for what cannot be moved, narrow enough to bind now and then.
        GroupLimit(name="yard", members=tuple(names[::2]), max_import_mw=9.0, max_export_mw=12.0),
    )
    return DayPlanProblem(
        step_h=step_h,
        import_price_per_mwh=price + rng.uniform(-5.0, 20.0, n_steps),
        export_price_per_mwh=price,
        carbon_kg_co2_per_mwh=rng.uniform(0.0, 800.0, n_steps),
        carbon_price_per_kg_co2=0.005,
        max_import_mw=20.0,
        max_export_mw=20.0,
        fixed_mw=rng.uniform(-2.0, 0.5, n_steps),
        limits=limits if groups else (),
        groups=tuple(groups),
        breach_price_per_mwh=2000.0,
    )


def batteries(rng: np.random.Generator, n: int, n_steps: int) -> Batteries:
    """Return batteries that start anywhere between empty and full."""
    size = rng.uniform(0.5, 3.0, n)
    return Batteries(
        names=tuple(f"battery{i}" for i in range(n)),
        max_charge_mw=rng.uniform(0.3, 1.5, n),
        max_discharge_mw=rng.uniform(0.3, 1.5, n),
        initial_mwh=size * rng.uniform(0.0, 1.0, n),
        min_mwh=size * 0.1,
        max_mwh=size * 0.9,
        charge_efficiency=rng.uniform(0.8, 1.0, n),
        discharge_efficiency=rng.uniform(0.8, 1.0, n),
        standing_loss_frac_per_h=rng.uniform(0.0, 0.01, n),
        max_discharge_mwh=size * rng.choice([1.0, np.inf], n),
        wear_per_mwh=rng.uniform(0.0, 5.0, n),
        terminal_value_per_mwh=rng.uniform(0.0, 80.0, n),
    )


def renewables(rng: np.random.Generator, n: int, n_steps: int) -> Renewables:
    """Return plants, some of which cannot be curtailed."""
    return Renewables(
        names=tuple(f"plant{i}" for i in range(n)),
        available_mw=rng.uniform(0.0, 3.0, (n, n_steps)),
        curtailable=rng.random(n) < 0.7,
        curtailment_cost_per_mwh=rng.uniform(0.0, 1.0, n),
    )


def flexible(rng: np.random.Generator, n: int, n_steps: int) -> FlexibleLoads:
    """Return shiftable and interruptible loads, some with energy owed."""
    demand = rng.uniform(0.2, 2.0, (n, n_steps))
    return FlexibleLoads(
        names=tuple(f"load{i}" for i in range(n)),
        demand_mw=demand,
        max_less_mw=demand * rng.uniform(0.0, 0.6, (n, 1)),
        max_more_mw=rng.uniform(0.1, 0.8, (n, n_steps)),
        max_interruption_h=rng.choice([0.5, 1.0], n),
        rebound_frac=rng.choice([0.0, 0.6, 1.0], n),
        window_h=rng.choice([1.0, 2.0], n),
        owed_mwh=rng.choice([0.0, 0.3], n),
        interruption_cost_per_mwh=rng.uniform(0.0, 40.0, n),
    )


def charging(rng: np.random.Generator, n: int, n_steps: int) -> ChargingStations:
    """Return stations with vehicles, some of which leave too early."""
    n_sessions = 3 * n
    return ChargingStations(
        names=tuple(f"station{i}" for i in range(n)),
        max_charge_mw=rng.uniform(0.3, 0.6, n),
        session_names=tuple(f"car{i}" for i in range(n_sessions)),
        session_station=rng.integers(0, n, n_sessions),
        session_energy_mwh=rng.uniform(0.0, 0.6, n_sessions),
        session_max_mw=rng.uniform(0.1, 0.3, n_sessions),
        session_departure_h=rng.uniform(0.0, n_steps * 0.6, n_sessions),
    )


def gensets(rng: np.random.Generator, n: int, n_steps: int) -> Gensets:
    """Return engines found running or standing."""
    most = rng.uniform(0.5, 2.0, n)
    return Gensets(
        names=tuple(f"engine{i}" for i in range(n)),
        min_mw=most * rng.uniform(0.2, 0.5, n),
        max_mw=most,
        cost_per_mwh=rng.uniform(20.0, 120.0, n),
        start_cost=rng.uniform(0.0, 60.0, n),
        min_up_h=rng.choice([0.0, 1.0, 1.5], n),
        min_down_h=rng.choice([0.0, 1.0, 1.5], n),
        initial_h=rng.choice([-2.0, -0.4, 0.4, 2.0], n),
        initial_mw=most * rng.uniform(0.0, 1.0, n),
        ramp_mw_per_h=rng.choice([0.4, 1.0, np.inf], n) * most,
    )


def heat(rng: np.random.Generator, n: int, n_steps: int) -> HeatStores:
    """Return heat pumps, some of which start cold."""
    size = rng.uniform(1.0, 4.0, n)
    most = rng.uniform(0.3, 1.0, n)
    return HeatStores(
        names=tuple(f"heater{i}" for i in range(n)),
        min_draw_mw=np.zeros((n, n_steps)),
        max_draw_mw=np.repeat(most[:, None], n_steps, axis=1),
        cop=rng.uniform(2.0, 4.0, (n, n_steps)),
        heat_demand_mw=rng.uniform(0.0, 1.5, (n, n_steps)) * most[:, None],
        initial_mwh=size * rng.uniform(0.0, 1.0, n),
        min_mwh=size * 0.1,
        max_mwh=size * 0.9,
        standing_loss_frac_per_h=rng.uniform(0.0, 0.02, n),
        terminal_value_per_mwh=rng.uniform(0.0, 30.0, n),
    )


_MAKERS = {
    "batteries": batteries,
    "renewables": renewables,
    "flexible": flexible,
    "charging": charging,
    "gensets": gensets,
    "heat": heat,
}
