"""What the day solver promises, case by case."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from optimization.checks import FloatArray, ProblemError
from optimization.day_plan import (
    Batteries,
    ChargingStations,
    DayPlanProblem,
    FlexibleLoads,
    Gensets,
    GroupLimit,
    HeatStores,
    PlanStatus,
    Renewables,
)
from optimization.day_solver import solve_day
from optimization.highs import Ended, Solution, SparseModel

T = 8
STEP_H = np.full(T, 0.5)


def one(value: float) -> FloatArray:
    return np.array([value])


def flat(value: float) -> FloatArray:
    return np.full((1, T), value)


def battery(**changes: object) -> Batteries:
    plain = Batteries(
        names=("bess",),
        max_charge_mw=one(1.0),
        max_discharge_mw=one(1.0),
        initial_mwh=one(1.0),
        min_mwh=one(0.2),
        max_mwh=one(2.0),
        charge_efficiency=one(0.9),
        discharge_efficiency=one(0.9),
        standing_loss_frac_per_h=one(0.0),
        max_discharge_mwh=one(np.inf),
        wear_per_mwh=one(0.0),
        terminal_value_per_mwh=one(0.0),
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def genset(**changes: object) -> Gensets:
    plain = Gensets(
        names=("chp",),
        min_mw=one(0.5),
        max_mw=one(1.0),
        cost_per_mwh=one(100.0),
        start_cost=one(0.0),
        min_up_h=one(0.0),
        min_down_h=one(0.0),
        initial_h=one(-9.0),
        initial_mw=one(0.0),
        ramp_mw_per_h=one(np.inf),
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def charger(**changes: object) -> ChargingStations:
    plain = ChargingStations(
        names=("station",),
        max_charge_mw=one(0.2),
        session_names=("car",),
        session_station=np.array([0]),
        session_energy_mwh=one(0.1),
        session_max_mw=one(0.1),
        session_departure_h=one(3.0),
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def flexible(**changes: object) -> FlexibleLoads:
    plain = FlexibleLoads(
        names=("hall",),
        demand_mw=flat(1.0),
        max_less_mw=flat(0.5),
        max_more_mw=flat(0.5),
        max_interruption_h=one(1.0),
        rebound_frac=one(1.0),
        window_h=one(2.0),
        owed_mwh=one(0.0),
        interruption_cost_per_mwh=one(0.0),
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def heater(**changes: object) -> HeatStores:
    plain = HeatStores(
        names=("pump",),
        min_draw_mw=flat(0.0),
        max_draw_mw=flat(1.0),
        cop=flat(3.0),
        heat_demand_mw=flat(1.0),
        initial_mwh=one(2.0),
        min_mwh=one(0.5),
        max_mwh=one(4.0),
        standing_loss_frac_per_h=one(0.0),
        terminal_value_per_mwh=one(0.0),
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def plant(available_mw: float = 1.0, *, curtailable: bool = True) -> Renewables:
    return Renewables(
        names=("roof",),
        available_mw=flat(available_mw),
        curtailable=np.array([curtailable]),
        curtailment_cost_per_mwh=one(0.1),
    )


def problem(*groups: object, price: FloatArray | float = 50.0, **changes: object) -> DayPlanProblem:
    prices = np.broadcast_to(np.asarray(price, dtype=np.float64), (T,)).copy()
    plain = DayPlanProblem(
        step_h=STEP_H,
        import_price_per_mwh=prices + 1.0,
        export_price_per_mwh=prices,
        max_import_mw=10.0,
        max_export_mw=10.0,
        groups=groups,  # type: ignore[arg-type]
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def test_battery_buys_cheap_and_sells_dear() -> None:
    price = np.array([10.0, 10, 10, 10, 200, 200, 200, 200])
    result = solve_day(problem(battery(), price=price))
    assert result.status is PlanStatus.OPTIMAL
    assert result.power_mw["bess"][:4].max() <= 1e-9
    assert result.stored_mwh["bess"][4] == pytest.approx(2.0)
    assert result.stored_mwh["bess"][-1] == pytest.approx(0.2)
    assert sum(result.cost_terms.values()) == pytest.approx(result.cost)


def test_cycle_budget_limits_discharge() -> None:
    price = np.array([10.0, 200] * 4)
    result = solve_day(problem(battery(max_discharge_mwh=one(0.3)), price=price))
    assert np.maximum(result.power_mw["bess"], 0.0) @ STEP_H == pytest.approx(0.3)


def test_terminal_value_keeps_energy_in_store() -> None:
    result = solve_day(problem(battery(terminal_value_per_mwh=one(90.0))))
    assert result.stored_mwh["bess"][-1] == pytest.approx(2.0)


@pytest.mark.parametrize("initial_mwh", [0.0, 2.5], ids=["below minimum", "above maximum"])
def test_battery_found_outside_its_limits_can_be_planned(initial_mwh: float) -> None:
    result = solve_day(
        problem(battery(initial_mwh=one(initial_mwh), terminal_value_per_mwh=one(55.0)))
    )
    assert result.feasible
    stored = result.stored_mwh["bess"]
    assert stored.min() >= min(0.2, initial_mwh) - 1e-6
    assert stored.max() <= max(2.0, initial_mwh) + 1e-6


def test_negative_prices_do_not_burn_energy_in_a_battery() -> None:
    full = battery(initial_mwh=one(2.0), max_charge_mw=one(1.0))
    result = solve_day(problem(full, price=-50.0))
    assert result.status is PlanStatus.OPTIMAL
    power, stored = result.power_mw["bess"], np.diff(result.stored_mwh["bess"])
    expected = np.where(power > 0, -power / 0.9, -power * 0.9) * STEP_H
    np.testing.assert_allclose(stored, expected, atol=1e-6)


def test_out_of_time_directions_are_fixed_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    run = SparseModel.run
    hurried = problem(battery(initial_mwh=one(2.0)), genset(), price=-50.0)
    best = solve_day(hurried)

    def interrupted(self: SparseModel, **limits: float) -> Solution:
        solution = run(self, **limits)  # type: ignore[arg-type]
        return dataclasses.replace(solution, ended=Ended.FEASIBLE)

    monkeypatch.setattr(SparseModel, "run", interrupted)
    result = solve_day(hurried)
    assert result.status is PlanStatus.INCUMBENT
    assert result.bound < result.cost
    assert result.cost <= 0.4 * best.cost
    power, stored = result.power_mw["bess"], np.diff(result.stored_mwh["bess"])
    expected = np.where(power > 0, -power / 0.9, -power * 0.9) * STEP_H
    np.testing.assert_allclose(stored, expected, atol=1e-6)


def test_equal_prices_do_not_pass_power_through() -> None:
    even = problem(plant(), battery(), import_price_per_mwh=np.full(T, 50.0))
    result = solve_day(even)
    total = result.power_mw["roof"] + result.power_mw["bess"]
    np.testing.assert_allclose(result.grid_mw, total, atol=1e-6)
    assert result.cost_terms["import"] == pytest.approx(
        50.0 * np.maximum(-result.grid_mw, 0.0) @ STEP_H, abs=1e-6
    )


def test_export_paid_above_import_makes_no_money_out_of_nothing() -> None:
    idle = battery(max_charge_mw=one(1.0), initial_mwh=one(0.2), max_mwh=one(0.2))
    result = solve_day(problem(plant(0.5), idle, import_price_per_mwh=np.full(T, 20.0)))
    np.testing.assert_allclose(result.grid_mw, 0.5, atol=1e-6)
    assert result.cost == pytest.approx(-50.0 * 0.5 * STEP_H.sum())
    assert result.status is PlanStatus.OPTIMAL


def test_curtailment_only_where_selling_costs() -> None:
    price = np.array([50.0, 0, -20, 50, 50, 50, 50, 50])
    result = solve_day(problem(plant(), price=price))
    np.testing.assert_allclose(result.power_mw["roof"], [1, 1, 0, 1, 1, 1, 1, 1], atol=1e-6)


def test_plant_that_cannot_be_curtailed_pays_to_export() -> None:
    result = solve_day(problem(plant(curtailable=False), price=-20.0))
    np.testing.assert_allclose(result.grid_mw, 1.0)
    assert result.cost == pytest.approx(80.0)


def test_carbon_price_moves_charging_to_the_clean_hours() -> None:
    carbon = np.array([800.0] * 4 + [50.0] * 4)
    early = charger(session_departure_h=one(4.0))
    clean = problem(early, carbon_kg_co2_per_mwh=carbon, carbon_price_per_kg_co2=0.1)
    result = solve_day(clean)
    assert result.power_mw["station"][:4] @ STEP_H[:4] == pytest.approx(0.0, abs=1e-6)
    assert result.cost_terms["carbon"] == pytest.approx(0.1 * 50.0 * 0.1)
    assert result.cost_terms["import"] == pytest.approx(5.1)


def test_vehicle_is_full_before_it_leaves_within_a_step() -> None:
    price = np.array([100.0, 90, 10, 10, 10, 10, 10, 10])
    result = solve_day(problem(charger(session_departure_h=one(1.25)), price=price))
    assert not result.breaches
    # Half of the third step is left to it, at 0.1 MW.
    assert -result.power_mw["station"][2] * 0.5 == pytest.approx(0.025)
    assert result.power_mw["station"][3:] @ STEP_H[3:] == pytest.approx(0.0, abs=1e-9)


def test_vehicle_that_leaves_too_early_is_a_named_breach() -> None:
    result = solve_day(problem(charger(session_departure_h=one(0.5))))
    assert result.status is PlanStatus.OPTIMAL
    (breach,) = result.breaches
    assert (breach.name, breach.what) == ("car", "energy missing at departure")
    assert breach.amount_mwh == pytest.approx(0.05)


def test_shifted_load_returns_all_it_owes_within_its_window() -> None:
    price = np.array([50.0, 50, 300, 300, 50, 50, 50, 50])
    result = solve_day(problem(flexible(), price=price))
    drawn = -result.power_mw["hall"]
    np.testing.assert_allclose(drawn[2:4], 0.5, atol=1e-6)
    assert drawn[2:7] @ STEP_H[2:7] == pytest.approx(2.5)
    assert drawn @ STEP_H == pytest.approx(4.0)


def test_interruption_lasts_no_longer_than_allowed() -> None:
    result = solve_day(problem(flexible(rebound_frac=one(0.0)), price=300.0))
    saved = (1.0 + result.power_mw["hall"]) @ STEP_H
    assert saved == pytest.approx(0.5 * 2.0)


def test_energy_owed_that_cannot_be_returned_in_time_is_a_breach() -> None:
    result = solve_day(problem(flexible(owed_mwh=one(1.5))))
    assert [(b.name, b.what) for b in result.breaches] == [("hall", "energy owed after its window")]


def test_genset_runs_when_power_is_dear_and_respects_minimum_times() -> None:
    price = np.array([50.0, 50, 300, 50, 50, 50, 50, 50])
    result = solve_day(problem(genset(min_up_h=one(1.5)), price=price))
    np.testing.assert_array_equal(np.flatnonzero(result.running["chp"]).size, 3)
    assert result.running["chp"][2]


def test_running_genset_may_not_stop_before_its_time() -> None:
    result = solve_day(problem(genset(initial_h=one(0.5), initial_mw=one(0.5), min_up_h=one(2.0))))
    np.testing.assert_array_equal(result.running["chp"], [True] * 3 + [False] * 5)


def test_stopped_genset_rests_before_it_starts() -> None:
    result = solve_day(problem(genset(initial_h=one(-0.5), min_down_h=one(1.5)), price=300.0))
    np.testing.assert_array_equal(result.running["chp"], [False] * 2 + [True] * 6)


def test_genset_ramps() -> None:
    slow = genset(ramp_mw_per_h=one(0.2), initial_h=one(5.0), initial_mw=one(0.5))
    result = solve_day(problem(slow, price=300.0))
    np.testing.assert_allclose(result.power_mw["chp"][:5], [0.6, 0.7, 0.8, 0.9, 1.0])


def test_heat_pump_draws_ahead_of_dear_hours_and_keeps_warm() -> None:
    price = np.array([10.0, 10, 10, 10, 200, 200, 200, 200])
    result = solve_day(problem(heater(), price=price))
    stored = result.stored_mwh["pump"]
    assert not result.breaches
    assert stored.min() >= 0.5 - 1e-6
    assert result.power_mw["pump"][4:] @ STEP_H[4:] == pytest.approx(0.0, abs=1e-6)


def test_heat_demand_beyond_the_heat_pump_is_a_breach() -> None:
    result = solve_day(problem(heater(heat_demand_mw=flat(5.0))))
    assert [(b.name, b.what) for b in result.breaches] == [
        ("pump", "heat below the store's minimum")
    ]


def test_store_too_hot_is_a_breach() -> None:
    result = solve_day(problem(heater(min_draw_mw=flat(1.0), max_draw_mw=flat(1.0))))
    assert [b.what for b in result.breaches] == ["heat above the store's maximum"]


def test_group_limit_binds_inside_the_park() -> None:
    limit = GroupLimit(name="yard", members=("roof",), max_export_mw=0.4)
    result = solve_day(problem(plant(), limits=(limit,)))
    np.testing.assert_allclose(result.power_mw["roof"], 0.4, atol=1e-6)


def test_group_limit_counts_load_that_cannot_move() -> None:
    limit = GroupLimit(name="yard", members=("hall", "bess"), max_import_mw=0.9)
    rigid = flexible(max_less_mw=flat(0.0))
    result = solve_day(problem(rigid, battery(), limits=(limit,)))
    assert (result.power_mw["hall"] + result.power_mw["bess"]).min() >= -0.9 - 1e-6


def test_contradiction_names_the_limit_its_size_and_its_time() -> None:
    fixed = np.array([-1.0, -1, -3, -1, -1, -1, -1, -1])
    result = solve_day(problem(fixed_mw=fixed, max_import_mw=2.0))
    assert result.status is PlanStatus.INFEASIBLE
    assert result.reason.startswith("connection: import must exceed its limit by up to 1.000 MW")
    assert "between 1.00 h and 1.50 h" in result.reason
    assert not result.feasible


def test_contradiction_behind_a_group_limit_names_the_group() -> None:
    limit = GroupLimit(name="yard", members=("roof",), max_export_mw=0.4)
    result = solve_day(problem(plant(curtailable=False), limits=(limit,)))
    assert result.reason.startswith("yard: export must exceed its limit by up to 0.600 MW")


def test_contradiction_not_explained_in_time_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(self: SparseModel, **limits: float) -> Solution:
        return Solution(ended=Ended.INFEASIBLE, values=np.zeros(0), bound=np.inf)

    monkeypatch.setattr(SparseModel, "run", never)
    result = solve_day(problem(plant()))
    assert result.status is PlanStatus.INFEASIBLE
    assert "contradict" in result.reason


def test_no_time_at_all_is_late_not_wrong() -> None:
    result = solve_day(problem(battery(), genset()), deadline_s=0.0)
    assert result.status is PlanStatus.LATE
    assert "0 s" in result.reason


def test_nothing_to_plan_still_prices_the_load() -> None:
    result = solve_day(problem(fixed_mw=np.full(T, -1.0)))
    assert result.cost == pytest.approx(51.0 * 4.0)


BROKEN = {
    "empty horizon": (problem(step_h=np.zeros(0)), "step_h"),
    "step of no length": (problem(step_h=np.zeros(T)), "step_h[0]"),
    "price not a number": (problem(price=np.nan), "import_price_per_mwh[0]"),
    "series too short": (problem(fixed_mw=np.zeros(3)), "fixed_mw.shape"),
    "negative limit": (problem(max_import_mw=-1.0), "max_import_mw"),
    "limit not a number": (problem(max_export_mw=np.nan), "max_export_mw"),
    "negative breach price": (problem(breach_price_per_mwh=-1.0), "breach_price_per_mwh"),
    "unknown member": (
        problem(limits=(GroupLimit(name="yard", members=("ghost",)),)),
        "limits.yard.members",
    ),
    "name used twice": (problem(battery(), battery()), "names"),
    "efficiency above one": (
        problem(battery(charge_efficiency=one(1.1))),
        "Batteries.charge_efficiency[bess]",
    ),
    "negative capacity": (problem(battery(max_mwh=one(-1.0))), "Batteries.max_mwh[bess]"),
    "minimum above maximum": (problem(battery(min_mwh=one(3.0))), "Batteries.min_mwh[bess]"),
    "all lost in an hour": (
        problem(battery(standing_loss_frac_per_h=one(1.0))),
        "Batteries.standing_loss_frac_per_h[bess]",
    ),
    "loss beyond charging": (
        problem(battery(max_charge_mw=one(0.0), standing_loss_frac_per_h=one(0.1))),
        "Batteries.max_charge_mw[bess]",
    ),
    "infinite terminal value": (
        problem(battery(terminal_value_per_mwh=one(np.inf))),
        "Batteries.terminal_value_per_mwh[bess]",
    ),
    "negative cycle budget": (
        problem(battery(max_discharge_mwh=one(-1.0))),
        "Batteries.max_discharge_mwh[bess]",
    ),
    "two values for one battery": (
        problem(battery(initial_mwh=np.ones(2))),
        "Batteries.initial_mwh.shape",
    ),
    "less than nothing drawn": (
        problem(flexible(max_less_mw=flat(2.0))),
        "FlexibleLoads.max_less_mw[hall, 0]",
    ),
    "no interruption at all": (
        problem(flexible(max_interruption_h=one(0.0))),
        "FlexibleLoads.max_interruption_h[hall]",
    ),
    "departure in the past": (
        problem(charger(session_departure_h=one(-1.0))),
        "ChargingStations.session_departure_h[car]",
    ),
    "vehicle at no station": (
        problem(charger(session_station=np.array([3]))),
        "ChargingStations.session_station[car]",
    ),
    "genset upside down": (problem(genset(min_mw=one(2.0))), "Gensets.min_mw[chp]"),
    "genset of unknown state": (problem(genset(initial_h=one(0.0))), "Gensets.initial_h[chp]"),
    "genset that cannot move": (
        problem(genset(ramp_mw_per_h=one(0.0))),
        "Gensets.ramp_mw_per_h[chp]",
    ),
    "infinite fuel cost": (
        problem(genset(cost_per_mwh=one(np.inf))),
        "Gensets.cost_per_mwh[chp]",
    ),
    "heat from nothing": (problem(heater(cop=flat(0.0))), "HeatStores.cop[pump, 0]"),
    "draw upside down": (
        problem(heater(min_draw_mw=flat(2.0))),
        "HeatStores.min_draw_mw[pump, 0]",
    ),
    "sun not a number": (problem(plant(np.nan)), "Renewables.available_mw[roof, 0]"),
}


@pytest.mark.parametrize(("broken", "field"), BROKEN.values(), ids=BROKEN)
def test_broken_problem_is_refused_before_any_solver(
    broken: DayPlanProblem, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(SparseModel, "run")
    with pytest.raises(ProblemError) as refused:
        solve_day(broken)
    assert refused.value.field == field
    assert refused.value.rule
