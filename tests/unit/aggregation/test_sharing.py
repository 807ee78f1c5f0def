"""Several aggregates: one battery in two of them, and aggregates inside aggregates."""

from __future__ import annotations

from datetime import timedelta

import pytest

from controllers.aggregation.checkpoint import MemberPlan
from controllers.aggregation.instruction import InstructionState
from controllers.kernel.states import Priority
from tests.support.small_plant import Device, SmallPlant, make_instruction


def two_with_a_shared_battery() -> SmallPlant:
    """Return ``north`` (home of the shared battery) and ``south``."""
    devices = [Device(id_, merit_per_mwh=merit) for id_, merit in ROWS]
    return SmallPlant(devices, {"north": ["n", "shared"], "south": ["s", "shared"]})


ROWS = (("n", 90.0), ("s", 10.0), ("shared", 50.0))


def counted(plant: SmallPlant) -> list[str]:
    """Return which aggregates count the shared battery."""
    return [
        id_
        for id_ in ("north", "south")
        for m in plant.state(id_).members
        if m.id == "shared" and m.counted
    ]


def submit(plant: SmallPlant, id_: str, target_kw: float, **changes: object) -> None:
    instruction = make_instruction(
        target_kw, id=f"for-{id_}", aggregate_id=id_, start_at=plant.now, **changes
    )
    plant.controls[id_].submit(instruction, plant.now)


def test_shared_battery_is_counted_at_home_until_somebody_holds_it() -> None:
    plant = two_with_a_shared_battery()
    plant.run(2)
    assert counted(plant) == ["north"]
    submit(plant, "south", 150.0)
    plant.run(5)
    # The own battery suffices: nothing is borrowed.
    assert counted(plant) == ["north"]
    assert plant.devices["shared"].heard == []
    plant.controls["south"].amend("for-south", 1, plant.now, operator="o", target_kw=300.0)
    plant.run(8)
    assert counted(plant) == ["south"]
    assert plant.state("south").power_kw == pytest.approx(300.0, abs=5.0)
    assert plant.state("north").power_kw == pytest.approx(0.0, abs=1e-6)


def test_two_aggregates_never_both_count_or_command_the_shared_battery() -> None:
    plant = two_with_a_shared_battery()
    plant.run(2)
    submit(plant, "north", 300.0)
    submit(plant, "south", 300.0)
    for turn in range(60):
        plant.turn()
        assert len(counted(plant)) == 1
        total_kw = sum(plant.state(id_).power_kw for id_ in ("north", "south"))
        assert total_kw == pytest.approx(sum(d.power_kw for d in plant.devices.values()))
        if turn > 2:
            commands = [id_ for id_ in ("north", "south") if "shared" in plant.setpoints_kw(id_)]
            assert commands == ["north"]
    assert plant.state("north").shortfall_kw == 0.0
    south = plant.state("south")
    assert south.shortfall_kw == pytest.approx(100.0, abs=1.0)
    assert "shared: held by north" in south.detail
    report = plant.controls["south"].report("for-south", plant.now)
    borrowed = next(m for m in report.members if m.member_id == "shared")
    assert (borrowed.winner, borrowed.note) == ("north", "held by north")
    assert report.instruction.state is InstructionState.PARTIAL


def test_higher_rank_takes_the_shared_battery_and_the_loser_finds_out() -> None:
    plant = two_with_a_shared_battery()
    plant.run(2)
    submit(plant, "north", 300.0)
    plant.run(10)
    submit(plant, "south", 300.0, priority=Priority.RESERVE)
    plant.run(20)
    assert counted(plant) == ["south"]
    assert plant.state("south").shortfall_kw == 0.0
    assert plant.state("north").shortfall_kw == pytest.approx(100.0, abs=5.0)
    plant.controls["south"].cancel("for-south", None, plant.now, operator="o", reason="r")
    plant.run(20)
    assert counted(plant) == ["north"]
    assert plant.state("north").shortfall_kw == 0.0


