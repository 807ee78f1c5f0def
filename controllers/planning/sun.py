"""Where the sun stands and what a plane would get from it under a clear sky.

Declination after Cooper (1969), equation of time after Spencer (1971) in its short form, clear-sky
global irradiance after Haurwitz (1945), ``1098 cos z exp(-0.059 / cos z)``. A fifth of it is taken
as diffuse. Good to a few percent around noon, which is enough for a shape that is scaled by what
the plant gives now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from controllers.resources.twin import FloatArray

_REFERENCE_W_PER_M2 = 1000.0
_DIFFUSE_FRAC = 0.2
_SECONDS_PER_DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """Where a photovoltaic plant stands and which way it faces."""

    latitude_deg: float
    longitude_deg: float
    tilt_deg: float
    azimuth_deg: float
    """Clockwise from north."""


def sun_direction(instants: Sequence[datetime], plane: Plane) -> FloatArray:
    """Return unit vectors towards the sun, [K, 3] as east, north, up; below the horizon up < 0.

    Args:
        instants: K aware instants.
        plane: gives latitude and longitude.
    """
    seconds = np.array([instant.timestamp() for instant in instants])
    day = np.array([instant.timetuple().tm_yday for instant in instants], dtype=np.float64)
    declination = np.radians(23.45) * np.sin(2 * np.pi * (284 + day) / 365)
    angle = 2 * np.pi * (day - 81) / 364
    equation_min = 9.87 * np.sin(2 * angle) - 7.53 * np.cos(angle) - 1.5 * np.sin(angle)
    solar_s = seconds % _SECONDS_PER_DAY + 240.0 * plane.longitude_deg + 60.0 * equation_min
    hour_angle = 2 * np.pi * (solar_s / _SECONDS_PER_DAY - 0.5)
    latitude = np.radians(plane.latitude_deg)
    east = -np.cos(declination) * np.sin(hour_angle)
    towards_equator = np.cos(declination) * np.cos(hour_angle)
    north = np.cos(latitude) * np.sin(declination) - np.sin(latitude) * towards_equator
    up = np.sin(latitude) * np.sin(declination) + np.cos(latitude) * towards_equator
    return np.stack([east, north, up], axis=1)


def clear_sky_frac(instants: Sequence[datetime], plane: Plane) -> FloatArray:
    """Return clear-sky irradiance on the plane over 1,000 W/m2, [K]; zero at night."""
    sun = sun_direction(instants, plane)
    tilt, azimuth = np.radians(plane.tilt_deg), np.radians(plane.azimuth_deg)
    normal = [np.sin(tilt) * np.sin(azimuth), np.sin(tilt) * np.cos(azimuth), np.cos(tilt)]
    up = np.maximum(sun[:, 2], 1e-3)
    # Haurwitz without its cosine is what a plane facing the sun would get.
    facing_w_per_m2 = 1098.0 * np.exp(-0.059 / up)
    beam = (1 - _DIFFUSE_FRAC) * facing_w_per_m2 * np.maximum(sun @ np.array(normal), 0.0)
    diffuse = _DIFFUSE_FRAC * facing_w_per_m2 * up * (1 + np.cos(tilt)) / 2
    total = (beam + diffuse) / _REFERENCE_W_PER_M2
    return np.where(sun[:, 2] > 0, total, 0.0)
