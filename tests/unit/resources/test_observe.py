"""What every metered twin does with a sample: energy, uncertainty, order, and its data policy."""

from __future__ import annotations

import math

import pytest

from controllers.kernel.wire import decode, encode
from controllers.resources.battery import Battery
from controllers.resources.kinds import TWINS, build_twin
from controllers.resources.renewables import Pv
from controllers.resources.twin import TwinState
from tests.support.twins import T0, VALID, at, make, reading, seen


def test_energy_is_the_trapezoid_between_samples() -> None:
    state = seen(make(Pv), reading(0, 10.0), reading(6, 30.0), reading(12, 30.0))
    assert state.exported_kwh == pytest.approx((20.0 * 6 + 30.0 * 6) / 3600)
    assert state.imported_kwh == 0.0


def test_a_change_of_sign_counts_each_side_of_zero_apart() -> None:
    state = seen(make(Battery), reading(0, 30.0), reading(8, -10.0))
    assert state.exported_kwh == pytest.approx(0.5 * 30.0 * 6 / 3600)
    assert state.imported_kwh == pytest.approx(0.5 * 10.0 * 2 / 3600)


def test_energy_over_a_gap_is_left_out() -> None:
    state = seen(make(Pv, max_age_s=10.0), reading(0, 50.0), reading(10.5, 50.0))
    assert state.exported_kwh == 0.0
    state = seen(make(Pv, max_age_s=10.0), reading(20.5, 50.0), state=state)
    assert state.exported_kwh == pytest.approx(50.0 * 10 / 3600)


@pytest.mark.parametrize("seconds", [-1.0, 0.0], ids=["older", "repeated"])
def test_a_sample_that_is_not_newer_changes_nothing(seconds: float) -> None:
    twin = make(Pv)
    state = seen(twin, reading(0, 50.0))
    assert twin.observe(state, reading(seconds, 99.0)) is state


def test_a_signal_keeps_its_value_until_the_next_one() -> None:
    state = seen(make(Pv), reading(0, 1.0, available_kw=5.0, temp_c=3.0), reading(1, 1.0, temp_c=4))
    assert state.signals == {"available_kw": 5.0, "temp_c": 4.0}


def test_sigma_is_class_times_reading_plus_floor() -> None:
    state = seen(make(Pv, meter_class_frac=0.01), reading(0, 50.0))
    assert state.sigma_kw == pytest.approx((0.01 * 50.0 + 0.0005 * 100.0) / math.sqrt(3.0))


@pytest.mark.parametrize("kind", sorted(TWINS))
def test_the_data_policy_bounds_power_around_the_name_plate(kind: str) -> None:
    given = {**VALID[kind], "on_stale": "limit", "stale_limit_kw": 7.0, "max_age_s": 4.0}
    twin = build_twin(kind, {**given, "frozen_after_s": 60.0})
    rule = next(rule for rule in twin.signal_rules if rule.signal == "power_kw")
    assert (rule.on_stale, rule.limit_kw) == ("limit", 7.0)
    assert (rule.max_age_s, rule.frozen_after_s) == (4.0, 60.0)
    assert rule.low <= -0.2 * twin.rated_kw
    assert 0.2 * twin.rated_kw <= rule.high <= 1.3 * twin.rated_kw


@pytest.mark.parametrize(("kind", "signal"), [("battery", "soc_frac"), ("heat_pump", "store_frac")])
def test_a_store_level_is_guarded_and_bounded(kind: str, signal: str) -> None:
    rules = {rule.signal: rule for rule in build_twin(kind, VALID[kind]).signal_rules}
    assert (rules[signal].low, rules[signal].high) == (0.0, 1.0)
    assert rules[signal].max_age_s > 0.0


@pytest.mark.parametrize("kind", sorted(TWINS))
def test_before_the_first_sample_nothing_is_offered(kind: str) -> None:
    envelope = build_twin(kind, VALID[kind]).envelope(TwinState(), T0)
    if kind == "chp":  # a unit at rest needs no telemetry to be known to start
        assert (envelope.min_kw, envelope.max_kw) == (0.0, 120.0)
    else:
        assert (envelope.min_kw, envelope.max_kw) == (0.0, 0.0)
    assert envelope.reserve_up_kw == 0.0


@pytest.mark.parametrize("kind", sorted(TWINS))
def test_state_and_envelope_survive_a_checkpoint(kind: str) -> None:
    twin = build_twin(kind, VALID[kind])
    signals = {"soc_frac": 0.5, "store_frac": 0.5, "baseline_kw": -90.0, "running": 1.0}
    power_kw = twin.rated_kw * (0.4 if kind in {"pv", "wind", "battery", "chp"} else -0.4)
    state = seen(twin, *(reading(i, power_kw + i, **signals) for i in range(3)))
    restored = decode(encode(state), TwinState)
    assert restored == state
    assert twin.envelope(restored, at(3)) == twin.envelope(state, at(3))