def nested() -> SmallPlant:
    """Return a park with a battery of its own over an inner plant of two and a load."""
    devices = [
        Device("a", merit_per_mwh=10.0),
        Device("b", merit_per_mwh=20.0),
        Device("load", low_kw=-60.0, high_kw=-60.0, natural_kw=-60.0),
        Device("top", merit_per_mwh=15.0),
    ]
    return SmallPlant(devices, {"inner": ["a", "b", "load"], "vpp": ["inner", "top"]})


def test_nested_sums_are_the_sums_of_the_devices() -> None:
    plant = nested()
    plant.devices["a"].power_kw = 30.0
    plant.run(2)
    total_kw = sum(d.power_kw for d in plant.devices.values())
    assert plant.state().power_kw == pytest.approx(total_kw, abs=1e-9)
    assert plant.state().rated_kw == pytest.approx(660.0)
    assert plant.state().envelope.max_kw == pytest.approx(200.0 + 200.0 - 60.0 + 200.0)
    assert plant.state().coverage_frac == pytest.approx(1.0)


def trim_kw(plant: SmallPlant, id_: str) -> float:
    """Return an aggregate's integral trim."""
    reference = plant.controls[id_].checkpoint().reference
    return 0.0 if reference is None else reference.trim_kw


def test_nested_dispatch_is_exact_at_every_level() -> None:
    plant = nested()
    plant.run(2)
    plant.vpp.submit(make_instruction(380.0, start_at=plant.now), plant.now)
    plant.run(15)
    upper, inner = plant.setpoints_kw(), plant.setpoints_kw("inner")
    assert sum(upper.values()) == pytest.approx(380.0 + trim_kw(plant, "vpp"), abs=1e-6)
    given_kw = upper["inner"] + trim_kw(plant, "inner")
    assert sum(inner.values()) - 60.0 == pytest.approx(given_kw, abs=1e-6)
    assert plant.power_kw() == pytest.approx(380.0, abs=1.0)
    assert plant.state("inner").holder == "vpp"
    assert plant.state("inner").instruction_id == "dispatch-1"


def test_inner_aggregate_that_falls_short_is_made_up_for_above() -> None:
    plant = nested()
    plant.run(2)
    plant.vpp.submit(make_instruction(300.0, start_at=plant.now), plant.now)
    plant.run(15)
    plant.devices["a"].tripped = plant.devices["b"].tripped = True
    plant.run(20)
    assert plant.devices["top"].power_kw == pytest.approx(200.0, abs=1.0)
    assert plant.state().shortfall_kw == pytest.approx(300.0 - 140.0, abs=5.0)
    assert "inner" in plant.state().detail
    plant.devices["a"].tripped = plant.devices["b"].tripped = False
    plant.run(90)
    assert plant.power_kw() == pytest.approx(300.0, abs=10.0)


def test_inner_aggregate_runs_free_again_when_the_upper_window_ends() -> None:
    plant = nested()
    plant.run(2)
    end_at = plant.now + timedelta(seconds=20)
    plant.vpp.submit(make_instruction(300.0, start_at=plant.now, end_at=end_at), plant.now)
    plant.run(30)
    assert plant.setpoints_kw("inner") == {}
    assert plant.state("inner").holder is None
    assert plant.power_kw() == pytest.approx(-60.0, abs=1.0)


def test_nested_plan_stays_the_base_of_the_parents_dispatch() -> None:
    south = Device("s1", natural_kw=-150.0, low_kw=-200.0, merit_per_mwh=90.0)
    plant = SmallPlant(
        [Device("b1", merit_per_mwh=10.0, high_kw=600.0), south],
        {"south": ["s1"], "vpp": ["b1", "south"]},
    )
    plan = MemberPlan(plan_id="p", start_at=plant.now, step_s=900.0, setpoints_kw={"s1": [-20.0]})
    plant.controls["south"].set_plan(plan, plant.now)
    plant.run(25)
    assert plant.state("south").envelope.natural_kw == pytest.approx(-20.0)
    plant.vpp.submit(make_instruction(300.0, start_at=plant.now), plant.now)
    plant.run(10)
    # The cheap battery rises alone; nobody is lowered to pay for it.
    assert plant.power_kw("south") == pytest.approx(-20.0, abs=1.0)
    instruction = plant.vpp.instructions()[0]
    plant.vpp.amend(instruction.id, 1, plant.now, operator="anna", target_kw=100.0)
    plant.run(4)
    assert plant.power_kw() == pytest.approx(100.0, abs=2.0)


