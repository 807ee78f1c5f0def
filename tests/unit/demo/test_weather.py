"""The typical year: plausible, continuous, and its sun where pvlib sees it."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from pvlib.solarposition import get_solarposition

from cluster.demo.weather import WeatherYear, sun_position_deg
from controllers.kernel.errors import ConfigError

SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.fixture(scope="module")
def year() -> WeatherYear:
    return WeatherYear.load()


def test_sun_stands_where_pvlib_sees_it() -> None:
    hours = np.arange(0.0, 8760.0, 7.0)
    times = pd.Timestamp("1990-01-01", tz="Etc/GMT+5") + pd.to_timedelta(hours, unit="h")
    expected = get_solarposition(times, 36.1, -79.95)
    elevation_deg, azimuth_deg = sun_position_deg(
        hours=hours, latitude_deg=36.1, east_of_zone_deg=-4.95
    )
    up = expected["elevation"].to_numpy() > 5.0
    off_deg = np.abs(elevation_deg - expected["elevation"].to_numpy())[up]
    assert off_deg.max() < 0.6
    turn_deg = np.abs(azimuth_deg - expected["azimuth"].to_numpy())[up]
    assert np.minimum(turn_deg, 360.0 - turn_deg).max() < 2.5


def test_noon_is_bright_and_midnight_dark(year: WeatherYear) -> None:
    noon = year.at(datetime(2026, 7, 21, 12, tzinfo=SHANGHAI))
    midnight = year.at(datetime(2026, 7, 21, 0, tzinfo=SHANGHAI))
    assert noon.direct_w_per_m2 + noon.diffuse_w_per_m2 > 300.0
    assert midnight.direct_w_per_m2 == midnight.diffuse_w_per_m2 == 0.0
    assert noon.sun_elevation_deg > 60.0
    assert midnight.sun_elevation_deg < 0.0


def test_weather_does_not_jump(year: WeatherYear) -> None:
    start = datetime(2026, 4, 1, tzinfo=SHANGHAI)
    temperatures = [
        year.at(start + timedelta(minutes=i)).temperature_degc for i in range(3 * 24 * 60)
    ]
    assert np.abs(np.diff(temperatures)).max() < 0.5


@pytest.mark.parametrize(
    "local_time",
    [
        datetime(2026, 1, 1, 0, 10, tzinfo=SHANGHAI),
        datetime(2028, 2, 29, 12, tzinfo=SHANGHAI),
        datetime(2028, 12, 31, 23, 59, 59, tzinfo=SHANGHAI),
    ],
)
def test_every_instant_has_weather(year: WeatherYear, local_time: datetime) -> None:
    assert -30.0 < year.at(local_time).temperature_degc < 45.0


def test_missing_data_is_reported_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cluster.demo.weather._SUN_FILE", "missing.csv")
    with pytest.raises(ConfigError, match="reinstall pvlib"):
        WeatherYear.load()
