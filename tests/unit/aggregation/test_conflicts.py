"""Each rule about conflicts finds what it is for, and nothing where all is well."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from controllers.aggregation.conflicts import (
    FoundConflict,
    Severity,
    Situation,
    circle_through,
    find_conflicts,
)
from controllers.aggregation.instruction import Instruction, InstructionState
from controllers.kernel.states import Quality
from controllers.park import AggregateDefinition, ResourceDefinition
from tests.support.live_states import NOW, make_resource_state
from tests.support.twins import VALID

BLOCKING, WARNING = Severity.BLOCKING, Severity.WARNING


def resource(id_: str, kind: str = "battery", **parameters: Any) -> ResourceDefinition:
    return ResourceDefinition(id=id_, name=id_, kind=kind, parameters={**VALID[kind], **parameters})


def aggregate(id_: str, *members: str, **changes: Any) -> AggregateDefinition:
    return AggregateDefinition(id=id_, name=id_, members=list(members), **changes)


RESOURCES = {
    r.id: r for r in (resource("b1"), resource("b2"), resource("roof", "pv"), resource("e", "chp"))
}


def situation(ours: AggregateDefinition, *others: AggregateDefinition, **more: Any) -> Situation:
    """Return ``ours`` in a park where all is active and measured."""
    made = Situation(
        aggregate=ours,
        others={other.id: other for other in others},
        active=frozenset({ours.id, *(other.id for other in others)}),
        resources=RESOURCES,
        states={id_: make_resource_state(id_, kind=r.kind) for id_, r in RESOURCES.items()},
    )
    return replace(made, **more)


def instruction(owner: str, start_min: float, end_min: float, **changes: Any) -> Instruction:
    fields: dict[str, Any] = {
        "id": f"{owner}.d-1",
        "aggregate_id": owner,
        "target_kw": 10.0,
        "start_at": NOW + timedelta(minutes=start_min),
        "end_at": NOW + timedelta(minutes=end_min),
        "ramp_kw_per_min": None,
        "reason": "x",
        "issued_by": "anna",
        "issued_at": NOW,
        "tolerance_kw": 1.0,
    }
    return Instruction(**{**fields, **changes})


def found(s: Situation) -> list[tuple[str, Severity, str]]:
    return [(c.rule, c.severity, c.subject) for c in find_conflicts(s)]


def only(s: Situation) -> FoundConflict:
    (conflict,) = find_conflicts(s)
    return conflict


def test_an_aggregation_of_measured_batteries_has_none() -> None:
    assert find_conflicts(situation(aggregate("vpp", "b1", "b2"))) == []


def test_a_member_of_two_active_aggregations_is_a_warning() -> None:
    s = situation(aggregate("north", "b1", "b2"), aggregate("south", "b1"))
    assert found(s) == [("shared_member", WARNING, "b1")]
    assert "also a member of south" in only(s).explanation
    assert find_conflicts(replace(s, active=frozenset({"north"}))) == []


def test_a_member_above_and_below_is_a_warning() -> None:
    s = situation(aggregate("top", "inner", "b1", "b2"), aggregate("inner", "b1"))
    assert ("listed_above_and_below", WARNING, "b1") in found(s)


def test_a_circle_is_blocking_however_long() -> None:
    s = situation(aggregate("a", "b", "b1"), aggregate("b", "c"), aggregate("c", "a"))
    assert found(s)[0] == ("circular_nesting", BLOCKING, "b")


def test_circles_are_found_before_they_are_made() -> None:
    children = {"b": ["c"], "c": ["x"], "d": ["d2"]}
    assert circle_through("x", ["b", "d"], children) == ["b"]
    assert circle_through("x", ["x"], children) == ["x"]
    assert circle_through("y", ["b", "d"], children) == []


def test_one_member_above_the_connection_blocks_and_all_together_warn() -> None:
    alone = situation(aggregate("vpp", "b1", max_export_kw=90.0))
    assert found(alone) == [
        ("capacity_oversold", BLOCKING, "b1"),
        ("capacity_oversold", WARNING, "max_export_kw"),
    ]
    assert "b1 alone can export 100 kW" in find_conflicts(alone)[0].explanation
    together = situation(aggregate("vpp", "b1", "b2", max_import_kw=100.0))
    assert found(together) == [("capacity_oversold", WARNING, "max_import_kw")]


def test_findings_of_one_rule_about_one_subject_are_one() -> None:
    both = situation(aggregate("vpp", "b1", max_export_kw=10.0, max_import_kw=10.0))
    about_b1 = [c for c in find_conflicts(both) if c.subject == "b1"]
    assert len(about_b1) == 1
    assert "export 100 kW" in about_b1[0].explanation
    assert "import 80 kW" in about_b1[0].explanation


def test_an_inner_limit_above_the_outer_one_is_a_warning() -> None:
    s = situation(
        aggregate("top", "inner", "b2", max_export_kw=500.0),
        aggregate("inner", "b1", max_export_kw=600.0),
    )
    assert found(s) == [("capacity_oversold", WARNING, "inner")]


def test_sun_and_wind_alone_follow_one_way_only() -> None:
    assert found(situation(aggregate("vpp", "roof"))) == [("incompatible_kinds", WARNING, "vpp")]
    assert find_conflicts(situation(aggregate("vpp", "roof", "b1"))) == []


def test_a_slow_engine_among_fast_members_is_a_warning() -> None:
    assert found(situation(aggregate("vpp", "b1", "e"))) == [("incompatible_kinds", WARNING, "e")]


def test_without_a_member_at_work_nothing_can_be_activated() -> None:
    assert found(situation(aggregate("vpp"))) == [("members_at_work", BLOCKING, "vpp")]
    gone = situation(aggregate("vpp", "gone"))
    assert found(gone) == [("members_at_work", BLOCKING, "gone")]
    assert found(situation(aggregate("vpp", "b1", "gone"))) == [
        ("members_at_work", WARNING, "gone")
    ]


@pytest.mark.parametrize("quality", [Quality.STALE, Quality.FROZEN, Quality.MISSING])
def test_missing_telemetry_is_a_warning(quality: Quality) -> None:
    states = {"b1": make_resource_state("b1", quality=quality), "b2": make_resource_state("b2")}
    s = situation(aggregate("vpp", "b1", "b2"), states=states)
    assert found(s) == [("missing_telemetry", WARNING, "b1")]
    assert find_conflicts(replace(s, live=False)) == []


def test_a_resource_that_never_spoke_misses_its_telemetry() -> None:
    s = situation(aggregate("vpp", "b1"), states={})
    assert "never came" in only(s).explanation


def test_dispatches_that_want_a_shared_member_at_one_time_block() -> None:
    s = situation(aggregate("north", "b1"), aggregate("south", "b1"))
    ours, theirs = instruction("north", 0, 60), instruction("south", 30, 90)
    clash = replace(s, instructions=[ours, theirs])
    assert found(clash)[0] == ("overlapping_windows", BLOCKING, "south.d-1")
    after = instruction("south", 60, 90)
    assert found(replace(s, instructions=[ours, after])) == [("shared_member", WARNING, "b1")]
    ended = instruction("south", 30, 90, state=InstructionState.CANCELLED)
    assert found(replace(s, instructions=[ours, ended])) == [("shared_member", WARNING, "b1")]


def test_a_dispatch_elsewhere_blocks_who_would_take_its_member_over() -> None:
    s = situation(aggregate("north", "b1"), aggregate("south", "b1"), active=frozenset({"south"}))
    running = replace(s, instructions=[instruction("south", 0, 60)])
    assert found(running)[0] == ("overlapping_windows", BLOCKING, "south.d-1")
    assert "b1 until" in find_conflicts(running)[0].explanation
