"""Maintenance keeps dispatch off a resource, lets a person in, and ends by itself."""

from __future__ import annotations

from datetime import timedelta

from controllers.control.events import MaintenanceCleared, MaintenanceSet
from controllers.kernel.states import Priority
from tests.support.cycles import Cycles, published, records, sent


def begin(run: Cycles, *, for_s: float = 600.0, window: str = "w1", after_s: float = 0.0) -> None:
    until = run.now + timedelta(seconds=after_s + for_s)
    event = MaintenanceSet(window_id=window, until=until, operator="mia", reason="fans")
    run.apply(event, after_s=after_s)


def setpoint_kw(run: Cycles) -> float | None:
    command = run.state.command
    return None if command is None or command.ended else command.setpoint_kw


def fates(run: Cycles) -> dict[str, str]:
    return {c.source_id: c.outcome for c in run.state.contenders}


def test_dispatch_loses_against_maintenance_and_the_resource_runs_free() -> None:
    run = Cycles.warm()
    run.deliver(20.0, lifetime_s=60.0)
    begin(run)
    assert [c.setpoint_kw for c in sent(run.decision)] == [None]
    assert run.decision.durable
    assert fates(run) == {"guard:maintenance": "won", "vpp1": "lost"}
    run.propose(30.0, after_s=1.0)
    assert setpoint_kw(run) is None


def test_a_person_at_the_device_may_still_take_it_in_hand() -> None:
    run = Cycles.warm()
    begin(run)
    run.override(15.0, for_s=60.0, after_s=1.0)
    assert setpoint_kw(run) == 15.0
    assert fates(run)["guard:maintenance"] == "lost"


def test_the_grid_limit_stands_above_maintenance() -> None:
    run = Cycles.warm()
    begin(run)
    run.propose(None, priority=Priority.GRID_LIMIT, source="grid", max_kw=-5.0)
    assert fates(run)["grid"] == "narrowed"
    run.kill(after_s=1.0)
    assert setpoint_kw(run) == 0.0


def test_maintenance_ends_by_itself_and_dispatch_goes_on() -> None:
    run = Cycles.warm()
    begin(run, for_s=5.0)
    run.propose(20.0, lifetime_s=60.0)
    effects = run.tick(after_s=5.0).effects
    assert [r["action"] for r in records(effects, "maintenance")] == ["expired"]
    assert setpoint_kw(run) == 20.0
    assert run.state.maintenance is None


def test_maintenance_survives_a_restart_and_shows_in_the_published_state() -> None:
    run = Cycles.warm()
    begin(run)
    run.restart(after_s=1.0)
    run.link(up=True)
    run.propose(20.0)
    run.sample(0.0)
    (state,) = published(run.decision)
    assert {c.source_id for c in state.contenders if c.outcome == "won"} == {"guard:maintenance"}
    assert state.setpoint_kw is None


def test_only_its_own_window_clears_it_and_the_last_one_counts() -> None:
    run = Cycles.warm()
    begin(run, window="w1")
    begin(run, window="w2", after_s=1.0)
    run.apply(MaintenanceCleared(window_id="w1"))
    assert run.state.maintenance is not None
    run.apply(MaintenanceCleared(window_id="w2"))
    assert run.state.maintenance is None


def test_repeating_it_changes_nothing_and_a_past_end_does_nothing() -> None:
    run = Cycles.warm()
    until = run.now + timedelta(seconds=60)
    event = MaintenanceSet(window_id="w1", until=until, operator="mia", reason="fans")
    run.apply(event)
    again = run.apply(event, after_s=1.0)
    assert records(again, "maintenance") == []
    assert again.durable
    begin(run, window="w2", for_s=-1.0)
    assert run.state.maintenance is not None
    assert run.state.maintenance.window_id == "w1"
