"""What the first-form forecasts promise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from controllers.kernel.errors import DomainError
from controllers.kernel.states import Quality
from controllers.planning.forecast import (
    History,
    clear_sky_persistence,
    decaying_persistence,
    forecast_park,
    seasonal_naive,
)
from controllers.planning.horizon import plan_horizon
from controllers.planning.sun import Plane, clear_sky_frac, sun_direction
from controllers.resources.kinds import build_twin
from controllers.resources.twin import Reading, TwinState
from tests.support.small_park import NOW, small_park

FLAT = Plane(latitude_deg=30.9, longitude_deg=121.9, tilt_deg=0.0, azimuth_deg=180.0)
HORIZON = plan_horizon(NOW)


def elevation_deg(instant: datetime, plane: Plane) -> float:
    return float(np.degrees(np.arcsin(sun_direction([instant], plane)[0, 2])))


@pytest.mark.parametrize(
    ("instant", "latitude", "longitude", "expected_deg"),
    [
        # Solar noon at a solstice: 90 - latitude +- 23.44.
        (datetime(2026, 6, 21, 12, 2, tzinfo=UTC), 51.5, 0.0, 61.9),
        (datetime(2026, 12, 21, 11, 58, tzinfo=UTC), 51.5, 0.0, 15.1),
        (datetime(2026, 3, 20, 4, 0, tzinfo=UTC), 31.0, 121.9, 59.0),
        (datetime(2026, 12, 21, 2, 5, tzinfo=UTC), -33.9, 151.2, 79.5),
    ],
    ids=["London in June", "London in December", "Shanghai at equinox", "Sydney in December"],
)
def test_sun_stands_where_the_almanac_says(
    instant: datetime, latitude: float, longitude: float, expected_deg: float
) -> None:
    plane = Plane(latitude_deg=latitude, longitude_deg=longitude, tilt_deg=0, azimuth_deg=180)
    assert elevation_deg(instant, plane) == pytest.approx(expected_deg, abs=1.0)


def test_clear_sky_is_dark_at_night_and_near_full_at_noon_in_june() -> None:
    noon = datetime(2026, 6, 21, 3, 54, tzinfo=UTC)
    dark, bright = clear_sky_frac([noon - timedelta(hours=12), noon], FLAT)
    assert dark == 0.0
    assert 0.9 < bright < 1.1


def test_roof_facing_east_peaks_in_the_morning() -> None:
    noon = datetime(2026, 6, 21, 3, 54, tzinfo=UTC)
    east = Plane(latitude_deg=30.9, longitude_deg=121.9, tilt_deg=30.0, azimuth_deg=90.0)
    morning, afternoon = clear_sky_frac(
        [noon - timedelta(hours=4), noon + timedelta(hours=4)], east
    )
    assert morning > 1.5 * afternoon


def test_load_repeats_the_day_before_in_its_periods() -> None:
    day = np.arange(96.0)
    history = History(
        start_at=HORIZON.start_at - timedelta(days=1),
        period=timedelta(minutes=15),
        power_kw=-day,
    )
    np.testing.assert_array_equal(seasonal_naive(history, HORIZON), -day)


def test_gap_in_the_day_before_is_filled_from_the_day_before_that_else_the_mean() -> None:
    two_days = np.concatenate([np.full(96, -20.0), np.full(96, -10.0)])
    two_days[96 + 4] = np.nan
    two_days[[5, 96 + 5]] = np.nan
    history = History(
        start_at=HORIZON.start_at - timedelta(days=2),
        period=timedelta(minutes=15),
        power_kw=two_days,
    )
    forecast = seasonal_naive(history, HORIZON)
    assert forecast[3] == -10.0
    assert forecast[4] == -20.0
    assert forecast[5] == pytest.approx(np.nanmean(two_days))


def test_history_without_a_single_measurement_is_refused() -> None:
    empty = History(start_at=NOW, period=timedelta(minutes=15), power_kw=np.full(4, np.nan))
    with pytest.raises(DomainError, match="at least one"):
        seasonal_naive(empty, HORIZON)


def test_cloudy_plant_stays_cloudy_at_first_and_is_usual_the_next_day() -> None:
    noon = datetime(2026, 6, 21, 3, 54, tzinfo=UTC)
    horizon = plan_horizon(noon)
    clear_kw = 100.0 * clear_sky_frac(horizon.middle_at, FLAT)
    cloudy = (noon, 0.2 * 100.0 * float(clear_sky_frac([noon], FLAT)[0]))
    power_kw = clear_sky_persistence(FLAT, 100.0, horizon, measured=cloudy)
    assert power_kw[0] == pytest.approx(0.2 * clear_kw[0], rel=0.05)
    assert power_kw[-1] == pytest.approx(0.6 * clear_kw[-1], rel=0.01)


def test_measurement_at_night_says_nothing_of_tomorrow() -> None:
    night = datetime(2026, 6, 21, 16, 0, tzinfo=UTC)
    horizon = plan_horizon(night)
    dark = clear_sky_persistence(FLAT, 100.0, horizon, measured=(night, 0.0))
    np.testing.assert_array_equal(dark, clear_sky_persistence(FLAT, 100.0, horizon))
    assert dark.max() > 50.0


def test_usual_clearness_is_learnt_from_history() -> None:
    periods = [HORIZON.start_at - timedelta(days=1) + i * HORIZON.period for i in range(96)]
    clear_kw = 100.0 * clear_sky_frac([p + HORIZON.period / 2 for p in periods], FLAT)
    clear_kw[40] = np.nan
    history = History(start_at=periods[0], period=HORIZON.period, power_kw=0.3 * clear_kw)
    power_kw = clear_sky_persistence(FLAT, 100.0, HORIZON, history=history)
    expected = 30.0 * clear_sky_frac(HORIZON.middle_at, FLAT)
    np.testing.assert_allclose(power_kw, expected, rtol=1e-6, atol=1e-9)


def test_history_of_nights_only_teaches_nothing() -> None:
    night = datetime(2026, 6, 21, 14, 0, tzinfo=UTC)
    history = History(start_at=night, period=timedelta(minutes=15), power_kw=np.zeros(8))
    power_kw = clear_sky_persistence(FLAT, 100.0, HORIZON, history=history)
    np.testing.assert_array_equal(power_kw, clear_sky_persistence(FLAT, 100.0, HORIZON))


def test_wind_decays_towards_its_mean() -> None:
    power_kw = decaying_persistence(400.0, 100.0, HORIZON)
    assert power_kw[0] == pytest.approx(400.0, rel=0.05)
    assert power_kw[-1] == pytest.approx(100.0, rel=0.1)
    assert np.all(np.diff(power_kw) < 0)


def test_every_kind_gets_a_forecast_with_age_and_quality() -> None:
    park = small_park()
    twins = {r.id: build_twin(r.kind, r.parameters) for r in park.resources}
    seen = Reading(measured_at=NOW - timedelta(minutes=1), power_kw=-50.0, signals={})
    states = {r.id: TwinState() for r in park.resources if r.id != "bess"}
    states["hall"] = twins["hall"].observe(TwinState(), seen)
    old = Reading(measured_at=NOW - timedelta(days=2), power_kw=-30.0, signals={})
    states["pump"] = twins["pump"].observe(TwinState(), old)
    windy = Reading(measured_at=NOW - timedelta(hours=1), power_kw=30.0, signals={})
    states["wind"] = twins["wind"].observe(TwinState(), windy)
    forecasts = forecast_park(park, twins, states, HORIZON)
    assert set(forecasts) == set(states)
    assert forecasts["hall"].quality is Quality.GOOD
    assert forecasts["hall"].basis_age_s == pytest.approx(60.0)
    np.testing.assert_allclose(forecasts["hall"].power_kw, -50.0)
    assert forecasts["wind"].quality is Quality.UNCERTAIN
    assert forecasts["pump"].quality is Quality.STALE
    assert forecasts["roof"].quality is Quality.MISSING
    assert forecasts["roof"].power_kw.max() > 0.0
    assert forecasts["roof"].basis == "nothing"


def test_history_goes_before_the_power_of_now() -> None:
    park = small_park()
    twins = {r.id: build_twin(r.kind, r.parameters) for r in park.resources}
    states = {"hall": TwinState(), "wind": TwinState(), "pump": TwinState()}
    start_at = HORIZON.start_at - timedelta(days=1)
    known = History(start_at=start_at, period=HORIZON.period, power_kw=np.full(96, -40.0))
    blown = History(start_at=start_at, period=HORIZON.period, power_kw=np.full(96, 20.0))
    blank = History(start_at=start_at, period=HORIZON.period, power_kw=np.full(96, np.nan))
    histories = {"hall": known, "wind": blown, "pump": blank}
    forecasts = forecast_park(park, twins, states, HORIZON, histories)
    np.testing.assert_allclose(forecasts["hall"].power_kw, -40.0)
    np.testing.assert_allclose(forecasts["wind"].power_kw, 20.0)
    np.testing.assert_allclose(forecasts["pump"].power_kw, 0.0)
    assert forecasts["pump"].quality is Quality.MISSING


def test_plant_without_a_place_stands_on_the_meridian_of_its_zone() -> None:
    park = small_park()
    twins = {r.id: build_twin(r.kind, r.parameters) for r in park.resources}
    horizon = plan_horizon(datetime(2026, 6, 20, 16, 0, tzinfo=UTC))  # midnight in Shanghai
    power_kw = forecast_park(park, twins, {"roof": TwinState()}, horizon)["roof"].power_kw
    assert abs(int(power_kw.argmax()) - 48) <= 2
