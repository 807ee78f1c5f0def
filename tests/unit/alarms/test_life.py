"""An alarm lives as ISA-18.2 says, whatever people, maintenance, rules and restarts do to it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from controllers.alarms.events import Acknowledged, Cleared, Shelved, Unshelved
from controllers.alarms.lifecycle import ALARM_MACHINE, ENDED, AlarmState, AlarmTrigger
from controllers.alarms.rules import Target
from controllers.alarms.signals import SubjectKind
from controllers.kernel.errors import ConflictError, InvalidTransitionError, NotFoundError
from tests.support.alarms import AlarmCycles, make_rule

U, A, R = AlarmState.UNACKNOWLEDGED, AlarmState.ACKNOWLEDGED, AlarmState.RETURNED


def raised() -> AlarmCycles:
    run = AlarmCycles(make_rule())
    run.set("r1", power_kw=100.0)
    run.run()
    return run


def acknowledge(run: AlarmCycles, alarm_id: str) -> None:
    run.do(Acknowledged(alarm_id=alarm_id, by="anna", note="seen"))


def history(run: AlarmCycles, alarm_id: str) -> list[tuple[object, object, object]]:
    data = [r.data for r in run.records if r.kind == "alarm" and r.data["id"] == alarm_id]
    return [(d["trigger"], d["state"], d["by"]) for d in data]


def calm(run: AlarmCycles) -> None:
    run.set("r1", power_kw=0.0)
    run.run()


def test_acknowledged_then_normal_ends_and_the_history_tells_all() -> None:
    run = raised()
    id_ = run.alarm().id
    acknowledge(run, id_)
    assert (run.alarm().state, run.alarm().acknowledged_by, run.alarm().note) == (A, "anna", "seen")
    calm(run)
    assert run.alarms() == []
    assert history(run, id_) == [
        ("raise", "unacknowledged", "system"),
        ("acknowledge", "acknowledged", "anna"),
        ("return", "normal", "system"),
    ]


def test_returned_waits_for_somebody_to_take_note() -> None:
    run = raised()
    id_ = run.alarm().id
    calm(run)
    assert run.alarm().state is R
    acknowledge(run, id_)
    assert run.alarms() == []


def test_acknowledging_again_changes_nothing_even_after_the_end() -> None:
    run = raised()
    id_ = run.alarm().id
    acknowledge(run, id_)
    n_records = len(run.records)
    acknowledge(run, id_)
    calm(run)
    acknowledge(run, id_)
    assert len(run.records) == n_records + 1
    with pytest.raises(NotFoundError):
        acknowledge(run, "alarm-999")


def test_what_comes_back_unacknowledged_is_the_same_alarm_counted() -> None:
    run = raised()
    id_ = run.alarm().id
    for _ in range(2):
        calm(run)
        run.set("r1", power_kw=100.0)
        run.run()
    assert (run.alarm().id, run.alarm().n_raised, run.alarm().chattering) == (id_, 3, True)
    assert run.alarm().state is U


def test_shelved_is_silent_until_its_instant_and_then_asks_again() -> None:
    run = raised()
    until = run.now + timedelta(minutes=10)
    run.do(Shelved(alarm_id=run.alarm().id, by="anna", note="known", until=until))
    assert run.run(590) == []
    assert run.alarm().state is AlarmState.SHELVED
    run.run(20)
    assert (run.alarm().state, run.alarm().shelved_until) == (U, None)
    assert run.told() == [("raised", "r1", "desk")]


def test_shelved_and_meanwhile_normal_ends_when_let_go() -> None:
    run = raised()
    id_, until = run.alarm().id, run.now + timedelta(hours=1)
    run.do(Shelved(alarm_id=id_, by="anna", note="known", until=until))
    calm(run)
    assert run.alarm().state is AlarmState.SHELVED
    run.do(Unshelved(alarm_id=id_, by="anna", note=""))
    assert run.alarms() == []
    run.do(Unshelved(alarm_id=id_, by="anna", note=""))
    with pytest.raises(InvalidTransitionError):
        run.do(Shelved(alarm_id=id_, by="anna", note="late", until=until))


def test_only_what_has_returned_can_be_cleared() -> None:
    run = raised()
    id_ = run.alarm().id
    with pytest.raises(ConflictError, match="shelve"):
        run.do(Cleared(alarm_id=id_, by="anna", note=""))
    calm(run)
    run.do(Cleared(alarm_id=id_, by="anna", note="checked"))
    run.do(Cleared(alarm_id=id_, by="anna", note="checked"))
    assert run.alarms() == []


def test_maintenance_suppresses_what_stands_and_what_comes_and_lets_go_after() -> None:
    run = AlarmCycles(make_rule(), resources=2)
    run.set("r1", power_kw=100.0)
    run.run()
    run.configure(suppressed=["r1", "r2"])
    run.set("r2", power_kw=100.0)
    assert run.run(60) == []
    assert [run.alarm(id_).state for id_ in run.ids] == [AlarmState.SUPPRESSED] * 2
    run.set("r2", power_kw=0.0)
    run.run()
    run.configure(suppressed=[])
    run.run()
    assert [(a.subject_id, a.state) for a in run.alarms()] == [("r1", U)]


@pytest.mark.parametrize("how", ["disabled", "deleted", "aimed elsewhere"])
def test_a_rule_that_is_gone_takes_its_alarms_out_of_service(how: str) -> None:
    run = raised()
    id_ = run.alarm().id
    other = Target(subject_kind=SubjectKind.RESOURCE, id="other")
    rules = {
        "disabled": [make_rule(enabled=False)],
        "deleted": [],
        "aimed elsewhere": [make_rule(target=other)],
    }
    run.configure(rules=rules[how])
    run.run()
    assert run.alarms() == []
    assert history(run, id_)[-1] == ("retire", "out_of_service", "system")


def test_a_restart_neither_raises_again_nor_forgets() -> None:
    run = raised()
    before = run.alarm()
    run.run(6)
    n_notices = len(run.notices)
    run.restart()
    run.run(60)
    assert (run.alarm().id, run.alarm().n_raised) == (before.id, 1)
    # What was pending is handed out once more under the same id, and nothing new is said.
    assert {n.id for n in run.notices[n_notices:]} == {n.id for n in run.notices[:n_notices]}
    calm(run)
    assert run.alarm().state is R


def test_an_edited_rule_keeps_what_stands() -> None:
    run = raised()
    id_ = run.alarm().id
    run.configure(rules=[make_rule(name="Another name", advice="look")])
    run.run(5)
    assert (run.alarm().id, run.alarm().n_raised) == (id_, 1)


def test_every_state_can_be_left_and_only_the_ends_are_ends() -> None:
    sources = {state for state, _ in ALARM_MACHINE.table}
    assert set(AlarmState) - sources == {AlarmState.OUT_OF_SERVICE}
    assert ALARM_MACHINE.terminal() == {AlarmState.OUT_OF_SERVICE}
    for state in set(AlarmState) - ENDED:
        assert ALARM_MACHINE.allows(state, AlarmTrigger.RETIRE)
