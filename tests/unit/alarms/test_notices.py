"""Everybody who should know is told once, in time, and nobody is flooded."""

from __future__ import annotations

from controllers.alarms.book import MAX_STEPS
from controllers.alarms.channels import (
    Attempt,
    Delivery,
    DeliveryOutcome,
    mail_of,
    notice_body,
)
from controllers.alarms.events import Acknowledged, Settled
from controllers.alarms.lifecycle import Alarm, AlarmState
from controllers.alarms.rules import EscalationStep, Severity
from controllers.alarms.signals import SubjectKind
from tests.support.alarms import AlarmCycles, channel, make_rule

GROUP = "group:hot"


def group(run: AlarmCycles) -> Alarm:
    return run.alarm(GROUP)


def test_an_alarm_is_told_once_after_it_settled_and_once_when_it_returned() -> None:
    run = AlarmCycles(make_rule())
    run.set("r1", power_kw=100.0)
    assert run.run(5) == []
    run.run(100)
    run.set("r1", power_kw=0.0)
    run.run(100)
    assert run.told() == [("raised", "r1", "desk"), ("returned", "r1", "desk")]


def test_what_is_gone_before_it_settled_is_not_told() -> None:
    run = AlarmCycles(make_rule())
    run.set("r1", power_kw=100.0)
    run.run(3)
    run.set("r1", power_kw=0.0)
    run.run(100)
    assert run.told() == []


def test_a_chattering_alarm_is_told_once_per_interval() -> None:
    run = AlarmCycles(make_rule(renotify_s=600.0, max_notices_per_hour=1000))
    for _ in range(60):
        run.set("r1", power_kw=100.0)
        run.run(6)
        run.set("r1", power_kw=0.0)
        run.run(2)
    assert [reason for reason, _, _ in run.told()] == ["raised", "returned"]


def test_reminders_come_at_the_interval_until_somebody_takes_note() -> None:
    run = AlarmCycles(make_rule(renotify_s=60.0))
    run.set("r1", power_kw=100.0)
    run.run(130)
    assert [reason for reason, _, _ in run.told()] == ["raised", "reminder", "reminder"]
    run.do(Acknowledged(alarm_id=run.alarm().id, by="anna", note=""))
    assert run.run(200) == []


def test_escalation_goes_step_by_step_and_ends_with_acknowledgement() -> None:
    steps = [
        EscalationStep(after_s=60.0, channels=["boss"]),
        EscalationStep(after_s=120.0, channels=["boss", "desk"], severity=Severity.CRITICAL),
        EscalationStep(after_s=300.0, channels=["boss"]),
    ]
    run = AlarmCycles(make_rule(escalation=steps), channels=(channel(), channel("boss")))
    run.set("r1", power_kw=100.0)
    run.run(90)
    assert run.told() == [("raised", "r1", "desk"), ("escalated", "r1", "boss")]
    assert run.alarm().severity is Severity.HIGH
    run.run(60)
    assert run.told()[2:] == [("escalated", "r1", "boss"), ("escalated", "r1", "desk")]
    assert run.alarm().severity is Severity.CRITICAL
    run.do(Acknowledged(alarm_id=run.alarm().id, by="anna", note=""))
    run.set("r1", power_kw=0.0)
    run.run(300)
    # Whoever was told of it is told of its end.
    assert run.told()[4:] == [("returned", "r1", "desk"), ("returned", "r1", "boss")]


def test_many_at_once_are_one_notice() -> None:
    run = AlarmCycles(make_rule(), resources=40)
    run.set(*run.ids, power_kw=100.0)
    run.run(30)
    assert run.told() == [("raised", GROUP, "desk")]
    assert (group(run).n_members, group(run).message) == (40, "40 subjects: Too much power")
    assert {a.group_id for a in run.alarms() if a.id != group(run).id} == {group(run).id}
    recorded = [r.data["group_id"] for r in run.records if r.data.get("subject_id") == "r7"]
    assert recorded == [group(run).id]


def test_acknowledging_a_group_acknowledges_its_members_and_it_ends_with_the_last() -> None:
    run = AlarmCycles(make_rule(), resources=6)
    run.set(*run.ids, power_kw=100.0)
    run.run(10)
    run.do(Acknowledged(alarm_id=group(run).id, by="anna", note="known"))
    assert {alarm.state for alarm in run.alarms()} == {AlarmState.ACKNOWLEDGED}
    assert {alarm.acknowledged_by for alarm in run.alarms()} == {"anna"}
    run.set(*run.ids[:5], power_kw=0.0)
    run.run()
    assert [a.subject_id for a in run.alarms()] == ["r6", GROUP]
    run.set("r6", power_kw=0.0)
    run.run()
    assert run.alarms() == []


