"""Random bidding problems on random dispatch problems, for property and oracle tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from optimization.dispatch.fields import Series, series
from optimization.dispatch.problem import DispatchProblem, ReserveProduct
from optimization.uncertainty.problem import BiddingProblem, DayAhead, Scenario, VenueLimits
from tests.support.dispatch_problems import random_problem

Rng = np.random.Generator
FINE = VenueLimits(
    min_price_per_mwh=-1000.0,
    max_price_per_mwh=4000.0,
    price_tick_per_mwh=0.01,
    quantity_step_mw=1e-6,
    max_points=200,
)
COARSE = replace(FINE, quantity_step_mw=0.1, max_points=3)


def random_bidding(
    seed: int,
    *,
    n_scenarios: int = 3,
    n_steps: int = 4,
    kinds: tuple[str, ...] = ("batteries", "renewables", "loads"),
    n_each: int = 1,
    limits: VenueLimits = FINE,
    reserves: bool = False,
) -> BiddingProblem:
    """Return a problem whose auction, imbalance and plants differ by scenario; some prices repeat.

    Being short costs at least what being long earns, in some steps the same.
    """
    rng = np.random.default_rng(seed)
    base = random_problem(seed, n_steps=n_steps, kinds=kinds, n_each=n_each, reserves=False)
    dispatch = replace(
        base,
        import_price_per_mwh=(2.0,) * n_steps,
        export_price_per_mwh=None,
        peak_price_per_mw=0.0,
        commitments=(),
        reserves=_reserves(rng, n_steps) if reserves else (),
    )
    return BiddingProblem(
        dispatch=dispatch,
        market=DayAhead(point="grid", limits=limits, max_stairs=int(limits.max_points)),
        scenarios=tuple(_scenario(rng, i, dispatch) for i in range(n_scenarios)),
    )


def _reserves(rng: Rng, n_steps: int) -> tuple[ReserveProduct, ...]:
    return tuple(
        ReserveProduct(
            name=direction,
            direction=direction,  # type: ignore[arg-type]
            max_mw=series(rng.uniform(0.2, 1.0, n_steps)),
            price_per_mw_h=series(rng.uniform(0.0, 30.0, n_steps)),
            duration_h=0.25,
            activation_frac=0.05,
            activation_price_per_mwh=5.0,
        )
        for direction in ("up", "down")
    )


def _scenario(rng: Rng, i: int, dispatch: DispatchProblem) -> Scenario:
    n_steps = dispatch.n_steps
    # Few distinct prices, so that some repeat.
    price = np.round(rng.normal(60.0, 40.0, n_steps), -1) + rng.choice([0.0, 0.01], n_steps)
    spread = rng.choice([0.0, 10.0, 30.0], n_steps)
    middle = price + rng.normal(0.0, 15.0, n_steps)
    return Scenario(
        name=f"s{i}",
        weight=float(rng.uniform(0.5, 2.0)),
        price_per_mwh=series(price),
        shortage_price_per_mwh=series(middle + spread),
        surplus_price_per_mwh=series(middle - spread),
        available_mw={p.name: _scaled(rng, p.available_mw) for p in dispatch.renewables},
        demand_mw={load.name: _scaled(rng, load.demand_mw) for load in dispatch.loads},
    )


def _scaled(rng: Rng, values: Series) -> Series:
    return series(np.array(values) * rng.uniform(0.3, 1.2, len(values)))
