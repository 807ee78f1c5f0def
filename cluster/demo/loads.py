"""Physics of what draws power: buildings that can shift load, and heat pumps with a store.

Heat pumps come as columns, one row per pump, so that one and a thousand are the same code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cluster.demo.dynamics import (
    SECONDS_PER_HOUR,
    Actuator,
    DeviceState,
    Measurement,
    Order,
    Registers,
    Surroundings,
    Wander,
    clip,
    hour_of,
    limited,
    number,
)

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_METER_NOISE_FRAC = 0.002
_SWITCHING_LAG_S = 8.0
_PEOPLE_FRAC = 0.04
_PEOPLE_TIME_S = 600.0
_WORKING_LOAD_FRAC = 0.8
"""Load in the middle of a working day, of rated power."""
_NIGHT_FRAC = 0.35
_WEEKEND_FRAC = 0.6
_OPENS_H, _CLOSES_H = 7.5, 20.0
_OPENING_SPREAD_H = 0.8

_COMFORT_DEGC = 20.0
_DESIGN_DEGC = -10.0
_HOT_WATER_FRAC = 0.06
"""Share of the design heat load that hot water takes all year round."""
_COP_DEGC = 7.0
"""Outdoor temperature at which the name-plate states the coefficient of performance."""
_COP_PER_DEGC_FRAC = 0.018
_COP_RANGE_FRAC = (0.55, 1.4)
_THERMOSTAT_ON_FRAC = 0.3
_THERMOSTAT_OFF_FRAC = 0.8
"""Where the thermostat switches, as a share of the way from least to greatest level."""
_PUMP_LAG_S = 6.0
_STANDBY_FRAC = 0.005


@dataclass(slots=True)
class FlexibleBuilding:
    """A building whose load can be moved within limits, and comes back when let go.

    Energy shed is owed and drawn again when the building runs free, energy drawn ahead is
    saved then: the rebound.
    """

    rated_kw: float
    """Greatest power drawn; a magnitude."""
    flexible_frac: float
    increase_frac: float
    max_interruption_s: float
    rebound_frac: float
    """Share of the energy not drawn that is drawn later."""
    rebound_s: float
    """Time constant with which what is owed is drawn again."""
    comfort_low_degc: float
    comfort_high_degc: float
    ramp_kw_per_min: float
    power_kw: float | None = None
    """None before the first step; a building is never switched on from nothing."""
    shown_kw: float = 0.0
    base_kw: float = 0.0
    """What the building would draw if nobody had ever asked it for anything; negative."""
    owed_kwh: float = 0.0
    people: Wander = field(default_factory=lambda: Wander(_PEOPLE_TIME_S))
    registers: Registers = field(default_factory=Registers)

    @property
    def range_kw(self) -> tuple[float, float]:
        """From the greatest load to none."""
        return -self.rated_kw, 0.0

    def step(
        self, dt_s: float, order: Order, surroundings: Surroundings, rng: np.random.Generator
    ) -> None:
        """Let people work and machines run."""
        self.base_kw = -self.base_load_kw(dt_s, surroundings, rng)
        low_kw, high_kw = self._reachable_kw()
        recovery_s = max(self.rebound_s, dt_s)
        natural_kw = self.base_kw - self.owed_kwh * SECONDS_PER_HOUR / recovery_s
        target_kw = clip(limited(clip(natural_kw, -self.rated_kw, 0.0), order), low_kw, high_kw)
        start_kw = target_kw if self.power_kw is None else self.power_kw
        plant = Actuator(lag_s=_SWITCHING_LAG_S, ramp_kw_per_min=self.ramp_kw_per_min)
        self.power_kw, mean_kw = plant.follow(start_kw, target_kw, dt_s, order.ramp_kw_per_min)
        self.registers.add(mean_kw, dt_s)
        moved_kwh = (mean_kw - self.base_kw) * dt_s / SECONDS_PER_HOUR
        paying_back = self.owed_kwh * moved_kwh < 0.0
        self.owed_kwh += moved_kwh if paying_back else moved_kwh * self.rebound_frac
        self.shown_kw = self.power_kw * (1.0 + _METER_NOISE_FRAC * rng.normal())

    def base_load_kw(
        self, dt_s: float, surroundings: Surroundings, rng: np.random.Generator
    ) -> float:
        """Return what people and machines draw in a step, a magnitude."""
        people = 1.0 + _PEOPLE_FRAC * self.people.step(dt_s, rng)
        use = _occupancy(surroundings) * people
        return self.rated_kw * min(1.0, _WORKING_LOAD_FRAC * use)

    def _reachable_kw(self) -> tuple[float, float]:
        """Return least and greatest power; a room at the edge of comfort gives no more."""
        tolerable = self.comfort_low_degc < self._indoor_degc() < self.comfort_high_degc
        rebound_kw = self.owed_kwh * SECONDS_PER_HOUR / self.rebound_s
        low_kw = self.base_kw * (1.0 + self.increase_frac) - max(0.0, rebound_kw)
        high_kw = self.base_kw * (1.0 - self.flexible_frac)
        if not tolerable and self.owed_kwh > 0.0:
            high_kw = self.base_kw
        if not tolerable and self.owed_kwh < 0.0:
            low_kw = self.base_kw
        return max(low_kw, -self.rated_kw), high_kw

    def _indoor_degc(self) -> float:
        # The longest interruption at full load takes a room from the middle to the edge.
        edge_kwh = self.rated_kw * self.flexible_frac * self.rebound_frac
        edge_kwh *= self.max_interruption_s / SECONDS_PER_HOUR
        middle_degc = (self.comfort_low_degc + self.comfort_high_degc) / 2.0
        reach_degc = (self.comfort_high_degc - self.comfort_low_degc) / 2.0
        return middle_degc + reach_degc * (self.owed_kwh / edge_kwh if edge_kwh > 0.0 else 0.0)

    def measure(self) -> Measurement:
        """Read the main meter and the building controller."""
        return Measurement(
            power_kw=self.shown_kw,
            exported_kwh=self.registers.exported_kwh,
            imported_kwh=self.registers.imported_kwh,
            signals={
                "baseline_kw": self.base_kw,
                "indoor_temp_c": self._indoor_degc(),
                "owed_kwh": self.owed_kwh,
            },
        )

    def dump(self) -> DeviceState:
        """Return power, what is owed, and registers."""
        return {
            "power_kw": self.power_kw,
            "owed_kwh": self.owed_kwh,
            "people": self.people.value,
            "imported_kwh": self.registers.imported_kwh,
        }

    def restore(self, state: DeviceState) -> None:
        """Take up where ``dump`` left."""
        if "power_kw" in state:
            self.power_kw = number(state, "power_kw", 0.0)
        self.owed_kwh = number(state, "owed_kwh", 0.0)
        self.people.value = number(state, "people", 0.0)
        self.registers.imported_kwh = number(state, "imported_kwh", 0.0)


def _occupancy(surroundings: Surroundings) -> float:
    """Return the building's use, 0 to 1, by time of day and day of the week."""
    hour = hour_of(surroundings.local_time)
    opened = 1.0 / (1.0 + math.exp(-(hour - _OPENS_H) / _OPENING_SPREAD_H))
    closed = 1.0 / (1.0 + math.exp(-(hour - _CLOSES_H) / _OPENING_SPREAD_H))
    weekday = _WEEKEND_FRAC if surroundings.local_time.weekday() >= 5 else 1.0
    return _NIGHT_FRAC + (1.0 - _NIGHT_FRAC) * (opened - closed) * weekday


