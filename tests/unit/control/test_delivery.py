"""A command's life: sent, answered, read back, metered; and every way it can fail."""

from __future__ import annotations

import pytest

from controllers.control.contract import AckResult, DeviceMode
from controllers.kernel.states import CommandState, Health, Priority
from tests.support.cycles import Cycles, make_spec, published, records, sent
from tests.support.plain_twin import PlainTwin, make_envelope

S = CommandState


def state_of(run: Cycles) -> CommandState | None:
    return None if run.state.command is None else run.state.command.state


def health_of(run: Cycles) -> Health:
    return published(run.sample(run.state.twin.power_kw, after_s=0.01))[0].health


def test_the_way_from_wish_to_delivery() -> None:
    run = Cycles.warm()
    decision = run.propose(50.0, instruction_id="i1")
    command = sent(decision)[0]
    assert decision.durable
    assert (command.command_id, command.epoch, command.seq) == ("res1-1-1", 1, 1)
    assert (command.setpoint_kw, command.lifetime_s) == (50.0, 30.0)
    assert (command.expires_at - command.issued_at).total_seconds() == 30.0
    assert state_of(run) is S.SENT
    run.ack()
    assert state_of(run) is S.ACKNOWLEDGED
    run.obey(20.0)
    assert state_of(run) is S.APPLIED
    run.obey(48.1)
    assert state_of(run) is S.VERIFIED
    run.sample(48.1, setpoint_kw=50.0, command_id="res1-1-1")
    assert published(run.decision)[0].health is Health.OK


def test_each_transition_is_recorded_once() -> None:
    run = Cycles.warm()
    effects = run.propose(50.0).effects
    effects += run.ack().effects
    effects += run.ack().effects
    effects += run.obey().effects
    effects += run.propose(60.0, after_s=0.1).effects
    steps = [(r["command_id"], r["before"], r["state"]) for r in records(effects, "command")]
    assert steps == [
        ("res1-1-1", "accepted", "sent"),
        ("res1-1-1", "sent", "acknowledged"),
        ("res1-1-1", "acknowledged", "applied"),
        ("res1-1-1", "applied", "verified"),
        ("res1-1-1", "verified", "superseded"),
        ("res1-1-2", "accepted", "sent"),
    ]


def test_proof_may_overtake_the_answer() -> None:
    run = Cycles.warm()
    run.propose(50.0)
    run.obey()
    assert state_of(run) is S.VERIFIED
    run.ack()
    assert state_of(run) is S.VERIFIED


def test_a_setpoint_is_kept_alive_at_half_its_lifetime() -> None:
    run = Cycles.warm()
    run.deliver(50.0, lifetime_s=60.0)
    commands = []
    for _ in range(28):
        commands += sent(run.obey())
    assert [c.command_id for c in commands] == ["res1-1-1"]
    assert [c.seq for c in commands] == [2]
    assert state_of(run) is S.VERIFIED


def test_no_answer_leads_to_one_repetition_then_failure_then_growing_pauses() -> None:
    run = Cycles.warm()
    run.propose(50.0, lifetime_s=300.0)
    seqs_at = []
    for _ in range(240):
        seqs_at += [
            (c.command_id, c.seq, (run.now - c.issued_at).total_seconds())
            for c in sent(run.sample(0.0, after_s=0.5))
        ]
    ids = [command_id for command_id, _, _ in seqs_at]
    assert ids[:5] == ["res1-1-1", "res1-1-2", "res1-1-2", "res1-1-3", "res1-1-3"]
    assert run.state.n_failures >= 5
    assert run.state.counters["commands_failed"] == run.state.n_failures
    assert run.state.retry_at is not None
    assert [seq for _, seq, _ in seqs_at] == list(range(2, 2 + len(seqs_at)))
    assert health_of(run) is Health.FAILED


