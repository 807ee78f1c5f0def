"""The park's plan: set-points, sums, money, and what remains when solving fails."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest

from controllers.kernel.errors import DomainError
from controllers.kernel.money import Currency, Money
from controllers.kernel.wire import decode, encode
from controllers.planning.engine import answer
from controllers.planning.forecast import forecast_park
from controllers.planning.horizon import plan_horizon
from controllers.planning.park_plan import ParkPlan, setpoint_at, shift_plan
from controllers.planning.pose import GAP_FRAC
from controllers.planning.prices import Prices, tariff_prices
from controllers.resources.twin import Reading, TwinState
from optimization.dispatch.physics import violations
from optimization.dispatch.result import DispatchStatus
from tests.support.plans import T, planned, posed
from tests.support.small_park import NOW, small_park, states_of, twins_of


@pytest.fixture(scope="module")
def plan() -> ParkPlan:
    return planned()


def test_horizon_is_aligned_and_its_first_step_is_what_is_left() -> None:
    horizon = plan_horizon(NOW)
    assert horizon.start_at == datetime(2026, 6, 20, 23, 0, tzinfo=UTC)
    assert horizon.step_h[0] == pytest.approx(8 / 60)
    assert horizon.step_h[1:].tolist() == [0.25] * (T - 1)
    assert horizon.ahead_h.min() >= 0.0


def test_horizon_that_is_no_multiple_of_the_period_is_refused() -> None:
    with pytest.raises(DomainError, match="multiple"):
        plan_horizon(NOW, length=timedelta(minutes=20))


def test_tariff_follows_local_time_and_wraps_over_midnight() -> None:
    horizon = plan_horizon(datetime(2026, 6, 20, 15, 0, tzinfo=UTC))  # 23:00 in Shanghai
    prices = tariff_prices(small_park(), horizon)
    assert prices.import_per_mwh[:28].tolist() == [300.0] * 28  # until 06:00
    assert prices.import_per_mwh[28:92].tolist() == [900.0] * 64
    assert prices.export_per_mwh[92] == 250.0


def test_plan_covers_the_day_and_survives_the_wire(plan: ParkPlan) -> None:
    assert (plan.status, plan.degraded) == ("optimal", False)
    assert plan.n_steps == T
    assert plan.end_at == plan.start_at + timedelta(days=1)
    assert set(plan.expected_kw) == set(twins_of(small_park()))
    assert decode(encode(plan), ParkPlan, max_bytes=10**6) == plan


def test_expected_power_adds_up_to_aggregates_and_park(plan: ParkPlan) -> None:
    def total(*ids: str) -> np.ndarray:
        return np.sum([plan.expected_kw[id_] for id_ in ids], axis=0)

    np.testing.assert_allclose(plan.net_kw["inner"], total("roof", "bess", "hall"), atol=0.01)
    np.testing.assert_allclose(plan.net_kw["outer"], total(*plan.expected_kw), atol=0.01)
    np.testing.assert_allclose(plan.park_net_kw, plan.net_kw["outer"], atol=0.01)
    # Bess and engine have their homes elsewhere.
    np.testing.assert_allclose(plan.net_kw["second"], 0.0)


def test_money_is_an_expense_of_terms_that_add_up(plan: ParkPlan) -> None:
    assert plan.result is not None
    assert plan.result < Money.zero(Currency.CNY)
    total = sum((term.amount for term in plan.result_terms.values()), start=0)
    assert float(total) == pytest.approx(float(plan.result.amount), abs=0.01)


def test_battery_charges_in_the_cheap_night_and_not_by_day(plan: ParkPlan) -> None:
    night = slice(60, 92)  # 22:00 to 06:00
    bess = np.array(plan.expected_kw["bess"])
    assert bess[night].sum() * 0.25 < -100.0
    assert max(plan.stored_kwh["bess"]) <= 380.0 + 0.01


def test_plant_that_need_not_be_curtailed_is_left_to_the_sun(plan: ParkPlan) -> None:
    assert plan.setpoints_kw["roof"] == [None] * T
    assert max(plan.expected_kw["roof"]) > 50.0


def test_plant_is_curtailed_where_export_is_limited_and_nothing_can_take_it() -> None:
    park = small_park(max_export_kw=1.0)
    states = states_of(twins_of(park))
    only = {id_: states[id_] for id_ in ("roof", "wind")}
    curtailed = planned(park, states=only)
    setpoints = [kw for kw in curtailed.setpoints_kw["roof"] if kw is not None]
    assert setpoints
    assert max(curtailed.park_net_kw) <= 1.0 + 0.01


def test_load_is_commanded_only_where_it_deviates(plan: ParkPlan) -> None:
    for setpoint_kw, expected_kw in zip(
        plan.setpoints_kw["hall"], plan.expected_kw["hall"], strict=True
    ):
        assert (setpoint_kw is None) == (abs(expected_kw + 120.0) <= 0.1)


def test_vehicle_is_charged_before_it_leaves(plan: ParkPlan) -> None:
    plugs = np.array(plan.expected_kw["plugs"])
    step_h = plan_horizon(NOW).step_h
    assert -(plugs @ step_h) == pytest.approx(20.0 / 0.93, abs=0.01)
    assert np.all(plugs[13:] == 0.0)
    assert plan.breaches == []


def test_vehicle_that_cannot_be_filled_is_a_named_breach() -> None:
    park = small_park()
    states = states_of(twins_of(park))
    (car,) = states["plugs"].vehicles
    soon = type(car)(
        session_id="car",
        energy_needed_kwh=20.0,
        departs_at=NOW + timedelta(minutes=30),
        max_charge_kw=11.0,
    )
    states["plugs"] = TwinState(measured_at=NOW, vehicles=[soon])
    (breach,) = planned(park, states=states).breaches
    assert breach.name == "plugs/car"
    assert breach.unit == "kWh"
    assert breach.amount == pytest.approx(20.0 - 5.5 * 0.93, abs=0.01)


def test_vehicle_that_outstays_its_departure_charges_at_once() -> None:
    park = small_park()
    states = states_of(twins_of(park))
    (car,) = states["plugs"].vehicles
    overdue = msgspec.structs.replace(car, departs_at=NOW - timedelta(minutes=1))
    # A gateway may report a session twice.
    states["plugs"] = TwinState(measured_at=NOW, vehicles=[overdue, overdue])
    plugs = planned(park, states=states)
    assert plugs.expected_kw["plugs"][:2] == [-11.0, 0.0]
    assert [b.name for b in plugs.breaches] == ["plugs/car"]


def test_engine_runs_when_power_is_dear(plan: ParkPlan) -> None:
    prices = Prices(import_per_mwh=np.full(T, 2000.0), export_per_mwh=np.full(T, 1900.0))
    assert max(plan.expected_kw["engine"]) <= 100.0
    dear = planned(prices=prices)
    assert np.all(np.array(dear.expected_kw["engine"])[8:] >= 50.0 - 0.01)


def test_engine_just_started_keeps_running() -> None:
    park = small_park()
    twins = twins_of(park)
    states = states_of(twins)
    before = Reading(measured_at=NOW - timedelta(seconds=5), power_kw=0.0)
    runs = Reading(measured_at=NOW, power_kw=60.0)
    states["engine"] = twins["engine"].observe(twins["engine"].observe(TwinState(), before), runs)
    cheap = Prices(import_per_mwh=np.full(T, 10.0), export_per_mwh=np.full(T, 5.0))
    engine = planned(park, states=states, prices=cheap).expected_kw["engine"]
    # Thirty minutes from 07:07 reach into the third period.
    assert [kw > 0 for kw in engine[:4]] == [True, True, True, False]


def test_carbon_price_makes_the_plan_dearer(plan: ParkPlan) -> None:
    tariff = tariff_prices(small_park(), plan_horizon(NOW))
    dirty = dataclasses.replace(
        tariff, carbon_kg_co2_per_mwh=np.full(T, 500.0), carbon_price_per_kg_co2=0.1
    )
    with_carbon = planned(prices=dirty)
    assert with_carbon.result is not None
    assert plan.result is not None
    assert with_carbon.result < plan.result
    assert with_carbon.result_terms["carbon"] < Money.zero(Currency.CNY)


def test_resource_without_a_state_is_left_out() -> None:
    park = small_park()
    states = states_of(twins_of(park))
    del states["bess"]
    left_out = planned(park, states=states)
    assert "bess" not in left_out.expected_kw
    assert setpoint_at(left_out, "bess", NOW) is None


def test_store_of_unknown_level_is_not_commanded_but_counted() -> None:
    park = small_park()
    twins = twins_of(park)
    states = states_of(twins)
    for id_ in ("bess", "pump", "homes"):
        blind = Reading(measured_at=NOW, power_kw=-10.0)
        states[id_] = twins[id_].observe(TwinState(), blind)
    blind_plan = planned(park, states=states)
    assert {"bess", "pump", "homes"}.isdisjoint(blind_plan.setpoints_kw)
    np.testing.assert_allclose(blind_plan.expected_kw["pump"], -10.0)


def test_setpoint_is_read_off_by_period(plan: ParkPlan) -> None:
    pump = plan.setpoints_kw["pump"]
    assert setpoint_at(plan, "pump", NOW) == pump[0]
    assert setpoint_at(plan, "pump", NOW + timedelta(minutes=8)) == pump[1]
    assert setpoint_at(plan, "pump", plan.end_at) is None
    assert setpoint_at(plan, "pump", plan.start_at - timedelta(seconds=1)) is None
    assert setpoint_at(plan, "nobody", NOW) is None


def test_late_solve_falls_back_on_what_is_left_of_the_last_plan(plan: ParkPlan) -> None:
    later = NOW + timedelta(hours=1)
    shifted = planned(now=later, deadline_s=0.0, previous=plan)
    assert (shifted.status, shifted.degraded) == ("shifted", True)
    assert "within 0 s" in shifted.reason
    assert shifted.made_at == plan.made_at
    assert shifted.n_steps == T - 4
    assert setpoint_at(shifted, "pump", later) == setpoint_at(plan, "pump", later)
    assert shifted.end_at == plan.end_at
    assert len(shifted.stored_kwh["bess"]) == T - 4 + 1
    assert shifted.result is None


def test_plan_obeys_the_laws_of_its_assets_and_knows_its_price(plan: ParkPlan) -> None:
    problem = posed().problem
    assert violations(problem, answer(problem, deadline_s=10.0).schedules) == ()
    tariff = tariff_prices(small_park(), plan_horizon(NOW))
    assert np.all(np.array(plan.price_per_mwh) >= tariff.export_per_mwh - 1e-3)
    assert np.all(np.array(plan.price_per_mwh) <= tariff.import_per_mwh + 1e-3)


def test_energy_at_the_end_is_worth_what_it_saves_later() -> None:
    falling = np.repeat([600.0, 300.0], T // 2)
    prices = Prices(import_per_mwh=falling, export_per_mwh=falling - 10.0)
    stored_kwh = planned(prices=prices).stored_kwh["bess"]
    # With a wall at the end all would be sold by then; bought cheap it is kept for dearer hours.
    assert stored_kwh[T // 2] == pytest.approx(20.0, abs=0.01)
    assert stored_kwh[-1] == pytest.approx(380.0, abs=0.01)


def test_plan_that_has_passed_cannot_be_shifted(plan: ParkPlan) -> None:
    assert shift_plan(plan, plan.end_at, "late") is None


def test_forecast_above_a_limit_is_planned_and_the_excess_named() -> None:
    park = small_park(max_import_kw=10.0)
    states = states_of(twins_of(park))
    over = planned(park, states={id_: states[id_] for id_ in ("hall", "plugs", "bess")})
    assert (over.status, over.degraded) == ("optimal", False)
    breaches = {b.name: b for b in over.breaches}
    assert breaches["outer"].what == "import above its limit"
    assert breaches["outer"].unit == "kW"
    # The hall draws 120 kW; nothing else may draw where that alone is too much.
    assert breaches["outer"].amount == pytest.approx(-min(over.park_net_kw) - 10.0, abs=0.01)
    assert min(over.park_net_kw) >= -120.0 - 0.01
    assert max(over.stored_kwh["bess"]) <= over.stored_kwh["bess"][0] + 0.01


def test_excess_does_not_hide_what_else_the_plan_costs() -> None:
    park = small_park()
    inner, *rest = park.aggregates
    inner = msgspec.structs.replace(inner, max_import_kw=30.0)
    resources = [
        msgspec.structs.replace(r, parameters={**r.parameters, "merit_per_mwh": 700.0})
        if r.id == "engine"
        else r
        for r in park.resources
    ]
    over = msgspec.structs.replace(park, aggregates=[inner, *rest], resources=resources)
    result = answer(posed(over).problem, deadline_s=10.0)
    assert result.status is DispatchStatus.OPTIMAL
    assert result.cost is not None
    assert result.bound is not None
    excess = result.cost_terms["breaches"]
    assert excess > 100.0 * (result.cost - excess)
    assert result.cost - result.bound <= GAP_FRAC * (result.cost - excess)


def test_late_without_an_earlier_plan_releases_all() -> None:
    nothing = planned(deadline_s=0.0)
    assert (nothing.status, nothing.degraded) == ("none", True)
    assert "no earlier plan" in nothing.reason
    assert setpoint_at(nothing, "hall", NOW) is None


def test_state_that_makes_no_sense_degrades_the_plan(plan: ParkPlan) -> None:
    park = small_park()
    states = states_of(twins_of(park))
    states["bess"] = TwinState(measured_at=NOW, memory={"stored_kwh": float("nan")})
    shifted = planned(park, states=states, previous=plan)
    assert shifted.status == "shifted"
    assert "batteries[bess].initial_mwh" in shifted.reason


@pytest.mark.parametrize("id_", ["bess", "pump", "homes", "plugs", "engine"])
def test_twin_that_follows_the_plan_does_what_the_plan_expects(id_: str) -> None:
    aligned = datetime(2026, 6, 20, 23, 0, tzinfo=UTC)
    park = small_park()
    twins = twins_of(park)
    states = states_of(twins, aligned)
    dear = Prices(
        import_per_mwh=np.tile([300.0, 300.0, 2500.0, 2500.0], T // 4),
        export_per_mwh=np.tile([250.0, 250.0, 2400.0, 2400.0], T // 4),
    )
    followed = planned(park, states=states, prices=dear, now=aligned)
    setpoints_kw = np.array(followed.setpoints_kw[id_])
    natural_kw = forecast_park(park, twins, states, plan_horizon(aligned))[id_].power_kw
    run = twins[id_].project(states[id_], setpoints_kw, natural_kw, 900.0)
    np.testing.assert_allclose(run.power_kw, followed.expected_kw[id_], atol=0.5)
