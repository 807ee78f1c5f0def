"""The question a park asks: assets, the tree of points, and staying with the plan in force."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import msgspec
import numpy as np
import pytest

from controllers.kernel.errors import DomainError
from controllers.park import ParkDefinition
from controllers.planning.assets import (
    Asset,
    connection_point,
    dispatch_assets,
    worth_of,
)
from controllers.planning.engine import answer
from controllers.planning.forecast import forecast_park
from controllers.planning.horizon import plan_horizon
from controllers.planning.park_plan import ParkPlan
from controllers.planning.pose import GAP_FRAC, GRID, pose_park
from controllers.planning.prices import tariff_prices
from controllers.planning.read import home_members, read_plan
from controllers.resources.kinds import build_twin
from controllers.resources.twin import Reading, Twin, TwinState
from optimization.dispatch.plant import Load
from optimization.dispatch.problem import Asset as EngineAsset
from optimization.dispatch.problem import Commitment
from optimization.dispatch.storage import Battery, HeatStore
from tests.support.plans import T, planned, posed
from tests.support.small_park import NOW, small_park, states_of, twins_of


@pytest.fixture(scope="module")
def plan() -> ParkPlan:
    return planned()


def test_new_plan_changes_no_more_than_it_must() -> None:
    park = crowd_park()
    twins = twins_of(park)
    plan = planned(park, states=crowd(twins))
    later = NOW + timedelta(minutes=5)
    asked = posed(park, states=crowd(twins, 0.005), now=later, previous=plan)
    again = read_plan(asked, answer(asked.problem, deadline_s=10.0), plan)
    for id_, before in plan.expected_kw.items():
        change_kw = np.abs(np.array(before) - again.expected_kw[id_])
        # Of equally good plans another one would move the batteries by 30 kW on average.
        assert change_kw.mean() < 0.5, id_
        assert change_kw[:4].max() < 0.5, id_
    assert "commitments" not in again.result_terms
    free = dataclasses.replace(asked.problem, commitments=())
    assert again.result is not None
    cost = answer(free, deadline_s=10.0).cost
    assert float(again.result.amount) == pytest.approx(-cost, rel=GAP_FRAC)


def test_large_park_promises_the_near_hours_only() -> None:
    # Besides batteries five others can be told what to do, sun and wind apart.
    promises = promises_of(crowd_park(95))
    assert len(promises) == 100
    price = np.array(promises[0].up_price_per_mwh)
    assert price[0] == pytest.approx(GAP_FRAC * 900.0)
    assert np.all(np.diff(price) <= 0.0)
    assert np.flatnonzero(price).tolist() == list(range(30))
    assert promises_of(crowd_park(96)) == ()


def promises_of(park: ParkDefinition) -> tuple[Commitment, ...]:
    """Return what a park that was to rest all day is asked to stay with."""
    twins, zeros = twins_of(park), [0.0] * T
    plan = ParkPlan(
        park_id=park.id,
        made_at=NOW,
        start_at=plan_horizon(NOW).start_at,
        period_s=900.0,
        status="optimal",
        expected_kw=dict.fromkeys(twins, zeros),
        park_net_kw=zeros,
    )
    return posed(park, states=crowd(twins), previous=plan).problem.commitments


def crowd_park(n_batteries: int = 3) -> ParkDefinition:
    """Equal batteries on two price levels: many plans cost the same."""
    park = small_park()
    bess = park.resource("bess")
    assert bess is not None
    more = [msgspec.structs.replace(bess, id=f"bess{i}") for i in range(2, n_batteries + 1)]
    inner, *rest = park.aggregates
    inner = msgspec.structs.replace(inner, members=[*inner.members, *(r.id for r in more)])
    return msgspec.structs.replace(
        park, resources=[*park.resources, *more], aggregates=[inner, *rest]
    )


def crowd(twins: dict[str, Twin], off_frac: float = 0.0) -> dict[str, TwinState]:
    """Return states in which the first battery holds more and the second less than the rest."""
    states = states_of({k: v for k, v in twins.items() if k in twins_of(small_park())})
    for id_, twin in twins.items():
        if id_.startswith("bess"):
            soc_frac = 0.5 + {"bess": off_frac, "bess2": -off_frac}.get(id_, 0.0)
            found = Reading(measured_at=NOW, power_kw=0.0, signals={"soc_frac": soc_frac})
            states[id_] = twin.observe(TwinState(), found)
    return states


def test_engine_goes_on_from_the_plan_in_force(plan: ParkPlan) -> None:
    asked = posed(now=NOW + timedelta(minutes=20), previous=plan)
    assert asked.previous is not None
    end_h = np.cumsum(asked.problem.step_h)
    (runs,) = asked.previous.running(("engine",), end_h - asked.problem.step_h, end_h)
    expected = np.array(plan.expected_kw["engine"][1:]) > 0.0
    np.testing.assert_array_equal(runs[:-1], expected)
    assert np.isnan(runs[-1])


def test_forecast_of_another_horizon_is_refused() -> None:
    park = small_park()
    twins = twins_of(park)
    states = states_of(twins)
    horizon = plan_horizon(NOW, length=timedelta(hours=6))
    forecasts = forecast_park(park, twins, states, horizon)
    with pytest.raises(DomainError, match=r"forecasts\.roof"):
        pose_park(park, twins, states, forecasts, now=NOW)


def test_missing_forecast_is_refused() -> None:
    park = small_park()
    twins = twins_of(park)
    with pytest.raises(DomainError, match=r"forecasts\.roof"):
        pose_park(park, twins, states_of(twins), {}, now=NOW)


def test_homes_are_first_in_file_order_and_nest() -> None:
    homes = home_members(small_park())
    assert homes["inner"] == {"roof", "bess", "hall"}
    assert homes["outer"] == set(twins_of(small_park()))
    assert homes["second"] == frozenset()


def test_connection_points_are_nested_as_aggregates_are() -> None:
    points = {p.name: p for p in posed(small_park(max_import_kw=300.0)).problem.points}
    parents = {name: point.parent for name, point in points.items()}
    assert [name for name, parent in parents.items() if parent is None] == [GRID]
    assert (parents["inner"], parents["outer"], parents["second"]) == ("outer", GRID, GRID)
    assert (parents["bess"], parents["engine"]) == ("inner", "outer")
    assert points["outer"].max_import_mw == pytest.approx(0.3)
    assert points["inner"].max_export_mw == pytest.approx(0.5)
    assert points["plugs"].max_import_mw == pytest.approx(0.06)


def engine_assets(asset: Asset) -> tuple[EngineAsset, ...]:
    horizon = plan_horizon(NOW)
    return dispatch_assets(asset, horizon, worth_of(tariff_prices(small_park(), horizon)))


def fleet_assets(device_kind: str) -> tuple[EngineAsset, ...]:
    values = {
        "device_kind": device_kind,
        "n_devices": 100,
        "device_kw": 5.0,
        "store_kwh": 10.0,
        "efficiency": 0.9,
    }
    state = TwinState(measured_at=NOW, signals={"store_frac": 0.5})
    fleet = Asset(id="f", twin=build_twin("fleet", values), state=state, natural_kw=np.zeros(T))
    return engine_assets(fleet)


def test_fleet_of_batteries_is_planned_as_a_battery() -> None:
    (asset,) = fleet_assets("battery")
    assert isinstance(asset, Battery)
    assert asset.max_charge_mw == pytest.approx(0.5)
    assert asset.initial_mwh == pytest.approx(0.5)


def test_fleet_of_vehicles_fills_at_any_price_of_the_day() -> None:
    (asset,) = fleet_assets("ev")
    assert isinstance(asset, HeatStore)
    assert asset.terminal_value_per_mwh == pytest.approx(900.0 / 0.9)


def test_plant_that_cannot_be_set_keeps_its_forecast() -> None:
    twin = build_twin("pv", {"rated_kw": 50.0, "curtailable": False})
    roof = Asset(id="r", twin=twin, state=TwinState(), natural_kw=np.full(T, 20.0))
    assert engine_assets(roof) == ()
    assert connection_point(roof, GRID).fixed_mw == (0.02,) * T


def test_interrupted_load_rests_and_an_uncomfortable_one_is_spared() -> None:
    twin = build_twin("flexible_load", {"rated_kw": 100.0})
    memory = {"resting": 1.0, "interrupted_h": 0.5, "owed_kwh": 12.0}
    signals = {"indoor_temp_c": 30.0}
    resting, hot = (
        load
        for state in (
            TwinState(measured_at=NOW, memory=memory),
            TwinState(measured_at=NOW, signals=signals),
        )
        for load in engine_assets(
            Asset(id="hall", twin=twin, state=state, natural_kw=np.full(T, -80.0))
        )
    )
    assert isinstance(resting, Load)
    assert isinstance(hot, Load)
    assert np.flatnonzero(resting.max_less_mw).tolist() == list(range(3, T))
    assert np.flatnonzero(hot.max_less_mw).tolist() == list(range(1, T))
    assert (resting.owed_mwh, hot.owed_mwh) == (0.012, 0.0)
