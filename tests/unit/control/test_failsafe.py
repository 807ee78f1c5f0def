"""The ladder: down by loss, up only by heartbeat and a fresh command, or by patience."""

from __future__ import annotations

import pytest

from controllers.control.contract import DeviceMode
from controllers.control.failsafe import LADDER_MACHINE, LadderTrigger
from controllers.kernel.states import Health, Rung
from controllers.resources.twin import SignalRule
from tests.support.cycles import Cycles, make_spec, published, records, sent
from tests.support.plain_twin import PlainTwin

# Power never goes stale here, so that only the ladder acts.
PATIENT = SignalRule(signal="power_kw", max_age_s=10_000.0, on_stale="hold")


def patient(fallback: str = "zero", limit_kw: float | None = None) -> Cycles:
    spec = make_spec(PlainTwin(rules=(PATIENT,)), fallback=fallback, fallback_limit_kw=limit_kw)
    return Cycles.warm(spec)


def rung(run: Cycles) -> Rung:
    return run.state.ladder.rung


def fallen(fallback: str = "zero") -> Cycles:
    """A resource that lost its heartbeat while delivering 50 kW."""
    run = patient(fallback)
    run.deliver(50.0, lifetime_s=900.0)
    run.wait(31.0)
    return run


def test_every_rung_can_be_left() -> None:
    for start in Rung:
        assert any(LADDER_MACHINE.allows(start, trigger) for trigger in LadderTrigger)


def test_a_cold_start_waits_in_failsafe_for_the_first_heartbeat() -> None:
    run = Cycles.cold(make_spec(fallback="zero"))
    assert rung(run) is Rung.FAILSAFE
    assert published(run.decision)[0].health is Health.FAILED
    assert sent(run.link(up=True)) == []
    assert sent(run.propose(50.0)) == []
    run.sample(0.0)
    assert rung(run) is Rung.ACTIVE  # heartbeat and a fresh command


def test_a_cold_start_with_a_heartbeat_alone_is_under_default_control() -> None:
    run = Cycles.cold(make_spec(fallback="zero"))
    run.link(up=True)
    decision = run.sample(0.0)
    assert rung(run) is Rung.DEFAULT
    assert sent(decision) == []


def test_commands_lead_to_active_and_their_end_to_default() -> None:
    run = patient()
    run.propose(50.0)
    assert rung(run) is Rung.ACTIVE
    run.sample(0.0, after_s=10.0)
    assert rung(run) is Rung.DEFAULT


def test_a_lost_heartbeat_leads_to_failsafe_and_its_declared_behaviour() -> None:
    run = patient("zero")
    run.deliver(50.0, lifetime_s=900.0)
    effects = run.wait(30.0)
    assert {c.setpoint_kw for c in sent(effects)} == {50.0}  # keep-alives
    assert rung(run) is Rung.ACTIVE
    effects = run.wait(0.5)
    assert rung(run) is Rung.FAILSAFE
    assert [c.setpoint_kw for c in sent(effects)] == [0.0]
    steps = records(effects, "ladder")
    assert [(s["before"], s["rung"], s["trigger"]) for s in steps] == [
        ("active", "failsafe", "heartbeat_lost")
    ]


@pytest.mark.parametrize(
    ("fallback", "limit_kw", "expected"),
    [("hold", None, []), ("zero", None, [0.0]), ("release", None, [None]), ("limit", 20.0, [0.0])],
)
def test_failsafe_follows_the_definition(
    fallback: str, limit_kw: float | None, expected: list[float | None]
) -> None:
    run = patient(fallback, limit_kw)
    run.deliver(50.0, lifetime_s=900.0)
    run.wait(30.0)
    assert [c.setpoint_kw for c in sent(run.wait(0.5))] == expected


def test_a_heartbeat_alone_does_not_leave_failsafe() -> None:
    run = fallen()
    run.sample(0.0)
    run.sample(0.0)
    assert rung(run) is Rung.FAILSAFE
    # The old target is still valid, but it was given before the fall.
    assert any(c.outcome == "refused" for c in run.state.contenders)


