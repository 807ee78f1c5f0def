"""Emergency stop, override, restart, publishing and records of one resource."""

from __future__ import annotations

from dataclasses import fields

import pytest

from controllers.control.contract import AckResult, DeviceMode, Telemetry
from controllers.control.events import Event, InputRefused, TelemetryReceived
from controllers.control.freshness import IntakeLimits
from controllers.control.resource import decide, resume
from controllers.control.state import ControlSettings, ControlState
from controllers.kernel.errors import DomainError, FencedError
from controllers.kernel.states import CommandState, Health, Priority, Quality, Rung
from controllers.kernel.wire import decode, encode
from controllers.resources.twin import SignalRule
from tests.support.cycles import START, Cycles, make_spec, published, records, sent
from tests.support.plain_twin import PlainTwin, make_envelope


def setpoint(run: Cycles) -> float | None:
    return None if run.state.command is None else run.state.command.setpoint_kw


# Emergency stop


def test_the_emergency_stop_sends_zero_at_once_and_outranks_all() -> None:
    run = Cycles.warm()
    run.deliver(50.0)
    decision = run.kill(after_s=0.01)
    assert decision.durable
    assert [c.setpoint_kw for c in sent(decision)] == [0.0]
    assert published(decision)[0].killed
    assert sent(run.override(80.0, for_s=60.0)) == []
    assert sent(run.propose(80.0, after_s=1.0)) == []
    assert setpoint(run) == 0.0


def test_the_stop_commands_zero_even_where_the_envelope_offers_nothing() -> None:
    envelope = make_envelope(min_kw=0.0, max_kw=0.0)
    run = Cycles.warm(make_spec(PlainTwin(envelope=envelope)))
    assert [c.setpoint_kw for c in sent(run.kill())] == [0.0]


def test_where_zero_is_out_of_reach_the_stop_releases() -> None:
    envelope = make_envelope(min_kw=20.0, natural_kw=30.0)
    run = Cycles.warm(make_spec(PlainTwin(envelope=envelope)))
    run.deliver(50.0)
    assert [c.setpoint_kw for c in sent(run.kill(after_s=1.0))] == [None]


def test_not_even_protective_bounds_turn_the_release_of_a_stop_into_a_setpoint() -> None:
    rule = SignalRule(signal="soc_frac", max_age_s=1.0, on_stale="limit", limit_kw=10.0)
    twin = PlainTwin(envelope=make_envelope(min_kw=20.0, natural_kw=30.0), rules=(rule,))
    run = Cycles.warm(make_spec(twin))
    run.propose(None, source="island", priority=Priority.SAFETY, max_kw=25.0, lifetime_s=60.0)
    run.sample(30.0, after_s=2.0)
    assert setpoint(run) == 20.0
    assert [c.setpoint_kw for c in sent(run.kill(after_s=1.0))] == [None]


def test_the_stop_survives_a_restart() -> None:
    run = Cycles.warm()
    run.deliver(50.0)
    run.kill(after_s=1.0)
    run.restart(after_s=2.0)
    decision = run.link(up=True)
    assert [(c.setpoint_kw, c.epoch) for c in sent(decision)] == [(0.0, 2)]
    run.propose(80.0, after_s=1.0)
    assert setpoint(run) == 0.0


def test_after_the_stop_only_a_fresh_command_moves_the_resource() -> None:
    run = Cycles.warm()
    run.deliver(50.0, lifetime_s=100.0)
    run.kill(after_s=1.0)
    run.obey()
    decision = run.release_kill(after_s=1.0)
    assert [c.setpoint_kw for c in sent(decision)] == [None]
    assert run.state.holder is None
    run.propose(50.0, after_s=1.0)
    assert setpoint(run) == 50.0


def test_repeating_stop_and_release_changes_and_records_nothing() -> None:
    run = Cycles.warm()
    assert len(records(run.kill(), "kill")) == 1
    assert records(run.kill(after_s=1.0), "kill") == []
    assert len(records(run.release_kill(after_s=1.0), "kill")) == 1
    assert records(run.release_kill(after_s=1.0), "kill") == []


