"""The model of a dispatch problem while it is being assembled, and what several blocks share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from optimization.checks import BoolArray, FloatArray, IntArray
from optimization.dispatch.fields import Plain
from optimization.dispatch.problem import DispatchProblem
from optimization.dispatch.reach import Reach, reachable
from optimization.highs import SparseModel

EPS_H = 1e-9
Names = tuple[str, ...]
Most = tuple[IntArray, IntArray, FloatArray]
"""What power and reserve upwards can be at most: columns, their steps, and MW of each."""


@dataclass(frozen=True, slots=True, eq=False)
class Injection:
    """Columns [N, T] that add ``factor`` times their value to the power of N assets."""

    names: Names
    columns: IntArray
    factor: FloatArray | float  # [N, 1] or one for all


@dataclass(frozen=True, slots=True, eq=False)
class Slack:
    """Columns [N, K] that are zero unless a preference is missed; ``what`` says what."""

    names: Names
    what: str
    columns: IntArray
    unit: str
    cost: FloatArray
    """Per unit, in the shape of the columns."""


@dataclass(frozen=True, slots=True, eq=False)
class Store:
    """Where N stores with two flows stand in the model; arrays [N, T] unless said otherwise."""

    names: Names
    into: IntArray
    out: IntArray
    energy: IntArray
    recursion: IntArray
    max_into_mw: FloatArray
    max_out_mw: FloatArray
    min_mwh: FloatArray
    max_mwh: FloatArray
    initial_mwh: FloatArray  # [N]
    into_efficiency: FloatArray  # [N]
    out_efficiency: FloatArray  # [N]
    wear_per_mwh: FloatArray  # [N]


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """Where N generators stand in the model; arrays [N, T] unless said otherwise."""

    names: Names
    on: IntArray
    above: IntArray
    """Power above the minimum."""
    upward: tuple[IntArray, IntArray, IntArray]
    """Rows that bound power from above, with unit and step of each: three arrays [R]."""
    downward: tuple[IntArray, IntArray, IntArray]
    """Rows that bound power from below (coefficient -1), likewise."""
    first_slope: FloatArray  # [N], cost of the first MWh above the minimum
    last_slope: FloatArray  # [N]
    most: Most


@dataclass(slots=True)
class Draft:
    """The model and where to find things in it."""

    problem: DispatchProblem
    model: SparseModel = field(default_factory=SparseModel)
    reach: Reach = field(default_factory=dict)
    """Of every point; the problem's own unless assets are to be added that it does not hold."""
    step_h: FloatArray = field(init=False)  # [T]
    start_h: FloatArray = field(init=False)
    end_h: FloatArray = field(init=False)
    injections: list[Injection] = field(default_factory=list)
    constants: list[tuple[Names, FloatArray]] = field(default_factory=list)
    """Names and [N, T] MW of what is injected whatever is decided."""
    energies: list[tuple[Names, IntArray, FloatArray]] = field(default_factory=list)
    """Names, columns [N, T] of energy at the end of a step, and initial energy [N]."""
    running: list[tuple[Names, IntArray]] = field(default_factory=list)
    two_way: list[Store] = field(default_factory=list)
    """Stores that lose energy on the way and so must not run both ways at once."""
    reservable: list[Store] = field(default_factory=list)
    units: list[Units] = field(default_factory=list)
    heat_rows: dict[str, IntArray] = field(default_factory=dict)
    """Recursion rows [T] by heat store."""
    slacks: list[Slack] = field(default_factory=list)
    net: dict[str, IntArray] = field(default_factory=dict)
    """Columns [T] of net injection by connection point that has limits or promises."""
    balance: dict[str, IntArray] = field(default_factory=dict)
    """Rows [T] by the same points."""
    grid_import: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    grid_export: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    held: dict[str, list[tuple[Names, IntArray]]] = field(default_factory=dict)
    """Columns [N, T] of reserve by product."""
    required: dict[str, IntArray] = field(default_factory=dict)
    """Rows [T] by product."""
    sold: dict[str, IntArray] = field(default_factory=dict)
    """Columns [T] by product: all that is held of it."""
    promised: dict[str, IntArray] = field(default_factory=dict)
    """Rows [T] by commitment: net injection, less what is above, plus what is below."""

    def __post_init__(self) -> None:
        """Lay out the horizon and what each point can reach."""
        self.reach = self.reach or reachable(self.problem)
        self.step_h = np.array(self.problem.step_h)
        self.end_h = np.cumsum(self.step_h)
        self.start_h = self.end_h - self.step_h

    @property
    def n_steps(self) -> int:
        """Number of steps, T."""
        return len(self.step_h)

    def preference(
        self, names: Names, what: str, shape: tuple[int, int], *, per_h: bool = True
    ) -> IntArray:
        """Add columns in MWh that buy a preference off; per hour where a miss lasts."""
        price = np.full(shape, self.problem.breach_price_per_mwh)
        cost = price * self.step_h if per_h else price
        missed = self.model.columns(shape, 0, np.inf, cost, term="breaches")
        self.slacks.append(Slack(names, what, missed, "MWh", cost))
        return missed

    def recursion(
        self,
        names: Names,
        energy: IntArray,
        initial_mwh: FloatArray,
        loss_frac_per_h: FloatArray,
        outflow_mwh: FloatArray | float = 0.0,
    ) -> IntArray:
        """Add rows ``e[t] - kept[t] * e[t-1] - inflow[t] = -outflow[t]``.

        Args:
            names: of the N stores.
            energy: columns [N, T], at the end of each step.
            initial_mwh: [N].
            loss_frac_per_h: [N].
            outflow_mwh: [N, T], what leaves whatever is decided.

        Returns:
            The rows [N, T]; the caller adds the coefficients of minus the inflow.
        """
        kept = (1 - column(loss_frac_per_h)) ** self.step_h
        fixed = np.zeros(energy.shape) - outflow_mwh
        fixed[:, 0] += kept[:, 0] * initial_mwh
        rows = self.model.rows(energy.shape, fixed, fixed, of=names, what="conserves energy")
        self.model.add(rows, energy, 1)
        self.model.add(rows[:, 1:], energy[:, :-1], -kept[:, 1:])
        return rows

    def ended_within(self, window_h: FloatArray) -> BoolArray:
        """Return [N, T, T]: step s is t, or begun within the window before t's end."""
        age_h = self.end_h[:, None] - self.start_h[None, :]
        return _recent(age_h, age_h[None] <= window_h[:, None, None] + EPS_H)

    def begun_within(self, least_h: FloatArray) -> BoolArray:
        """Return [N, T, T]: a state entered at the start of s must still hold in step t."""
        age_h = self.start_h[:, None] - self.start_h[None, :]
        return _recent(age_h, age_h[None] < least_h[:, None, None] - EPS_H)


