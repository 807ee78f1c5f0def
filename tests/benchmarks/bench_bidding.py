"""A day-ahead bid of 20 assets with reserve and risk: scenarios searched together, and one by one.

Sun, load, auction and imbalance prices differ by scenario; the bid is on a venue's lots. Ten
scenarios at hours are searched together, with unit commitment in each as well; 50 at quarter hours
are more than that is good for, so there the time counts until they have a bid and a bound one by
one. Time of the processor is told beside time by the clock.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import numpy as np

from optimization.dispatch.fields import series
from optimization.dispatch.plant import Renewable
from optimization.dispatch.problem import ReserveProduct
from optimization.uncertainty.answer import answer
from optimization.uncertainty.apart import Apart
from optimization.uncertainty.problem import (
    BiddingProblem,
    DayAhead,
    Forecast,
    Quantile,
    QuantileForecast,
    Stage,
    VenueLimits,
)
from optimization.uncertainty.scenarios import dispatch_in, drawn
from optimization.uncertainty.solve import solve_bidding
from tests.benchmarks.figures import figure, note, report
from tests.support.portfolio import portfolio

_GAP_FRAC = 1e-3
_LIMIT_S = 120.0
_LIMITS = VenueLimits(
    min_price_per_mwh=-500.0,
    max_price_per_mwh=4000.0,
    price_tick_per_mwh=0.01,
    quantity_step_mw=0.1,
    max_points=200,
)
Quantiles = tuple[Quantile, ...]


def bidding(n_batteries: int, n_gensets: int, n_scenarios: int, n_steps: int) -> BiddingProblem:
    """Return a portfolio with a plant that bids for a day of uncertain prices and sun."""
    base = portfolio(n_batteries, n_gensets, n_steps=n_steps)
    hour = np.arange(n_steps) * 24 / n_steps
    sun = 0.2 * n_batteries * np.clip(np.sin((hour - 6) / 12 * np.pi), 0.0, None)
    price = np.array(base.export_price_per_mwh) + 4.0
    load = np.array(base.points[0].fixed_mw)
    most = (0.1 * n_batteries,) * n_steps
    dispatch = replace(
        base,
        import_price_per_mwh=(4.0,) * n_steps,
        export_price_per_mwh=None,
        points=(replace(base.points[0], max_import_mw=float(-1.5 * load.min())),),
        renewables=(Renewable(name="sun", point="grid", available_mw=series(sun)),),
        reserves=tuple(
            ReserveProduct(
                name=name,
                direction=name,
                max_mw=most,
                price_per_mw_h=(5.0,) * n_steps,
                duration_h=0.5,
            )
            for name in ("up", "down")
        ),
    )
    quantities = (
        _forecast("price", "", price, (-25.0, 0.0, 40.0)),
        _forecast("shortage_premium", "", np.full(n_steps, 20.0), (-15.0, 0.0, 60.0)),
        _forecast("surplus_discount", "", np.full(n_steps, 15.0), (-10.0, 0.0, 30.0)),
        _forecast("available", "sun", sun, (-0.8 * sun, -0.2 * sun, 0.0 * sun)),
        _forecast("fixed", "grid", load, (0.1 * load, 0.0 * load, -0.1 * load)),
    )
    return BiddingProblem(
        dispatch=dispatch,
        market=DayAhead(point="grid", limits=_LIMITS),
        forecast=Forecast(quantities=quantities, stages=(Stage(branches=n_scenarios),)),
        risk_weight=0.3,
        confidence_frac=0.9,
    )


def _forecast(
    what: str, name: str, middle: np.ndarray, off: tuple[object, object, object]
) -> QuantileForecast:
    quantiles = tuple(
        Quantile(level=level, values=series(middle + by))
        for level, by in zip((0.05, 0.5, 0.95), off, strict=True)
    )
    return QuantileForecast(what=what, name=name, quantiles=quantiles)  # type: ignore[arg-type]


def together(problem: BiddingProblem, limit_s: float) -> dict[str, object]:
    """Return the figures of the best bid."""
    cpu_s, begun = time.process_time(), time.perf_counter()
    result = solve_bidding(problem, deadline_s=limit_s, gap_frac=_GAP_FRAC)
    return {
        "status": result.status.value,
        "objective": None if result.objective is None else round(result.objective, 2),
        "gap_percent": None if result.gap_frac is None else round(100 * result.gap_frac, 4),
        "reason": result.reason,
        "cpu_s": round(time.process_time() - cpu_s, 1),
        "time": figure(time.perf_counter() - begun, "s"),
    }


def one_by_one(problem: BiddingProblem, limit_s: float) -> dict[str, object]:
    """Return the figures of the first bid."""
    scenarios = drawn(problem)
    dispatches = {scenario.name: dispatch_in(problem, scenario) for scenario in scenarios}
    cpu_s, begun = time.process_time(), time.perf_counter()
    apart = Apart(problem, scenarios, dispatches, _GAP_FRAC, None, begun + limit_s)
    found = apart.first()
    figures: dict[str, object] = {
        "cpu_s": round(time.process_time() - cpu_s, 1),
        "time": figure(time.perf_counter() - begun, "s"),
    }
    if found is not None:
        bid, outcomes = found
        told = answer(
            problem,
            scenarios,
            bid,
            outcomes,
            bound=apart.bound,
            gap_frac=_GAP_FRAC,
            reason="",
            begun=begun,
        )
        figures["objective"] = round(told.objective or 0.0, 2)
        figures["gap_percent"] = round(100 * (told.gap_frac or 0.0), 2)
    return figures


def main(*, smoke: bool) -> None:
    """Print the figures."""
    limit_s = 20.0 if smoke else _LIMIT_S
    few, hours, many, quarters = (3, 6, 4, 12) if smoke else (10, 24, 50, 96)
    figures: dict[str, object] = {}
    for name, assets in (("batteries_10", (19, 0)), ("with_gensets_10", (17, 2))):
        figures[name] = together(bidding(*assets, few, hours), limit_s)
        note(name, figures[name])
    figures["batteries_50_first"] = one_by_one(bidding(19, 0, many, quarters), 3 * limit_s)
    note("batteries_50_first", figures["batteries_50_first"])
    report(figures)


if __name__ == "__main__":
    main(smoke="--smoke" in sys.argv)
