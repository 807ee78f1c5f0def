"""What makes no sense is refused with field, value and rule, all of it, before any solver."""

from __future__ import annotations

from dataclasses import replace

import pytest

from optimization.dispatch.fields import INF, Plain
from optimization.dispatch.plant import CostPoint, Generator, Load, StartCost
from optimization.dispatch.problem import (
    Commitment,
    ConnectionPoint,
    DispatchProblem,
    ReserveProduct,
)
from optimization.dispatch.rules import ProblemRefusedError, check
from optimization.dispatch.storage import Battery, Fleet, Vehicle
from tests.support.dispatch_problems import KINDS, random_problem

NAN = float("nan")

BATTERY = Battery(
    name="b", point="grid", max_charge_mw=1.0, max_discharge_mw=1.0, initial_mwh=1.0, max_mwh=2.0
)
VEHICLE = Vehicle(
    name="v",
    point="grid",
    departure_h=2.0,
    max_charge_mw=0.1,
    initial_mwh=0.0,
    max_mwh=0.1,
    target_mwh=0.1,
)
ENGINE = Generator(
    name="g",
    point="grid",
    min_mw=1.0,
    max_mw=3.0,
    curve=(
        CostPoint(power_mw=1.0, cost_per_h=50.0),
        CostPoint(power_mw=2.0, cost_per_h=90.0),
        CostPoint(power_mw=3.0, cost_per_h=140.0),
    ),
    starts=(StartCost(off_h=1.0, cost=10.0), StartCost(off_h=3.0, cost=20.0)),
    initial_h=1.0,
    initial_mw=2.0,
)
FLEET = Fleet(
    name="f",
    point="grid",
    min_mw=(-1.0, -1.0),
    max_mw=(1.0, 1.0),
    initial_mwh=0.0,
    min_mwh=(0.0, 0.0),
    max_mwh=(1.0, 1.0),
)
LOAD = Load(name="l", point="grid", demand_mw=(1.0, 1.0))
PROMISE = Commitment(
    name="p",
    point="grid",
    power_mw=(0.0, 0.0),
    up_price_per_mwh=(-1.0, 0.0),
    down_price_per_mwh=(1.0, 1.0),
)
PRODUCT = ReserveProduct(name="r", direction="up", max_mw=(1.0, 1.0), price_per_mw_h=(5.0, 5.0))
PROBLEM = DispatchProblem(
    step_h=(1.0, 0.5),
    points=(ConnectionPoint(name="grid"),),
    batteries=(BATTERY,),
    vehicles=(VEHICLE,),
    generators=(ENGINE,),
    fleets=(FLEET,),
    loads=(LOAD,),
    commitments=(PROMISE,),
    reserves=(PRODUCT,),
)


def faults(problem: DispatchProblem) -> dict[str, object]:
    """Return the refused values by field."""
    with pytest.raises(ProblemRefusedError) as refused:
        check(problem)
    return {fault.field: fault.value for fault in refused.value.faults}


def with_part(kind: str, part: Plain) -> DispatchProblem:
    return replace(PROBLEM, **{kind: (part,)})  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(50))
def test_a_sound_problem_passes(seed: int) -> None:
    check(random_problem(seed, kinds=KINDS))


