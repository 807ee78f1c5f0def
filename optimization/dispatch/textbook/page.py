"""What all chapters of the textbook write on: the model, the horizon and the sums."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pyomo.environ as pyo

from optimization.dispatch.fields import Series
from optimization.dispatch.problem import DispatchProblem

Expr = Any
"""A Pyomo expression; the library declares no types."""


class Page:
    """A Pyomo model with its horizon, its cost and the injection of each asset.

    Args:
        problem: checked.
    """

    def __init__(self, problem: DispatchProblem) -> None:
        self.problem = problem
        self.T = range(problem.n_steps)
        self.h = problem.step_h
        self.end = [sum(problem.step_h[: t + 1]) for t in self.T]
        self.start = [self.end[t] - self.h[t] for t in self.T]
        self.model = pyo.ConcreteModel()
        self.model.rules = pyo.ConstraintList()
        self.cost: Expr = 0.0
        self.injection: dict[str, list[Expr]] = defaultdict(lambda: [0.0 for _ in self.T])
        """By connection point: MW in each step of the assets that stand there."""
        self.heat: dict[str, list[Expr]] = defaultdict(lambda: [0.0 for _ in self.T])
        """By heat store: MW of heat that comes from generators."""
        self.reserve: dict[str, list[Expr]] = defaultdict(lambda: [0.0 for _ in self.T])
        """By product: MW held."""

    def var(self, name: str, low: float | None = 0.0, high: float | None = None) -> Expr:
        """Add a variable per step."""
        return self._add(name, pyo.Var(self.T, bounds=(low, high)))

    def binary(self, name: str) -> Expr:
        """Add a binary per step."""
        return self._add(name, pyo.Var(self.T, domain=pyo.Binary))

    def number(self, name: str, low: float = 0.0) -> Expr:
        """Add a single variable."""
        return self._add(name, pyo.Var(bounds=(low, None)))

    def rule(self, relation: Expr) -> None:
        """Demand a relation; one without variables that holds needs no saying."""
        self.model.rules.add(pyo.Constraint.Feasible if relation is True else relation)

    def inject(self, point: str, t: int, power_mw: Expr) -> None:
        """Add to the injection at a point."""
        self.injection[point][t] += power_mw

    def breach(self, name: str) -> Expr:
        """Add MWh per step that may be missed at the price of a breach, per hour."""
        missed = self.var(name)
        for t in self.T:
            self.cost += self.problem.breach_price_per_mwh * self.h[t] * missed[t]
        return missed

    def given(self, values: Series | None) -> Series:
        """Return a series, zeros where it was left out."""
        return values if values is not None else (0.0,) * len(self.h)

    def _add(self, name: str, part: Expr) -> Expr:
        self.model.add_component(name, part)
        return part