def test_the_stop_ends_an_override_for_good() -> None:
    run = Cycles.warm()
    run.override(40.0, for_s=600.0)
    decision = run.kill(after_s=1.0)
    assert [r["action"] for r in records(decision, "override")] == ["ended by emergency stop"]
    run.release_kill(after_s=1.0)
    assert run.state.override is None


# Override


def test_an_override_outranks_the_market_until_its_time() -> None:
    run = Cycles.warm()
    run.deliver(50.0, lifetime_s=600.0)
    decision = run.override(-20.0, for_s=30.0, after_s=1.0)
    assert decision.durable
    assert setpoint(run) == -20.0
    run.obey()
    assert published(run.decision)[0].contenders[0].source_id == "operator:ann"
    effects = run.sample(-20.0, after_s=29.0).effects
    assert [r["action"] for r in records(effects, "override")] == ["expired"]
    assert setpoint(run) == 50.0


def test_letting_go_ends_an_override() -> None:
    run = Cycles.warm()
    run.override(-20.0, for_s=600.0)
    run.ack()
    run.obey()
    assert [c.setpoint_kw for c in sent(run.let_go(after_s=1.0))] == [None]
    assert records(run.let_go(after_s=1.0), "override") == []


def test_an_override_beyond_the_envelope_is_clipped() -> None:
    run = Cycles.warm()
    run.override(500.0, for_s=60.0)
    assert setpoint(run) == 100.0


def test_a_small_override_is_sent_despite_the_dead_band() -> None:
    run = Cycles.warm(make_spec(PlainTwin(envelope=make_envelope(dead_band_kw=5.0))))
    run.deliver(50.0)
    run.override(48.0, for_s=60.0, after_s=1.0)
    assert setpoint(run) == 48.0


@pytest.mark.parametrize("given", [{"for_s": 0.0}, {"target_kw": float("inf")}])
def test_an_override_that_cannot_be_is_counted(given: dict[str, float]) -> None:
    run = Cycles.warm()
    run.override(**({"target_kw": 10.0, "for_s": 60.0} | given))
    assert run.state.override is None
    assert run.state.counters == {"overrides_refused": 1}


# Restart


def test_a_restart_resumes_the_running_setpoint_under_the_same_command() -> None:
    run = Cycles.warm()
    run.deliver(50.0)
    run.restart(after_s=2.0)
    assert sent(run.decision) == []  # no link yet
    assert run.state.ladder.rung is Rung.ACTIVE
    decision = run.link(up=True)
    assert [(c.command_id, c.epoch, c.setpoint_kw) for c in sent(decision)] == [
        ("res1-1-1", 2, 50.0)
    ]
    assert run.state.command is not None
    assert run.state.command.state is CommandState.VERIFIED
    run.ack()
    assert run.state.counters == {}


def test_a_restart_does_not_publish_the_old_meter_of_the_checkpoint() -> None:
    run = Cycles.warm()
    run.deliver(50.0)
    assert published(run.restart(after_s=2.0)) == []
    assert published(run.link(up=True)) == []
    assert [state.power_kw for state in published(run.obey(49.0))] == [49.0]


def test_a_restart_does_not_wait_long_for_a_silent_device() -> None:
    run = Cycles.warm()
    run.deliver(50.0)
    run.restart(after_s=2.0)
    run.link(up=True)
    assert published(run.tick(after_s=1.5)) == []
    assert [state.power_kw for state in published(run.tick(after_s=0.5))] == [50.0]


def test_a_command_never_answered_is_sent_again_not_doubled() -> None:
    run = Cycles.warm()
    run.propose(50.0)
    run.restart(after_s=4.0)
    commands = sent(run.link(up=True))
    assert [(c.command_id, c.epoch) for c in commands] == [("res1-1-1", 2)]
    run.ack()
    assert run.state.command is not None
    assert run.state.command.state is CommandState.ACKNOWLEDGED


