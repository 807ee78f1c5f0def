"""Assets that carry energy from one step to another: batteries, vehicles, heat stores, fleets."""

from __future__ import annotations

from dataclasses import dataclass

from optimization.dispatch.fields import (
    INF,
    Efficiency,
    Limit,
    Loss,
    Magnitude,
    Magnitudes,
    Number,
    Numbers,
    Plain,
    Positives,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Battery(Plain):
    """A battery; power at the terminals, energy in the cells."""

    name: str
    point: str
    """The connection point it stands behind."""
    max_charge_mw: Magnitude
    max_discharge_mw: Magnitude
    initial_mwh: Magnitude
    min_mwh: Magnitude = 0.0
    max_mwh: Magnitude
    floor_mwh: Magnitude = 0.0
    """Kept for emergencies: using it is a breach."""
    charge_efficiency: Efficiency = 1.0
    discharge_efficiency: Efficiency = 1.0
    standing_loss_frac_per_h: Loss = 0.0
    """Of the stored energy."""
    wear_per_mwh: Magnitude = 0.0
    """Cost of each MWh through the terminals, either way."""
    deep_mwh: Magnitude = 0.0
    """Below this the cells age faster."""
    deep_cost_per_mwh_h: Magnitude = 0.0
    """Cost of each MWh missing to ``deep_mwh``, per hour."""
    max_discharge_mwh: Limit = INF
    """Over the horizon, at the terminals: the cycle budget."""
    terminal_value_per_mwh: Number = 0.0
    """Worth of energy left in the cells at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vehicle(Plain):
    """A vehicle while it is plugged in; energy in its battery, hours from the start."""

    name: str
    point: str
    arrival_h: Magnitude = 0.0
    departure_h: Magnitude
    max_charge_mw: Magnitude
    max_discharge_mw: Magnitude = 0.0
    """Into the grid; 0 only charges."""
    initial_mwh: Magnitude
    """On arrival."""
    min_mwh: Magnitude = 0.0
    max_mwh: Magnitude
    target_mwh: Magnitude
    """Wanted at departure: missing energy is a breach."""
    charge_efficiency: Efficiency = 1.0
    discharge_efficiency: Efficiency = 1.0
    wear_per_mwh: Magnitude = 0.0
    """Cost of each MWh through the plug, either way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatStore(Plain):
    """A heat store with its demand, warmed by a heat pump and by whoever feeds it."""

    name: str
    point: str
    max_draw_mw: Magnitudes
    """Electricity the heat pump may draw; zeros where there is none."""
    min_draw_mw: Magnitudes | None = None
    """Electricity it must draw. Default: none."""
    cop: Positives
    """Heat per electricity."""
    heat_demand_mw: Magnitudes
    initial_mwh: Magnitude
    min_mwh: Magnitude = 0.0
    """Colder is a breach."""
    max_mwh: Magnitude
    """Hotter is a breach."""
    standing_loss_frac_per_h: Loss = 0.0
    terminal_value_per_mwh: Number = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet(Plain):
    """Many small devices as one envelope of power and stored energy."""

    name: str
    point: str
    min_mw: Numbers
    """Least injection; negative draws."""
    max_mw: Numbers
    initial_mwh: Number
    min_mwh: Numbers
    """At the end of each step."""
    max_mwh: Numbers
    inflow_mw: Numbers | None = None
    """What fills the store by itself; negative drains it. Default: none."""
    cost_per_mwh: Magnitude = 0.0
    """Cost of each MWh that is moved away from 0, either way."""
    terminal_value_per_mwh: Number = 0.0
