"""Physics of what stores energy: batteries, and vehicles plugged into a charging station."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from cluster.demo.dynamics import (
    SECONDS_PER_HOUR,
    Actuator,
    DeviceState,
    Measurement,
    Order,
    Registers,
    Surroundings,
    clip,
    hour_of,
    limited,
    number,
)
from controllers.control.contract import EvSession

_METER_NOISE_FRAC = 0.0005
_CONVERTER_LAG_S = 0.4
_HEATING_DEGC_PER_LOAD = 12.0
_COOLING_TIME_S = 1800.0
_ROOM_DEGC = 22.0

_CHARGER_LAG_S = 2.0
_CHARGER_EFFICIENCY = 0.93
_ARRIVALS_PER_POINT_AND_DAY = 2.5
_ARRIVAL_HOUR_PEAKS = ((8.5, 1.2, 0.55), (13.0, 2.0, 0.25), (18.5, 2.0, 0.2))
"""Hour, spread and share of each wave of arrivals."""
_HISTORY_H = 8
"""A station that starts finds the vehicles that would have come in these hours."""
_STAY_H = (2.0, 9.0)
_NEED_KWH = (12.0, 55.0)
_MOST_OF_STAY_FRAC = 0.9
"""A vehicle never asks for more than this share of what its stay could charge."""
_FULL_KWH = 0.01


@dataclass(slots=True)
class Battery:
    """Cells behind a converter; the cells end charge and discharge, whatever was ordered."""

    capacity_kwh: float
    max_charge_kw: float
    max_discharge_kw: float
    charge_efficiency: float
    discharge_efficiency: float
    soc_min_frac: float
    soc_max_frac: float
    ramp_kw_per_min: float
    soc_frac: float
    power_kw: float = 0.0
    shown_kw: float = 0.0
    cell_degc: float = _ROOM_DEGC
    throughput_kwh: float = 0.0
    registers: Registers = field(default_factory=Registers)

    @property
    def range_kw(self) -> tuple[float, float]:
        """From full charge to full discharge."""
        return -self.max_charge_kw, self.max_discharge_kw

    def step(
        self, dt_s: float, order: Order, surroundings: Surroundings, rng: np.random.Generator
    ) -> None:
        """Let charge flow."""
        low_kw, high_kw = self._reachable_kw(dt_s)
        start_kw = clip(self.power_kw, low_kw, high_kw)
        target_kw = clip(limited(0.0, order), low_kw, high_kw)
        converter = Actuator(lag_s=_CONVERTER_LAG_S, ramp_kw_per_min=self.ramp_kw_per_min)
        self.power_kw, mean_kw = converter.follow(start_kw, target_kw, dt_s, order.ramp_kw_per_min)
        self.registers.add(mean_kw, dt_s)
        self._charge(mean_kw * dt_s / SECONDS_PER_HOUR)
        self._warm(dt_s)
        rated_kw = max(self.max_charge_kw, self.max_discharge_kw)
        self.shown_kw = self.power_kw + _METER_NOISE_FRAC * rated_kw * rng.normal()

    def _reachable_kw(self, dt_s: float) -> tuple[float, float]:
        hours = dt_s / SECONDS_PER_HOUR
        above_kwh = max(0.0, self.soc_frac - self.soc_min_frac) * self.capacity_kwh
        below_kwh = max(0.0, self.soc_max_frac - self.soc_frac) * self.capacity_kwh
        discharge_kw = above_kwh * self.discharge_efficiency / hours
        charge_kw = below_kwh / self.charge_efficiency / hours
        return -min(self.max_charge_kw, charge_kw), min(self.max_discharge_kw, discharge_kw)

    def _charge(self, injected_kwh: float) -> None:
        if injected_kwh >= 0.0:
            stored_kwh = -injected_kwh / self.discharge_efficiency
        else:
            stored_kwh = -injected_kwh * self.charge_efficiency
        self.soc_frac = clip(self.soc_frac + stored_kwh / self.capacity_kwh, 0.0, 1.0)
        self.throughput_kwh += abs(injected_kwh)

    def _warm(self, dt_s: float) -> None:
        load = abs(self.power_kw) / max(self.max_charge_kw, self.max_discharge_kw)
        settled_degc = _ROOM_DEGC + _HEATING_DEGC_PER_LOAD * load * load
        keep = math.exp(-dt_s / _COOLING_TIME_S)
        self.cell_degc = settled_degc + (self.cell_degc - settled_degc) * keep

    def measure(self) -> Measurement:
        """Read the battery management system."""
        return Measurement(
            power_kw=self.shown_kw,
            exported_kwh=self.registers.exported_kwh,
            imported_kwh=self.registers.imported_kwh,
            signals={
                "soc_frac": self.soc_frac,
                "cell_temperature_degc": self.cell_degc,
                "throughput_kwh": self.throughput_kwh,
            },
        )

    def dump(self) -> DeviceState:
        """Return charge, power, temperature and registers."""
        return {
            "soc_frac": self.soc_frac,
            "power_kw": self.power_kw,
            "cell_degc": self.cell_degc,
            "throughput_kwh": self.throughput_kwh,
            "exported_kwh": self.registers.exported_kwh,
            "imported_kwh": self.registers.imported_kwh,
        }

    def restore(self, state: DeviceState) -> None:
        """Take up where ``dump`` left."""
        self.soc_frac = clip(number(state, "soc_frac", self.soc_frac), 0.0, 1.0)
        self.power_kw = number(state, "power_kw", 0.0)
        self.cell_degc = number(state, "cell_degc", _ROOM_DEGC)
        self.throughput_kwh = number(state, "throughput_kwh", 0.0)
        self.registers.exported_kwh = number(state, "exported_kwh", 0.0)
        self.registers.imported_kwh = number(state, "imported_kwh", 0.0)


@dataclass(slots=True)
class PluggedVehicle:
    """One vehicle at a charging point."""

    session_id: str
    energy_needed_kwh: float
    departs_at: datetime
    max_charge_kw: float


@dataclass(slots=True)
class EvStation:
    """Charging points where vehicles come and go; free, each charges as fast as it can.

    Under an order the station gives the power to the vehicles in order of departure.
    """

    n_points: int
    point_kw: float
    point_min_kw: float
    """A point cannot charge slower; below it the station is off."""
    max_charge_kw: float
    """Of the whole station; its connection is smaller than the sum of its points."""
    ramp_kw_per_min: float
    power_kw: float = 0.0
    shown_kw: float = 0.0
    n_sessions: int = 0
    is_new: bool = True
    n_missed: int = 0
    """Vehicles that left with less than they needed."""
    vehicles: list[PluggedVehicle] = field(default_factory=list)
    registers: Registers = field(default_factory=Registers)

    @property
    def range_kw(self) -> tuple[float, float]:
        """From the station's full load to nothing; vehicles only charge."""
        return -self.max_charge_kw, 0.0

    def step(
        self, dt_s: float, order: Order, surroundings: Surroundings, rng: np.random.Generator
    ) -> None:
        """Let vehicles come, charge and leave."""
        if self.is_new:
            self._settle(surroundings.local_time, rng)
        self._depart(surroundings.local_time)
        self._arrive(dt_s, surroundings.local_time, rng)
        fastest_kw = self._fastest_kw(dt_s)
        wanted_kw = limited(-self.max_charge_kw, order)
        wanted_kw = clip(wanted_kw, -fastest_kw, 0.0) if wanted_kw <= -self.point_min_kw else 0.0
        chargers = Actuator(lag_s=_CHARGER_LAG_S, ramp_kw_per_min=self.ramp_kw_per_min)
        start_kw = clip(self.power_kw, -fastest_kw, 0.0)
        self.power_kw, mean_kw = chargers.follow(start_kw, wanted_kw, dt_s, order.ramp_kw_per_min)
        self.registers.add(mean_kw, dt_s)
        self._charge(-mean_kw, dt_s)
        noise_kw = _METER_NOISE_FRAC * self.max_charge_kw * rng.normal()
        self.shown_kw = min(0.0, self.power_kw + noise_kw)

    def _settle(self, local_time: datetime, rng: np.random.Generator) -> None:
        """Fill the points as if the station had always been there."""
        self.is_new = False
        for hours_ago in reversed(range(1, _HISTORY_H + 1)):
            arrived_at = local_time - timedelta(hours=hours_ago)
            self._depart(arrived_at)
            self._arrive(SECONDS_PER_HOUR, arrived_at, rng)
        self._depart(local_time)
        self.n_missed = 0
        for vehicle in self.vehicles:
            left_h = (vehicle.departs_at - local_time).total_seconds() / SECONDS_PER_HOUR
            vehicle.energy_needed_kwh = min(
                vehicle.energy_needed_kwh, _chargeable_kwh(left_h, vehicle.max_charge_kw)
            )

    def _fastest_kw(self, dt_s: float) -> float:
        sum_kw = sum(self._vehicle_kw(vehicle, dt_s) for vehicle in self.vehicles)
        return min(self.max_charge_kw, sum_kw)

    def _vehicle_kw(self, vehicle: PluggedVehicle, dt_s: float) -> float:
        to_full_kw = vehicle.energy_needed_kwh / _CHARGER_EFFICIENCY / (dt_s / SECONDS_PER_HOUR)
        return min(vehicle.max_charge_kw, to_full_kw)

    def _charge(self, drawn_kw: float, dt_s: float) -> None:
        left_kw = drawn_kw
        for vehicle in sorted(self.vehicles, key=lambda v: v.departs_at):
            share_kw = min(left_kw, self._vehicle_kw(vehicle, dt_s))
            left_kw -= share_kw
            charged_kwh = share_kw * _CHARGER_EFFICIENCY * dt_s / SECONDS_PER_HOUR
            vehicle.energy_needed_kwh = max(0.0, vehicle.energy_needed_kwh - charged_kwh)

    def _depart(self, local_time: datetime) -> None:
        leaving = [v for v in self.vehicles if v.departs_at <= local_time]
        self.n_missed += sum(v.energy_needed_kwh > _FULL_KWH for v in leaving)
        self.vehicles = [v for v in self.vehicles if v.departs_at > local_time]

    def _arrive(self, dt_s: float, local_time: datetime, rng: np.random.Generator) -> None:
        rate_per_h = self.n_points * _ARRIVALS_PER_POINT_AND_DAY * _arrival_density(local_time)
        n_arrivals = int(rng.poisson(rate_per_h * dt_s / SECONDS_PER_HOUR))
        for _ in range(min(n_arrivals, self.n_points - len(self.vehicles))):
            self.vehicles.append(self._vehicle(local_time, rng))

    def _vehicle(self, local_time: datetime, rng: np.random.Generator) -> PluggedVehicle:
        self.n_sessions += 1
        stay_h = rng.uniform(*_STAY_H)
        max_charge_kw = self.point_kw * float(rng.choice([0.5, 1.0]))
        return PluggedVehicle(
            session_id=f"s{self.n_sessions}",
            energy_needed_kwh=min(rng.uniform(*_NEED_KWH), _chargeable_kwh(stay_h, max_charge_kw)),
            departs_at=local_time.astimezone(UTC) + timedelta(hours=stay_h),
            max_charge_kw=max_charge_kw,
        )

    def measure(self) -> Measurement:
        """Read the station controller."""
        return Measurement(
            power_kw=self.shown_kw,
            exported_kwh=self.registers.exported_kwh,
            imported_kwh=self.registers.imported_kwh,
            signals={
                "n_vehicles": float(len(self.vehicles)),
                "n_sessions": float(self.n_sessions),
                "n_missed": float(self.n_missed),
            },
            sessions=tuple(
                EvSession(
                    session_id=v.session_id,
                    energy_needed_kwh=round(v.energy_needed_kwh, 4),
                    departs_at=v.departs_at,
                    max_charge_kw=v.max_charge_kw,
                )
                for v in self.vehicles
            ),
        )

    def dump(self) -> DeviceState:
        """Return vehicles, counters and registers."""
        return {
            "power_kw": self.power_kw,
            "n_sessions": self.n_sessions,
            "n_missed": self.n_missed,
            "imported_kwh": self.registers.imported_kwh,
            "vehicles": [
                [v.session_id, v.energy_needed_kwh, v.departs_at.isoformat(), v.max_charge_kw]
                for v in self.vehicles
            ],
        }

    def restore(self, state: DeviceState) -> None:
        """Take up where ``dump`` left."""
        self.is_new = False
        self.power_kw = number(state, "power_kw", 0.0)
        self.n_sessions = int(number(state, "n_sessions", 0.0))
        self.n_missed = int(number(state, "n_missed", 0.0))
        self.registers.imported_kwh = number(state, "imported_kwh", 0.0)
        rows = state.get("vehicles")
        self.vehicles = [
            PluggedVehicle(str(id_), float(need), datetime.fromisoformat(departs), float(max_kw))
            for id_, need, departs, max_kw in (rows if isinstance(rows, list) else [])
        ]


def _chargeable_kwh(stay_h: float, max_charge_kw: float) -> float:
    """Return the most a vehicle asks for that stays so long."""
    return stay_h * max_charge_kw * _CHARGER_EFFICIENCY * _MOST_OF_STAY_FRAC


def _arrival_density(local_time: datetime) -> float:
    """Return the share of a day's arrivals per hour at a time of day."""
    hour = hour_of(local_time)
    return sum(
        share * math.exp(-0.5 * ((hour - peak) / spread) ** 2) / (spread * math.sqrt(2 * math.pi))
        for peak, spread, share in _ARRIVAL_HOUR_PEAKS
    )
