"""Physics of what makes power: photovoltaic roofs, wind turbines and combined heat and power."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from cluster.demo.dynamics import (
    SECONDS_PER_HOUR,
    SECONDS_PER_MINUTE,
    Actuator,
    DeviceState,
    Measurement,
    Order,
    Registers,
    Surroundings,
    Wander,
    Weather,
    clip,
    limited,
    number,
)

_METER_NOISE_FRAC = 0.001
"""Standard deviation of a meter reading, of rated power."""

_STANDARD_IRRADIANCE_W_PER_M2 = 1000.0
_STANDARD_CELL_DEGC = 25.0
_CELL_HEATING_DEGC_M2_PER_W = 0.03
"""Rise of cell over air temperature per irradiance (a roof with some air behind the modules)."""
_POWER_PER_DEGC_FRAC = -0.0037
_SYSTEM_LOSSES_FRAC = 0.1
_MODULES_PER_INVERTER = 1.15
"""Direct current of the modules under standard test conditions per rating of the inverter."""
_GROUND_ALBEDO = 0.2
_INVERTER_LAG_S = 1.5
_CLOUD_DEPTH_FRAC = 0.06
_CLOUD_TIME_S = 90.0

_WIND_LAG_S = 5.0
_MEASURING_HEIGHT_M = 10.0
_SHEAR_EXPONENT = 0.2
_GUST_FRAC = 0.08
_GUST_TIME_S = 25.0

_ENGINE_LAG_S = 10.0
_WARM_UP_S = 60.0
_ELECTRICAL_EFFICIENCY = 0.38


@dataclass(slots=True)
class PvRoof:
    """Modules behind an inverter that can be curtailed, never pushed."""

    rated_kw: float
    """The inverter clips there."""
    ramp_kw_per_min: float
    tilt_deg: float
    azimuth_deg: float
    curtailable: bool = True
    power_kw: float = 0.0
    available_kw: float = 0.0
    shown_kw: float = 0.0
    irradiance_w_per_m2: float = 0.0
    cell_degc: float = _STANDARD_CELL_DEGC
    clouds: Wander = field(default_factory=lambda: Wander(_CLOUD_TIME_S))
    registers: Registers = field(default_factory=Registers)

    @property
    def range_kw(self) -> tuple[float, float]:
        """From dark to the inverter's rating."""
        return 0.0, self.rated_kw

    def step(
        self, dt_s: float, order: Order, surroundings: Surroundings, rng: np.random.Generator
    ) -> None:
        """Let the sun and the clouds move."""
        self.shine(dt_s, surroundings, rng)
        wanted_kw = limited(self.available_kw, order) if self.curtailable else self.rated_kw
        target_kw = clip(wanted_kw, 0.0, self.available_kw)
        inverter = Actuator(lag_s=_INVERTER_LAG_S, ramp_kw_per_min=self.ramp_kw_per_min)
        # What the sun withholds the inverter cannot deliver, however slow its ramp.
        start_kw = min(self.power_kw, self.available_kw)
        self.power_kw, mean_kw = inverter.follow(start_kw, target_kw, dt_s, order.ramp_kw_per_min)
        self.registers.add(mean_kw, dt_s)
        self.shown_kw = max(0.0, self.power_kw * (1.0 + _METER_NOISE_FRAC * rng.normal()))

    def shine(self, dt_s: float, surroundings: Surroundings, rng: np.random.Generator) -> None:
        """Find what the roof can give at the end of a step."""
        weather = surroundings.weather
        shade = clip(1.0 + _CLOUD_DEPTH_FRAC * self.clouds.step(dt_s, rng), 0.7, 1.1)
        self.irradiance_w_per_m2 = shade * plane_irradiance_w_per_m2(
            weather, self.tilt_deg, self.azimuth_deg
        )
        rise_degc = _CELL_HEATING_DEGC_M2_PER_W * self.irradiance_w_per_m2
        self.cell_degc = weather.temperature_degc + rise_degc
        self.available_kw = pv_power_kw(
            rated_kw=self.rated_kw,
            irradiance_w_per_m2=self.irradiance_w_per_m2,
            cell_degc=self.cell_degc,
        )

    def measure(self) -> Measurement:
        """Read the inverter."""
        return Measurement(
            power_kw=self.shown_kw,
            exported_kwh=self.registers.exported_kwh,
            imported_kwh=self.registers.imported_kwh,
            signals={
                "available_kw": self.available_kw,
                "irradiance_w_per_m2": self.irradiance_w_per_m2,
                "module_temperature_degc": self.cell_degc,
            },
        )

    def dump(self) -> DeviceState:
        """Return power, clouds and registers."""
        return {
            "power_kw": self.power_kw,
            "clouds": self.clouds.value,
            "exported_kwh": self.registers.exported_kwh,
        }

    def restore(self, state: DeviceState) -> None:
        """Take up where ``dump`` left."""
        self.power_kw = number(state, "power_kw", self.power_kw)
        self.clouds.value = number(state, "clouds", 0.0)
        self.registers.exported_kwh = number(state, "exported_kwh", 0.0)