@pytest.mark.parametrize("lag_s", [0.5, 10.0])
def test_a_step_of_a_nested_plan_makes_no_dip_in_the_parents_dispatch(lag_s: float) -> None:
    """Whether the members that the plan moves are quick or slow."""
    south = [
        Device(id_, merit_per_mwh=90.0, lag_s=lag_s, response_s=3.0 * lag_s) for id_ in ("s1", "s2")
    ]
    north = Device("b1", merit_per_mwh=10.0, low_kw=-800.0, high_kw=800.0)
    plant = SmallPlant([north, *south], {"south": ["s1", "s2"], "vpp": ["b1", "south"]})
    plan = MemberPlan(
        plan_id="p",
        start_at=plant.now,
        step_s=90.0,
        setpoints_kw={"s1": [100.0, -50.0, None], "s2": [80.0, 80.0, 80.0]},
    )
    plant.controls["south"].set_plan(plan, plant.now)
    plant.vpp.submit(make_instruction(300.0, start_at=plant.now), plant.now)
    plant.run(60)
    powers_kw = []
    for _ in range(200):
        plant.turn()
        powers_kw.append(plant.power_kw())
    assert min(powers_kw) > 300.0 - 20.0
    assert max(powers_kw) < 300.0 + 20.0
    assert plant.power_kw("south") == pytest.approx(80.0, abs=2.0)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_no_store_is_charged_to_be_discharged_elsewhere(sign: float) -> None:
    """What a plan does against the target is given up first, even by the store of least merit."""
    merits = {"b1": 10.0, "b2": 20.0, "b3": 30.0 if sign > 0 else 5.0}
    plant = SmallPlant(
        [Device(id_, merit_per_mwh=merit) for id_, merit in merits.items()], {"vpp": list(merits)}
    )
    plan = MemberPlan(
        plan_id="p", start_at=plant.now, step_s=900.0, setpoints_kw={"b3": [-sign * 150.0]}
    )
    plant.vpp.set_plan(plan, plant.now)
    plant.run(40)
    plant.vpp.submit(make_instruction(-sign * 100.0, start_at=plant.now), plant.now)
    plant.run(10)
    assert plant.setpoints_kw()["b3"] == pytest.approx(-sign * 100.0)
    plant.vpp.amend("dispatch-1", 1, plant.now, operator="anna", target_kw=sign * 120.0)
    plant.run(10)
    assert plant.setpoints_kw()["b3"] == pytest.approx(0.0, abs=1e-6)
    assert plant.power_kw() == pytest.approx(sign * 120.0, abs=1.0)
    cheapest = "b1" if sign > 0 else "b2"
    assert plant.setpoints_kw()[cheapest] == pytest.approx(sign * 120.0)


def test_a_slow_fleet_is_bridged_to_within_a_fraction_of_its_tolerance() -> None:
    """Its own tolerance, a share of its size, is no reason for the sum to be off by as much."""
    fleet = Device(
        "hp",
        low_kw=-600.0,
        high_kw=0.0,
        natural_kw=-300.0,
        merit_per_mwh=70.0,
        lag_s=7.0,
        response_s=20.0,
        dead_band_kw=0.1,
    )
    plant = SmallPlant(
        [Device("b1", merit_per_mwh=85.0, low_kw=-500.0, high_kw=500.0), fleet],
        {"vpp": ["b1", "hp"]},
    )
    plant.run(5)
    plant.vpp.submit(make_instruction(-100.0, start_at=plant.now), plant.now)
    plant.run(12)
    assert abs(fleet.power_kw + 100.0) > 10.0
    off_kw = []
    for _ in range(30):
        plant.turn()
        off_kw.append(abs(plant.power_kw() + 100.0))
    assert max(off_kw) < 6.0
