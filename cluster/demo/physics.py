"""From a resource's kind and parameters to the simulated device that behaves like it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from cluster.demo.dynamics import PhysicalDevice
from cluster.demo.generators import CombinedHeatPower, PvRoof, WindTurbine
from cluster.demo.loads import FlexibleBuilding, HeatPump, HeatPumps
from cluster.demo.stores import Battery, EvStation
from controllers.kernel.errors import ConfigError

FLEET_KIND = "fleet"

Parameters = Mapping[str, float | int | bool | str]
"""A kind's complete parameters, defaults filled in."""


def build_device(kind: str, parameters: Parameters, rng: np.random.Generator) -> PhysicalDevice:
    """Return a device of a kind in a plausible initial state.

    Args:
        kind: any kind but ``fleet``; see ``build_fleet``.
        parameters: complete values of the kind's parameter table.
        rng: source of what the table does not say, e.g. a battery's initial charge.

    Raises:
        ConfigError: nothing simulates that kind.
    """
    builder = _BUILDERS.get(kind)
    if builder is None:
        known = ", ".join(sorted(_BUILDERS))
        raise ConfigError("simulator", [f"kind = {kind!r}: must be one of {known}"])
    return builder(parameters, rng)


def build_fleet(parameters: Parameters, rng: np.random.Generator) -> HeatPumps:
    """Return the columns of a fleet.

    Raises:
        ConfigError: the fleet is not of heat pumps, the only ones simulated.
    """
    if parameters["device_kind"] != "heat_pump":
        rule = "only fleets of heat_pump are simulated; run others with real devices (--no-demo)"
        raise ConfigError("simulator", [f"device_kind = {parameters['device_kind']!r}: {rule}"])
    return HeatPumps.of(
        n_pumps=int(parameters["n_devices"]),
        rated_kw=float(parameters["device_kw"]),
        store_kwh=float(parameters["store_kwh"]),
        store_range_frac=_store_range_frac(parameters),
        rated_cop=float(parameters["efficiency"]),
        rng=rng,
    )


def _ramp_kw_per_min(parameters: Parameters, rated_kw: float) -> float:
    return float(parameters["ramp_frac_per_min"]) * rated_kw


def _store_range_frac(parameters: Parameters) -> tuple[float, float]:
    return float(parameters["store_min_frac"]), float(parameters["store_max_frac"])


def _pv(parameters: Parameters, _rng: np.random.Generator) -> PhysicalDevice:
    rated_kw = float(parameters["rated_kw"])
    return PvRoof(
        rated_kw=rated_kw,
        ramp_kw_per_min=_ramp_kw_per_min(parameters, rated_kw),
        tilt_deg=float(parameters["tilt_deg"]),
        azimuth_deg=float(parameters["azimuth_deg"]),
        curtailable=bool(parameters["curtailable"]),
    )


def _wind(parameters: Parameters, _rng: np.random.Generator) -> PhysicalDevice:
    rated_kw = float(parameters["rated_kw"])
    return WindTurbine(
        rated_kw=rated_kw,
        ramp_kw_per_min=_ramp_kw_per_min(parameters, rated_kw),
        hub_height_m=float(parameters["hub_height_m"]),
        cut_in_m_per_s=float(parameters["cut_in_m_s"]),
        rated_m_per_s=float(parameters["rated_m_s"]),
        cut_out_m_per_s=float(parameters["cut_out_m_s"]),
        curtailable=bool(parameters["curtailable"]),
    )


def _battery(parameters: Parameters, rng: np.random.Generator) -> PhysicalDevice:
    max_charge_kw = float(parameters["max_charge_kw"])
    max_discharge_kw = float(parameters["max_discharge_kw"])
    return Battery(
        capacity_kwh=float(parameters["capacity_kwh"]),
        max_charge_kw=max_charge_kw,
        max_discharge_kw=max_discharge_kw,
        charge_efficiency=float(parameters["charge_efficiency_frac"]),
        discharge_efficiency=float(parameters["discharge_efficiency_frac"]),
        soc_min_frac=float(parameters["soc_min_frac"]),
        soc_max_frac=float(parameters["soc_max_frac"]),
        ramp_kw_per_min=_ramp_kw_per_min(parameters, max(max_charge_kw, max_discharge_kw)),
        soc_frac=rng.uniform(0.55, 0.75),
    )


def _ev_station(parameters: Parameters, _rng: np.random.Generator) -> PhysicalDevice:
    max_charge_kw = float(parameters["max_charge_kw"])
    return EvStation(
        n_points=int(parameters["n_plugs"]),
        point_kw=float(parameters["plug_max_charge_kw"]),
        point_min_kw=float(parameters["plug_min_charge_kw"]),
        max_charge_kw=max_charge_kw,
        ramp_kw_per_min=_ramp_kw_per_min(parameters, max_charge_kw),
    )


def _flexible_load(parameters: Parameters, _rng: np.random.Generator) -> PhysicalDevice:
    rated_kw = float(parameters["rated_kw"])
    return FlexibleBuilding(
        rated_kw=rated_kw,
        flexible_frac=float(parameters["flexible_frac"]),
        increase_frac=float(parameters["increase_frac"]),
        max_interruption_s=float(parameters["max_interruption_min"]) * 60.0,
        rebound_frac=float(parameters["rebound_frac"]),
        rebound_s=float(parameters["rebound_min"]) * 60.0,
        comfort_low_degc=float(parameters["comfort_low_c"]),
        comfort_high_degc=float(parameters["comfort_high_c"]),
        ramp_kw_per_min=_ramp_kw_per_min(parameters, rated_kw),
    )


def _chp(parameters: Parameters, _rng: np.random.Generator) -> PhysicalDevice:
    rated_kw = float(parameters["max_kw"])
    return CombinedHeatPower(
        min_kw=float(parameters["min_kw"]),
        rated_kw=rated_kw,
        ramp_kw_per_min=_ramp_kw_per_min(parameters, rated_kw),
        min_up_s=float(parameters["min_up_min"]) * 60.0,
        min_down_s=float(parameters["min_down_min"]) * 60.0,
        heat_ratio=float(parameters["heat_ratio"]),
    )


def _heat_pump(parameters: Parameters, rng: np.random.Generator) -> PhysicalDevice:
    return HeatPump(
        HeatPumps.of(
            n_pumps=1,
            rated_kw=float(parameters["rated_kw"]),
            store_kwh=float(parameters["store_kwh"]),
            store_range_frac=_store_range_frac(parameters),
            rated_cop=float(parameters["cop"]),
            rng=rng,
        )
    )


_BUILDERS: dict[str, Callable[[Parameters, np.random.Generator], PhysicalDevice]] = {
    "pv": _pv,
    "wind": _wind,
    "battery": _battery,
    "ev_station": _ev_station,
    "flexible_load": _flexible_load,
    "chp": _chp,
    "heat_pump": _heat_pump,
}
