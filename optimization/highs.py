"""Sparse mixed-integer models in blocks, for HiGHS, and what a run of it came to.

A model is built from blocks of columns and rows of any shape; coefficients are broadcast triplets.
Each block of columns may name the cost term it contributes to, so that an objective can be broken
down without a second formula.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import highspy
import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from optimization.checks import BoolArray, FloatArray, IntArray

_NO_TERM = ""


class Ended(StrEnum):
    """How a run of the solver ended."""

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"
    NOTHING = "nothing"
    """Out of time without a feasible point."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Solution:
    """A run's outcome; ``values`` is empty where there is no feasible point."""

    ended: Ended
    values: FloatArray
    bound: float


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """What a block of columns or rows [N, ...] is, to name its members in an explanation."""

    of: tuple[str, ...]
    what: str
    indices: IntArray


@dataclass(slots=True)
class SparseModel:
    """A minimisation over blocks; grows until it is run."""

    lower: list[FloatArray] = field(default_factory=list)
    upper: list[FloatArray] = field(default_factory=list)
    cost: list[FloatArray] = field(default_factory=list)
    integer: list[FloatArray] = field(default_factory=list)
    terms: list[tuple[str, int, int]] = field(default_factory=list)
    row_lower: list[FloatArray] = field(default_factory=list)
    row_upper: list[FloatArray] = field(default_factory=list)
    triplets: list[tuple[IntArray, IntArray, FloatArray]] = field(default_factory=list)
    constants: dict[str, float] = field(default_factory=dict)
    prices: list[tuple[str, IntArray, FloatArray]] = field(default_factory=list)
    labelled_columns: list[Labelled] = field(default_factory=list)
    labelled_rows: list[Labelled] = field(default_factory=list)
    n_columns: int = 0
    n_rows: int = 0

    def columns(
        self,
        shape: tuple[int, ...],
        lower: ArrayLike,
        upper: ArrayLike,
        cost: ArrayLike = 0.0,
        *,
        term: str = _NO_TERM,
        integer: ArrayLike = False,
        of: tuple[str, ...] = (),
        what: str = "",
    ) -> IntArray:
        """Add a block of columns and return their indices in its shape.

        Args:
            shape: of the block.
            lower: bound.
            upper: bound.
            cost: per unit.
            term: the cost term they contribute to.
            integer: take whole numbers only.
            of: names of the first dimension, where bounds matter to an explanation.
            what: the bounds mean, in words.
        """
        indices = self.n_columns + np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
        self.n_columns += indices.size
        self.lower.append(_flat(lower, shape))
        self.upper.append(_flat(upper, shape))
        self.cost.append(_flat(cost, shape))
        self.integer.append(_flat(integer, shape))
        if term != _NO_TERM:
            self.terms.append((term, self.n_columns - indices.size, self.n_columns))
        if what:
            self.labelled_columns.append(Labelled(of, what, indices))
        return indices

    def price(self, columns: IntArray, cost: ArrayLike, *, term: str) -> None:
        """Add to the cost of columns that are there already."""
        spread = np.broadcast_to(np.asarray(cost, dtype=np.float64), columns.shape)
        self.prices.append((term, columns.ravel(), spread.ravel()))

    def rows(
        self,
        shape: tuple[int, ...],
        lower: ArrayLike,
        upper: ArrayLike,
        *,
        of: tuple[str, ...] = (),
        what: str = "",
    ) -> IntArray:
        """Add a block of rows and return their indices in its shape.

        Args:
            shape: of the block.
            lower: bound.
            upper: bound.
            of: names of the first dimension, where they matter to an explanation.
            what: they demand, in words.
        """
        indices = self.n_rows + np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
        self.n_rows += indices.size
        self.row_lower.append(_flat(lower, shape))
        self.row_upper.append(_flat(upper, shape))
        if what:
            self.labelled_rows.append(Labelled(of, what, indices))
        return indices

    def add(self, rows: ArrayLike, columns: ArrayLike, values: ArrayLike) -> None:
        """Add coefficients; the three arguments are broadcast against each other."""
        r, c, v = np.broadcast_arrays(rows, columns, np.asarray(values, dtype=np.float64))
        self.triplets.append((r.ravel(), c.ravel(), v.ravel()))

    def constant(self, term: str, amount: float) -> None:
        """Add a part of the cost that no decision changes."""
        self.constants[term] = self.constants.get(term, 0.0) + amount

    def embed(self, other: SparseModel, *, weight: float) -> tuple[IntArray, IntArray]:
        """Add all of another model, its costs times a weight; return its columns and rows here."""
        columns = self.columns(
            (other.n_columns,), *other.bounds(), weight * other.costs(), integer=other.integers()
        )
        rows = self.rows((other.n_rows,), *other.row_bounds())
        self.triplets += [(rows[r], columns[c], values) for r, c, values in other.triplets]
        self.constant(_NO_TERM, weight * sum(other.constants.values()))
        return columns, rows

    def bounds(self) -> tuple[FloatArray, FloatArray]:
        """Return lower and upper bounds of all columns so far."""
        return _joined(self.lower), _joined(self.upper)

    def cost_terms(self, values: FloatArray) -> dict[str, float]:
        """Return what a solution costs by term."""
        spent = _joined(self.cost) * values
        sums = dict(self.constants)
        for term, first, end in self.terms:
            sums[term] = sums.get(term, 0.0) + float(spent[first:end].sum())
        for term, columns, cost in self.prices:
            sums[term] = sums.get(term, 0.0) + float(cost @ values[columns])
        return sums

    def costs(self) -> FloatArray:
        """Return the cost of all columns so far."""
        total = _joined(self.cost)
        for _, columns, cost in self.prices:
            np.add.at(total, columns, cost)
        return total

    def integers(self) -> BoolArray:
        """Tell which columns take whole numbers only."""
        return _joined(self.integer) > 0

    def matrix(self) -> sparse.csc_matrix:
        """Return the coefficients."""
        rows, columns, values = (np.concatenate(part) for part in zip(*self.triplets, strict=True))
        shape = (self.n_rows, self.n_columns)
        return sparse.coo_matrix((values, (rows, columns)), shape=shape).tocsc()

    def row_bounds(self) -> tuple[FloatArray, FloatArray]:
        """Return lower and upper bounds of all rows so far."""
        return _joined(self.row_lower), _joined(self.row_upper)

    def pass_to(self, solver: highspy.Highs) -> None:
        """Hand the model to a solver."""
        matrix = self.matrix()
        solver.passModel(
            self.n_columns,
            self.n_rows,
            matrix.nnz,
            int(highspy.MatrixFormat.kColwise),
            int(highspy.ObjSense.kMinimize),
            sum(self.constants.values()),
            self.costs(),
            _joined(self.lower),
            _joined(self.upper),
            _joined(self.row_lower),
            _joined(self.row_upper),
            matrix.indptr.astype(np.int32),
            matrix.indices.astype(np.int32),
            matrix.data,
            _joined(self.integer).astype(np.int32),
        )