def column(values: FloatArray) -> FloatArray:
    """Return [N] as [N, 1], to broadcast over steps."""
    return values[:, None]


def names_of(group: Sequence[Plain]) -> Names:
    """Return the names of assets."""
    return tuple(getattr(asset, "name") for asset in group)  # noqa: B009 - every asset has one


def stacked(group: Sequence[Plain], name: str) -> FloatArray:
    """Return a scalar field as [N]."""
    return np.array([getattr(asset, name) for asset in group], dtype=np.float64)


def stacked_series(group: Sequence[Plain], name: str, n_steps: int) -> FloatArray:
    """Return a series field as [N, T], zeros where it is left out."""
    found = np.zeros((len(group), n_steps))
    for row, asset in zip(found, group, strict=True):
        values = getattr(asset, name)
        if values is not None:
            row[:] = values
    return found


def add_exclusion(
    model: SparseModel,
    one: tuple[IntArray, FloatArray],
    other: tuple[IntArray, FloatArray],
) -> None:
    """Let only one of two columns, each given with its limit, be above zero at a time."""
    (first, first_limit), (second, second_limit) = one, other
    choice = model.columns(first.shape, 0, 1, integer=True)
    if_first = model.rows(first.shape, -np.inf, 0)
    model.add(if_first, first, 1)
    model.add(if_first, choice, -first_limit)
    if_second = model.rows(first.shape, -np.inf, second_limit)
    model.add(if_second, second, 1)
    model.add(if_second, choice, second_limit)


def _recent(age_h: FloatArray, young: BoolArray) -> BoolArray:
    # Boundaries are sums of floats: the step after may seem to have begun a hair before its start.
    past = age_h > EPS_H
    same = np.eye(len(past), dtype=np.bool_)
    return (young & past[None]) | same[None]
