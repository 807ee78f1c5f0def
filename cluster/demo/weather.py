"""A typical year of weather from the data files inside the pvlib package, by local time.

Sun and temperature are those of a town at 36° north, wind those of a coast. Values are hourly; in
between they are interpolated, and 31 December of a leap year repeats the day before. Only the data
files are read: importing the package itself would cost a simulator 100 MB and two seconds.
"""

from __future__ import annotations

import csv
import importlib.util
import itertools
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cluster.demo.dynamics import Weather
from controllers.kernel.errors import ConfigError

_SUN_FILE = "723170TYA.CSV"
_WIND_FILE = "703165TY.csv"
_HOURS = 8760
_DEGREES_PER_HOUR = 15.0
_MINUTES_PER_DEGREE = 4.0

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WeatherYear:
    """One row per hour of a common year, at the middle of the hour."""

    rows: FloatArray  # [8760, 6], in the order of Weather's fields

    @classmethod
    def load(cls) -> WeatherYear:
        """Read the files.

        Raises:
            ConfigError: the pvlib package or its data are not installed.
        """
        site, sun = _read(_SUN_FILE, ["DNI (W/m^2)", "DHI (W/m^2)", "Dry-bulb (C)"])
        _, wind = _read(_WIND_FILE, ["Wspd (m/s)"])
        # Site: number, name, state, hours from UTC, latitude, longitude, height.
        elevation_deg, azimuth_deg = sun_position_deg(
            hours=np.arange(_HOURS, dtype=np.float64) + 0.5,
            latitude_deg=float(site[4]),
            east_of_zone_deg=float(site[5]) - _DEGREES_PER_HOUR * float(site[3]),
        )
        return cls(
            np.column_stack([sun[:, 0], sun[:, 1], elevation_deg, azimuth_deg, sun[:, 2], wind])
        )

    def at(self, local_time: datetime) -> Weather:
        """Return the weather at an instant given in the park's own time zone."""
        day = min(local_time.timetuple().tm_yday - 1, 364)
        hours = day * 24 + local_time.hour + local_time.minute / 60 + local_time.second / 3600
        position = (hours - 0.5) % _HOURS
        before = int(position)
        share = position - before
        row = self.rows[before] * (1.0 - share) + self.rows[(before + 1) % _HOURS] * share
        return Weather(
            direct_w_per_m2=float(row[0]),
            diffuse_w_per_m2=float(row[1]),
            sun_elevation_deg=float(row[2]),
            sun_azimuth_deg=float(row[3]),
            temperature_degc=float(row[4]),
            wind_speed_m_per_s=float(row[5]),
        )


def sun_position_deg(
    *, hours: FloatArray, latitude_deg: float, east_of_zone_deg: float
) -> tuple[FloatArray, FloatArray]:
    """Return elevation and azimuth (clockwise from north) of the sun, by Spencer's series.

    Args:
        hours: since the start of a common year, standard time of the zone.
        latitude_deg: north positive.
        east_of_zone_deg: longitude minus that of the zone's meridian.
    """
    turn = 2.0 * np.pi * np.floor(hours / 24.0) / 365.0
    declination = (
        0.006918
        - 0.399912 * np.cos(turn)
        + 0.070257 * np.sin(turn)
        - 0.006758 * np.cos(2 * turn)
        + 0.000907 * np.sin(2 * turn)
        - 0.002697 * np.cos(3 * turn)
        + 0.00148 * np.sin(3 * turn)
    )
    clock_lead_min = 229.18 * (
        0.000075
        + 0.001868 * np.cos(turn)
        - 0.032077 * np.sin(turn)
        - 0.014615 * np.cos(2 * turn)
        - 0.04089 * np.sin(2 * turn)
    )
    solar_hours = hours + (clock_lead_min + _MINUTES_PER_DEGREE * east_of_zone_deg) / 60.0
    hour_angle = np.radians(_DEGREES_PER_HOUR * (solar_hours % 24.0 - 12.0))
    latitude = np.radians(latitude_deg)
    elevation = np.arcsin(
        np.sin(latitude) * np.sin(declination)
        + np.cos(latitude) * np.cos(declination) * np.cos(hour_angle)
    )
    azimuth = np.pi + np.arctan2(
        np.sin(hour_angle),
        np.cos(hour_angle) * np.sin(latitude) - np.tan(declination) * np.cos(latitude),
    )
    return np.degrees(elevation), np.degrees(azimuth)


def _read(name: str, columns: list[str]) -> tuple[list[str], FloatArray]:
    """Return the site line and the wanted columns, [8760, n], of a TMY3 file."""
    spec = importlib.util.find_spec("pvlib")
    places = (spec.submodule_search_locations if spec is not None else None) or []
    path = next((p for p in (Path(place) / "data" / name for place in places) if p.exists()), None)
    if path is None:
        raise ConfigError("weather", [f"{name} of the pvlib package is missing; reinstall pvlib"])
    with path.open(newline="") as file:
        lines = csv.reader(file)
        site, header = next(lines), next(lines)
        wanted = [header.index(column) for column in columns]
        rows = [[float(line[i]) for i in wanted] for line in itertools.islice(lines, _HOURS)]
    return site, np.array(rows)
