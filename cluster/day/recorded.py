"""Devices whose nature is on file: a roof and a building that do what a series says.

Everything else about them, inverter, ramp, meters, obedience, is that of the simulated devices.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

import numpy as np

from cluster.day.series import Series
from cluster.demo.dynamics import PhysicalDevice, Surroundings
from cluster.demo.generators import PvRoof
from cluster.demo.loads import FlexibleBuilding
from controllers.kernel.errors import ConfigError


@dataclass(slots=True, kw_only=True)
class RecordedRoof(PvRoof):
    """A roof that could give what the file says; it may be curtailed."""

    series: Series[float]
    """kW."""

    def shine(self, dt_s: float, surroundings: Surroundings, rng: np.random.Generator) -> None:
        """Look up the middle of the step; where the file says nothing, what it said last."""
        known = _in_step(self.series, dt_s, surroundings)
        self.available_kw = self.available_kw if known is None else known


@dataclass(slots=True, kw_only=True)
class RecordedBuilding(FlexibleBuilding):
    """A building that would draw what the file says; its flexibility is its own."""

    series: Series[float]
    """kW, magnitudes."""

    def base_load_kw(
        self, dt_s: float, surroundings: Surroundings, rng: np.random.Generator
    ) -> float:
        """Look up the middle of the step; where the file says nothing, what it said last."""
        known = _in_step(self.series, dt_s, surroundings)
        return -self.base_kw if known is None else known


def recorded(device: PhysicalDevice, series: Series[float], device_id: str) -> PhysicalDevice:
    """Return the device with its nature replaced.

    Raises:
        ConfigError: nothing of its kind can be on file.
    """
    if isinstance(device, PvRoof):
        return RecordedRoof(**_state(device), series=series)
    if isinstance(device, FlexibleBuilding):
        return RecordedBuilding(**_state(device), series=series)
    rule = "only a pv or a flexible_load can follow a file"
    raise ConfigError(device_id, [f"{device_id}: {rule}"])


def _state(device: PvRoof | FlexibleBuilding) -> dict[str, Any]:
    return {field.name: getattr(device, field.name) for field in fields(device)}


def _in_step(series: Series[float], dt_s: float, surroundings: Surroundings) -> float | None:
    return series.at(surroundings.local_time - timedelta(seconds=dt_s / 2.0))
