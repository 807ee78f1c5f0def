"""The model of a day plan while it is being assembled, and the parts that several blocks share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from optimization.checks import BoolArray, FloatArray, IntArray
from optimization.day_plan import Batteries, DayPlanProblem
from optimization.highs import SparseModel

_EPS_H = 1e-9
_Scalar = TypeVar("_Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True, eq=False)
class Injection:
    """Columns [N, T] that add ``sign`` times their value to the power of N assets."""

    names: tuple[str, ...]
    columns: IntArray
    sign: float


@dataclass(frozen=True, slots=True, eq=False)
class Slack:
    """Columns [N, K] that are zero unless something has to give; ``what`` says what."""

    names: tuple[str, ...]
    what: str
    columns: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class BatteryColumns:
    """Where a group of batteries stands in the model."""

    group: Batteries
    charge: IntArray  # [N, T]
    discharge: IntArray  # [N, T]


@dataclass(slots=True)
class DayModel:
    """The model and where to find things in it."""

    problem: DayPlanProblem
    start_h: FloatArray  # [T]
    end_h: FloatArray  # [T]
    model: SparseModel = field(default_factory=SparseModel)
    injections: list[Injection] = field(default_factory=list)
    constants: list[tuple[tuple[str, ...], FloatArray]] = field(default_factory=list)
    """Names and [N, T] MW of what is injected whatever is decided."""
    stored: list[tuple[tuple[str, ...], IntArray, FloatArray]] = field(default_factory=list)
    """Names, columns [N, T] of energy at the end of a step, and initial energy [N]."""
    running: list[tuple[tuple[str, ...], IntArray]] = field(default_factory=list)
    batteries: list[BatteryColumns] = field(default_factory=list)
    preferences: list[Slack] = field(default_factory=list)
    """In MWh, at the price of a breach."""
    limits: list[Slack] = field(default_factory=list)
    """In MW; closed (upper bound zero) unless a contradiction is to be explained."""
    grid_import: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    grid_export: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


def column(values: NDArray[_Scalar]) -> NDArray[_Scalar]:
    """Return [N] as [N, 1], to broadcast over steps."""
    return values[:, None]


def add_exclusion(
    model: SparseModel,
    one: tuple[IntArray, float | FloatArray],
    other: tuple[IntArray, float | FloatArray],
) -> None:
    """Let only one of two columns, each given with its limit, be above zero at a time."""
    (first, first_limit), (second, second_limit) = one, other
    choice = model.columns(first.shape, 0, 1, integer=True)
    if_first = model.rows(first.shape, -np.inf, 0)
    model.add(if_first, first, 1)
    model.add(if_first, choice, -np.asarray(first_limit))
    if_second = model.rows(first.shape, -np.inf, second_limit)
    model.add(if_second, second, 1)
    model.add(if_second, choice, second_limit)


def add_preference(
    day: DayModel, names: tuple[str, ...], what: str, shape: tuple[int, int], *, per_h: bool = True
) -> IntArray:
    """Add columns in MWh that buy a preference off; per hour where a miss lasts."""
    price = day.problem.breach_price_per_mwh
    cost = price * day.problem.step_h if per_h else price
    missed = day.model.columns(shape, 0, np.inf, cost, term="breaches")
    day.preferences.append(Slack(names, what, missed))
    return missed


def add_recursion(
    day: DayModel,
    energy: IntArray,
    initial_mwh: FloatArray,
    loss_frac_per_h: FloatArray,
    outflow_mwh: FloatArray | float = 0.0,
) -> IntArray:
    """Add rows ``e[t] - kept[t] * e[t-1] - inflow[t] = -outflow[t]``.

    Args:
        day: to add to.
        energy: columns [N, T], at the end of each step.
        initial_mwh: [N].
        loss_frac_per_h: [N].
        outflow_mwh: [N, T], what leaves whatever is decided.

    Returns:
        The rows [N, T]; the caller adds the coefficients of minus the inflow.
    """
    kept = (1 - column(loss_frac_per_h)) ** day.problem.step_h
    fixed = np.zeros(energy.shape) - outflow_mwh
    fixed[:, 0] += kept[:, 0] * initial_mwh
    rows = day.model.rows(energy.shape, fixed, fixed)
    day.model.add(rows, energy, 1)
    day.model.add(rows[:, 1:], energy[:, :-1], -kept[:, 1:])
    return rows


def ended_within(day: DayModel, window_h: FloatArray) -> BoolArray:
    """Return [N, T, T]: step s is t, or an earlier one begun within the window before t's end."""
    age_h = day.end_h[:, None] - day.start_h[None, :]
    return _recent(age_h, age_h[None] <= window_h[:, None, None] + _EPS_H)


def begun_within(day: DayModel, least_h: FloatArray) -> BoolArray:
    """Return [N, T, T]: a state entered at the start of s must still hold in step t."""
    age_h = day.start_h[:, None] - day.start_h[None, :]
    return _recent(age_h, age_h[None] < least_h[:, None, None] - _EPS_H)


def before(day: DayModel, instant_h: FloatArray, *, ends: bool = False) -> BoolArray:
    """Return [N, T]: the step starts (or ends) before an instant, hours from the start."""
    return (day.end_h if ends else day.start_h) < column(instant_h) - _EPS_H


def _recent(age_h: FloatArray, young: BoolArray) -> BoolArray:
    # Boundaries are sums of floats: the step after may seem to have begun a hair before its start.
    past = age_h > _EPS_H
    same = np.eye(len(past), dtype=np.bool_)
    return (young & past[None]) | same[None]