def test_a_fresh_command_alone_does_not_leave_failsafe() -> None:
    run = fallen()
    run.propose(40.0, after_s=1.0)
    assert rung(run) is Rung.FAILSAFE


@pytest.mark.parametrize("heartbeat_first", [True, False])
def test_heartbeat_and_fresh_command_leave_failsafe_in_either_order(heartbeat_first: bool) -> None:
    run = fallen()
    if heartbeat_first:
        run.sample(0.0)
        run.propose(40.0, after_s=1.0)
    else:
        run.propose(40.0, after_s=1.0)
        run.sample(0.0)
    assert rung(run) is Rung.ACTIVE
    run.sample(0.0, after_s=5.0)
    assert run.state.command is not None
    assert run.state.command.setpoint_kw == 40.0


def test_a_steady_heartbeat_leads_to_default_after_two_minutes() -> None:
    run = fallen()
    run.sample(0.0)
    for _ in range(119):
        run.sample(0.0)
    assert rung(run) is Rung.FAILSAFE
    run.sample(0.0)
    assert rung(run) is Rung.DEFAULT


def test_a_gap_in_the_heartbeat_starts_the_two_minutes_anew() -> None:
    run = fallen()
    for _ in range(100):
        run.sample(0.0)
    run.sample(0.0, after_s=31.0)
    for _ in range(119):
        run.sample(0.0)
    assert rung(run) is Rung.FAILSAFE
    run.sample(0.0)
    assert rung(run) is Rung.DEFAULT


def test_a_stale_republished_heartbeat_is_none() -> None:
    spec = make_spec(fallback="zero")
    run = Cycles.warm(spec)
    for _ in range(40):
        run.sample(1.0, age_s=20.0)
    assert rung(run) is Rung.FAILSAFE


def test_a_short_cut_of_the_link_is_no_bump() -> None:
    run = patient()
    run.deliver(50.0, lifetime_s=60.0)
    run.link(up=False, after_s=1.0)
    assert rung(run) is Rung.DEFAULT
    assert sent(run.wait(5.0)) == []
    decision = run.link(up=True)
    assert rung(run) is Rung.ACTIVE
    assert [(c.command_id, c.setpoint_kw) for c in sent(decision)] == [("res1-1-1", 50.0)]


def test_a_long_cut_ends_in_failsafe_and_replays_nothing() -> None:
    run = patient()
    run.deliver(50.0, lifetime_s=900.0)
    run.link(up=False)
    run.wait(60.0)
    assert rung(run) is Rung.FAILSAFE
    commands = sent(run.link(up=True))
    assert [c.setpoint_kw for c in commands] == [0.0]


def test_a_device_that_signs_off_goes_down_the_same_way() -> None:
    run = patient()
    run.deliver(50.0, lifetime_s=900.0)
    run.status(DeviceMode.OFFLINE)
    assert rung(run) is Rung.DEFAULT
    run.wait(31.0)
    assert rung(run) is Rung.FAILSAFE


def test_a_restart_keeps_rung_and_timers() -> None:
    run = fallen()
    for _ in range(100):
        run.sample(0.0)
    run.restart(after_s=2.0)
    assert rung(run) is Rung.FAILSAFE
    run.link(up=True)
    for _ in range(18):
        run.sample(0.0)
    assert rung(run) is Rung.FAILSAFE
    run.sample(0.0)
    assert rung(run) is Rung.DEFAULT


def test_a_restart_from_an_old_checkpoint_is_no_lost_heartbeat() -> None:
    run = patient()
    run.restart(after_s=3600.0)
    run.link(up=True)
    assert rung(run) is Rung.DEFAULT
    run.wait(31.0)
    assert rung(run) is Rung.FAILSAFE


def test_an_override_set_after_the_fall_is_a_fresh_command_an_older_one_is_not() -> None:
    run = fallen()
    run.sample(0.0)
    run.override(10.0, for_s=600.0, after_s=1.0)
    assert rung(run) is Rung.ACTIVE
    run.wait(31.0)
    run.sample(0.0)
    assert rung(run) is Rung.FAILSAFE
