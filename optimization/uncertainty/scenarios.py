"""What may happen, put into dispatch problems: one per scenario, with the market's prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from optimization.checks import FloatArray, IntArray
from optimization.dispatch.fields import Series, series
from optimization.dispatch.problem import Commitment, DispatchProblem
from optimization.dispatch.reach import reachable
from optimization.uncertainty.curves import lots_within, on_ticks
from optimization.uncertainty.problem import BiddingProblem, Forecast, QuantileForecast, Scenario
from optimization.uncertainty.reduction import grow
from optimization.uncertainty.sampling import at_ranks, draw_ranks

_KNOWN_AT_AUCTION = ("price", "reserve_price")
_FIELDS = {
    "available": "available_mw",
    "demand": "demand_mw",
    "fixed": "fixed_mw",
    "reserve_price": "reserve_price_per_mw_h",
}


def drawn(problem: BiddingProblem) -> tuple[Scenario, ...]:
    """Return the scenarios a checked problem states or its forecast stands for.

    Auction prices are on the venue's ticks, as it knows no others.
    """
    found = problem.scenarios
    if problem.forecast is not None:
        found = _from_forecast(problem.forecast, problem.dispatch.step_h)
    limits = problem.market.limits
    return tuple(
        replace(s, price_per_mwh=series(on_ticks(np.array(s.price_per_mwh), limits))) for s in found
    )


def _from_forecast(forecast: Forecast, step_h: Series) -> tuple[Scenario, ...]:
    quantities, n_steps = forecast.quantities, len(step_h)
    end_h = np.cumsum(step_h)
    start_h = end_h - step_h
    ranks = draw_ranks(
        np.random.default_rng(forecast.seed),
        forecast.n_drawn,
        (start_h + end_h) / 2,
        np.array([quantity.correlation_h for quantity in quantities]),
        cross_matrix(forecast),
    )
    values = np.stack([_values(q, ranks[:, k]) for k, q in enumerate(quantities)], axis=1)
    # Within a step nothing new is told: a stage begins with the step that begins at or after it.
    at_h = np.array([stage.at_h for stage in forecast.stages])
    stage_of = np.searchsorted(at_h, start_h + 1e-9, side="right") - 1
    known_from = np.array(
        [np.zeros(n_steps) if q.what in _KNOWN_AT_AUCTION else stage_of for q in quantities],
        dtype=np.int64,
    )
    spread = (values - values.mean(axis=0)).std(axis=(0, 2))
    scale = np.where(spread > 0, spread, 1.0)[:, None] * np.ones(n_steps)
    tree = grow(
        values.reshape(forecast.n_drawn, -1),
        scale.ravel(),
        known_from.ravel(),
        [int(stage.branches) for stage in forecast.stages],
    )
    leaves = tree.values.reshape(-1, len(quantities), n_steps)
    return tuple(
        _scenario(f"scenario {i}", forecast, leaf, float(tree.probability[i]), nodes)
        for i, (leaf, nodes) in enumerate(zip(leaves, tree.nodes[:, stage_of], strict=True))
    )


def cross_matrix(forecast: Forecast) -> FloatArray:
    """Return the correlation [K, K] of the noise of the quantities."""
    matrix = np.eye(len(forecast.quantities))
    for pair in forecast.cross_correlations:
        matrix[pair.one, pair.other] = matrix[pair.other, pair.one] = pair.correlation
    return matrix


def _values(quantity: QuantileForecast, ranks: FloatArray) -> FloatArray:
    levels = np.array([quantile.level for quantile in quantity.quantiles])
    return at_ranks(ranks, levels, np.array([quantile.values for quantile in quantity.quantiles]))


def _scenario(
    name: str, forecast: Forecast, leaf: FloatArray, weight: float, nodes: IntArray
) -> Scenario:
    market: dict[str, FloatArray] = {}
    plant: dict[str, dict[str, Series]] = {kind: {} for kind in _FIELDS.values()}
    for quantity, values in zip(forecast.quantities, leaf, strict=True):
        if quantity.what in _FIELDS:
            plant[_FIELDS[quantity.what]][quantity.name] = series(values)
        else:
            market[quantity.what] = values
    price, discount = market["price"], market.get("surplus_discount")
    return Scenario(
        name=name,
        weight=weight,
        price_per_mwh=series(price),
        shortage_price_per_mwh=series(price + market["shortage_premium"]),
        surplus_price_per_mwh=None if discount is None else series(price - discount),
        nodes=tuple(int(node) for node in nodes),
        **plant,
    )


def probabilities(scenarios: tuple[Scenario, ...]) -> FloatArray:
    """Return the scenarios' weights [S] as shares of 1."""
    weight = np.array([scenario.weight for scenario in scenarios])
    return np.asarray(weight / weight.sum())


def dispatch_in(problem: BiddingProblem, scenario: Scenario) -> DispatchProblem:
    """Return what is to be dispatched in a scenario; nothing is sold yet.

    What a plant must take and what a load may leave out is not more than there is.
    """
    base, market = problem.dispatch, problem.market
    shortage = scenario.shortage_price_per_mwh
    surplus = shortage if scenario.surplus_price_per_mwh is None else scenario.surplus_price_per_mwh
    settled = Commitment(
        name=market.name,
        point=market.point,
        power_mw=(0.0,) * base.n_steps,
        up_price_per_mwh=tuple(-price for price in surplus),
        down_price_per_mwh=shortage,
    )
    return replace(
        base,
        commitments=(*base.commitments, settled),
        points=tuple(
            replace(point, fixed_mw=scenario.fixed_mw.get(point.name, point.fixed_mw))
            for point in base.points
        ),
        reserves=tuple(
            replace(
                product,
                price_per_mw_h=scenario.reserve_price_per_mw_h.get(
                    product.name, product.price_per_mw_h
                ),
            )
            for product in base.reserves
        ),
        renewables=tuple(
            replace(
                plant,
                available_mw=scenario.available_mw[plant.name],
                must_take_mw=_at_most(plant.must_take_mw, scenario.available_mw[plant.name]),
            )
            if plant.name in scenario.available_mw
            else plant
            for plant in base.renewables
        ),
        loads=tuple(
            replace(
                load,
                demand_mw=scenario.demand_mw[load.name],
                max_less_mw=_at_most(load.max_less_mw, scenario.demand_mw[load.name]),
            )
            if load.name in scenario.demand_mw
            else load
            for load in base.loads
        ),
    )


def _at_most(values: Series | None, limit: Series) -> Series | None:
    return None if values is None else tuple(map(min, values, limit))


def positions_between(
    problem: BiddingProblem, dispatches: Mapping[str, DispatchProblem]
) -> tuple[FloatArray, FloatArray]:
    """Return the least and greatest position [T] in whole lots.

    Where the market sets no limit it is what the point can inject in any scenario; where that holds
    no whole lot, the lots around it.
    """
    market, limits = problem.market, problem.market.limits
    (point,) = (p for p in problem.dispatch.points if p.name == market.point)
    reach = [reachable(dispatch)[point.name] for dispatch in dispatches.values()]
    low = np.clip(np.min([low for low, _ in reach], axis=0), -point.max_import_mw, None)
    high = np.clip(np.max([high for _, high in reach], axis=0), None, point.max_export_mw)
    step = limits.quantity_step_mw
    least, most = lots_within(low, high, limits)
    around = np.floor(low / step) * step, np.ceil(high / step) * step
    low, high = np.where(least > most, around, (low, high))
    if market.min_mw is not None:
        low = np.array(market.min_mw)
    if market.max_mw is not None:
        high = np.array(market.max_mw)
    return lots_within(low, high, limits)
