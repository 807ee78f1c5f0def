"""What came of a problem: schedules, cost and its proof, or the reason why there are none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from optimization.dispatch.fields import Plain, Series


class DispatchStatus(StrEnum):
    """How an attempt ended."""

    OPTIMAL = "optimal"
    """Proven to be within the demanded gap."""
    INCUMBENT = "incumbent"
    """Feasible; the proof did not finish by the deadline."""
    DEGRADED = "degraded"
    """Nothing new in time: what is left of the previous plan, unproven."""
    INFEASIBLE = "infeasible"
    """Physics and limits contradict one another; ``contradiction`` says where."""
    LATE = "late"
    """Nothing feasible was found by the deadline and there is no previous plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule(Plain):
    """What one asset does."""

    power_mw: Series
    """Injection, mean of each step."""
    energy_mwh: Series | None = None
    """Of a store: T + 1 values, at the boundaries of the steps."""
    running: tuple[bool, ...] | None = None
    """Of a generator or electrolyser."""
    reserve_mw: Mapping[str, Series] = field(default_factory=dict)
    """Held, by product."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchBreach(Plain):
    """A preference that could not be met, or not at its price."""

    name: str
    """The asset or product."""
    what: str
    amount: float
    unit: str
    steps: tuple[int, ...] = ()
    cost: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict(Plain):
    """One member of a smallest set of constraints that cannot all hold."""

    name: str
    """The asset, point or product."""
    what: str
    steps: tuple[int, ...]

    def __str__(self) -> str:
        """Say it in words."""
        if not self.steps:
            return f"{self.name}: {self.what}"
        first, last = self.steps[0], self.steps[-1]
        when = f"in step {first}" if first == last else f"in steps {first} to {last}"
        return f"{self.name}: {self.what}, {when}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchResult(Plain):
    """The answer; schedules are empty when there is none."""

    status: DispatchStatus
    solve_s: float
    reason: str = ""
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    """By asset."""
    point_mw: Mapping[str, Series] = field(default_factory=dict)
    """Net injection by connection point."""
    cost: float | None = None
    """Over the horizon; a negative cost is income. None without a proof of feasibility."""
    cost_terms: Mapping[str, float] = field(default_factory=dict)
    """The cost broken down; sums to it."""
    bound: float | None = None
    """No schedule costs less."""
    gap_frac: float | None = None
    """Cost above the bound, relative to the cost."""
    price_per_mwh: Series = ()
    """Marginal price of energy at the grid connection; empty when there was no time for it."""
    reserve_price_per_mw_h: Mapping[str, Series] = field(default_factory=dict)
    """Marginal price of each product's requirement."""
    breaches: tuple[DispatchBreach, ...] = ()
    contradiction: tuple[Conflict, ...] = ()

    @property
    def feasible(self) -> bool:
        """Tell whether there is a schedule that was checked against this problem."""
        return self.status in (DispatchStatus.OPTIMAL, DispatchStatus.INCUMBENT)