def _flat(values: ArrayLike, shape: tuple[int, ...]) -> FloatArray:
    return np.broadcast_to(np.asarray(values, dtype=np.float64), shape).ravel()


def _joined(parts: list[FloatArray]) -> FloatArray:
    return np.concatenate([np.zeros(0), *parts])


def read_solution(solver: highspy.Highs, *, mixed: bool) -> Solution:
    """Return the outcome of a run; with ``mixed`` whole numbers were asked for."""
    status, info = solver.getModelStatus(), solver.getInfo()
    known = highspy.HighsModelStatus
    if status in (known.kInfeasible, known.kUnboundedOrInfeasible):
        return Solution(ended=Ended.INFEASIBLE, values=np.zeros(0), bound=np.inf)
    if status == known.kOptimal:
        bound = info.mip_dual_bound if mixed else info.objective_function_value
        return Solution(ended=Ended.OPTIMAL, values=_values(solver), bound=float(bound))
    if info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible:
        bound = float(info.mip_dual_bound) if mixed else -np.inf
        return Solution(ended=Ended.FEASIBLE, values=_values(solver), bound=bound)
    return Solution(ended=Ended.NOTHING, values=np.zeros(0), bound=-np.inf)


def _values(solver: highspy.Highs) -> FloatArray:
    return np.asarray(solver.getSolution().col_value, dtype=np.float64)
