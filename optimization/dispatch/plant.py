"""Assets that make or take power as it comes: renewables, generators, electrolysers, loads."""

from __future__ import annotations

from dataclasses import dataclass

from optimization.dispatch.fields import (
    INF,
    Limit,
    Magnitude,
    Magnitudes,
    Number,
    Numbers,
    Plain,
    Positive,
    Rate,
    Share,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewable(Plain):
    """A plant fed by sun, wind or water."""

    name: str
    point: str
    available_mw: Magnitudes
    must_take_mw: Magnitudes | None = None
    """Never curtailed below this. Default: 0."""
    curtailment_cost_per_mwh: Magnitude = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CostPoint(Plain):
    """A point of a generator's cost curve."""

    power_mw: Magnitude
    cost_per_h: Number


@dataclass(frozen=True, slots=True, kw_only=True)
class StartCost(Plain):
    """What a start costs after so long at a standstill."""

    off_h: Magnitude
    """From this time at a standstill on, until the next entry's."""
    cost: Magnitude


@dataclass(frozen=True, slots=True, kw_only=True)
class Generator(Plain):
    """An engine, turbine or CHP that runs between a minimum and a maximum or stands still."""

    name: str
    point: str
    min_mw: Magnitude
    max_mw: Magnitude
    curve: tuple[CostPoint, ...]
    """Cost while running, convex, from ``min_mw`` to ``max_mw``."""
    starts: tuple[StartCost, ...] = ()
    """From hot to cold; the first also holds for shorter standstills."""
    stop_cost: Magnitude = 0.0
    min_up_h: Magnitude = 0.0
    min_down_h: Magnitude = 0.0
    ramp_up_mw_per_h: Limit = INF
    """While running, and above the minimum in the step of a start."""
    ramp_down_mw_per_h: Limit = INF
    start_mw: Limit = INF
    """Highest power in the step of a start."""
    stop_mw: Limit = INF
    """Highest power in the step before a standstill."""
    initial_h: Number
    """Hours running so far; negative: hours at a standstill."""
    initial_mw: Magnitude = 0.0
    must_run: bool = False
    heat_store: str | None = None
    """The heat store its heat goes to."""
    heat_per_mw: Magnitude = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Electrolyser(Plain):
    """A plant that turns power into something that sells by the MWh drawn."""

    name: str
    point: str
    min_mw: Magnitude
    """Least draw while running."""
    max_mw: Magnitude
    value_per_mwh: Numbers
    """Worth of what a MWh makes."""
    start_cost: Magnitude = 0.0
    running: bool = False
    """At the start of the horizon."""
    target_mwh: Magnitude = 0.0
    """Wanted over the horizon: less is a breach."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load(Plain):
    """A load that may draw less for a while and make up for it within a window.

    With ``rebound_frac`` 0 it is interruptible: energy not drawn is never drawn later. Without
    ``max_less_mw`` it is fixed.
    """

    name: str
    point: str
    demand_mw: Magnitudes
    """Drawn when left alone."""
    max_less_mw: Magnitudes | None = None
    max_more_mw: Magnitudes | None = None
    interruption_cost_per_mwh: Magnitude = 0.0
    """Of energy not drawn when wanted."""
    max_interruption_h: Rate = INF
    """At full depth; as much time without one follows."""
    rebound_frac: Share = 0.0
    """Energy owed per energy not drawn."""
    window_h: Positive = 24.0
    """Energy owed is returned within."""
    owed_mwh: Magnitude = 0.0
    """Owed already: late return is a breach."""
