"""What is to be bid: a market with its limits, what may happen, and how much risk counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from optimization.dispatch.fields import (
    Loss,
    Magnitudes,
    Number,
    Numbers,
    Plain,
    Positive,
    Range,
    Share,
)
from optimization.dispatch.problem import DispatchProblem

MAX_SCENARIOS = 1_000
Count = Annotated[int, Range(1.0, 10_000.0)]
Place = Annotated[int, Range(0.0)]
Correlation = Annotated[float, Range(-1.0, 1.0)]
What = Literal[
    "price", "shortage_premium", "surplus_discount", "available", "demand", "fixed", "reserve_price"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueLimits(Plain):
    """What a venue takes as a price-quantity curve; venues change theirs, so none is a default."""

    min_price_per_mwh: Number
    max_price_per_mwh: Number
    price_tick_per_mwh: Positive
    quantity_step_mw: Positive
    max_points: Count
    """Most points of one curve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayAhead(Plain):
    """The auction: a curve per step is handed in before anything of the day is known."""

    name: str = "day-ahead"
    point: str
    """Where what was sold is to be injected; what is off is imbalance."""
    limits: VenueLimits
    min_mw: Numbers | None = None
    """Least position; negative buys. Default: the least the point can inject in any scenario."""
    max_mw: Numbers | None = None
    """Greatest position. Default: the most the point can inject in any scenario."""
    max_stairs: Count = 5
    """Most positions of a curve, however many points the venue takes: many of them on few scenarios
    fit what is chance and do worse when the day comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario(Plain):
    """One way the day may go; what it leaves out is as the dispatch problem has it."""

    name: str
    weight: Positive = 1.0
    """Probability relative to the others."""
    price_per_mwh: Numbers
    """Of the auction."""
    shortage_price_per_mwh: Numbers
    """Charged for each MWh injected less than sold."""
    surplus_price_per_mwh: Numbers | None = None
    """Paid for each MWh more. Default: the shortage price, as where imbalance has one price."""
    available_mw: Mapping[str, Magnitudes] = field(default_factory=dict)
    """By renewable."""
    demand_mw: Mapping[str, Magnitudes] = field(default_factory=dict)
    """By load."""
    fixed_mw: Mapping[str, Numbers] = field(default_factory=dict)
    """By connection point."""
    reserve_price_per_mw_h: Mapping[str, Magnitudes] = field(default_factory=dict)
    """By reserve product."""
    nodes: tuple[int, ...] | None = None
    """Per step: scenarios with the same number cannot be told apart until its end. Default: after
    the auction each scenario is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantile(Plain):
    """The values that are not exceeded with a probability."""

    level: Share
    values: Numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantileForecast(Plain):
    """A forecast of one quantity; nothing beyond its outermost quantiles is invented."""

    what: What
    """``price`` of the auction; ``shortage_premium`` and ``surplus_discount`` are the imbalance
    prices above and below it (without a discount imbalance has one price); ``available`` of a
    renewable, ``demand`` of a load, ``fixed`` of a point, ``reserve_price`` of a product."""
    name: str = ""
    """The renewable, load, point or product."""
    quantiles: tuple[Quantile, ...]
    correlation_h: Positive = 6.0
    """Errors this far apart are correlated by 1/e."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossCorrelation(Plain):
    """How the errors of two forecasts go together."""

    one: Place
    """Place among the quantities, from 0."""
    other: Place
    correlation: Correlation


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage(Plain):
    """A time at which more becomes known."""

    at_h: Annotated[float, Range(0.0)] = 0.0
    branches: Count = 20
    """Most ways on from each node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast(Plain):
    """Forecasts of what is uncertain, and how many scenarios to make of them."""

    quantities: tuple[QuantileForecast, ...]
    cross_correlations: tuple[CrossCorrelation, ...] = ()
    """Default: errors of different forecasts are independent."""
    stages: tuple[Stage, ...] = (Stage(),)
    """The first is right after the auction, at 0 h; what is before the next is known by then."""
    n_drawn: Count = 500
    seed: Place = 0
    """The same seed draws the same scenarios."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BiddingProblem(Plain):
    """The whole statement: a dispatch problem, a market, what may happen, and risk."""

    dispatch: DispatchProblem
    """What is certain; its import and export prices come on top of the auction, as grid charges do.
    Reserve products with ``max_mw`` are sold before the day, alike in all scenarios."""
    market: DayAhead
    scenarios: tuple[Scenario, ...] = ()
    """Either these or a forecast."""
    forecast: Forecast | None = None
    risk_weight: Loss = 0.0
    """Share of the objective that is the conditional value at risk of the cost; the rest is its
    expectation."""
    confidence_frac: Loss = 0.95
    """That value is the mean cost of the worst rest of all cases."""