@dataclass(slots=True)
class HeatPumps:
    """Heat pumps, each with a heat store, a thermostat and a share of the cold, as columns.

    A set-point is the power the pump shall draw; a store at its least or greatest level overrides
    it, for nobody freezes or boils for the grid.
    """

    rated_kw: FloatArray  # [n], electrical, magnitudes
    store_kwh: FloatArray  # [n], heat between empty and full
    store_min_frac: float
    store_max_frac: float
    rated_cop: float
    store_frac: FloatArray  # [n]
    power_kw: FloatArray  # [n], negative
    heating: BoolArray  # [n], state of the thermostats
    insulation: FloatArray  # [n], heat demand relative to the design of the pump
    cop: float = 0.0
    heat_demand_kw: float = 0.0
    registers: Registers = field(default_factory=Registers)

    @classmethod
    def of(
        cls,
        *,
        n_pumps: int,
        rated_kw: float,
        store_kwh: float,
        store_range_frac: tuple[float, float],
        rated_cop: float,
        rng: np.random.Generator,
    ) -> HeatPumps:
        """Build pumps that differ a little in their houses and in what their stores hold."""
        low_frac, high_frac = store_range_frac
        return cls(
            rated_kw=np.full(n_pumps, rated_kw),
            store_kwh=np.full(n_pumps, store_kwh),
            store_min_frac=low_frac,
            store_max_frac=high_frac,
            rated_cop=rated_cop,
            store_frac=rng.uniform(low_frac, high_frac, n_pumps),
            power_kw=np.zeros(n_pumps),
            heating=rng.random(n_pumps) < 0.3,
            insulation=rng.uniform(0.6, 1.0, n_pumps),
        )

    def step(
        self,
        dt_s: float,
        setpoints_kw: FloatArray,
        limits_kw: FloatArray,
        surroundings: Surroundings,
        rng: np.random.Generator,
    ) -> None:
        """Let houses lose heat and pumps replace it.

        Args:
            dt_s: length of the step, above 0.
            setpoints_kw: [n], wanted power, negative; NaN runs free.
            limits_kw: [n], bound on the absolute power of a pump that runs free; infinite is none.
            surroundings: weather and local time.
            rng: source of hot water taken.
        """
        outside_degc = surroundings.weather.temperature_degc
        warmth_frac = 1.0 + _COP_PER_DEGC_FRAC * (outside_degc - _COP_DEGC)
        self.cop = self.rated_cop * clip(warmth_frac, *_COP_RANGE_FRAC)
        demand_kw = self._demand_kw(outside_degc, rng)
        self.heat_demand_kw = float(demand_kw.sum())
        free_kw = np.maximum(self._free_kw(), -limits_kw)
        wanted_kw = np.where(np.isnan(setpoints_kw), free_kw, setpoints_kw)
        low_kw, high_kw = self._reachable_kw(demand_kw, dt_s)
        target_kw = np.clip(wanted_kw, low_kw, high_kw)
        decay = math.exp(-dt_s / _PUMP_LAG_S)
        start_kw = np.clip(self.power_kw, low_kw, high_kw)
        self.power_kw = target_kw + (start_kw - target_kw) * decay
        mean_kw = target_kw + (start_kw - target_kw) * (1.0 - decay) * _PUMP_LAG_S / dt_s
        heat_kwh = (-mean_kw * self.cop - demand_kw) * dt_s / SECONDS_PER_HOUR
        self.store_frac = np.clip(self.store_frac + heat_kwh / self.store_kwh, 0.0, 1.0)
        self.registers.add(float(mean_kw.sum()), dt_s)

    def _free_kw(self) -> FloatArray:
        """Return what the thermostats want, [n]."""
        span_frac = self.store_max_frac - self.store_min_frac
        level_frac = (self.store_frac - self.store_min_frac) / span_frac
        self.heating |= level_frac < _THERMOSTAT_ON_FRAC
        self.heating &= level_frac < _THERMOSTAT_OFF_FRAC
        return np.where(self.heating, -self.rated_kw, -_STANDBY_FRAC * self.rated_kw)

    def _demand_kw(self, outside_degc: float, rng: np.random.Generator) -> FloatArray:
        """Return the heat each house takes, [n]."""
        cold_frac = clip((_COMFORT_DEGC - outside_degc) / (_COMFORT_DEGC - _DESIGN_DEGC), 0.0, 1.2)
        design_kw = self.rated_kw * self.rated_cop * _COP_RANGE_FRAC[0]
        taken = rng.exponential(_HOT_WATER_FRAC, len(self.rated_kw))
        return design_kw * (self.insulation * cold_frac + taken)

    def _reachable_kw(self, demand_kw: FloatArray, dt_s: float) -> tuple[FloatArray, FloatArray]:
        """Return least and greatest power, [n], that keep every store between its levels."""
        hours = dt_s / SECONDS_PER_HOUR
        drained_kwh = self.store_frac * self.store_kwh - demand_kw * hours
        room_kwh = self.store_max_frac * self.store_kwh - drained_kwh
        lack_kwh = self.store_min_frac * self.store_kwh - drained_kwh
        low_kw = -np.clip(room_kwh / self.cop / hours, 0.0, self.rated_kw)
        high_kw = -np.clip(lack_kwh / self.cop / hours, 0.0, self.rated_kw)
        return low_kw, high_kw

    def dump(self) -> DeviceState:
        """Return the stores, thermostats and registers."""
        return {
            "store_frac": [round(float(x), 5) for x in self.store_frac],
            "power_kw": [round(float(x), 4) for x in self.power_kw],
            "heating": [int(x) for x in self.heating],
            "imported_kwh": self.registers.imported_kwh,
        }

    def restore(self, state: DeviceState) -> None:
        """Take up where ``dump`` left; columns of another length are ignored."""
        n_pumps = len(self.rated_kw)
        for name, dtype in (("store_frac", float), ("power_kw", float), ("heating", bool)):
            column = state.get(name)
            if isinstance(column, list) and len(column) == n_pumps:
                setattr(self, name, np.array(column, dtype=dtype))
        self.registers.imported_kwh = number(state, "imported_kwh", 0.0)