def test_an_answer_to_the_predecessor_is_counted_and_ignored() -> None:
    run = Cycles.warm()
    run.propose(50.0)
    run.restart(after_s=1.0)
    run.ack(AckResult.REJECTED, epoch=1, seq=1)
    assert run.state.counters == {"acks_wrong_epoch": 1}


def test_a_restart_keeps_the_setpoint_for_its_source_to_renew() -> None:
    run = Cycles.warm()
    run.deliver(50.0)
    run.restart(after_s=12.0)  # the proposal has expired, the command has not
    run.link(up=True)
    run.obey()
    assert setpoint(run) == 50.0
    run.propose(55.0, after_s=1.0)
    assert setpoint(run) == 55.0


def test_a_setpoint_that_nobody_renews_after_a_restart_is_released() -> None:
    run = Cycles.warm()
    run.deliver(50.0)
    run.restart(after_s=12.0)
    run.link(up=True)
    effects = [e for _ in range(10) for e in run.obey().effects]
    assert [c.setpoint_kw for c in sent(effects)][-1] is None


def test_a_command_that_expired_during_the_outage_is_not_replayed() -> None:
    run = Cycles.warm()
    run.deliver(50.0)
    run.restart(after_s=60.0)
    commands = sent(run.link(up=True))
    assert [c.setpoint_kw for c in commands] == [None]


def test_new_commands_after_a_restart_have_new_ids() -> None:
    run = Cycles.warm()
    run.propose(50.0)
    run.restart(after_s=1.0)
    run.link(up=True)
    commands = sent(run.propose(60.0, after_s=1.0))
    assert [(c.command_id, c.epoch, c.seq) for c in commands] == [("res1-2-1", 2, 3)]


def test_an_old_epoch_cannot_resume() -> None:
    run = Cycles.warm()
    with pytest.raises(FencedError):
        resume(run.spec, 1, run.state, run.now)


def test_the_checkpoint_is_json_and_whole() -> None:
    run = Cycles.warm()
    run.deliver(50.0)
    run.override(20.0, for_s=60.0)
    run.kill(after_s=1.0)
    assert decode(encode(run.state), ControlState) == run.state


def test_a_checkpoint_is_asked_for_now_and_then_even_when_nothing_happens() -> None:
    run = Cycles.warm()
    durable = [run.sample(0.0).durable for _ in range(30)]
    assert durable.count(True) == 3


# Publishing


def test_state_goes_out_with_every_accepted_sample_in_rising_order() -> None:
    run = Cycles.warm()
    seqs = [published(run.sample(float(i), after_s=0.1))[0].seq for i in range(5)]
    assert seqs == list(range(seqs[0], seqs[0] + 5))


def test_state_goes_out_every_second_without_any_sample() -> None:
    run = Cycles.warm()
    assert len(published(run.wait(10.0, every_s=0.25))) == 10


def test_renewals_and_duplicates_alone_publish_nothing_between_samples() -> None:
    run = Cycles.warm()
    run.propose(50.0)
    assert published(run.propose(50.0, after_s=0.2)) == []
    assert published(run.sample(0.0, seq=1, after_s=0.2)) == []
    assert published(run.apply(InputRefused(kind="ack", reason="no"), after_s=0.1)) == []


def test_a_change_that_others_act_on_is_published_at_once() -> None:
    run = Cycles.warm()
    assert published(run.propose(50.0, after_s=0.1))[0].holder == "vpp1"
    assert published(run.status(DeviceMode.FAULT, after_s=0.1))[0].health is Health.FAILED
    assert published(run.status(DeviceMode.LOCAL, after_s=0.1))[0].health is Health.DEGRADED


def test_the_published_state_says_what_control_knows() -> None:
    run = Cycles.warm()
    run.deliver(50.0, instruction_id="i7")
    state = published(run.sample(49.0, setpoint_kw=50.0, command_id="res1-1-1", soc_frac=0.4))[0]
    assert (state.id, state.kind, state.epoch, state.rated_kw) == ("res1", "plain", 1, 100.0)
    assert (state.power_kw, state.setpoint_kw, state.signals) == (49.0, 50.0, {"soc_frac": 0.4})
    assert (state.rung, state.health, state.quality) == (Rung.ACTIVE, Health.OK, Quality.GOOD)
    assert state.command is not None
    assert state.command.state is CommandState.VERIFIED
    assert state.contenders[0].instruction_id == "i7"


