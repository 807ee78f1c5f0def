"""The CHP: off or at its minimum at least, minimum times, and starts in a projection."""

from __future__ import annotations

import numpy as np
import pytest

from controllers.resources.chp import Chp
from tests.support.twins import at, make, reading, seen

MINUTE = 60.0


def test_a_running_unit_offers_down_to_off_but_not_between() -> None:
    twin = make(Chp)
    envelope = twin.envelope(seen(twin, reading(0, 80.0, running=1.0)), at(0))
    assert (envelope.min_kw, envelope.max_kw, envelope.natural_kw) == (0.0, 120.0, 80.0)
    assert (envelope.exclusion_low_kw, envelope.exclusion_high_kw) == (0.0, 60.0)
    assert (envelope.reserve_up_kw, envelope.reserve_down_kw) == (40.0, 20.0)
    assert (envelope.energy_up_kwh, envelope.energy_down_kwh) == (40.0, 80.0)


def test_a_unit_at_rest_offers_a_start_but_no_reserve() -> None:
    twin = make(Chp)
    envelope = twin.envelope(seen(twin, reading(0, 0.0, running=0.0)), at(0))
    assert (envelope.min_kw, envelope.max_kw, envelope.natural_kw) == (0.0, 120.0, 0.0)
    assert (envelope.reserve_up_kw, envelope.reserve_down_kw) == (0.0, 0.0)


@pytest.mark.parametrize(("minutes", "min_kw"), [(0.0, 60.0), (29.9, 60.0), (30.0, 0.0)])
def test_a_started_unit_must_run_for_its_minimum_time(minutes: float, min_kw: float) -> None:
    twin = make(Chp, min_up_min=30.0)
    state = seen(twin, reading(0, 0.0, running=0.0), reading(5, 10.0, running=1.0))
    assert twin.envelope(state, at(5 + minutes * MINUTE)).min_kw == min_kw


@pytest.mark.parametrize(("minutes", "max_kw"), [(0.0, 0.0), (44.9, 0.0), (45.0, 120.0)])
def test_a_stopped_unit_must_rest_for_its_minimum_time(minutes: float, max_kw: float) -> None:
    twin = make(Chp, min_down_min=45.0)
    state = seen(twin, reading(0, 70.0, running=1.0), reading(5, 20.0, running=0.0))
    assert twin.envelope(state, at(5 + minutes * MINUTE)).max_kw == max_kw


def test_later_samples_do_not_restart_the_minimum_time() -> None:
    twin = make(Chp, min_up_min=30.0)
    state = seen(twin, reading(0, 0.0, running=0.0), reading(5, 60.0, running=1.0))
    state = seen(twin, *(reading(s, 70.0, running=1.0) for s in (6, 7, 8)), state=state)
    assert twin.envelope(state, at(5 + 30 * MINUTE)).min_kw == 0.0


@pytest.mark.parametrize(("power_kw", "running"), [(29.0, 0.0), (31.0, 1.0)])
def test_without_a_signal_half_the_minimum_counts_as_running(
    power_kw: float, running: float
) -> None:
    assert seen(make(Chp), reading(0, power_kw)).memory["running"] == running


def test_a_projection_honours_minimum_times() -> None:
    twin = make(Chp, min_up_min=30.0, min_down_min=30.0)
    state = seen(twin, reading(0, 0.0, running=0.0))
    setpoints_kw = np.array([100.0, 0.0, 0.0, 100.0, 100.0])
    run = twin.project(state, setpoints_kw, np.zeros(5), 900.0)
    # The stop waits for half an hour of running, the start for half an hour of rest.
    assert run.power_kw.tolist() == [100.0, 60.0, 0.0, 0.0, 100.0]
    assert run.min_kw.tolist() == [0.0, 60.0, 0.0, 0.0, 0.0]
    assert run.max_kw.tolist() == [120.0, 120.0, 120.0, 0.0, 120.0]


def test_a_setpoint_in_the_band_takes_the_nearer_edge() -> None:
    twin = make(Chp, min_up_min=0.0, min_down_min=0.0)
    state = seen(twin, reading(0, 70.0, running=1.0))
    run = twin.project(state, np.array([40.0, 20.0]), np.zeros(2), 900.0)
    assert run.power_kw.tolist() == [60.0, 0.0]


def test_a_projection_ramps_above_the_minimum_and_may_stop_from_it() -> None:
    twin = make(Chp, ramp_frac_per_min=0.1, min_up_min=0.0, min_down_min=0.0)  # 12 kW a minute
    state = seen(twin, reading(0, 0.0, running=0.0))
    setpoints_kw = np.array([120.0, 120.0, 0.0, 0.0, 0.0])
    run = twin.project(state, setpoints_kw, np.zeros(5), 120.0)
    assert run.power_kw.tolist() == pytest.approx([84.0, 108.0, 84.0, 0.0, 0.0])