def plane_irradiance_w_per_m2(weather: Weather, tilt_deg: float, azimuth_deg: float) -> float:
    """Return what falls on a tilted plane: beam, isotropic sky and what the ground reflects."""
    elevation, tilt = math.radians(weather.sun_elevation_deg), math.radians(tilt_deg)
    turn = math.radians(weather.sun_azimuth_deg - azimuth_deg)
    facing = math.sin(elevation) * math.cos(tilt)
    facing += math.cos(elevation) * math.sin(tilt) * math.cos(turn)
    sun_is_up = elevation > 0.0
    beam = weather.direct_w_per_m2 * max(0.0, facing) if sun_is_up else 0.0
    horizontal = weather.diffuse_w_per_m2
    horizontal += weather.direct_w_per_m2 * math.sin(elevation) if sun_is_up else 0.0
    sky = weather.diffuse_w_per_m2 * (1.0 + math.cos(tilt)) / 2.0
    return beam + sky + _GROUND_ALBEDO * horizontal * (1.0 - math.cos(tilt)) / 2.0


def pv_power_kw(*, rated_kw: float, irradiance_w_per_m2: float, cell_degc: float) -> float:
    """Return the power of modules behind an inverter: linear in light, less when hot, clipped."""
    peak_kw = rated_kw * _MODULES_PER_INVERTER * (1.0 - _SYSTEM_LOSSES_FRAC)
    light = irradiance_w_per_m2 / _STANDARD_IRRADIANCE_W_PER_M2
    heat = 1.0 + _POWER_PER_DEGC_FRAC * (cell_degc - _STANDARD_CELL_DEGC)
    return clip(peak_kw * light * heat, 0.0, rated_kw)


@dataclass(slots=True)
class WindTurbine:
    """A rotor with a cubic power curve, gusts and pitch that can curtail."""

    rated_kw: float
    ramp_kw_per_min: float
    hub_height_m: float
    cut_in_m_per_s: float
    rated_m_per_s: float
    cut_out_m_per_s: float
    curtailable: bool = True
    power_kw: float = 0.0
    available_kw: float = 0.0
    shown_kw: float = 0.0
    wind_speed_m_per_s: float = 0.0
    gusts: Wander = field(default_factory=lambda: Wander(_GUST_TIME_S))
    registers: Registers = field(default_factory=Registers)

    @property
    def range_kw(self) -> tuple[float, float]:
        """From standstill to the generator's rating."""
        return 0.0, self.rated_kw

    def step(
        self, dt_s: float, order: Order, surroundings: Surroundings, rng: np.random.Generator
    ) -> None:
        """Let the wind blow."""
        gust = max(0.0, 1.0 + _GUST_FRAC * self.gusts.step(dt_s, rng))
        height = (self.hub_height_m / _MEASURING_HEIGHT_M) ** _SHEAR_EXPONENT
        self.wind_speed_m_per_s = surroundings.weather.wind_speed_m_per_s * height * gust
        self.available_kw = self.rated_kw * self._power_frac()
        wanted_kw = limited(self.available_kw, order) if self.curtailable else self.rated_kw
        target_kw = clip(wanted_kw, 0.0, self.available_kw)
        rotor = Actuator(lag_s=_WIND_LAG_S, ramp_kw_per_min=self.ramp_kw_per_min)
        self.power_kw, mean_kw = rotor.follow(self.power_kw, target_kw, dt_s, order.ramp_kw_per_min)
        self.registers.add(mean_kw, dt_s)
        self.shown_kw = max(0.0, self.power_kw * (1.0 + _METER_NOISE_FRAC * rng.normal()))

    def _power_frac(self) -> float:
        # Nothing below cut-in and above cut-out, cubic between, as the energy in the wind is.
        speed = self.wind_speed_m_per_s
        if not self.cut_in_m_per_s <= speed < self.cut_out_m_per_s:
            return 0.0
        low, high = self.cut_in_m_per_s**3, self.rated_m_per_s**3
        return min(1.0, (speed**3 - low) / (high - low))

    def measure(self) -> Measurement:
        """Read the turbine controller."""
        return Measurement(
            power_kw=self.shown_kw,
            exported_kwh=self.registers.exported_kwh,
            imported_kwh=self.registers.imported_kwh,
            signals={
                "available_kw": self.available_kw,
                "wind_speed_m_per_s": self.wind_speed_m_per_s,
            },
        )

    def dump(self) -> DeviceState:
        """Return power, gusts and registers."""
        return {
            "power_kw": self.power_kw,
            "gusts": self.gusts.value,
            "exported_kwh": self.registers.exported_kwh,
        }

    def restore(self, state: DeviceState) -> None:
        """Take up where ``dump`` left."""
        self.power_kw = number(state, "power_kw", self.power_kw)
        self.gusts.value = number(state, "gusts", 0.0)
        self.registers.exported_kwh = number(state, "exported_kwh", 0.0)


