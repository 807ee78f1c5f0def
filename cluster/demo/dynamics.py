"""What every simulated device has in common: orders, surroundings, lag, ramp, noise and registers.

Pure: time passes only through ``dt_s``, chance only through the generator passed in. Power in kW,
injection positive. Steps may be of any length: lag and ramp are integrated in closed form, so that
a second in the simulator and a quarter of an hour in simulated time obey the same equations.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import numpy as np

from controllers.control.contract import EvSession

SECONDS_PER_HOUR = 3600.0
SECONDS_PER_MINUTE = 60.0

DeviceState = dict[str, object]
"""What a device must remember over a restart; JSON-compatible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """The sky over the park at one instant."""

    direct_w_per_m2: float
    """Normal to the beam of the sun."""
    diffuse_w_per_m2: float
    """On the horizontal."""
    sun_elevation_deg: float
    sun_azimuth_deg: float
    """Clockwise from north."""
    temperature_degc: float
    wind_speed_m_per_s: float
    """Ten metres above ground."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """All that acts on a device from outside during a step."""

    local_time: datetime
    """End of the step in the park's own time zone; people live by it."""
    weather: Weather


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a device has been told to do; everything None means: run free."""

    setpoint_kw: float | None = None
    limit_kw: float | None = None
    """Bound on absolute power while running free."""
    ramp_kw_per_min: float | None = None
    """Slower than the device's own ramp, or None for its own."""


RUN_FREE = Order()


@dataclass(slots=True)
class Registers:
    """Cumulative meter registers since commissioning, kWh."""

    exported_kwh: float = 0.0
    imported_kwh: float = 0.0

    def add(self, mean_kw: float, dt_s: float) -> None:
        """Count the energy of one step at its mean power."""
        energy_kwh = mean_kw * dt_s / SECONDS_PER_HOUR
        if energy_kwh >= 0.0:
            self.exported_kwh += energy_kwh
        else:
            self.imported_kwh -= energy_kwh


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What the meter and the sensors of a device show."""

    power_kw: float
    exported_kwh: float
    imported_kwh: float
    signals: Mapping[str, float] = field(default_factory=dict)
    sessions: tuple[EvSession, ...] = ()


class PhysicalDevice(Protocol):
    """One device as nature sees it."""

    @property
    def range_kw(self) -> tuple[float, float]:
        """Least and greatest set-point the device accepts, by name-plate."""
        ...

    def step(
        self, dt_s: float, order: Order, surroundings: Surroundings, rng: np.random.Generator
    ) -> None:
        """Let time pass.

        Args:
            dt_s: length of the step, above 0.
            order: what the device has been told.
            surroundings: weather and local time.
            rng: source of noise, clouds, gusts and arrivals.
        """
        ...

    def measure(self) -> Measurement:
        """Read the meter and the sensors."""
        ...

    def dump(self) -> DeviceState:
        """Return what must survive a restart."""
        ...

    def restore(self, state: DeviceState) -> None:
        """Take up where ``dump`` left."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Actuator:
    """First-order lag behind a ramp limit, as power electronics and engines show it."""

    lag_s: float
    ramp_kw_per_min: float

    def follow(
        self, start_kw: float, target_kw: float, dt_s: float, ramp_kw_per_min: float | None
    ) -> tuple[float, float]:
        """Return the power at the end of a step, and its mean over the step.

        Far from the target the ramp limits; nearer than ``ramp * lag`` the lag does. Both phases
        have closed forms and join smoothly.
        """
        ramp_kw_per_min = min(self.ramp_kw_per_min, ramp_kw_per_min or math.inf)
        distance_kw = abs(target_kw - start_kw)
        ramp_kw_per_s = ramp_kw_per_min / SECONDS_PER_MINUTE
        near_kw = ramp_kw_per_s * self.lag_s
        ramping_s = min(dt_s, max(0.0, distance_kw - near_kw) / ramp_kw_per_s)
        ramped_kw = math.copysign(ramp_kw_per_s * ramping_s, target_kw - start_kw)
        joint_kw = start_kw + ramped_kw
        lagging_s = dt_s - ramping_s
        remaining_kw = joint_kw - target_kw
        decay = math.exp(-lagging_s / self.lag_s)
        end_kw = target_kw + remaining_kw * decay
        area_kws = (start_kw + joint_kw) / 2.0 * ramping_s
        area_kws += target_kw * lagging_s + remaining_kw * self.lag_s * (1.0 - decay)
        return end_kw, area_kws / dt_s


@dataclass(slots=True)
class Wander:
    """A mean-reverting random walk around 0 with unit variance: clouds, gusts, people."""

    time_constant_s: float
    value: float = 0.0

    def step(self, dt_s: float, rng: np.random.Generator) -> float:
        """Let time pass and return the new value; exact for any step length."""
        keep = math.exp(-dt_s / self.time_constant_s)
        self.value = self.value * keep + rng.normal() * math.sqrt(1.0 - keep * keep)
        return self.value


def hour_of(local_time: datetime) -> float:
    """Return the time of day in hours, 0 to 24."""
    return local_time.hour + local_time.minute / 60.0 + local_time.second / 3600.0


def clip(value: float, low: float, high: float) -> float:
    """Return ``value`` moved into ``[low, high]``."""
    return min(max(value, low), high)


def limited(natural_kw: float, order: Order) -> float:
    """Return the power a device heads for: its order, else its nature within the limit."""
    if order.setpoint_kw is not None:
        return order.setpoint_kw
    if order.limit_kw is not None:
        return clip(natural_kw, -order.limit_kw, order.limit_kw)
    return natural_kw


def number(state: DeviceState, name: str, default: float) -> float:
    """Return a remembered number, or ``default`` where nothing usable is remembered."""
    value = state.get(name)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else default
