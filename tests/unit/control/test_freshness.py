"""Which samples count, and what missing or frozen ones lead to."""

from __future__ import annotations

from datetime import timedelta

import pytest

from controllers.control.contract import DeviceMode
from controllers.control.events import InputRefused
from controllers.kernel.states import Quality, Rung
from controllers.resources.twin import SignalRule
from tests.support.cycles import Cycles, make_spec, published, records, sent
from tests.support.plain_twin import PlainTwin, make_envelope

POWER = SignalRule(signal="power_kw", max_age_s=5.0, on_stale="hold", low=-200.0, high=200.0)
SOC = SignalRule(signal="soc_frac", max_age_s=8.0, on_stale="zero", low=0.0, high=1.0)


def watched(*rules: SignalRule, **envelope: float) -> Cycles:
    spec = make_spec(PlainTwin(rules=rules, envelope=make_envelope(**envelope)))
    run = Cycles.cold(spec)
    run.link(up=True)
    run.sample(0.0, soc_frac=0.5)
    return run


@pytest.mark.parametrize(
    ("sample", "counter"),
    [
        ({"seq": 1}, "samples_duplicate"),
        ({"age_s": 1.0}, "samples_duplicate"),
        ({"age_s": 60.0}, "samples_late"),
        ({"seq": 0}, "samples_late"),
        ({"age_s": -86_400.0}, "samples_quarantined"),
        ({"age_s": -5.1}, "samples_quarantined"),
        ({"power_kw": 201.0}, "samples_implausible"),
        ({"power_kw": float("nan")}, "samples_implausible"),
    ],
    ids=[
        "same seq",
        "same stamp",
        "older stamp",
        "fallen seq",
        "from tomorrow",
        "beyond the skew",
        "implausible",
        "nan",
    ],
)
def test_a_sample_that_does_not_count_is_counted_and_changes_nothing(
    sample: dict[str, float], counter: str
) -> None:
    run = watched(POWER)
    before = run.state
    decision = run.sample(**({"power_kw": 77.0} | sample))  # type: ignore[arg-type]
    assert run.state.counters == {counter: 1}
    assert run.state.twin == before.twin
    assert run.state.ladder == before.ladder
    assert run.state.intake.tracks == before.intake.tracks
    assert [state.counters for state in published(decision)] == [{counter: 1}]


def test_a_stamp_within_the_skew_counts_as_receipt() -> None:
    run = watched(POWER)
    run.sample(10.0, age_s=-4.0)
    assert run.state.twin.power_kw == 10.0
    assert run.state.intake.tracks["power_kw"].seen_at == run.now


def test_age_runs_from_the_measurement_not_from_receipt() -> None:
    run = watched(POWER)
    state = published(run.sample(10.0, after_s=30.0, age_s=20.0))[0]
    assert (state.power_kw, state.quality) == (10.0, Quality.STALE)
    assert run.state.ladder.heartbeat_at != run.now


def test_a_restarted_device_may_count_anew() -> None:
    run = watched(POWER)
    run.status(DeviceMode.ONLINE, boot_id="b1")
    run.sample(10.0, seq=500)
    run.status(DeviceMode.ONLINE, boot_id="b2")
    run.sample(11.0, seq=1)
    assert run.state.twin.power_kw == 11.0
    assert run.state.counters == {"device_restarts": 1}


def test_a_restart_that_nobody_announced_is_believed_after_the_reorder_window() -> None:
    run = watched(POWER)
    run.sample(10.0, seq=500)
    run.sample(11.0, seq=1)
    assert run.state.counters == {"samples_late": 1}
    run.sample(12.0, seq=2, after_s=5.0)
    assert run.state.twin.power_kw == 12.0
    assert run.state.counters["restarts_unannounced"] == 1


def test_a_flood_is_cut_to_the_rate_and_survived() -> None:
    run = watched(POWER)
    run.wait(10.0)
    effects = []
    for _ in range(1000):
        effects += run.sample(1.0, after_s=0.001).effects
    accepted = 1000 - run.state.counters["samples_flooded"]
    assert 100 <= accepted <= 100 + 51
    assert len(records(effects, "refusals")) == 1  # one summary, not one per message
    run.sample(2.0)
    assert run.state.twin.power_kw == 2.0