def test_back_off_doubles_up_to_its_most() -> None:
    run = Cycles.warm()
    pauses = []
    run.propose(50.0, lifetime_s=600.0)
    for _ in range(7):
        run.ack(AckResult.REJECTED)
        assert run.state.retry_at is not None
        pauses.append((run.state.retry_at - run.now).total_seconds())
        run.sample(0.0, after_s=pauses[-1])
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_acknowledged_but_not_read_back_is_red() -> None:
    run = Cycles.warm()
    run.propose(50.0)
    run.ack()
    run.sample(50.0, after_s=4.0)  # metered as wanted, but nothing is read back
    assert state_of(run) is S.ACKNOWLEDGED
    run.sample(50.0, after_s=1.1)
    assert state_of(run) is S.FAILED
    assert published(run.decision)[0].health is Health.FAILED


def test_a_refusal_is_red_and_tried_again_after_a_pause() -> None:
    run = Cycles.warm()
    run.propose(50.0)
    decision = run.ack(AckResult.REJECTED, reason="local mode")
    assert state_of(run) is S.REJECTED
    assert published(decision)[0].health is Health.FAILED
    assert "local mode" in published(decision)[0].detail
    assert sent(run.sample(0.0, after_s=0.5)) == []
    assert [c.command_id for c in sent(run.sample(0.0, after_s=0.6))] == ["res1-1-2"]
    run.ack()
    run.obey()
    assert (run.state.n_failures, run.state.retry_at) == (0, None)
    assert published(run.decision)[0].health is Health.OK


def test_a_refused_wish_that_ends_leaves_no_red_light() -> None:
    run = Cycles.warm()
    run.propose(50.0)
    run.ack(AckResult.REJECTED)
    run.sample(0.0, after_s=5.0)
    run.ack(AckResult.REJECTED)
    run.propose(None, lifetime_s=0.0)
    run.sample(0.0, after_s=2.0)
    run.ack()
    run.obey(0.0)
    assert health_of(run) is Health.OK


def test_expired_on_arrival_is_a_failure_that_names_the_clocks() -> None:
    run = Cycles.warm()
    run.propose(50.0)
    run.ack(AckResult.EXPIRED)
    assert state_of(run) is S.EXPIRED
    assert "compare the clocks" in published(run.decision)[0].detail


@pytest.mark.parametrize(
    ("change", "counter"),
    [
        ({"command_id": "res1-1-99"}, "acks_unknown"),
        ({"seq": 7}, "acks_unknown"),
        ({"epoch": 9}, "acks_wrong_epoch"),
    ],
)
@pytest.mark.parametrize("result", list(AckResult))
def test_an_answer_to_nothing_that_was_sent_is_counted_and_ignored(
    change: dict[str, object], counter: str, result: AckResult
) -> None:
    run = Cycles.warm()
    run.propose(50.0)
    before = run.state.command
    run.ack(result, **change)
    assert run.state.command == before
    assert run.state.counters == {counter: 1}


def test_an_answer_to_an_earlier_or_ended_command_is_late() -> None:
    run = Cycles.warm()
    run.propose(50.0)
    run.propose(60.0, after_s=1.0)
    run.ack(command_id="res1-1-1", seq=1)
    assert run.state.counters == {"acks_late": 1}
    run.ack(AckResult.REJECTED)
    run.ack()
    assert run.state.counters["acks_late"] == 2
    assert state_of(run) is S.REJECTED


def test_a_keep_alive_overtaken_by_its_successor_is_no_refusal() -> None:
    run = Cycles.warm()
    run.propose(50.0, lifetime_s=60.0)
    run.sample(0.0, after_s=3.0)  # unanswered: sent again as seq 2
    run.ack()
    run.ack(AckResult.REJECTED, seq=1)
    assert state_of(run) is S.ACKNOWLEDGED
    assert run.state.counters == {"acks_outdated": 1}


