"""The flexible load: what can pause, for how long, and what is owed afterwards."""

from __future__ import annotations

import numpy as np
import pytest

from controllers.resources.flexible_load import FlexibleLoad
from controllers.resources.twin import Reading
from tests.support.twins import at, make, reading, seen


def every_ten_seconds(n: int, power_kw: float, *, start: int = 0) -> list[Reading]:
    return [
        reading(10.0 * (start + i), power_kw, setpoint_kw=power_kw, baseline_kw=-100.0)
        for i in range(n)
    ]


def test_the_flexible_share_of_the_base_can_pause() -> None:
    twin = make(FlexibleLoad, flexible_frac=0.3, max_interruption_min=120.0)
    envelope = twin.envelope(seen(twin, reading(0, -100.0, baseline_kw=-100.0)), at(0))
    assert (envelope.min_kw, envelope.natural_kw, envelope.max_kw) == (-100.0, -100.0, -70.0)
    assert (envelope.energy_up_kwh, envelope.energy_down_kwh) == pytest.approx((60.0, 0.0))
    assert (envelope.reserve_up_kw, envelope.reserve_down_kw) == pytest.approx((30.0, 0.0))


def test_more_can_be_drawn_where_the_load_allows_it() -> None:
    twin = make(FlexibleLoad, increase_frac=0.2)
    envelope = twin.envelope(seen(twin, reading(0, -100.0, baseline_kw=-100.0)), at(0))
    assert envelope.min_kw == -120.0
    envelope = twin.envelope(seen(twin, reading(0, -190.0, baseline_kw=-190.0)), at(0))
    assert envelope.min_kw == -200.0


def test_without_a_signal_the_base_is_what_it_draws_when_free() -> None:
    twin = make(FlexibleLoad)
    free, held = reading(0, -90.0), reading(1, -65.0, setpoint_kw=-65.0)
    assert seen(twin, free, held).memory["base_kw"] == -90.0
    assert seen(twin, free, held, reading(2, -80.0)).memory["base_kw"] == -80.0
    assert seen(twin, held).memory["base_kw"] == -65.0


def test_what_is_not_drawn_is_partly_owed_and_drawn_when_free() -> None:
    twin = make(FlexibleLoad, rebound_frac=0.6, rebound_min=60.0)
    state = seen(twin, *every_ten_seconds(37, -70.0))
    owed_kwh = 0.6 * 30.0 * 0.1
    assert state.memory["owed_kwh"] == pytest.approx(owed_kwh)
    envelope = twin.envelope(state, at(360))
    assert envelope.natural_kw == pytest.approx(-100.0 - owed_kwh)
    assert envelope.max_kw == pytest.approx(-70.0)
    state = seen(twin, *every_ten_seconds(19, -101.0, start=37), state=state)
    assert state.memory["owed_kwh"] == pytest.approx(owed_kwh - 18.5 * 10 / 3600, abs=0.05)


def test_a_debt_never_turns_into_credit() -> None:
    twin = make(FlexibleLoad)
    state = seen(twin, *every_ten_seconds(10, -150.0))
    assert state.memory["owed_kwh"] == 0.0


def test_noise_around_the_base_is_no_interruption() -> None:
    twin = make(FlexibleLoad)
    state = seen(twin, *every_ten_seconds(10, -98.0))
    assert (state.memory["interrupted_h"], state.memory["owed_kwh"]) == (0.0, 0.0)


def test_the_longest_interruption_is_followed_by_as_long_a_rest() -> None:
    twin = make(FlexibleLoad, max_interruption_min=1.0, rebound_frac=0.0)
    state = seen(twin, *every_ten_seconds(6, -70.0))
    assert twin.envelope(state, at(50)).max_kw == pytest.approx(-70.0)
    state = seen(twin, *every_ten_seconds(1, -70.0, start=6), state=state)
    assert twin.envelope(state, at(60)).max_kw == -100.0
    state = seen(twin, *every_ten_seconds(6, -100.0, start=7), state=state)
    assert twin.envelope(state, at(120)).max_kw == -100.0
    state = seen(twin, *every_ten_seconds(2, -100.0, start=13), state=state)
    assert twin.envelope(state, at(140)).max_kw == pytest.approx(-70.0)


def test_reserve_ends_where_too_little_interruption_is_left() -> None:
    twin = make(FlexibleLoad, max_interruption_min=31.0, reserve_duration_h=0.5)
    state = seen(twin, *every_ten_seconds(6, -70.0))
    assert twin.envelope(state, at(50)).reserve_up_kw == 0.0  # it has already paused
    state = seen(twin, *every_ten_seconds(1, -100.0, start=6), state=state)
    assert twin.envelope(state, at(60)).reserve_up_kw == pytest.approx(30.0)
    state = seen(twin, *every_ten_seconds(12, -70.0, start=7), reading(190, -100.0), state=state)
    assert twin.envelope(state, at(190)).reserve_up_kw == 0.0


@pytest.mark.parametrize(("temp_c", "max_kw"), [(22.0, -70.0), (18.5, -100.0), (27.0, -100.0)])
def test_outside_the_comfort_limits_nothing_pauses(temp_c: float, max_kw: float) -> None:
    twin = make(FlexibleLoad)
    state = seen(twin, reading(0, -100.0, baseline_kw=-100.0, indoor_temp_c=temp_c))
    assert twin.envelope(state, at(0)).max_kw == pytest.approx(max_kw)


def test_a_projection_pauses_rebounds_and_rests() -> None:
    twin = make(FlexibleLoad, max_interruption_min=30.0, rebound_frac=0.5, rebound_min=60.0)
    state = seen(twin, reading(0, -100.0, baseline_kw=-100.0))
    setpoints_kw = np.array([-70.0, -70.0, -70.0, np.nan, np.nan])
    run = twin.project(state, setpoints_kw, np.full(5, -100.0), 900.0)
    assert run.power_kw[:2].tolist() == [-70.0, -70.0]
    assert run.energy_kwh[2] == pytest.approx(0.5 * 30.0 * 0.5)
    # Resting: only what it owes on top of its base, an hour's worth of it.
    assert run.power_kw[2] == pytest.approx(-100.0 - 7.5)
    assert run.energy_kwh[3] == pytest.approx(7.5 - 7.5 * 0.25)
    assert (np.diff(run.energy_kwh[2:]) < 0.0).all()