@dataclass(slots=True)
class HeatPump:
    """One heat pump with its store, behind the interface of a single device."""

    pumps: HeatPumps
    shown_kw: float = 0.0

    @property
    def range_kw(self) -> tuple[float, float]:
        """From full load to nothing."""
        return -float(self.pumps.rated_kw[0]), 0.0

    def step(
        self, dt_s: float, order: Order, surroundings: Surroundings, rng: np.random.Generator
    ) -> None:
        """Let the house lose heat and the pump replace it."""
        setpoint_kw = math.nan if order.setpoint_kw is None else order.setpoint_kw
        limit_kw = math.inf if order.limit_kw is None else order.limit_kw
        self.pumps.step(dt_s, np.array([setpoint_kw]), np.array([limit_kw]), surroundings, rng)
        noise = 1.0 + _METER_NOISE_FRAC * rng.normal()
        self.shown_kw = float(self.pumps.power_kw[0]) * noise

    def measure(self) -> Measurement:
        """Read the pump controller."""
        return Measurement(
            power_kw=self.shown_kw,
            exported_kwh=0.0,
            imported_kwh=self.pumps.registers.imported_kwh,
            signals={
                "store_frac": float(self.pumps.store_frac[0]),
                "cop": self.pumps.cop,
                "heat_demand_kw": self.pumps.heat_demand_kw,
            },
        )

    def dump(self) -> DeviceState:
        """Return the store, the thermostat and the register."""
        return self.pumps.dump()

    def restore(self, state: DeviceState) -> None:
        """Take up where ``dump`` left."""
        self.pumps.restore(state)
