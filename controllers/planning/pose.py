"""The question a park asks of the engine: its assets behind a tree of connection points.

The root is the connection to the grid, below it stand the aggregates as they are nested, and each
resource is a point behind its home. What the plan in force says is promised at a tiny price, so
that of equally good plans the one is found that changes least.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import numpy as np

from controllers.kernel.errors import DomainError
from controllers.kernel.units import KW_PER_MW, SECONDS_PER_HOUR
from controllers.park import AggregateDefinition, ParkDefinition
from controllers.planning.assets import (
    Asset,
    connection_point,
    dispatch_assets,
    is_planned,
    worth_of,
)
from controllers.planning.forecast import Forecast
from controllers.planning.horizon import PlanHorizon, plan_horizon
from controllers.planning.park_plan import ParkPlan
from controllers.planning.prices import Prices, tariff_prices
from controllers.resources.renewables import Pv, Wind
from controllers.resources.twin import FloatArray, Twin, TwinState
from optimization.dispatch import plant, problem, storage
from optimization.dispatch.fields import INF, series
from optimization.dispatch.previous import PreviousPlan
from optimization.dispatch.problem import DispatchProblem
from optimization.dispatch.result import DispatchResult, DispatchStatus, Schedule

GAP_FRAC = 1e-3
"""A plan this close to the cheapest, relative to its cost, is good enough."""

GRID = "grid connection"
"""No id of a park has a blank."""

_PROMISED_VALUES = 3000
"""A day for 30 resources: each promise takes time to solve, and further ahead matters less."""
_MOST_PROMISES = 100
"""With more a plan comes in time rather than steady: 300 would treble the time to solve."""

_BREACH_PRICE_FACTOR = 10.0
_LEAST_BREACH_PRICE_PER_MWH = 1000.0
_EXCESS_PRICE_FACTOR = 100.0
"""Of the price of a breach: a limit outranks vehicles and warmth, however long they are missed."""

_Kind = TypeVar("_Kind", bound=problem.Asset)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PosedPark:
    """A problem, and what is needed to read its answer."""

    park: ParkDefinition
    horizon: PlanHorizon
    assets: tuple[Asset, ...]
    problem: DispatchProblem
    previous: PreviousPlan | None
    """The plan in force in the engine's words; None without one."""


def pose_park(
    park: ParkDefinition,
    twins: Mapping[str, Twin],
    states: Mapping[str, TwinState],
    forecasts: Mapping[str, Forecast],
    *,
    now: datetime,
    prices: Prices | None = None,
    previous: ParkPlan | None = None,
) -> PosedPark:
    """Return the problem of planning the next 24 hours.

    Args:
        park: the park.
        twins: by resource id.
        states: by resource id; a resource without one (out of service) is left out of the plan.
        forecasts: by resource id, on ``plan_horizon(now)``; see ``forecast_park``.
        now: the instant of planning.
        prices: on the same steps; None takes the park's tariff.
        previous: the plan in force, to stay with where nothing else is better.

    Raises:
        DomainError: a forecast or a price series is missing or does not fit the horizon.
    """
    horizon = plan_horizon(now)
    prices = tariff_prices(park, horizon) if prices is None else prices
    _check_length("prices.import_per_mwh", prices.import_per_mwh, horizon)
    assets = tuple(
        _asset(r.id, twins, states, forecasts, horizon) for r in park.resources if r.id in states
    )
    return PosedPark(
        park=park,
        horizon=horizon,
        assets=assets,
        problem=_problem(park, assets, prices, horizon, previous),
        previous=None if previous is None else _in_engine_words(previous, assets, now),
    )


def _asset(
    id_: str,
    twins: Mapping[str, Twin],
    states: Mapping[str, TwinState],
    forecasts: Mapping[str, Forecast],
    horizon: PlanHorizon,
) -> Asset:
    if id_ not in forecasts:
        raise DomainError(f"forecasts.{id_}", None, "is required for a resource with a state")
    natural_kw = forecasts[id_].power_kw
    _check_length(f"forecasts.{id_}", natural_kw, horizon)
    return Asset(id=id_, twin=twins[id_], state=states[id_], natural_kw=natural_kw)


def _check_length(field: str, values: FloatArray, horizon: PlanHorizon) -> None:
    if len(values) != horizon.n_steps:
        rule = f"must hold {horizon.n_steps} steps from {horizon.start_at.isoformat()}"
        raise DomainError(field, f"{len(values)} values", rule)