@dataclass(slots=True)
class CombinedHeatPower:
    """A gas engine with a minimum load, a slow start and minimum times up and down.

    It stands still unless ordered to run. An order below half its minimum load stops it; between
    that and the minimum it runs at the minimum, because it can do no better.
    """

    min_kw: float
    rated_kw: float
    ramp_kw_per_min: float
    min_up_s: float
    min_down_s: float
    heat_ratio: float
    power_kw: float = 0.0
    shown_kw: float = 0.0
    running: bool = False
    in_state_s: float = SECONDS_PER_HOUR * 24.0
    """Time since the last start or stop; a fresh engine is free to start."""
    fuel_kwh: float = 0.0
    n_starts: int = 0
    registers: Registers = field(default_factory=Registers)

    @property
    def range_kw(self) -> tuple[float, float]:
        """From standstill to full load."""
        return 0.0, self.rated_kw

    def step(
        self, dt_s: float, order: Order, surroundings: Surroundings, rng: np.random.Generator
    ) -> None:
        """Let the engine turn, warm up or stand."""
        wanted_kw = limited(0.0, order)
        self._switch(wanted_kw)
        # A step that contains the warm-up delivers only in what is left of it.
        warm_up_s = clip(_WARM_UP_S - self.in_state_s, 0.0, dt_s) if self.running else 0.0
        self.in_state_s += dt_s
        mean_kw = 0.0
        if self.running and dt_s > warm_up_s:
            target_kw = clip(wanted_kw, self.min_kw, self.rated_kw)
            # Synchronised, the engine takes its minimum load at once and ramps from there.
            start_kw = max(self.power_kw, min(self.min_kw, target_kw))
            engine = Actuator(lag_s=_ENGINE_LAG_S, ramp_kw_per_min=self.ramp_kw_per_min)
            loaded_s = dt_s - warm_up_s
            self.power_kw, mean_kw = engine.follow(
                start_kw, target_kw, loaded_s, order.ramp_kw_per_min
            )
            mean_kw *= loaded_s / dt_s
        elif not self.running:
            self.power_kw = 0.0
        self.registers.add(mean_kw, dt_s)
        self.fuel_kwh += mean_kw * dt_s / SECONDS_PER_HOUR / _ELECTRICAL_EFFICIENCY
        self.shown_kw = max(0.0, self.power_kw * (1.0 + _METER_NOISE_FRAC * rng.normal()))

    def _switch(self, wanted_kw: float) -> None:
        wants_to_run = wanted_kw >= self.min_kw / 2.0 and wanted_kw > 0.0
        least_s = self.min_up_s if self.running else self.min_down_s
        if wants_to_run != self.running and self.in_state_s >= least_s:
            self.running = wants_to_run
            self.in_state_s = 0.0
            self.n_starts += int(wants_to_run)

    def measure(self) -> Measurement:
        """Read the engine controller."""
        return Measurement(
            power_kw=self.shown_kw,
            exported_kwh=self.registers.exported_kwh,
            imported_kwh=self.registers.imported_kwh,
            signals={
                "running": float(self.running),
                "in_state_min": self.in_state_s / SECONDS_PER_MINUTE,
                "heat_kw": self.power_kw * self.heat_ratio,
                "fuel_kwh": self.fuel_kwh,
                "n_starts": float(self.n_starts),
            },
        )

    def dump(self) -> DeviceState:
        """Return the engine's state, counters and registers."""
        return {
            "power_kw": self.power_kw,
            "running": int(self.running),
            "in_state_s": self.in_state_s,
            "fuel_kwh": self.fuel_kwh,
            "n_starts": self.n_starts,
            "exported_kwh": self.registers.exported_kwh,
        }

    def restore(self, state: DeviceState) -> None:
        """Take up where ``dump`` left."""
        self.power_kw = number(state, "power_kw", self.power_kw)
        self.running = bool(number(state, "running", 0.0))
        self.in_state_s = number(state, "in_state_s", self.in_state_s)
        self.fuel_kwh = number(state, "fuel_kwh", 0.0)
        self.n_starts = int(number(state, "n_starts", 0.0))
        self.registers.exported_kwh = number(state, "exported_kwh", 0.0)
