"""From the engine's answer to the park's plan, whoever gave it.

There always is a plan: the answer's, else what is left of the plan in force, labelled degraded.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import numpy as np

from controllers.kernel.money import Currency, Money
from controllers.kernel.units import KW_PER_MW
from controllers.park import ParkDefinition
from controllers.planning.assets import Asset, is_planned
from controllers.planning.park_plan import ParkPlan, PlanBreach, shift_plan
from controllers.planning.pose import PosedPark, home_of
from controllers.resources.flexible_load import FlexibleLoad
from controllers.resources.renewables import Pv, Wind
from controllers.resources.twin import FloatArray
from optimization.dispatch.result import DispatchResult, DispatchStatus

_DIGITS_KW = 3
_DIGITS_PRICE = 4
_LEAST_MONEY = Decimal("0.0001")
_STEADINESS = "commitments"
"""Cost term of the promises to stay with the plan in force: nobody is paid for them."""
_KILO = {"MWh": "kWh", "MW": "kW"}


def read_plan(posed: PosedPark, result: DispatchResult, previous: ParkPlan | None) -> ParkPlan:
    """Return the park's plan.

    Args:
        posed: what was asked.
        result: the answer to ``posed.problem``.
        previous: the plan in force, to fall back on.
    """
    if not result.feasible:
        return _fallback(posed, previous, result.reason)
    park, horizon = posed.park, posed.horizon
    power_kw = _power_kw(posed, result)
    ids = set(power_kw)
    none = np.zeros(horizon.n_steps)
    terms = {k: v for k, v in result.cost_terms.items() if k != _STEADINESS}
    return ParkPlan(
        park_id=park.id,
        made_at=horizon.now,
        start_at=horizon.start_at,
        period_s=horizon.period.total_seconds(),
        status="optimal" if result.status is DispatchStatus.OPTIMAL else "incumbent",
        gap_frac=result.gap_frac,
        solve_s=result.solve_s,
        setpoints_kw={
            asset.id: _setpoints(asset, power_kw[asset.id])
            for asset in posed.assets
            if is_planned(asset)
        },
        expected_kw={id_: _rounded(values) for id_, values in power_kw.items()},
        net_kw={
            id_: _rounded(sum((power_kw[m] for m in members & ids), none))
            for id_, members in home_members(park).items()
        },
        park_net_kw=_rounded(sum(power_kw.values(), none)),
        stored_kwh={
            name: _rounded(np.array(schedule.energy_mwh) * KW_PER_MW)
            for name, schedule in result.schedules.items()
            if name in ids and schedule.energy_mwh is not None
        },
        result=_income(sum(terms.values()), park.currency),
        result_terms={term: _income(cost, park.currency) for term, cost in terms.items()},
        breaches=_breaches(posed, result),
        price_per_mwh=[round(price, _DIGITS_PRICE) for price in result.price_per_mwh],
    )


def home_members(park: ParkDefinition) -> dict[str, frozenset[str]]:
    """Return, by aggregate, the resources whose home is in it or nested in it."""
    homes = home_of(park)
    members: dict[str, set[str]] = {aggregate.id: set() for aggregate in park.aggregates}
    for resource in park.resources:
        above = homes.get(resource.id)
        while above is not None:
            members[above].add(resource.id)
            above = homes.get(above)
    return {aggregate_id: frozenset(inside) for aggregate_id, inside in members.items()}


def _power_kw(posed: PosedPark, result: DispatchResult) -> Mapping[str, FloatArray]:
    """Return what each resource is expected to inject, [T]: all that stands behind its point."""
    power_kw = {
        asset.id: np.zeros(posed.horizon.n_steps) if is_planned(asset) else asset.natural_kw
        for asset in posed.assets
    }
    for part in posed.problem.assets:
        schedule = result.schedules[part.name]
        power_kw[part.point] = power_kw[part.point] + np.array(schedule.power_mw) * KW_PER_MW
    return power_kw


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


def _breaches(posed: PosedPark, result: DispatchResult) -> list[PlanBreach]:
    steady = {promise.name for promise in posed.problem.commitments}
    return [
        PlanBreach(name=b.name, what=b.what, amount=b.amount * KW_PER_MW, unit=_KILO[b.unit])
        for b in result.breaches
        if b.name not in steady
    ]


def _fallback(posed: PosedPark, previous: ParkPlan | None, reason: str) -> ParkPlan:
    horizon = posed.horizon
    shifted = None if previous is None else shift_plan(previous, horizon.now, reason)
    return shifted or ParkPlan(
        park_id=posed.park.id,
        made_at=horizon.now,
        start_at=horizon.start_at,
        period_s=horizon.period.total_seconds(),
        status="none",
        degraded=True,
        reason=f"{reason}; no earlier plan is left, resources follow their own defaults",
    )


def _rounded(values: FloatArray) -> list[float]:
    # Adding zero turns a rounded -0.0 into 0.0.
    return [float(v) for v in np.round(values, _DIGITS_KW) + 0.0]


def _income(cost: float, currency: Currency) -> Money:
    return Money.of(Decimal(repr(0.0 - cost)).quantize(_LEAST_MONEY) + 0, currency)
