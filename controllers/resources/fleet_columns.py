"""The devices of a fleet as numpy columns: intake of chunks, sums, and the split of a set-point."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from controllers.kernel.errors import DomainError
from controllers.resources.base import HORIZON_H
from controllers.resources.fleet import TAPER_FRAC, Fleet
from controllers.resources.twin import FloatArray, Reading
from optimization.split import split

BoolArray = NDArray[np.bool_]

_LATEST_START_TAPER_H = 0.25
_EXECUTING_FRAC = 0.95
_SIGNALS = ("store_frac", "departs_in_h")


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetAggregate:
    """A fleet summed up at one instant."""

    reading: Reading
    """Total power and sums, as the ``Fleet`` twin reads them; measured when the newest chunk was.

    A device out of date counts with its last power, one never seen with zero.
    """
    coverage_frac: float
    """Share of the devices with a fresh sample."""
    n_fresh: int
    command_id: str | None
    """The command read back by at least 95 % of the fresh devices."""


@dataclass(frozen=True, slots=True)
class _Limits:
    """What each device can do, all [n]; one that is not steered is held at its last power."""

    fresh: BoolArray
    steered: BoolArray
    """Fresh, and the level of the store is known."""
    min_kw: FloatArray
    max_kw: FloatArray


class FleetColumns:
    """All devices of one fleet. Local to its actor; a restart refills it from telemetry.

    Signals by device: ``store_frac``, the level of its store, without which it is not steered, and
    for vehicles ``departs_in_h``, hours until departure, optional. A vehicle that is not plugged in
    reports a full store.
    """

    def __init__(self, fleet: Fleet) -> None:
        n = fleet.n_devices
        self._fleet = fleet
        self._power_kw = np.zeros(n)
        self._natural_kw = np.zeros(n)
        self._measured_s = np.full(n, -np.inf)
        self._signals = {name: np.full(n, np.nan) for name in _SIGNALS}
        self._command = np.zeros(n, dtype=np.int64)
        self._newest_at: datetime | None = None
        self._newest_command_id: str | None = None

    def observe_chunk(
        self,
        *,
        first: int,
        measured_at: datetime,
        power_kw: Sequence[float] | FloatArray,
        signals: Mapping[str, Sequence[float] | FloatArray],
        command_id: str | None,
    ) -> int:
        """Fold one run of consecutive devices in; return how many of them it was news for.

        Args:
            first: index of the first device of the run.
            measured_at: when the gateway read all of them.
            power_kw: [k] power, injection positive.
            signals: columns [k]; those a fleet has no use for are ignored.
            command_id: read-back of the command the run is executing.

        Raises:
            DomainError: the run leaves the fleet, a column has another length or a number that is
                not finite or not plausible, or no device of the run is older than the sample.
        """
        power = self._column("power_kw", power_kw, first, None)
        _require_within("power_kw", power, 1.25 * self._fleet.device_kw)
        columns = {
            name: self._column(f"signals.{name}", signals[name], first, len(power))
            for name in _SIGNALS
            if name in signals
        }
        if "store_frac" in columns:
            _require_within("signals.store_frac", columns["store_frac"] - 0.5, 0.5)
        run = slice(first, first + len(power))
        measured_s = measured_at.timestamp()
        news: BoolArray = self._measured_s[run] < measured_s
        n_news = int(np.count_nonzero(news))
        if n_news == 0:
            rule = "must be newer than what is known of these devices"
            raise DomainError("measured_at", measured_at.isoformat(), rule)
        command = hash(command_id) if command_id is not None else 0
        np.copyto(self._power_kw[run], power, where=news)
        if command_id is None:
            np.copyto(self._natural_kw[run], power, where=news)
        for name, column in columns.items():
            np.copyto(self._signals[name][run], column, where=news)
        np.copyto(self._command[run], command, where=news)
        np.copyto(self._measured_s[run], measured_s, where=news)
        if self._newest_at is None or measured_at >= self._newest_at:
            self._newest_at, self._newest_command_id = measured_at, command_id
        return n_news

    def aggregate(self, now: datetime) -> FleetAggregate | None:
        """Return the fleet summed up at ``now``; None before the first sample."""
        if self._newest_at is None:
            return None
        fleet = self._fleet
        limits = self._limits(now)
        fresh = limits.fresh
        n_fresh = int(np.count_nonzero(fresh))
        energy_up_kwh, energy_down_kwh = self._energies(limits.steered)
        sustained_h = fleet.reserve_duration_h
        power_kw = self._power_kw
        store_frac = self._signals["store_frac"][limits.steered]
        natural_kw = self._natural(limits)
        signals = {
            "min_kw": float(limits.min_kw.sum()),
            "max_kw": float(limits.max_kw.sum()),
            "natural_kw": float(natural_kw.sum()),
            "energy_up_kwh": float(energy_up_kwh.sum()),
            "energy_down_kwh": float(energy_down_kwh.sum()),
            "reserve_max_kw": float(
                np.minimum(limits.max_kw, natural_kw + energy_up_kwh / sustained_h).sum()
            ),
            "reserve_min_kw": float(
                np.maximum(limits.min_kw, natural_kw - energy_down_kwh / sustained_h).sum()
            ),
            "coverage_frac": n_fresh / fleet.n_devices,
        }
        if len(store_frac):
            signals["store_frac"] = float(store_frac.mean())
        return FleetAggregate(
            reading=Reading(
                measured_at=self._newest_at, power_kw=float(power_kw.sum()), signals=signals
            ),
            coverage_frac=n_fresh / fleet.n_devices,
            n_fresh=n_fresh,
            command_id=self._executed(fresh, n_fresh),
        )

    def split(self, setpoint_kw: float, now: datetime) -> FloatArray:
        """Return set-points [n] in kW whose sum is ``setpoint_kw``, or as near as devices can go.

        Devices with more room in their store take more when the fleet draws, those with more in it
        give more when it gives. One that is not steered keeps its last power, and the others
        make up for it.

        Raises:
            DomainError: the set-point is not finite.
        """
        if not math.isfinite(setpoint_kw):
            raise DomainError("setpoint_kw", setpoint_kw, "must be finite")
        limits = self._limits(now)
        fleet = self._fleet
        least_kw = np.clip(0.0, limits.min_kw, limits.max_kw)
        level = np.nan_to_num(self._signals["store_frac"], nan=0.5)
        draws = setpoint_kw < float(least_kw.sum())
        room_frac = fleet.store_max_frac - level if draws else level - fleet.store_min_frac
        return split(
            setpoint_kw,
            min_kw=limits.min_kw,
            max_kw=limits.max_kw,
            current_kw=self._power_kw,
            base_kw=least_kw,
            weight=np.maximum(room_frac, 1e-3),
        ).setpoints_kw

    def _column(
        self, name: str, values: Sequence[float] | FloatArray, first: int, length: int | None
    ) -> FloatArray:
        column = np.asarray(values, dtype=np.float64)
        n_devices = self._fleet.n_devices
        if column.ndim != 1 or not len(column) or length not in (None, len(column)):
            raise DomainError(name, f"shape {column.shape}", "must be as long as power_kw")
        if first < 0 or first + len(column) > n_devices:
            rule = f"the run of {len(column)} must lie within the fleet's {n_devices} devices"
            raise DomainError("first", first, rule)
        if not np.isfinite(column).all():
            raise DomainError(name, "NaN or infinity", "must be finite")
        return column

    def _limits(self, now: datetime) -> _Limits:
        """Return what the devices can do; near the ends of their stores the limits fade in."""
        fleet, level = self._fleet, self._signals["store_frac"]
        device_kw = fleet.device_kw
        age_s = now.timestamp() - self._measured_s
        fresh = age_s <= fleet.max_age_s
        steered = fresh & ~np.isnan(level)
        can_draw_kw = device_kw * np.clip((fleet.store_max_frac - level) / TAPER_FRAC, 0.0, 1.0)
        above_frac = np.clip((level - fleet.store_min_frac) / TAPER_FRAC, 0.0, 1.0)
        if fleet.device_kind == "battery":
            max_kw = device_kw * above_frac
        elif fleet.device_kind == "heat_pump":
            max_kw = device_kw * (above_frac - 1.0)
        else:
            slack_h = self._slack_h()
            urgent_frac = np.clip(1.0 - slack_h / _LATEST_START_TAPER_H, 0.0, 1.0)
            max_kw = -np.minimum(device_kw * urgent_frac, can_draw_kw)
        return _Limits(
            fresh,
            steered,
            np.where(steered, -can_draw_kw, self._power_kw),
            np.where(steered, max_kw, self._power_kw),
        )

    def _slack_h(self) -> FloatArray:
        """Return how long each vehicle may still wait; without a departure it may wait for long."""
        needed_h = self._room_kwh() / self._fleet.device_kw
        slack_h: FloatArray = np.nan_to_num(self._signals["departs_in_h"], nan=np.inf) - needed_h
        return slack_h

    def _room_kwh(self) -> FloatArray:
        """Return the electricity that each store can still take, NaN where its level is unknown."""
        fleet = self._fleet
        room_frac = np.maximum(fleet.store_max_frac - self._signals["store_frac"], 0.0)
        room_kwh: FloatArray = room_frac * (fleet.store_kwh / fleet.efficiency)
        return room_kwh

    def _energies(self, steered: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Return energy up and down of each device; nothing from those that are not steered."""
        fleet = self._fleet
        down_kwh = np.where(steered, self._room_kwh(), 0.0)
        if fleet.device_kind == "ev":
            waits_h = np.clip(self._slack_h(), 0.0, HORIZON_H)
            up_kwh = np.minimum(down_kwh, np.where(steered, waits_h, 0.0) * fleet.device_kw)
            return up_kwh, down_kwh
        above_frac = np.maximum(self._signals["store_frac"] - fleet.store_min_frac, 0.0)
        gives = fleet.device_kind == "battery"
        per_stored = fleet.efficiency if gives else 1.0 / fleet.efficiency
        return np.where(steered, above_frac * (fleet.store_kwh * per_stored), 0.0), down_kwh

    def _natural(self, limits: _Limits) -> FloatArray:
        """Return where the devices would run if released, [n]."""
        if self._fleet.device_kind == "ev":
            return limits.min_kw
        if self._fleet.device_kind == "battery":
            return np.where(limits.steered, 0.0, limits.min_kw)
        return np.clip(self._natural_kw, limits.min_kw, limits.max_kw)

    def _executed(self, fresh: BoolArray, n_fresh: int) -> str | None:
        command_id = self._newest_command_id
        if command_id is None or n_fresh == 0:
            return None
        n_executing = int(np.count_nonzero(self._command[fresh] == hash(command_id)))
        return command_id if n_executing >= _EXECUTING_FRAC * n_fresh else None


def _require_within(name: str, column: FloatArray, magnitude: float) -> None:
    worst = float(np.abs(column).max())
    if worst > magnitude:
        raise DomainError(name, worst, f"must be plausible: at most {magnitude:g} either way")
