"""What is to be planned: a horizon, prices, connection points, promises and assets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from optimization.dispatch.fields import (
    INF,
    Limit,
    Magnitude,
    Magnitudes,
    Number,
    Numbers,
    Plain,
    Positive,
    Positives,
    Share,
)
from optimization.dispatch.plant import Electrolyser, Generator, Load, Renewable
from optimization.dispatch.storage import Battery, Fleet, HeatStore, Vehicle

Asset = Battery | Vehicle | HeatStore | Fleet | Renewable | Generator | Electrolyser | Load


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionPoint(Plain):
    """A point of the network; limits hold for everything behind it."""

    name: str
    parent: str | None = None
    """The point it is connected to; None is the grid, and exactly one point has it."""
    max_import_mw: Limit = INF
    max_export_mw: Limit = INF
    excess_price_per_mwh: Magnitude | None = None
    """Price of going beyond a limit, a breach; None makes the limits hard."""
    fixed_mw: Numbers | None = None
    """Net injection of what stands here and cannot be planned. Default: 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment(Plain):
    """Net injection promised at a point, and the price of being off."""

    name: str
    point: str
    power_mw: Numbers
    up_price_per_mwh: Numbers
    """Cost of each MWh above the promise; negative earns."""
    down_price_per_mwh: Numbers
    """Cost of each MWh below it; the two must not add up to less than 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveProduct(Plain):
    """Power held ready in one direction by batteries, fleets and running generators."""

    name: str
    direction: Literal["up", "down"]
    """Up injects more or draws less."""
    required_mw: Magnitudes | None = None
    """To be held. Default: 0."""
    max_mw: Magnitudes | None = None
    """Most that is sold; required where holding is paid or reserve is called. Default: no limit."""
    price_per_mw_h: Magnitudes | None = None
    """Paid for each MW held, per hour. Default: 0."""
    shortfall_price_per_mw_h: Magnitude | None = None
    """Price of holding less than required, a breach; None makes the requirement hard."""
    duration_h: Magnitude = 0.0
    """How long a full call lasts: stores keep its energy ready."""
    activation_frac: Share = 0.0
    """Expected share of the power held that is called: stores move, generators burn."""
    activation_price_per_mwh: Number = 0.0
    """Paid for energy called; for a down product, for energy taken."""
    providers: tuple[str, ...] | None = None
    """Assets that may hold it. Default: all that can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchProblem(Plain):
    """The whole statement; everything but the steps and one connection point may be left out."""

    step_h: Positives
    """Length of each step; steps need not be equal."""
    points: tuple[ConnectionPoint, ...]
    import_price_per_mwh: Numbers | None = None
    """At the grid. Default: 0."""
    export_price_per_mwh: Numbers | None = None
    peak_price_per_mw: Magnitude = 0.0
    """Of the highest import over the horizon, above the peak so far."""
    peak_so_far_mw: Magnitude = 0.0
    carbon_kg_co2_per_mwh: Magnitudes | None = None
    """Of imported energy."""
    carbon_price_per_kg_co2: Magnitude = 0.0
    breach_price_per_mwh: Positive = 10_000.0
    """What a missed preference costs; to be well above every energy price."""
    commitments: tuple[Commitment, ...] = ()
    reserves: tuple[ReserveProduct, ...] = ()
    batteries: tuple[Battery, ...] = ()
    vehicles: tuple[Vehicle, ...] = ()
    heat_stores: tuple[HeatStore, ...] = ()
    fleets: tuple[Fleet, ...] = ()
    renewables: tuple[Renewable, ...] = ()
    generators: tuple[Generator, ...] = ()
    electrolysers: tuple[Electrolyser, ...] = ()
    loads: tuple[Load, ...] = ()

    @property
    def n_steps(self) -> int:
        """Number of steps, T."""
        return len(self.step_h)

    @property
    def assets(self) -> tuple[Asset, ...]:
        """All assets, kind by kind."""
        return (
            *self.batteries,
            *self.vehicles,
            *self.heat_stores,
            *self.fleets,
            *self.renewables,
            *self.generators,
            *self.electrolysers,
            *self.loads,
        )