def test_a_new_member_of_an_acknowledged_group_speaks_up() -> None:
    run = AlarmCycles(make_rule(renotify_s=60.0), resources=7)
    run.set(*run.ids[:6], power_kw=100.0)
    run.run(10)
    run.do(Acknowledged(alarm_id=group(run).id, by="anna", note="known"))
    run.run(120)
    run.set("r7", power_kw=100.0)
    run.run(10)
    assert (group(run).state, group(run).n_members) == (AlarmState.UNACKNOWLEDGED, 7)
    assert run.told() == [("raised", GROUP, "desk")] * 2
    assert run.alarm("r6").state is AlarmState.ACKNOWLEDGED


def test_few_at_once_are_told_one_by_one() -> None:
    run = AlarmCycles(make_rule(), resources=4)
    run.set(*run.ids, power_kw=100.0)
    run.run(30)
    assert sorted(subject for _, subject, _ in run.told()) == run.ids


def test_thousands_at_once_are_taken_in_bounded_turns_and_all_acknowledged() -> None:
    run = AlarmCycles(make_rule(), resources=1800)
    run.set(*run.ids, power_kw=100.0)
    n_before = 0
    for _ in range(10):
        run.run()
        steps = [r for r in run.records if r.data["trigger"] == "raise"]
        assert len(steps) - n_before <= MAX_STEPS + 1
        n_before = len(steps)
    assert len(run.alarms()) == 1801
    assert run.told() == [("raised", GROUP, "desk")]
    run.do(Acknowledged(alarm_id=group(run).id, by="anna", note=""))
    run.run(5)
    assert {alarm.state for alarm in run.alarms()} == {AlarmState.ACKNOWLEDGED}


def test_a_rule_beyond_its_rate_is_withheld_and_the_number_is_told() -> None:
    run = AlarmCycles(make_rule(max_notices_per_hour=2), resources=4)
    run.set(*run.ids, power_kw=100.0)
    run.run(30)
    assert len(run.told()) == 2
    run.leap(1800.0)
    run.run(10)
    run.set(*run.ids, power_kw=0.0)
    run.run(5)
    assert run.notices[-1].n_withheld >= 2


def test_a_channel_beyond_its_rate_is_spared() -> None:
    rules = [make_rule(f"rule{n}") for n in range(12)]
    run = AlarmCycles(*rules, channels=(channel(max_per_minute=5),))
    run.set("r1", power_kw=100.0)
    run.run(10)
    assert len(run.told()) == 5


def test_a_channel_that_is_not_there_is_passed_over() -> None:
    run = AlarmCycles(make_rule(channels=["gone", "desk"]))
    run.set("r1", power_kw=100.0)
    run.run(10)
    assert run.told() == [("raised", "r1", "desk")]


def test_a_settled_notice_is_recorded_with_its_attempts_and_not_handed_out_again() -> None:
    run = AlarmCycles(make_rule())
    run.set("r1", power_kw=100.0)
    (notice,) = run.run(10)
    delivery = Delivery(
        notice_id=notice.id,
        channel_id="desk",
        outcome=DeliveryOutcome.FAILED,
        finished_at=run.now,
        attempts=[Attempt(at=run.now, ok=False, detail="status 500")],
    )
    run.do(Settled(delivery=delivery))
    run.do(Settled(delivery=delivery))
    records = [r for r in run.records if r.kind == "alarm_delivery"]
    assert len(records) == 1
    assert records[0].data["outcome"] == "failed"
    assert "status 500" in str(records[0].data["attempts"])
    run.restart()
    assert run.run(30) == []


def test_a_message_says_what_is_wrong_and_cannot_forge_a_header() -> None:
    run = AlarmCycles(make_rule(name="Hot", advice="open the door"))
    run.set("r1", power_kw=100.0)
    (notice,) = run.run(10)
    subject, text = mail_of(notice, "Park\r\nBcc: everybody@example.org")
    assert "\n" not in subject
    assert "\r" not in subject
    assert "r1: power_kw is 100, above 90" in text
    assert "open the door" in text
    assert b'"park":"demo"' in notice_body(notice, "demo")
    assert run.alarm().subject_kind is SubjectKind.RESOURCE
