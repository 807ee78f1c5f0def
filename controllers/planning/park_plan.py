"""The park's plan: what every resource should do, period by period, until a day from now.

``plan_park`` always returns a plan: the optimum, else the best found by the deadline with its gap,
else the last plan without the periods that have passed, labelled degraded. A set-point of None
leaves a resource to itself: a PV plant that need not be curtailed is not held to its forecast.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

import numpy as np

from controllers.kernel.errors import DomainError
from controllers.kernel.money import Currency, Money
from controllers.kernel.timebase import require_utc
from controllers.kernel.units import KW_PER_MW
from controllers.kernel.wire import Wire
from controllers.park import ParkDefinition
from controllers.planning.assets import Asset, asset_groups, is_planned
from controllers.planning.forecast import Forecast
from controllers.planning.horizon import PlanHorizon, plan_horizon
from controllers.planning.prices import Prices, tariff_prices
from controllers.resources.flexible_load import FlexibleLoad
from controllers.resources.renewables import Pv, Wind
from controllers.resources.twin import FloatArray, Twin, TwinState
from optimization.checks import ProblemError
from optimization.day_plan import DayPlanProblem, DayPlanResult, GroupLimit
from optimization.day_solver import solve_day

GAP_FRAC = 1e-3
_BREACH_PRICE_FACTOR = 10.0
_LEAST_BREACH_PRICE_PER_MWH = 1000.0
_DIGITS_KW = 3
_LEAST_MONEY = Decimal("0.0001")


class PlanBreach(Wire):
    """A preference the plan cannot meet."""

    name: str
    what: str
    amount_kwh: float


class ParkPlan(Wire):
    """A plan of T periods from ``start_at``; power in kW, injection positive."""

    schema: Literal[1] = 1
    park_id: str
    made_at: datetime
    """When the set-points were computed; a shifted plan keeps the instant of its origin."""
    start_at: datetime
    period_s: float
    status: Literal["optimal", "incumbent", "shifted", "none"]
    degraded: bool = False
    """The last attempt gave no plan; this is what is left of an earlier one, or nothing."""
    reason: str = ""
    """Why it is degraded."""
    gap_frac: float | None = None
    solve_s: float = 0.0
    setpoints_kw: dict[str, list[float | None]] = {}
    """By resource, [T]; None leaves it to itself. Resources that cannot be set are absent."""
    expected_kw: dict[str, list[float]] = {}
    """By resource, [T]."""
    net_kw: dict[str, list[float]] = {}
    """By aggregate, [T]: the expected sum of what has its home in it, nested ones included."""
    park_net_kw: list[float] = []
    stored_kwh: dict[str, list[float]] = {}
    """By store, [T+1]: at the boundaries of the periods."""
    result: Money | None = None
    """Expected over the horizon: income positive, cost negative. None when degraded."""
    result_terms: dict[str, Money] = {}
    breaches: list[PlanBreach] = []

    @property
    def n_steps(self) -> int:
        """Number of periods, T."""
        return len(self.park_net_kw)

    @property
    def end_at(self) -> datetime:
        """End of the last period."""
        return self.start_at + self.n_steps * timedelta(seconds=self.period_s)

    def step_at(self, instant: datetime) -> int | None:
        """Return the index of the period that holds an instant, None outside the plan."""
        step = (require_utc("instant", instant) - self.start_at) // timedelta(seconds=self.period_s)
        return step if 0 <= step < self.n_steps else None


def setpoint_at(plan: ParkPlan, resource_id: str, now: datetime) -> float | None:
    """Return the planned set-point in kW; None: the plan leaves the resource to itself."""
    step = plan.step_at(now)
    setpoints = plan.setpoints_kw.get(resource_id)
    return None if step is None or setpoints is None else setpoints[step]


def plan_park(
    park: ParkDefinition,
    twins: Mapping[str, Twin],
    states: Mapping[str, TwinState],
    forecasts: Mapping[str, Forecast],
    *,
    now: datetime,
    deadline_s: float,
    prices: Prices | None = None,
    previous: ParkPlan | None = None,
) -> ParkPlan:
    """Return the plan for the next 24 hours, by the deadline.

    Args:
        park: the park.
        twins: by resource id.
        states: by resource id; a resource without one (out of service) is left out of the plan.
        forecasts: by resource id, on ``plan_horizon(now)``; see ``forecast_park``.
        now: the instant of planning.
        deadline_s: how long solving may take.
        prices: on the same steps; None takes the park's tariff.
        previous: the plan in force, to fall back on.

    Raises:
        DomainError: a forecast or a price series is missing or does not fit the horizon.
    """
    horizon = plan_horizon(now)
    prices = tariff_prices(park, horizon) if prices is None else prices
    _check_length("prices.import_per_mwh", prices.import_per_mwh, horizon)
    assets = [
        _asset(r.id, twins, states, forecasts, horizon) for r in park.resources if r.id in states
    ]
    try:
        result = solve_day(
            day_problem(park, assets, prices, horizon), deadline_s=deadline_s, gap_frac=GAP_FRAC
        )
    except ProblemError as error:
        return _fallback(park, previous, horizon, str(error))
    if not result.feasible:
        return _fallback(park, previous, horizon, result.reason)
    return _plan(park, assets, horizon, result)


def day_problem(
    park: ParkDefinition, assets: list[Asset], prices: Prices, horizon: PlanHorizon
) -> DayPlanProblem:
    """Return the arrays that ``solve_day`` takes."""
    highest = max(np.abs(prices.import_per_mwh).max(), np.abs(prices.export_per_mwh).max())
    present = {asset.id for asset in assets}
    homes = home_members(park)
    return DayPlanProblem(
        step_h=horizon.step_h,
        import_price_per_mwh=prices.import_per_mwh,
        export_price_per_mwh=prices.export_per_mwh,
        carbon_kg_co2_per_mwh=prices.carbon_kg_co2_per_mwh,
        carbon_price_per_kg_co2=prices.carbon_price_per_kg_co2,
        limits=tuple(
            GroupLimit(
                name=aggregate.id,
                members=tuple(sorted(homes[aggregate.id] & present)),
                max_import_mw=_limit_mw(aggregate.max_import_kw),
                max_export_mw=_limit_mw(aggregate.max_export_kw),
            )
            for aggregate in park.aggregates
            if aggregate.max_import_kw is not None or aggregate.max_export_kw is not None
        ),
        groups=asset_groups(assets, horizon, prices),
        breach_price_per_mwh=_BREACH_PRICE_FACTOR * float(highest) + _LEAST_BREACH_PRICE_PER_MWH,
    )


def home_members(park: ParkDefinition) -> dict[str, frozenset[str]]:
    """Return, by aggregate, the resources whose home is in it or nested in it.

    A member of several aggregates has its home in the first in file order, so no resource counts
    twice towards a limit or a sum.
    """
    home: dict[str, str] = {}
    for aggregate in park.aggregates:
        for member in aggregate.members:
            home.setdefault(member, aggregate.id)
    members: dict[str, set[str]] = {aggregate.id: set() for aggregate in park.aggregates}
    for resource in park.resources:
        above = home.get(resource.id)
        while above is not None:
            members[above].add(resource.id)
            above = home.get(above)
    return {aggregate_id: frozenset(inside) for aggregate_id, inside in members.items()}


def shift_plan(previous: ParkPlan, now: datetime, reason: str) -> ParkPlan | None:
    """Return what is left of a plan, labelled degraded; None when all of it has passed."""
    step = previous.step_at(now)
    if step is None:
        return None
    return ParkPlan(
        park_id=previous.park_id,
        made_at=previous.made_at,
        start_at=previous.start_at + step * timedelta(seconds=previous.period_s),
        period_s=previous.period_s,
        status="shifted",
        degraded=True,
        reason=reason,
        setpoints_kw={k: v[step:] for k, v in previous.setpoints_kw.items()},
        expected_kw={k: v[step:] for k, v in previous.expected_kw.items()},
        net_kw={k: v[step:] for k, v in previous.net_kw.items()},
        park_net_kw=previous.park_net_kw[step:],
        stored_kwh={k: v[step:] for k, v in previous.stored_kwh.items()},
        breaches=previous.breaches,
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


def _limit_mw(limit_kw: float | None) -> float:
    return np.inf if limit_kw is None else limit_kw / KW_PER_MW


def _fallback(
    park: ParkDefinition, previous: ParkPlan | None, horizon: PlanHorizon, reason: str
) -> ParkPlan:
    shifted = None if previous is None else shift_plan(previous, horizon.now, reason)
    return shifted or ParkPlan(
        park_id=park.id,
        made_at=horizon.now,
        start_at=horizon.start_at,
        period_s=horizon.period.total_seconds(),
        status="none",
        degraded=True,
        reason=f"{reason}; no earlier plan is left, resources follow their own defaults",
    )


def _plan(
    park: ParkDefinition, assets: list[Asset], horizon: PlanHorizon, result: DayPlanResult
) -> ParkPlan:
    power_kw = {asset.id: result.power_mw[asset.id] * KW_PER_MW for asset in assets}
    none = np.zeros(horizon.n_steps)
    return ParkPlan(
        park_id=park.id,
        made_at=horizon.now,
        start_at=horizon.start_at,
        period_s=horizon.period.total_seconds(),
        status="optimal" if result.status == "optimal" else "incumbent",
        gap_frac=result.gap_frac if np.isfinite(result.gap_frac) else None,
        solve_s=result.solve_s,
        setpoints_kw={
            asset.id: _setpoints(asset, power_kw[asset.id]) for asset in assets if is_planned(asset)
        },
        expected_kw={id_: _rounded(values) for id_, values in power_kw.items()},
        net_kw={
            id_: _rounded(sum((power_kw[m] for m in members if m in power_kw), none))
            for id_, members in home_members(park).items()
        },
        park_net_kw=_rounded(result.grid_mw * KW_PER_MW),
        stored_kwh={k: _rounded(v * KW_PER_MW) for k, v in result.stored_mwh.items()},
        result=_income(result.cost, park.currency),
        result_terms={
            term: _income(cost, park.currency) for term, cost in result.cost_terms.items()
        },
        breaches=[
            PlanBreach(name=b.name, what=b.what, amount_kwh=b.amount_mwh * KW_PER_MW)
            for b in result.breaches
        ],
    )


def _setpoints(asset: Asset, power_kw: FloatArray) -> list[float | None]:
    """Return set-points; what a resource would do anyway is not commanded.

    Its forecast is uncertain: a plant held to it would give away sun, a load would be cut off from
    its own regulation.
    """
    values: list[float | None] = list(_rounded(power_kw))
    if not isinstance(asset.twin, Pv | Wind | FlexibleLoad):
        return values
    same = np.abs(power_kw - asset.natural_kw) <= max(asset.twin.dead_band_kw, 10**-_DIGITS_KW)
    return [None if same[t] else value for t, value in enumerate(values)]


def _rounded(values: FloatArray) -> list[float]:
    # Adding zero turns a rounded -0.0 into 0.0.
    return [float(v) for v in np.round(values, _DIGITS_KW) + 0.0]


def _income(cost: float, currency: Currency) -> Money:
    return Money.of(Decimal(repr(0.0 - cost)).quantize(_LEAST_MONEY) + 0, currency)