def test_the_trail_tells_what_the_exclusion_band_made_of_a_target() -> None:
    envelope = make_envelope(exclusion_low_kw=0.0, exclusion_high_kw=60.0)
    run = Cycles.warm(make_spec(PlainTwin(envelope=envelope)))
    trail = published(run.propose(10.0))[0].contenders
    assert [(c.outcome, c.granted_kw) for c in trail] == [("clipped", 0.0)]
    assert "between 0 and 60 kW" in trail[0].reason


def test_meter_registers_of_the_device_go_before_our_own_integration() -> None:
    run = Cycles.warm()
    state = published(run.sample(1.0))[0]
    assert state.exported_kwh == run.state.twin.exported_kwh
    run.seq += 1
    telemetry = Telemetry(
        seq=run.seq, measured_at=run.now.replace(second=59), power_kw=1.0, exported_kwh=77.0
    )
    run.now = telemetry.measured_at
    assert published(run.apply(TelemetryReceived(sample=telemetry)))[0].exported_kwh == 77.0
    assert published(run.sample(1.0))[0].exported_kwh == 77.0


def test_refusals_are_summarised_once_a_minute() -> None:
    run = Cycles.warm()
    summaries = []
    for i in range(130):
        run.apply(InputRefused(kind="telemetry", reason="no"))
        summaries += records(run.sample(float(i)), "refusals")
    assert summaries == [
        {"input_telemetry": 1},
        {"input_telemetry": 60},
        {"input_telemetry": 60},
    ]


# Contract of the module


def test_a_foreign_event_is_refused() -> None:
    class Surprise(Event, tag="surprise"):
        """Not ours."""

    run = Cycles.warm()
    with pytest.raises(TypeError, match="Surprise"):
        decide(run.spec, run.state, Surprise(), run.now)


def test_deciding_leaves_the_given_state_untouched() -> None:
    run = Cycles.warm()
    before, kept = run.state, encode(run.state)
    run.propose(50.0)
    run.kill()
    assert encode(before) == kept


def test_defaults_of_control() -> None:
    settings = ControlSettings()
    values = {f.name: getattr(settings, f.name) for f in fields(settings) if f.name != "intake"}
    assert values == {
        "command_lifetime_s": 30.0,
        "keep_alive_frac": 0.5,
        "ack_timeout_s": 3.0,
        "apply_timeout_s": 5.0,
        "verify_margin_s": 10.0,
        "deviation_s": 5.0,
        "tolerance_frac": 0.02,
        "tolerance_kw": 1.0,
        "read_back_frac": 0.005,
        "setpoint_step_kw": 0.1,
        "min_command_interval_s": 0.05,
        "backoff_first_s": 1.0,
        "backoff_most_s": 30.0,
        "heartbeat_timeout_s": 30.0,
        "failsafe_recovery_s": 120.0,
        "default_max_age_s": 10.0,
        "max_proposal_lifetime_s": 900.0,
        "max_proposal_sources": 64,
        "resume_hold_s": 10.0,
        "resume_quiet_s": 2.0,
        "publish_every_s": 1.0,
        "checkpoint_every_s": 10.0,
        "refusal_summary_s": 60.0,
    }
    assert settings.intake == IntakeLimits(
        max_future_skew_s=5.0, reorder_window_s=5.0, max_samples_per_s=50.0, sample_burst=100.0
    )


@pytest.mark.parametrize("bad", [{"keep_alive_frac": 0.6}, {"ack_timeout_s": 0.0}])
def test_settings_that_break_a_promise_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(DomainError, match=next(iter(bad))):
        make_spec(**bad)


def test_a_cold_resume_needs_nothing() -> None:
    decision = resume(make_spec(), 7, None, START)
    assert decision.durable
    assert decision.state.epoch == 7
    assert published(decision)[0].quality is Quality.MISSING