@pytest.mark.parametrize(
    ("read", "own_id", "applied"),
    [
        (50.0, True, True),
        (50.0, False, True),
        (49.6, True, True),
        (25.0, True, True),
        (25.0, False, True),
        (0.0, True, True),
        (0.0, False, False),
        (-10.0, True, False),
        (None, True, False),
    ],
    ids=[
        "at it",
        "at it, no id",
        "nearly",
        "on its ramp",
        "on its ramp, no id",
        "at the start of its ramp",
        "at the start, no id",
        "going elsewhere",
        "runs free",
    ],
)
def test_read_back_proves_the_setpoint_or_the_way_to_it(
    read: float | None, own_id: bool, applied: bool
) -> None:
    run = Cycles.warm()
    run.propose(50.0)
    run.ack()
    run.sample(0.0, setpoint_kw=read, command_id="res1-1-1" if own_id else None)
    assert (state_of(run) is S.APPLIED) == applied


def test_read_back_of_another_command_proves_nothing() -> None:
    run = Cycles.warm()
    run.propose(50.0)
    run.ack()
    run.sample(50.0, setpoint_kw=50.0, command_id="other")
    assert state_of(run) is S.ACKNOWLEDGED


def test_a_sample_older_than_the_command_proves_nothing_without_its_id() -> None:
    run = Cycles.warm()
    run.propose(50.0, after_s=2.0)
    run.sample(50.0, setpoint_kw=50.0, after_s=0.1, age_s=0.5)
    assert state_of(run) is S.SENT


def test_a_setpoint_that_the_device_lets_go_has_failed() -> None:
    run = Cycles.warm()
    run.deliver(50.0, lifetime_s=60.0)
    for _ in range(5):
        run.sample(0.0)
    assert state_of(run) is S.VERIFIED
    run.sample(0.0)
    assert state_of(run) is S.FAILED
    assert "let go" in published(run.decision)[0].detail


def test_a_deviation_that_lasts_takes_the_verification_back_and_dims_the_light() -> None:
    run = Cycles.warm()
    run.deliver(50.0, lifetime_s=60.0)
    run.sample(50.0, after_s=11.0, setpoint_kw=50.0, command_id="res1-1-1")
    run.obey(40.0)
    run.obey(50.0)  # a short dip is no deviation
    for _ in range(5):
        run.obey(40.0)
    assert state_of(run) is S.VERIFIED
    run.obey(40.0)
    assert state_of(run) is S.APPLIED
    run.obey(40.0)
    assert published(run.decision)[0].health is Health.DEGRADED
    run.obey(49.0)
    assert state_of(run) is S.VERIFIED


def test_the_meter_is_given_the_time_of_the_ramp() -> None:
    spec = make_spec(PlainTwin(envelope=make_envelope(ramp_up_kw_per_min=60.0)))
    run = Cycles.warm(spec)
    run.propose(50.0, lifetime_s=200.0)  # 50 s of ramp, 10 s of margin
    run.ack()
    for second in range(59):
        run.obey(0.5 * second)
        assert published(run.decision)[0].health is Health.OK
    run.obey(30.0, after_s=5.0)
    assert published(run.decision)[0].health is Health.DEGRADED


def test_delivered_means_at_the_envelope_where_weather_gives_less() -> None:
    run = Cycles.warm()
    run.propose(50.0)
    run.ack()
    decision = run.sample(40.0, setpoint_kw=50.0, command_id="res1-1-1", max_kw=41.0)
    assert [r["state"] for r in records(decision, "command")] == [
        "applied",
        "verified",
        "superseded",
        "sent",
    ]
    assert [c.setpoint_kw for c in sent(decision)] == [41.0]


def test_nobody_proposing_any_more_releases_the_device_and_ends_there() -> None:
    run = Cycles.warm()
    run.deliver(50.0)
    commands = sent(run.obey(after_s=9.0))
    assert [(c.command_id, c.setpoint_kw) for c in commands] == [("res1-1-2", None)]
    run.ack()
    run.sample(0.0)
    assert state_of(run) is S.VERIFIED
    for _ in range(60):
        assert sent(run.sample(0.0)) == []
    assert run.state.command is None
    assert "commands_expired" not in run.state.counters