@pytest.mark.parametrize(
    ("kind", "part", "field"),
    [
        ("batteries", replace(BATTERY, max_mwh=NAN), "batteries[b].max_mwh"),
        ("batteries", replace(BATTERY, max_charge_mw=INF), "batteries[b].max_charge_mw"),
        ("batteries", replace(BATTERY, max_charge_mw=-1.0), "batteries[b].max_charge_mw"),
        ("batteries", replace(BATTERY, charge_efficiency=0.0), "batteries[b].charge_efficiency"),
        ("batteries", replace(BATTERY, charge_efficiency=1.1), "batteries[b].charge_efficiency"),
        (
            "batteries",
            replace(BATTERY, standing_loss_frac_per_h=1.0),
            "batteries[b].standing_loss_frac_per_h",
        ),
        ("batteries", replace(BATTERY, min_mwh=3.0), "batteries[b].min_mwh"),
        ("batteries", replace(BATTERY, floor_mwh=3.0), "batteries[b].floor_mwh"),
        ("batteries", replace(BATTERY, point="nowhere"), "batteries[b].point"),
        ("batteries", replace(BATTERY, name="v"), "name"),
        ("batteries", replace(BATTERY, name=""), "batteries.name"),
        ("vehicles", replace(VEHICLE, arrival_h=2.0), "vehicles[v].departure_h"),
        ("vehicles", replace(VEHICLE, target_mwh=0.2), "vehicles[v].target_mwh"),
        ("vehicles", replace(VEHICLE, initial_mwh=0.2), "vehicles[v].initial_mwh"),
        ("fleets", replace(FLEET, max_mw=(1.0,)), "fleets[f].max_mw"),
        ("fleets", replace(FLEET, min_mw=(0.0, 2.0)), "fleets[f].min_mw[1]"),
        ("generators", replace(ENGINE, initial_h=0.0), "generators[g].initial_h"),
        ("generators", replace(ENGINE, start_mw=0.5), "generators[g].min_mw"),
        ("generators", replace(ENGINE, curve=()), "generators[g].curve"),
        ("generators", replace(ENGINE, curve=ENGINE.curve[:2]), "generators[g].curve"),
        ("generators", replace(ENGINE, curve=ENGINE.curve[::-1]), "generators[g].curve"),
        ("generators", replace(ENGINE, starts=ENGINE.starts[::-1]), "generators[g].starts"),
        ("generators", replace(ENGINE, heat_store="b"), "generators[g].heat_store"),
        ("loads", replace(LOAD, max_less_mw=(0.0, 2.0)), "loads[l].max_less_mw[1]"),
        ("loads", replace(LOAD, demand_mw=(NAN, 1.0)), "loads[l].demand_mw[0]"),
        ("loads", replace(LOAD, demand_mw=("1", 1.0)), "loads[l].demand_mw[0]"),
        (
            "commitments",
            replace(PROMISE, up_price_per_mwh=(-2.0, 0.0)),
            "commitments[p].up_price_per_mwh",
        ),
        ("commitments", replace(PROMISE, point="nowhere"), "commitments[p].point"),
        ("reserves", replace(PRODUCT, max_mw=None), "reserves[r].max_mw"),
        ("reserves", replace(PRODUCT, required_mw=(2.0, 0.0)), "reserves[r].max_mw"),
        ("reserves", replace(PRODUCT, providers=("l",)), "reserves[r].providers"),
        ("points", ConnectionPoint(name="grid", max_import_mw=-1.0), "points[grid].max_import_mw"),
        ("points", ConnectionPoint(name="grid", parent="grid"), "points[grid].parent"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_broken_rule_is_named(kind: str, part: Plain, field: str) -> None:
    assert field in faults(with_part(kind, part))


def test_a_costlier_first_megawatt_is_refused() -> None:
    hollow = tuple(
        CostPoint(power_mw=mw, cost_per_h=cost)
        for mw, cost in ((1.0, 0.0), (2.0, 50.0), (3.0, 60.0))
    )
    assert "generators[g].curve" in faults(with_part("generators", replace(ENGINE, curve=hollow)))


def test_all_faults_are_told_at_once() -> None:
    problem = replace(
        PROBLEM,
        step_h=(1.0, -0.5),
        batteries=(replace(BATTERY, max_mwh=NAN),),
        vehicles=(replace(VEHICLE, point="nowhere"),),
    )
    assert set(faults(problem)) == {"step_h[1]", "batteries[b].max_mwh", "vehicles[v].point"}


def test_an_empty_horizon_is_refused() -> None:
    assert faults(replace(PROBLEM, step_h=())) == {"step_h": 0}


def test_a_network_without_way_to_the_grid_is_refused() -> None:
    ring = (
        ConnectionPoint(name="grid"),
        ConnectionPoint(name="a", parent="b"),
        ConnectionPoint(name="b", parent="a"),
    )
    assert set(faults(replace(PROBLEM, points=ring))) == {"points[a].parent", "points[b].parent"}


def test_a_demand_nothing_can_meet_is_refused_with_its_step() -> None:
    island = ConnectionPoint(name="grid", max_import_mw=0.5, fixed_mw=(-1.0, -20.0))
    with pytest.raises(ProblemRefusedError) as refused:
        check(replace(PROBLEM, points=(island,)))
    (fault,) = refused.value.faults
    assert fault.field == "points[grid].max_import_mw"
    assert fault.value == 0.5
    assert "in step 1" in fault.rule


def test_injection_nothing_can_take_is_refused() -> None:
    dam = ConnectionPoint(name="grid", max_export_mw=0.0, fixed_mw=(0.0, 20.0))
    assert faults(replace(PROBLEM, points=(dam,))) == {"points[grid].max_export_mw": 0.0}
