"""Each kind of condition raises on what it is about, returns after it, and is quiet otherwise."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import numpy as np
import pytest

from controllers.alarms.defaults import DEFAULT_RULES
from controllers.alarms.lifecycle import AlarmState
from controllers.alarms.rules import (
    Anomaly,
    Deviation,
    EscalationStep,
    MissingData,
    NotApplied,
    RateOfChange,
    Rule,
    Target,
    Threshold,
    check_rule,
)
from controllers.alarms.signals import SIGNALS, SubjectKind
from controllers.kernel.states import CommandState, CommandView, Health, Rung
from tests.support.alarms import AlarmCycles, make_rule

AGGREGATES = Target(subject_kind=SubjectKind.AGGREGATE)
FEED = Target(subject_kind=SubjectKind.FEED)


def states(run: AlarmCycles) -> list[tuple[str, AlarmState]]:
    return [(alarm.subject_id, alarm.state) for alarm in run.alarms()]


def test_threshold_raises_beyond_the_limit_and_returns_only_past_the_hysteresis() -> None:
    run = AlarmCycles(make_rule())
    run.set("r1", power_kw=90.0)
    run.run()
    assert states(run) == []
    run.set("r1", power_kw=91.0)
    run.run()
    assert states(run) == [("r1", AlarmState.UNACKNOWLEDGED)]
    assert run.alarm().message == "r1: power_kw is 91, above 90"
    run.set("r1", power_kw=81.0)
    run.run()
    assert run.alarm().active
    run.set("r1", power_kw=80.0)
    run.run()
    assert states(run) == [("r1", AlarmState.RETURNED)]


def test_delays_let_a_short_excursion_and_a_short_recovery_pass() -> None:
    run = AlarmCycles(make_rule(delay_on_s=5.0, delay_off_s=3.0))
    run.set("r1", power_kw=100.0)
    run.run(5)
    run.set("r1", power_kw=0.0)
    run.run(1)
    assert states(run) == []
    run.set("r1", power_kw=100.0)
    run.run(6)
    assert run.alarm().active
    run.set("r1", power_kw=0.0)
    run.run(3)
    run.set("r1", power_kw=100.0)
    run.run(1)
    assert run.alarm().n_raised == 1
    run.set("r1", power_kw=0.0)
    run.run(4)
    assert not run.alarm().active


def test_what_is_not_known_neither_raises_nor_returns() -> None:
    rule = make_rule(signal="signals.temp_c", condition=Threshold(above=50.0))
    run = AlarmCycles(rule)
    run.run(3)
    assert states(run) == []
    run.set("r1", signals={"temp_c": 60.0})
    run.run()
    run.set("r1", signals={})
    run.run(3)
    assert run.alarm().active


def test_rate_of_change_sees_a_jump_and_not_a_level() -> None:
    rule = make_rule(condition=RateOfChange(rise_per_min=60.0, window_s=10.0))
    run = AlarmCycles(rule)
    for power_kw in range(15):
        run.set("r1", power_kw=power_kw * 0.9)
        run.run()
    assert states(run) == []
    run.set("r1", power_kw=200.0)
    run.run()
    assert run.alarm().active
    run.run(12)
    assert not run.alarm().active


def test_missing_data_tells_silence_of_one_from_that_of_others() -> None:
    rule = make_rule(signal="age_s", condition=MissingData(max_age_s=10.0))
    run = AlarmCycles(rule, resources=3)
    run.silent = {"r2"}
    run.run(10)
    assert states(run) == []
    run.run(2)
    assert states(run) == [("r2", AlarmState.UNACKNOWLEDGED)]
    run.silent = set()
    run.run()
    assert states(run) == [("r2", AlarmState.RETURNED)]


def test_a_resource_that_was_never_heard_is_missed() -> None:
    rule = make_rule(signal="age_s", condition=MissingData(max_age_s=30.0))
    run = AlarmCycles(rule, resources=1)
    run.restart()
    run.silent = {"r1"}
    run.run(29)
    assert states(run) == []
    run.run(3)
    assert states(run) == [("r1", AlarmState.UNACKNOWLEDGED)]


def test_deviation_is_from_the_target_in_force_and_ends_with_it() -> None:
    condition = Deviation(tolerance_kw=10.0, tolerance_frac=0.05, hysteresis_kw=2.0)
    run = AlarmCycles(make_rule(target=AGGREGATES, condition=condition))
    run.set_aggregate(power_kw=500.0, target_kw=None)
    run.run(2)
    assert states(run) == []
    run.set_aggregate(power_kw=474.0, target_kw=500.0)
    run.run()
    assert run.alarm("site").active
    run.set_aggregate(power_kw=476.0)
    run.run()
    assert run.alarm("site").active
    run.set_aggregate(power_kw=478.0)
    run.run()
    assert not run.alarm("site").active
    run.set_aggregate(power_kw=0.0)
    run.run()
    assert run.alarm("site").active
    run.set_aggregate(target_kw=None)
    run.run()
    assert not run.alarm("site").active


def command(state: CommandState, run: AlarmCycles, sent_s_ago: float) -> CommandView:
    sent_at = run.now - timedelta(seconds=sent_s_ago)
    return CommandView(command_id="c", state=state, setpoint_kw=1.0, seq=1, sent_at=sent_at)


@pytest.mark.parametrize(
    ("state", "sent_s_ago", "raised"),
    [
        (CommandState.SENT, 5.0, False),
        (CommandState.SENT, 20.0, True),
        (CommandState.ACKNOWLEDGED, 20.0, True),
        (CommandState.APPLIED, 20.0, False),
        (CommandState.REJECTED, 1.0, True),
        (CommandState.EXPIRED, 1.0, False),
    ],
)
def test_a_command_that_is_not_applied_in_time_or_refused_raises(
    state: CommandState, sent_s_ago: float, raised: bool
) -> None:
    rule = make_rule(signal="command_wait_s", condition=NotApplied(within_s=10.0))
    run = AlarmCycles(rule)
    run.set("r1", command=command(state, run, sent_s_ago))
    run.run()
    assert bool(run.alarms()) is raised
    run.set("r1", command=command(CommandState.VERIFIED, run, 0.0))
    run.run()
    assert not any(alarm.active for alarm in run.alarms())


def test_anomaly_sees_a_jump_in_noise_but_neither_noise_nor_drift() -> None:
    condition = Anomaly(z=6.0, half_life_s=60.0, warm_up=30, min_scale=0.5)
    run = AlarmCycles(resources=2)
    run.set("r1", "r2", power_kw=50.0)
    run.run()
    run.configure(rules=[make_rule(condition=condition)])
    draw = np.random.default_rng(7)
    for second in range(400):
        noise_kw = draw.normal(0.0, 2.0, 2)
        run.set("r1", power_kw=50.0 + noise_kw[0])
        run.set("r2", power_kw=50.0 + second * 0.05 + noise_kw[1])
        run.run()
    assert states(run) == []
    run.set("r1", power_kw=80.0)
    run.run()
    assert states(run) == [("r1", AlarmState.UNACKNOWLEDGED)]
    # One outlier does not make the next one normal.
    run.set("r1", power_kw=50.0)
    run.run()
    assert not run.alarm().active
    run.set("r1", power_kw=80.0)
    run.run()
    assert run.alarm().active


def test_a_rule_looks_at_its_target_only() -> None:
    only = Target(subject_kind=SubjectKind.RESOURCE, id="r2")
    other = Target(subject_kind=SubjectKind.RESOURCE, resource_kind="pv")
    run = AlarmCycles(make_rule(target=only), make_rule("pv", target=other), resources=3)
    run.set("r1", "r2", "r3", power_kw=100.0)
    run.run()
    assert states(run) == [("r2", AlarmState.UNACKNOWLEDGED)]


def test_a_lost_feed_is_one_alarm_and_nothing_is_blamed_on_the_devices() -> None:
    feed = make_rule("feed", target=FEED, signal="age_s", condition=MissingData(max_age_s=5.0))
    missing = make_rule("missing", signal="age_s", condition=MissingData(max_age_s=10.0))
    run = AlarmCycles(feed, missing, resources=50)
    run.connected = False
    run.run(120)
    assert states(run) == [("feed", AlarmState.UNACKNOWLEDGED)]
    run.connected = True
    run.run(60)
    assert states(run) == [("feed", AlarmState.RETURNED)]
    # Whoever does not come back is missed all the same.
    run.silent = {"r7"}
    run.run(11)
    assert ("r7", AlarmState.UNACKNOWLEDGED) in states(run)


def test_default_rules_are_whole_and_a_quiet_park_raises_nothing() -> None:
    assert [check_rule(rule) for rule in DEFAULT_RULES] == [[]] * len(DEFAULT_RULES)
    run = AlarmCycles(*DEFAULT_RULES, resources=20)
    run.set_aggregate()
    draw = np.random.default_rng(1)
    for _ in range(600):
        for id_ in run.ids:
            soc_frac = 0.1 + 0.8 * draw.random()
            run.set(id_, power_kw=draw.normal(0, 50), signals={"soc_frac": soc_frac})
        run.run()
    assert run.alarms() == []
    run.set("r1", health=Health.FAILED, rung=Rung.FAILSAFE)
    run.run(65)
    assert [alarm.rule_id for alarm in run.alarms()] == ["resource-failed"]


@pytest.mark.parametrize(
    ("field", "rule"),
    [
        ("signal", make_rule(signal="nonsense")),
        ("signal", make_rule(signal="coverage_frac")),
        ("signal", make_rule(target=FEED)),
        ("signal", make_rule(target=AGGREGATES, signal="signals.soc_frac")),
        ("signal", make_rule(condition=MissingData(max_age_s=5.0))),
        ("condition", make_rule(condition=Threshold())),
        ("condition", make_rule(condition=RateOfChange())),
        ("condition.hysteresis", make_rule(condition=Threshold(above=2, below=1, hysteresis=1))),
        (
            "condition.hysteresis_kw",
            make_rule(condition=Deviation(tolerance_kw=1.0, hysteresis_kw=2.0)),
        ),
        ("target.subject_kind", make_rule(target=Target(subject_kind=SubjectKind.GROUP))),
        (
            "target.resource_kind",
            make_rule(target=Target(subject_kind=SubjectKind.AGGREGATE, resource_kind="pv")),
        ),
        (
            "escalation",
            make_rule(escalation=[EscalationStep(after_s=60.0), EscalationStep(after_s=30.0)]),
        ),
    ],
)
def test_a_contradiction_is_named_with_its_field(field: str, rule: Rule) -> None:
    assert field in [problem.field for problem in check_rule(rule)]


def test_a_rule_survives_the_wire() -> None:
    for rule in DEFAULT_RULES:
        assert msgspec.json.decode(msgspec.json.encode(rule), type=Rule) == rule


def test_every_signal_belongs_to_somebody() -> None:
    assert all(row.of_resource or row.of_aggregate for row in SIGNALS.values())