def test_a_release_that_is_not_heard_is_repeated() -> None:
    run = Cycles.warm()
    run.deliver(50.0)
    commands = []
    for _ in range(40):
        commands += sent(run.sample(50.0, setpoint_kw=50.0, command_id="res1-1-1"))
    assert {c.setpoint_kw for c in commands} == {None}
    assert [c.command_id for c in commands][:3] == ["res1-1-2", "res1-1-2", "res1-1-3"]


def test_a_ramp_from_the_market_reaches_the_device_a_protective_zero_has_none() -> None:
    run = Cycles.warm()
    assert sent(run.propose(50.0, ramp_kw_per_min=30.0))[0].ramp_kw_per_min == 30.0
    assert sent(run.propose(60.0, after_s=1.0))[0].ramp_kw_per_min == 600.0
    assert sent(run.kill(after_s=1.0))[0].ramp_kw_per_min is None


def test_ramps_start_from_the_measured_power() -> None:
    run = Cycles.warm()
    run.sample(-37.0)
    run.propose(50.0)
    assert run.state.command is not None
    assert run.state.command.start_kw == -37.0
    assert run.state.command.ramp_time_s == pytest.approx(8.7)


def test_small_changes_and_rapid_changes_make_no_chatter() -> None:
    run = Cycles.warm(make_spec(PlainTwin(envelope=make_envelope(dead_band_kw=2.0))))
    run.deliver(50.0)
    commands = []
    for i in range(20):
        commands += sent(run.propose(50.0 + (i % 2), after_s=0.1))
    assert commands == []
    for i in range(100):
        commands += sent(run.propose(20.0 + 5.0 * (i % 2), after_s=0.01))
    assert len(commands) <= 20


def test_nothing_is_sent_to_a_device_that_signed_off_until_it_is_heard() -> None:
    run = Cycles.warm()
    run.deliver(50.0, lifetime_s=300.0)
    run.status(DeviceMode.OFFLINE, boot_id="b1")
    assert sent(run.wait(20.0)) == []
    assert state_of(run) is S.VERIFIED
    commands = sent(run.obey())
    assert [c.command_id for c in commands] == ["res1-1-1"]


def test_a_rebooted_device_gets_its_command_again() -> None:
    run = Cycles.warm()
    run.status(DeviceMode.ONLINE, boot_id="b1")
    run.deliver(50.0)
    assert [c.seq for c in sent(run.status(DeviceMode.ONLINE, boot_id="b2", after_s=1.0))] == [2]


def test_a_lifetime_that_runs_out_unheard_is_expired() -> None:
    run = Cycles.warm()
    run.deliver(50.0, lifetime_s=300.0)
    run.link(up=False)
    effects = run.wait(40.0)
    assert sent(effects) == []
    assert state_of(run) is S.EXPIRED
    assert published(effects)[-1].setpoint_kw is None
    assert run.state.counters["commands_expired"] == 1


def test_an_urgent_change_does_not_wait_for_a_back_off_but_its_repetition_does() -> None:
    run = Cycles.warm()
    run.propose(50.0, lifetime_s=60.0)
    run.ack(AckResult.REJECTED)
    assert sent(run.propose(40.0, after_s=0.1)) == []
    assert [c.setpoint_kw for c in sent(run.kill())] == [0.0]
    run.ack(AckResult.REJECTED)
    assert sent(run.sample(0.0, after_s=0.1)) == []


def test_no_admissible_power_releases_and_says_so() -> None:
    envelope = make_envelope(exclusion_low_kw=0.0, exclusion_high_kw=50.0)
    run = Cycles.warm(make_spec(PlainTwin(envelope=envelope)))
    decision = run.propose(20.0, priority=Priority.MARKET, min_kw=10.0, max_kw=30.0)
    assert sent(decision) == []
    assert "no admissible power" in published(decision)[0].detail
