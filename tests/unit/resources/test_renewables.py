"""PV and wind: what is available, with and without the device's word for it."""

from __future__ import annotations

import numpy as np
import pytest

from controllers.resources.renewables import Pv, Wind
from tests.support.twins import at, make, reading, seen


def test_a_free_plant_offers_what_it_gives() -> None:
    twin = make(Wind)
    envelope = twin.envelope(seen(twin, reading(0, 700.0)), at(1))
    assert (envelope.min_kw, envelope.max_kw, envelope.natural_kw) == (0.0, 700.0, 700.0)
    assert (envelope.energy_up_kwh, envelope.energy_down_kwh) == (0.0, 700.0)
    assert (envelope.reserve_up_kw, envelope.reserve_down_kw) == (0.0, 700.0)


def test_the_device_knows_best_what_is_available() -> None:
    twin = make(Pv)
    state = seen(twin, reading(0, 30.0, setpoint_kw=30.0, available_kw=75.0))
    envelope = twin.envelope(state, at(1))
    assert (envelope.max_kw, envelope.natural_kw, envelope.reserve_up_kw) == (75.0, 75.0, 45.0)


def test_a_curtailed_plant_without_a_signal_keeps_what_was_available() -> None:
    twin = make(Pv)
    state = seen(twin, reading(0, 80.0), reading(1, 30.0, setpoint_kw=30.0))
    assert twin.envelope(state, at(1)).max_kw == 80.0


def test_power_below_the_setpoint_shows_that_the_weather_limits() -> None:
    twin = make(Pv)
    state = seen(twin, reading(0, 80.0), reading(1, 20.0, setpoint_kw=30.0))
    assert twin.envelope(state, at(1)).max_kw == 20.0


def test_power_above_what_was_thought_available_raises_it() -> None:
    twin = make(Pv)
    state = seen(twin, reading(0, 40.0), reading(1, 50.0, setpoint_kw=50.0))
    assert twin.envelope(state, at(1)).max_kw == 50.0


def test_a_plant_that_cannot_be_curtailed_has_no_choice() -> None:
    twin = make(Pv, curtailable=False)
    envelope = twin.envelope(seen(twin, reading(0, 60.0)), at(1))
    assert (envelope.min_kw, envelope.max_kw, envelope.energy_down_kwh) == (60.0, 60.0, 0.0)


@pytest.mark.parametrize(("power_kw", "available_kw"), [(-0.3, 0.0), (103.0, 100.0)])
def test_what_is_available_stays_within_the_name_plate(
    power_kw: float, available_kw: float
) -> None:
    twin = make(Pv)
    assert twin.envelope(seen(twin, reading(0, power_kw)), at(1)).max_kw == available_kw


def test_a_projection_follows_the_lesser_of_weather_and_setpoint() -> None:
    twin = make(Pv)
    setpoints_kw = np.array([np.nan, 40.0, 40.0, -5.0])
    natural_kw = np.array([60.0, 60.0, 20.0, 130.0])
    run = twin.project(seen(twin, reading(0, 0.0)), setpoints_kw, natural_kw, 900.0)
    assert run.power_kw.tolist() == [60.0, 40.0, 20.0, 0.0]
    assert run.max_kw.tolist() == [60.0, 60.0, 20.0, 100.0]
    assert run.energy_kwh.tolist() == [0.0] * 5


def test_a_projection_without_curtailment_ignores_setpoints() -> None:
    twin = make(Pv, curtailable=False)
    state = seen(twin, reading(0, 0.0))
    run = twin.project(state, np.array([10.0]), np.array([60.0]), 900.0)
    assert run.power_kw.tolist() == run.min_kw.tolist() == [60.0]
