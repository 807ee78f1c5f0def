"""There is always an answer: in time, explained, from the previous plan, or when told to stop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from optimization.dispatch.physics import violations
from optimization.dispatch.plant import CostPoint, Generator, Load
from optimization.dispatch.previous import PreviousPlan
from optimization.dispatch.problem import ConnectionPoint, DispatchProblem, ReserveProduct
from optimization.dispatch.result import DispatchResult, DispatchStatus
from optimization.dispatch.solve import solve_dispatch
from optimization.dispatch.storage import Battery, Vehicle
from tests.support.dispatch_problems import random_problem

BATTERY = Battery(
    name="b", point="grid", max_charge_mw=3.0, max_discharge_mw=3.0, initial_mwh=1.0, max_mwh=5.0
)
ENGINE = Generator(
    name="g",
    point="grid",
    min_mw=1.0,
    max_mw=3.0,
    curve=(CostPoint(power_mw=1.0, cost_per_h=50.0), CostPoint(power_mw=3.0, cost_per_h=150.0)),
    min_up_h=3.0,
    initial_h=-5.0,
)
ISLAND = ConnectionPoint(name="grid", max_import_mw=0.0, max_export_mw=0.0)


def test_a_store_that_runs_dry_is_explained() -> None:
    problem = DispatchProblem(
        step_h=(1.0, 1.0, 1.0),
        points=(ConnectionPoint(name="grid", max_import_mw=2.0),),
        batteries=(BATTERY, replace(BATTERY, name="idle", max_discharge_mw=0.0)),
        loads=(Load(name="l", point="grid", demand_mw=(3.0, 3.0, 0.0)),),
    )
    result = solve_dispatch(problem)
    assert result.status is DispatchStatus.INFEASIBLE
    blamed = {(conflict.name, conflict.what) for conflict in result.contradiction}
    assert ("b", "energy limits") in blamed
    assert ("grid", "import and export limits") in blamed
    assert ("idle", "energy limits") not in blamed
    assert "b: energy limits" in result.reason
    assert max(step for c in result.contradiction for step in c.steps) == 1


def test_each_named_constraint_is_needed_for_the_contradiction() -> None:
    problem = DispatchProblem(
        step_h=(1.0, 1.0),
        points=(ConnectionPoint(name="grid", max_import_mw=2.0),),
        batteries=(BATTERY,),
        loads=(Load(name="l", point="grid", demand_mw=(4.0, 4.0)),),
    )
    assert solve_dispatch(problem).status is DispatchStatus.INFEASIBLE
    for cured in (
        replace(problem, points=(ConnectionPoint(name="grid", max_import_mw=3.5),)),
        replace(problem, batteries=(replace(BATTERY, initial_mwh=4.5),)),
    ):
        assert solve_dispatch(cured).feasible


def test_a_contradiction_of_whole_numbers_is_explained() -> None:
    # 0.5 MW cannot be made by an engine of at least 1 MW, though half an engine could.
    problem = DispatchProblem(
        step_h=(1.0, 1.0),
        points=(replace(ISLAND, fixed_mw=(-0.5, -0.5)),),
        generators=(ENGINE, replace(ENGINE, name="other")),
    )
    result = solve_dispatch(problem)
    assert result.status is DispatchStatus.INFEASIBLE
    assert ("grid", "import and export limits") in {(c.name, c.what) for c in result.contradiction}


def test_a_hard_reserve_nobody_can_hold_is_named() -> None:
    problem = DispatchProblem(
        step_h=(1.0,),
        points=(ConnectionPoint(name="grid"),),
        batteries=(BATTERY,),
        reserves=(ReserveProduct(name="r", direction="up", required_mw=(2.0,), duration_h=2.0),),
    )
    result = solve_dispatch(problem)
    assert result.status is DispatchStatus.INFEASIBLE
    assert "r: required reserve" in result.reason


def test_a_preference_is_missed_at_its_price_and_named() -> None:
    vehicle = Vehicle(
        name="v",
        point="grid",
        departure_h=1.0,
        max_charge_mw=0.01,
        initial_mwh=0.0,
        max_mwh=0.1,
        target_mwh=0.05,
    )
    problem = DispatchProblem(
        step_h=(1.0,),
        points=(ConnectionPoint(name="grid"),),
        vehicles=(vehicle,),
        breach_price_per_mwh=1000.0,
    )
    result = solve_dispatch(problem)
    assert result.status is DispatchStatus.OPTIMAL
    (breach,) = result.breaches
    assert (breach.name, breach.what) == ("v", "energy missing at departure")
    assert breach.amount == pytest.approx(0.04)
    assert breach.cost == pytest.approx(40.0)


def test_a_priced_limit_is_exceeded_by_no_more_than_must_be() -> None:
    hall = ConnectionPoint(
        name="hall", parent="grid", max_import_mw=2.0, max_export_mw=0.5, excess_price_per_mwh=1e4
    )
    problem = DispatchProblem(
        step_h=(0.5,) * 4,
        points=(ConnectionPoint(name="grid"), hall),
        # One megawatt-hour: enough for one of the two steps above the limit.
        batteries=(replace(BATTERY, point="hall"),),
        loads=(Load(name="l", point="hall", demand_mw=(1.0, 4.0, 4.0, 0.0)),),
        import_price_per_mwh=(50.0,) * 4,
    )
    result = solve_dispatch(problem)
    assert result.status is DispatchStatus.OPTIMAL
    assert violations(problem, result.schedules) == ()
    net_mw = np.array(result.point_mw["hall"])
    # What the battery can charge first it gives later: one step's room of 1 MW, and its start.
    assert np.clip(-net_mw - 2.0, 0.0, None) @ problem.step_h == pytest.approx(0.5)
    (breach,) = result.breaches
    assert (breach.name, breach.what, breach.unit) == ("hall", "import above its limit", "MW")
    assert breach.cost == pytest.approx(0.5 * 1e4)
    hard = replace(problem, points=(problem.points[0], replace(hall, excess_price_per_mwh=None)))
    assert solve_dispatch(hard).status is DispatchStatus.INFEASIBLE


def test_without_time_the_previous_plan_goes_on_degraded() -> None:
    problem = DispatchProblem(
        step_h=(0.5,) * 4,
        points=(ConnectionPoint(name="grid"),),
        batteries=(BATTERY,),
        generators=(ENGINE,),
        import_price_per_mwh=(10.0, 200.0, 20.0, 90.0),
        export_price_per_mwh=(9.0, 190.0, 19.0, 80.0),
    )
    before = solve_dispatch(problem)
    plan = PreviousPlan(result=before, step_h=problem.step_h, elapsed_h=0.5)
    result = solve_dispatch(problem, deadline_s=0.0, previous=plan)
    assert result.status is DispatchStatus.DEGRADED
    assert result.cost is None
    for name, schedule in result.schedules.items():
        assert schedule.power_mw == (*before.schedules[name].power_mw[1:], 0.0)


def test_without_time_and_plan_the_answer_is_late() -> None:
    result = solve_dispatch(random_problem(3), deadline_s=0.0)
    assert result.status is DispatchStatus.LATE
    assert "0 s" in result.reason


def test_a_plan_that_has_passed_is_no_fallback() -> None:
    problem = random_problem(3)
    plan = PreviousPlan(
        result=solve_dispatch(problem), step_h=problem.step_h, elapsed_h=sum(problem.step_h)
    )
    assert solve_dispatch(problem, deadline_s=0.0, previous=plan).status is DispatchStatus.LATE


def test_a_warm_start_costs_the_same() -> None:
    problem = random_problem(5, n_each=1)
    cold = solve_dispatch(problem, deadline_s=30.0, gap_frac=1e-6)
    plan = PreviousPlan(result=cold, step_h=problem.step_h)
    warm = solve_dispatch(problem, deadline_s=30.0, gap_frac=1e-6, previous=plan)
    assert warm.cost == pytest.approx(cold.cost, rel=1e-5)


def test_told_to_stop_the_search_answers_with_what_it_has() -> None:
    result = solve_dispatch(random_problem(5, n_each=4), gap_frac=0.0, watch=lambda _: True)
    assert isinstance(result, DispatchResult)
    assert result.status in (DispatchStatus.LATE, DispatchStatus.INCUMBENT, DispatchStatus.OPTIMAL)


def test_the_marginal_price_is_what_another_megawatt_hour_costs() -> None:
    problem = replace(
        random_problem(7, kinds=("batteries", "fleets", "renewables"), reserves=False),
        peak_price_per_mw=0.0,
        commitments=(),
    )
    price = solve_dispatch(problem, gap_frac=1e-9).price_per_mwh
    grid = problem.points[0]
    fixed = np.array(grid.fixed_mw)
    fixed[2] -= 1e-3
    more = replace(problem, points=(replace(grid, fixed_mw=tuple(fixed)), *problem.points[1:]))
    costs = [solve_dispatch(p, gap_frac=1e-9).cost for p in (problem, more)]
    assert costs[0] is not None
    assert costs[1] is not None
    assert (costs[1] - costs[0]) / (1e-3 * problem.step_h[2]) == pytest.approx(price[2], rel=1e-3)


def test_an_engine_follows_its_minimum_time() -> None:
    problem = DispatchProblem(
        step_h=(1.0,) * 6,
        points=(ConnectionPoint(name="grid"),),
        generators=(ENGINE,),
        import_price_per_mwh=(10.0, 10.0, 200.0, 10.0, 10.0, 10.0),
        loads=(Load(name="l", point="grid", demand_mw=(3.0,) * 6),),
    )
    result = solve_dispatch(problem, gap_frac=0.0)
    running = result.schedules["g"].running
    assert running is not None
    assert sum(running) >= 3
    assert running[2]
    assert violations(problem, result.schedules) == ()