def _problem(
    park: ParkDefinition,
    assets: Sequence[Asset],
    prices: Prices,
    horizon: PlanHorizon,
    previous: ParkPlan | None,
) -> DispatchProblem:
    homes = home_of(park)
    worth = worth_of(prices)
    built = [part for asset in assets for part in dispatch_assets(asset, horizon, worth)]

    def chosen(kind: type[_Kind]) -> tuple[_Kind, ...]:
        return tuple(part for part in built if isinstance(part, kind))

    highest = float(max(np.abs(prices.import_per_mwh).max(), np.abs(prices.export_per_mwh).max()))
    breach_price = _BREACH_PRICE_FACTOR * highest + _LEAST_BREACH_PRICE_PER_MWH
    excess_price = _EXCESS_PRICE_FACTOR * breach_price
    carbon = prices.carbon_kg_co2_per_mwh
    return DispatchProblem(
        step_h=series(horizon.step_h),
        points=(
            problem.ConnectionPoint(name=GRID),
            *(_aggregate_point(a, homes.get(a.id, GRID), excess_price) for a in park.aggregates),
            *(connection_point(asset, homes.get(asset.id, GRID)) for asset in assets),
        ),
        import_price_per_mwh=series(prices.import_per_mwh),
        export_price_per_mwh=series(prices.export_per_mwh),
        carbon_kg_co2_per_mwh=None if carbon is None else series(carbon),
        carbon_price_per_kg_co2=prices.carbon_price_per_kg_co2,
        breach_price_per_mwh=breach_price,
        commitments=()
        if previous is None
        else _steady(assets, horizon, previous, GAP_FRAC * highest),
        batteries=chosen(storage.Battery),
        vehicles=chosen(storage.Vehicle),
        heat_stores=chosen(storage.HeatStore),
        renewables=chosen(plant.Renewable),
        generators=chosen(plant.Generator),
        loads=chosen(plant.Load),
    )


def home_of(park: ParkDefinition) -> dict[str, str]:
    """Return the aggregate in which each member, resource or aggregate, has its home.

    A member of several aggregates has its home in the first in file order, so no resource counts
    twice towards a limit or a sum.
    """
    homes: dict[str, str] = {}
    for aggregate in park.aggregates:
        for member in aggregate.members:
            homes.setdefault(member, aggregate.id)
    return homes


def _aggregate_point(
    aggregate: AggregateDefinition, parent: str, excess_price_per_mwh: float
) -> problem.ConnectionPoint:
    """Return the point of an aggregate; a forecast beyond its limits is planned at a price."""
    return problem.ConnectionPoint(
        name=aggregate.id,
        parent=parent,
        max_import_mw=_limit_mw(aggregate.max_import_kw),
        max_export_mw=_limit_mw(aggregate.max_export_kw),
        excess_price_per_mwh=excess_price_per_mwh,
    )


def _limit_mw(limit_kw: float | None) -> float:
    return INF if limit_kw is None else limit_kw / KW_PER_MW


def _steady(
    assets: Sequence[Asset], horizon: PlanHorizon, previous: ParkPlan, price_per_mwh: float
) -> tuple[problem.Commitment, ...]:
    """Return a promise per resource to do what the plan in force says.

    The price is what the accepted gap would let pass anyway and falls with time, so that what must
    change changes late. Sun and wind do not keep promises.
    """
    steered = [
        asset
        for asset in assets
        if asset.id in previous.expected_kw
        and is_planned(asset)
        and not isinstance(asset.twin, Pv | Wind)
    ]
    ago = (horizon.start_at - previous.start_at) // horizon.period
    steps = np.arange(horizon.n_steps)
    known = (steps + ago >= 0) & (steps + ago < previous.n_steps)
    if not 0 < len(steered) <= _MOST_PROMISES or not known.any():
        return ()
    ahead = min(_PROMISED_VALUES / len(steered), horizon.n_steps)
    falling = price_per_mwh * np.maximum(1 - steps / ahead, 0.0)
    price = series(np.where(known, falling, 0.0))
    places = np.where(known, steps + ago, 0)
    return tuple(
        problem.Commitment(
            name=f"{asset.id} as planned",
            point=asset.id,
            power_mw=series(np.array(previous.expected_kw[asset.id])[places] / KW_PER_MW),
            up_price_per_mwh=price,
            down_price_per_mwh=price,
        )
        for asset in steered
    )


def _in_engine_words(previous: ParkPlan, assets: Sequence[Asset], now: datetime) -> PreviousPlan:
    schedules = {}
    for asset in assets:
        if asset.id in previous.expected_kw:
            power_mw = np.array(previous.expected_kw[asset.id]) / KW_PER_MW
            running = tuple((power_mw > 0.0).tolist())
            schedules[asset.id] = Schedule(power_mw=series(power_mw), running=running)
    period_h = previous.period_s / SECONDS_PER_HOUR
    return PreviousPlan(
        result=DispatchResult(
            status=DispatchStatus.INCUMBENT, solve_s=previous.solve_s, schedules=schedules
        ),
        step_h=(period_h,) * previous.n_steps,
        elapsed_h=(now - previous.start_at) / timedelta(hours=1),
    )
