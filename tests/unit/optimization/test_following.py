"""Powers somebody else decided: completed and priced by our own model, or refused with the law."""

from __future__ import annotations

from dataclasses import replace

import pytest

from optimization.dispatch.fields import Series
from optimization.dispatch.following import follow
from optimization.dispatch.physics import violations
from optimization.dispatch.plant import Load, Renewable
from optimization.dispatch.problem import ConnectionPoint, DispatchProblem
from optimization.dispatch.result import DispatchStatus
from optimization.dispatch.solve import solve_dispatch
from optimization.dispatch.storage import Battery
from tests.support.dispatch_problems import KINDS, random_problem

BATTERY = Battery(
    name="store",
    point="grid",
    max_charge_mw=1.0,
    max_discharge_mw=1.0,
    initial_mwh=1.0,
    max_mwh=2.0,
    discharge_efficiency=0.8,
    wear_per_mwh=2.0,
)
SMALL = DispatchProblem(
    step_h=(1.0, 1.0),
    points=(ConnectionPoint(name="grid", max_import_mw=3.0, max_export_mw=1.0),),
    import_price_per_mwh=(50.0, 100.0),
    export_price_per_mwh=(40.0, 90.0),
    batteries=(BATTERY,),
    renewables=(Renewable(name="sun", point="grid", available_mw=(0.5, 1.5)),),
    loads=(Load(name="hall", point="grid", demand_mw=(1.0, 1.0)),),
)
IDLE: dict[str, Series] = {"store": (0.0, 0.0), "sun": (0.5, 1.0), "hall": (-1.0, -1.0)}


@pytest.mark.parametrize("kinds", [*((kind,) for kind in KINDS), KINDS], ids="+".join)
@pytest.mark.parametrize("seed", range(3))
def test_the_powers_of_a_solved_problem_cost_what_the_solver_said(
    kinds: tuple[str, ...], seed: int
) -> None:
    problem = random_problem(seed, kinds=kinds, n_steps=5)
    solved = solve_dispatch(problem, deadline_s=10.0)
    powers = {name: schedule.power_mw for name, schedule in solved.schedules.items()}

    followed = follow(problem, powers, time_limit_s=10.0)

    assert followed.status is DispatchStatus.INCUMBENT, followed.reason
    assert followed.cost == pytest.approx(solved.cost, rel=2e-3, abs=0.05)
    assert followed.cost == pytest.approx(sum(followed.cost_terms.values()))
    assert violations(problem, followed.schedules) == ()


def test_the_cost_is_that_of_the_powers_by_hand() -> None:
    followed = follow(SMALL, {**IDLE, "store": (0.0, 0.5), "sun": (0.5, 1.5)}, time_limit_s=5.0)
    # 0.5 MWh bought at 50, 1 MWh sold at 90, half a MWh through the battery at 2.
    assert followed.cost == pytest.approx(0.5 * 50 - 1.0 * 90 + 0.5 * 2, abs=0.01)
    assert followed.schedules["store"].energy_mwh == pytest.approx((1.0, 1.0, 0.375), abs=1e-4)
    assert followed.point_mw["grid"] == pytest.approx((-0.5, 1.0), abs=1e-4)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"store": (1.0, 1.0)}, "store: "),
        ({"store": (2.0, 0.0)}, "store: "),
        ({"sun": (0.6, 1.0)}, "sun: available power, in step 0"),
        ({"hall": (-0.9, -1.0)}, "hall: cannot be moved, in step 0"),
        ({"store": (-1.0, 0.8), "sun": (0.5, 1.5)}, "grid: "),
    ],
    ids=["energy", "power", "weather", "load", "network"],
)
def test_what_cannot_be_is_refused_with_its_law(changed: dict[str, Series], told: str) -> None:
    followed = follow(SMALL, {**IDLE, **changed}, time_limit_s=5.0)
    assert followed.status is DispatchStatus.INFEASIBLE
    assert told in followed.reason
    assert followed.cost is None


def test_energy_is_not_burnt_by_charging_and_discharging_at_once() -> None:
    full = replace(SMALL, batteries=(replace(BATTERY, initial_mwh=2.0),))
    # Charging a full battery: only running both ways would make room.
    followed = follow(full, {**IDLE, "store": (-0.1, 0.0)}, time_limit_s=5.0)
    assert followed.status is DispatchStatus.INFEASIBLE
    assert "store: " in followed.reason


@pytest.mark.parametrize("seed", range(6, 12))
@pytest.mark.parametrize("digits", [6, 5])
def test_a_day_of_powers_rounded_to_ten_watts_still_holds(seed: int, digits: int) -> None:
    problem = random_problem(seed, n_steps=24)
    solved = solve_dispatch(problem, deadline_s=10.0)
    powers = {
        name: tuple(round(power, digits) for power in schedule.power_mw)
        for name, schedule in solved.schedules.items()
    }
    followed = follow(problem, powers, time_limit_s=10.0)
    assert followed.status is DispatchStatus.INCUMBENT, followed.reason
    assert followed.cost == pytest.approx(solved.cost, rel=1e-4)
    assert violations(problem, followed.schedules) == ()


def test_rounding_to_the_watt_is_forgiven() -> None:
    powers = {**IDLE, "sun": (0.5 + 1e-6, 1.0), "hall": (-1.0 - 1e-6, -1.0)}
    assert follow(SMALL, powers, time_limit_s=5.0).status is DispatchStatus.INCUMBENT
