"""What came of a bidding problem: the bid, what it costs in each scenario, and the proof."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from optimization.checks import FloatArray
from optimization.dispatch.fields import Plain, Series
from optimization.dispatch.result import Conflict, DispatchBreach, DispatchStatus, Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint(Plain):
    """From this price on, up to the next point's, this position is taken."""

    price_per_mwh: float
    power_mw: float
    """Sold; negative buys."""


Curve = tuple[CurvePoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bid(Plain):
    """What is handed in before the day."""

    curves: tuple[Curve, ...]
    """One per step, prices and positions rising."""
    reserve_mw: Mapping[str, Series] = field(default_factory=dict)
    """Sold, by product."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Plain):
    """What the bid comes to in one scenario."""

    name: str
    probability: float
    price_per_mwh: Series
    """Of the auction."""
    position_mw: Series
    """Taken at that price."""
    injected_mw: Series
    """At the market's point; what differs from the position is imbalance."""
    cost: float
    cost_terms: Mapping[str, float] = field(default_factory=dict)
    """The cost broken down; ``day_ahead`` and ``imbalance`` are what the market pays and charges,
    negative is income."""
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    """By asset."""
    breaches: tuple[DispatchBreach, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BiddingResult(Plain):
    """The answer; there is no bid where none was found."""

    status: DispatchStatus
    solve_s: float
    reason: str = ""
    bid: Bid | None = None
    expected_cost: float | None = None
    """Mean over the scenarios; negative is income."""
    value_at_risk: float | None = None
    """Not exceeded in a share ``confidence_frac`` of all cases."""
    conditional_value_at_risk: float | None = None
    """Mean cost of the worst ``1 - confidence_frac`` of all cases."""
    objective: float | None = None
    """Of mean and conditional value at risk, weighted."""
    bound: float | None = None
    """No bid with the same classes of prices has a lower objective, even one without lots."""
    gap_frac: float | None = None
    """Objective above the bound, relative to the objective."""
    outcomes: tuple[Outcome, ...] = ()
    contradiction: tuple[Conflict, ...] = ()

    @property
    def feasible(self) -> bool:
        """Tell whether there is a bid that every scenario can follow."""
        return self.bid is not None


def tail(costs: FloatArray, probability: FloatArray, confidence_frac: float) -> tuple[float, float]:
    """Return value at risk and conditional value at risk of costs that come with probabilities.

    The second is the mean of the costliest ``1 - confidence_frac`` of all cases; the case on the
    edge counts with the part of its probability that lies within.
    """
    order = np.argsort(costs)[::-1]
    worst, share = costs[order], probability[order]
    mass = 1 - confidence_frac
    counted = np.clip(mass - (np.cumsum(share) - share), 0.0, share)
    edge = int(np.flatnonzero(counted > 0)[-1])
    return float(worst[edge]), float(counted @ worst / counted.sum())