def test_a_clock_that_steps_back_does_not_lock_the_device_out() -> None:
    run = watched(POWER)
    run.now -= timedelta(hours=1)
    for _ in range(150):
        run.sample(1.0, after_s=0.0)
    run.sample(1.0, after_s=1.0)
    assert run.state.counters["samples_flooded"] < 60


def test_refused_payloads_are_counted_by_kind() -> None:
    run = watched(POWER)
    run.apply(InputRefused(kind="telemetry", reason="not JSON"))
    run.apply(InputRefused(kind="telemetry", reason="not JSON"))
    assert run.state.counters == {"input_telemetry": 2}


def test_an_implausible_signal_is_left_out_and_goes_stale_by_itself() -> None:
    run = watched(POWER, SOC)
    for _ in range(9):
        run.sample(0.0, soc_frac=1.7)
    assert run.state.twin.signals == {"soc_frac": 0.5}
    assert run.state.counters == {"readings_implausible": 9}
    assert published(run.decision)[0].quality is Quality.UNCERTAIN
    assert [c.source_id for c in run.state.contenders] == ["guard:stale:soc_frac"]


@pytest.mark.parametrize(
    ("on_stale", "expected_kw"),
    [("hold", 60.0), ("limit", 25.0), ("zero", 0.0), ("release", None)],
)
def test_stale_power_acts_by_its_declared_policy(on_stale: str, expected_kw: float | None) -> None:
    rule = SignalRule(signal="power_kw", max_age_s=5.0, on_stale=on_stale, limit_kw=25.0)
    run = watched(rule)
    run.deliver(60.0, lifetime_s=60.0)
    effects = run.wait(7.0)
    commands = sent(effects)
    assert [c.setpoint_kw for c in commands] == ([] if on_stale == "hold" else [expected_kw])
    # A new wish finds the guard in the way.
    run.propose(-90.0)
    expected = -25.0 if on_stale == "limit" else expected_kw
    assert run.state.command is not None
    assert run.state.command.setpoint_kw == expected


def test_a_signal_never_received_acts_after_its_age_limit_without_any_sample() -> None:
    run = watched(POWER, SOC)
    run = Cycles.cold(run.spec)
    run.link(up=True)
    assert sent(run.wait(8.0)) == []
    effects = run.wait(0.5)
    assert [c.setpoint_kw for c in sent(effects)] == [0.0]
    assert run.state.command is not None
    assert run.state.command.reason == "zero: soc_frac was never received"


def test_data_that_comes_back_lifts_the_guard() -> None:
    run = watched(POWER, SOC)
    run.propose(50.0, lifetime_s=100.0)
    for _ in range(10):
        run.sample(0.0)  # without soc_frac
    assert run.state.command is not None
    assert run.state.command.setpoint_kw == 0.0
    run.sample(0.0, soc_frac=0.5)
    assert run.state.command.setpoint_kw == 50.0


def test_values_frozen_while_stamps_advance_are_not_fresh() -> None:
    frozen = SignalRule(signal="power_kw", max_age_s=5.0, on_stale="zero", frozen_after_s=10.0)
    run = watched(frozen)
    run.deliver(33.3, lifetime_s=100.0)
    for _ in range(10):
        run.sample(33.3)
    assert published(run.decision)[0].quality is Quality.GOOD
    decision = run.sample(33.3)
    assert published(decision)[0].quality is Quality.FROZEN
    assert [c.setpoint_kw for c in sent(decision)] == [0.0]
    decision = run.sample(33.4)
    assert published(decision)[0].quality is Quality.GOOD


def test_nothing_acts_before_a_sample_could_have_come() -> None:
    run = watched(POWER, SOC)
    run.deliver(60.0, lifetime_s=60.0)
    run.restart(after_s=20.0)
    decision = run.link(up=True)
    assert [c.setpoint_kw for c in sent(decision)] == [60.0]
    assert run.state.ladder.rung in (Rung.DEFAULT, Rung.ACTIVE)
