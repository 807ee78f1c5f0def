"""What each kind of asset does when the cheapest schedule is plain to see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from optimization.checks import FloatArray
from optimization.dispatch.fields import Series
from optimization.dispatch.physics import violations
from optimization.dispatch.plant import CostPoint, Generator, Load, Renewable
from optimization.dispatch.problem import Asset, ConnectionPoint, DispatchProblem
from optimization.dispatch.result import DispatchResult, DispatchStatus
from optimization.dispatch.solve import solve_dispatch
from optimization.dispatch.storage import Battery, HeatStore, Vehicle

T = 8
STEP_H = np.full(T, 0.5)
GRID = ConnectionPoint(name="grid", max_import_mw=10.0, max_export_mw=10.0)

BATTERY = Battery(
    name="bess",
    point="grid",
    max_charge_mw=1.0,
    max_discharge_mw=1.0,
    initial_mwh=1.0,
    min_mwh=0.2,
    max_mwh=2.0,
    charge_efficiency=0.9,
    discharge_efficiency=0.9,
)
ENGINE = Generator(
    name="chp",
    point="grid",
    min_mw=0.5,
    max_mw=1.0,
    curve=(CostPoint(power_mw=0.5, cost_per_h=50.0), CostPoint(power_mw=1.0, cost_per_h=100.0)),
    initial_h=-9.0,
)
CAR = Vehicle(
    name="car",
    point="grid",
    departure_h=3.0,
    max_charge_mw=0.1,
    initial_mwh=0.0,
    max_mwh=0.1,
    target_mwh=0.1,
)
HALL = Load(
    name="hall",
    point="grid",
    demand_mw=(1.0,) * T,
    max_less_mw=(0.5,) * T,
    max_more_mw=(0.5,) * T,
    max_interruption_h=1.0,
    rebound_frac=1.0,
    window_h=2.0,
)
PUMP = HeatStore(
    name="pump",
    point="grid",
    max_draw_mw=(1.0,) * T,
    cop=(3.0,) * T,
    heat_demand_mw=(1.0,) * T,
    initial_mwh=2.0,
    min_mwh=0.5,
    max_mwh=4.0,
)
ROOF = Renewable(name="roof", point="grid", available_mw=(1.0,) * T, curtailment_cost_per_mwh=0.1)
CHEAP_THEN_DEAR = (10.0,) * 4 + (200.0,) * 4
_KINDS = {
    Battery: "batteries",
    Vehicle: "vehicles",
    HeatStore: "heat_stores",
    Renewable: "renewables",
    Generator: "generators",
    Load: "loads",
}


def problem(*assets: Asset, price: Series | float = 50.0, **changes: object) -> DispatchProblem:
    """Return a problem in which buying costs 1 more than selling earns."""
    prices = price if isinstance(price, tuple) else (price,) * T
    groups = {_KINDS[type(asset)]: (asset,) for asset in assets}
    plain = DispatchProblem(
        step_h=tuple(STEP_H),
        points=(GRID,),
        import_price_per_mwh=tuple(p + 1.0 for p in prices),
        export_price_per_mwh=prices,
        **groups,  # type: ignore[arg-type]
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def solved(stated: DispatchProblem) -> DispatchResult:
    result = solve_dispatch(stated)
    assert result.status is DispatchStatus.OPTIMAL, result.reason
    assert violations(stated, result.schedules) == ()
    return result


def power(result: DispatchResult, name: str) -> FloatArray:
    return np.array(result.schedules[name].power_mw)


def energy(result: DispatchResult, name: str) -> FloatArray:
    return np.array(result.schedules[name].energy_mwh)


def running(result: DispatchResult) -> tuple[bool, ...]:
    states = result.schedules["chp"].running
    assert states is not None
    return states


def test_battery_buys_cheap_and_sells_dear() -> None:
    result = solved(problem(BATTERY, price=CHEAP_THEN_DEAR))
    assert power(result, "bess")[:4].max() <= 1e-9
    assert energy(result, "bess")[4] == pytest.approx(2.0)
    assert energy(result, "bess")[-1] == pytest.approx(0.2)


def test_cycle_budget_limits_discharge() -> None:
    result = solved(problem(replace(BATTERY, max_discharge_mwh=0.3), price=(10.0, 200.0) * 4))
    assert np.maximum(power(result, "bess"), 0.0) @ STEP_H == pytest.approx(0.3)


def test_terminal_value_keeps_energy_in_store() -> None:
    result = solved(problem(replace(BATTERY, terminal_value_per_mwh=90.0)))
    assert energy(result, "bess")[-1] == pytest.approx(2.0)


@pytest.mark.parametrize("initial_mwh", [0.0, 2.5], ids=["below minimum", "above maximum"])
def test_battery_found_outside_its_limits_can_be_planned(initial_mwh: float) -> None:
    found = replace(BATTERY, initial_mwh=initial_mwh, terminal_value_per_mwh=55.0)
    stored = energy(solved(problem(found)), "bess")
    assert stored.min() >= min(0.2, initial_mwh) - 1e-6
    assert stored.max() <= max(2.0, initial_mwh) + 1e-6


def test_negative_prices_do_not_burn_energy_in_a_battery() -> None:
    result = solved(problem(replace(BATTERY, initial_mwh=2.0), price=-50.0))
    flow = power(result, "bess")
    expected = np.where(flow > 0, -flow / 0.9, -flow * 0.9) * STEP_H
    np.testing.assert_allclose(np.diff(energy(result, "bess")), expected, atol=1e-6)


def test_equal_prices_do_not_pass_power_through() -> None:
    even = problem(ROOF, BATTERY, import_price_per_mwh=(50.0,) * T)
    result = solved(even)
    net = np.array(result.point_mw["grid"])
    np.testing.assert_allclose(net, power(result, "roof") + power(result, "bess"), atol=1e-6)
    bought = 50.0 * np.maximum(-net, 0.0) @ STEP_H
    assert result.cost_terms["import"] == pytest.approx(bought, abs=1e-6)


def test_export_paid_above_import_makes_no_money_out_of_nothing() -> None:
    half = replace(ROOF, available_mw=(0.5,) * T)
    result = solved(problem(half, import_price_per_mwh=(20.0,) * T))
    np.testing.assert_allclose(result.point_mw["grid"], 0.5, atol=1e-6)
    assert result.cost == pytest.approx(-50.0 * 0.5 * STEP_H.sum())


def test_curtailment_only_where_selling_costs() -> None:
    price = (50.0, 0.0, -20.0, 50.0, 50.0, 50.0, 50.0, 50.0)
    result = solved(problem(ROOF, price=price))
    np.testing.assert_allclose(power(result, "roof"), [1, 1, 0, 1, 1, 1, 1, 1], atol=1e-6)


def test_plant_that_cannot_be_curtailed_pays_to_export() -> None:
    rigid = replace(ROOF, must_take_mw=ROOF.available_mw)
    result = solved(problem(rigid, price=-20.0))
    np.testing.assert_allclose(result.point_mw["grid"], 1.0)
    assert result.cost == pytest.approx(80.0)


def test_carbon_price_moves_charging_to_the_clean_hours() -> None:
    carbon = (800.0,) * 4 + (50.0,) * 4
    clean = problem(
        replace(CAR, departure_h=4.0), carbon_kg_co2_per_mwh=carbon, carbon_price_per_kg_co2=0.1
    )
    result = solved(clean)
    assert power(result, "car")[:4] @ STEP_H[:4] == pytest.approx(0.0, abs=1e-6)
    assert result.cost_terms["carbon"] == pytest.approx(0.1 * 50.0 * 0.1)
    assert result.cost_terms["import"] == pytest.approx(5.1)


def test_vehicle_is_full_before_it_leaves_within_a_step() -> None:
    price = (100.0, 90.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0)
    result = solved(problem(replace(CAR, departure_h=1.25), price=price))
    assert not result.breaches
    # Half of the third step is left to it, at 0.1 MW.
    assert -power(result, "car")[2] * 0.5 == pytest.approx(0.025)
    np.testing.assert_allclose(power(result, "car")[3:], 0.0, atol=1e-9)


def test_shifted_load_returns_all_it_owes_within_its_window() -> None:
    price = (50.0, 50.0, 300.0, 300.0, 50.0, 50.0, 50.0, 50.0)
    drawn = -power(solved(problem(HALL, price=price)), "hall")
    np.testing.assert_allclose(drawn[2:4], 0.5, atol=1e-6)
    assert drawn[2:7] @ STEP_H[2:7] == pytest.approx(2.5)
    assert drawn @ STEP_H == pytest.approx(4.0)


def test_interruption_lasts_no_longer_than_allowed() -> None:
    result = solved(problem(replace(HALL, rebound_frac=0.0), price=300.0))
    assert (1.0 + power(result, "hall")) @ STEP_H == pytest.approx(0.5 * 2.0)


def test_energy_owed_that_cannot_be_returned_in_time_is_a_breach() -> None:
    result = solved(problem(replace(HALL, owed_mwh=1.5)))
    assert [(b.name, b.what) for b in result.breaches] == [("hall", "energy owed after its window")]


def test_engine_runs_when_power_is_dear_and_for_its_minimum_time() -> None:
    price = (50.0, 50.0, 300.0, 50.0, 50.0, 50.0, 50.0, 50.0)
    states = running(solved(problem(replace(ENGINE, min_up_h=1.5), price=price)))
    assert sum(states) == 3
    assert states[2]


def test_running_engine_may_not_stop_before_its_time() -> None:
    begun = replace(ENGINE, initial_h=0.5, initial_mw=0.5, min_up_h=2.0)
    assert running(solved(problem(begun))) == (True,) * 3 + (False,) * 5


def test_stopped_engine_rests_before_it_starts() -> None:
    resting = replace(ENGINE, initial_h=-0.5, min_down_h=1.5)
    assert running(solved(problem(resting, price=300.0))) == (False,) * 2 + (True,) * 6


def test_engine_ramps() -> None:
    slow = replace(
        ENGINE, ramp_up_mw_per_h=0.2, ramp_down_mw_per_h=0.2, initial_h=5.0, initial_mw=0.5
    )
    result = solved(problem(slow, price=300.0))
    np.testing.assert_allclose(power(result, "chp")[:5], [0.6, 0.7, 0.8, 0.9, 1.0])


def test_heat_pump_draws_ahead_of_dear_hours_and_keeps_warm() -> None:
    result = solved(problem(PUMP, price=CHEAP_THEN_DEAR))
    assert not result.breaches
    assert energy(result, "pump").min() >= 0.5 - 1e-6
    np.testing.assert_allclose(power(result, "pump")[4:], 0.0, atol=1e-6)


@pytest.mark.parametrize(
    ("found", "what"),
    [
        (replace(PUMP, heat_demand_mw=(5.0,) * T), "heat below the store's minimum"),
        (replace(PUMP, min_draw_mw=(1.0,) * T), "heat above the store's maximum"),
    ],
    ids=["too cold", "too hot"],
)
def test_store_outside_its_band_is_a_breach(found: HeatStore, what: str) -> None:
    result = solved(problem(found))
    assert [(b.name, b.what) for b in result.breaches] == [("pump", what)]


def test_limit_binds_inside_the_network() -> None:
    yard = ConnectionPoint(name="yard", parent="grid", max_export_mw=0.4)
    result = solved(problem(replace(ROOF, point="yard"), points=(GRID, yard)))
    np.testing.assert_allclose(power(result, "roof"), 0.4, atol=1e-6)


def test_limit_counts_load_that_cannot_move() -> None:
    yard = ConnectionPoint(name="yard", parent="grid", max_import_mw=0.9)
    rigid = Load(name="hall", point="yard", demand_mw=(0.5,) * T)
    charging = replace(BATTERY, point="yard", terminal_value_per_mwh=90.0)
    result = solved(problem(rigid, charging, points=(GRID, yard)))
    assert power(result, "bess").min() == pytest.approx(-0.4)


def test_nothing_to_plan_still_prices_the_load() -> None:
    result = solved(problem(points=(replace(GRID, fixed_mw=(-1.0,) * T),)))
    assert result.cost == pytest.approx(51.0 * 4.0)
