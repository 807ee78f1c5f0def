"""A typical year of weather from the data files inside the pvlib package, by local time.

Sun and temperature are those of a town at 36° north, wind those of a coast. Values are hourly; in
between they are interpolated, and 29 February repeats the day before.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cluster.demo.dynamics import Weather

_SUN_FILE = "723170TYA.CSV"
_WIND_FILE = "703165TY.csv"
_YEAR = 1990
"""Any year without 29 February; the files mix years month by month."""
_HOURS = 8760

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WeatherYear:
    """One row per hour of a common year, at the middle of the hour."""

    rows: FloatArray  # [8760, 6], in the order of Weather's fields; azimuth as given

    @classmethod
    def load(cls) -> WeatherYear:
        """Read the files; takes about half a second, most of it importing pandas."""
        # Imported here, because only a simulator needs them and they are slow to load.
        import pvlib  # noqa: PLC0415
        from pvlib.iotools import read_tmy3  # noqa: PLC0415

        folder = Path(pvlib.__file__).parent / "data"
        sun, site = read_tmy3(folder / _SUN_FILE, map_variables=True, coerce_year=_YEAR)
        wind, _ = read_tmy3(folder / _WIND_FILE, map_variables=True, coerce_year=_YEAR)
        # A row carries the mean of the hour that ends at its time stamp.
        middles = sun.index - timedelta(minutes=30)
        position = pvlib.solarposition.get_solarposition(
            middles, site["latitude"], site["longitude"], site["altitude"]
        )
        columns = [
            sun["dni"].to_numpy(),
            sun["dhi"].to_numpy(),
            position["elevation"].to_numpy(),
            position["azimuth"].to_numpy(),
            sun["temp_air"].to_numpy(),
            wind["wind_speed"].to_numpy(),
        ]
        return cls(np.column_stack(columns).astype(np.float64))

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
