"""One model inside HiGHS, solved again and again: relaxed, with columns fixed, or in full."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import highspy
import numpy as np
from scipy import sparse

from optimization.checks import BoolArray, FloatArray, IntArray
from optimization.highs import Ended, Solution, SparseModel, read_solution
from optimization.rounding_cuts import Row

_IRREDUCIBLE = int(highspy.IisStrategy.kIisStrategyFromLp) + int(
    highspy.IisStrategy.kIisStrategyIrreducible
)

_DUAL, _PRIMAL = 1, 4
"""Strategies of the simplex method."""

_SUB_SEARCHES = (
    "mip_heuristic_run_rens",
    "mip_heuristic_run_rins",
    "mip_heuristic_run_root_reduced_cost",
    "mip_heuristic_run_feasibility_jump",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a search stands; infinite where nothing is known yet."""

    cost: float
    bound: float
    elapsed_s: float


Watch = Callable[[Progress], bool]
"""Called now and then during a search, which stops with what it has when told True."""


class Session:
    """A model passed to HiGHS once.

    Args:
        model: complete.
        watch: asked now and then whether to stop for good.
    """

    def __init__(self, model: SparseModel, watch: Watch | None = None) -> None:
        self.integers = model.integers()
        self.lower, self.upper = model.bounds()
        self.stopped = False
        self._watch = watch
        self._begun = time.perf_counter()
        self._due = np.inf
        self._highs = highspy.Highs()
        self._highs.setOptionValue("output_flag", False)
        model.pass_to(self._highs)
        for event in ("cbMipInterrupt", "cbSimplexInterrupt", "cbIpmInterrupt"):
            getattr(self._highs, event).subscribe(self._on_event)

    @property
    def mixed(self) -> bool:
        """Tell whether some columns take whole numbers only."""
        return bool(self.integers.any())

    @property
    def n_pivots(self) -> int:
        """Return how many steps the simplex method took the last time."""
        return int(self._highs.getInfo().simplex_iteration_count)

    def relax(self, *, time_limit_s: float, grown: bool = False) -> Solution:
        """Minimise with whole numbers ignored; what is fixed stays fixed.

        Args:
            time_limit_s: HiGHS stops about then.
            grown: since the last time there are only more columns or other costs, so that the
                solution then is still feasible.
        """
        self._set(
            solve_relaxation=True,
            time_limit=self._limit(time_limit_s),
            simplex_strategy=_PRIMAL if grown else _DUAL,
        )
        self._highs.run()
        return read_solution(self._highs, mixed=False)

    def row_duals(self) -> FloatArray:
        """Return what each row's right-hand side costs at the margin, after ``relax``."""
        return np.asarray(self._highs.getSolution().row_dual, dtype=np.float64)

    def search(
        self, *, time_limit_s: float, gap_frac: float, start: FloatArray | None = None
    ) -> Solution:
        """Minimise in full.

        Args:
            time_limit_s: HiGHS stops about then.
            gap_frac: a solution this close to the bound, relative to itself, is good enough.
            start: values of all columns; those of whole-number columns are tried first.
        """
        self._set(
            solve_relaxation=False, time_limit=self._limit(time_limit_s), mip_rel_gap=gap_frac
        )
        # With a start at hand HiGHS' searches within the search only delay bound, deadline and
        # stop: it does not look at the clock while one of them runs.
        self._set(**dict.fromkeys(_SUB_SEARCHES, start is None))
        if start is not None:
            whole = np.flatnonzero(self.integers).astype(np.int32)
            self._highs.setSolution(len(whole), whole, np.round(start[whole]))
        self._highs.run()
        return read_solution(self._highs, mixed=self.mixed)

    def fix(self, columns: IntArray, values: FloatArray) -> None:
        """Hold columns at values, until ``free``."""
        self._bounds(columns, values, values)

    def hold(self, columns: IntArray, values: FloatArray) -> None:
        """Hold columns, which may be named twice, at values for good: ``free`` leaves them."""
        self.lower[columns] = self.upper[columns] = values
        self.free(np.unique(columns))

    def cap(self, columns: IntArray, upper: FloatArray) -> None:
        """Lower the upper bound of columns, until ``free``."""
        self._bounds(columns, np.minimum(self.lower[columns], upper), upper)

    def free(self, columns: IntArray | None = None) -> None:
        """Give columns, by default all, their own bounds again."""
        columns = np.arange(len(self.lower)) if columns is None else columns
        self._bounds(columns, self.lower[columns], self.upper[columns])

    def contradiction(self, *, time_limit_s: float) -> tuple[IntArray, IntArray] | None:
        """Return rows and columns of an irreducible contradiction of the relaxation.

        None when the relaxation does not contradict itself, or not in time.
        """
        self._set(
            solve_relaxation=True,
            time_limit=self._limit(time_limit_s),
            iis_strategy=_IRREDUCIBLE,
            iis_time_limit=max(time_limit_s, 0.0),
        )
        self._highs.run()
        if self._highs.getModelStatus() != highspy.HighsModelStatus.kInfeasible:
            return None
        status, found = self._highs.getIis()
        if status != highspy.HighsStatus.kOk or not len(found.row_index_):
            return None
        free = int(highspy.IisBoundStatus.kIisBoundStatusFree)
        bound = np.array([int(state) for state in found.col_bound_]) != free
        rows = np.array(found.row_index_, dtype=np.int64)
        return rows, np.array(found.col_index_, dtype=np.int64)[bound]

    def is_feasible(self, *, time_limit_s: float) -> bool | None:
        """Tell whether any point exists; None when that is not known in time."""
        self.price(np.arange(len(self.lower)), np.zeros(len(self.lower)))
        found = self.search(time_limit_s=time_limit_s, gap_frac=np.inf)
        if found.values.size:
            return True
        return False if found.ended is Ended.INFEASIBLE else None

    def basis(self) -> highspy.HighsBasis:
        """Return where the simplex method ended, to go on from there later."""
        basis: highspy.HighsBasis = self._highs.getBasis()
        return basis

    def resume(self, basis: highspy.HighsBasis) -> None:
        """Let the next relaxation begin at a basis of the rows there are now."""
        self._highs.setBasis(basis)

    def demand(self, rows: Sequence[Row]) -> None:
        """Add rows that no point in whole numbers breaks."""
        for row in rows:
            columns = row.columns.astype(np.int32)
            self._highs.addRow(row.least, np.inf, len(columns), columns, row.coefficients)

    def open_rows(self, rows: IntArray, lower: FloatArray, upper: FloatArray) -> None:
        """Give rows other bounds."""
        indices = rows.ravel().astype(np.int32)
        self._highs.changeRowsBounds(len(indices), indices, lower.ravel(), upper.ravel())

    def open_columns(self, columns: IntArray, lower: FloatArray, upper: FloatArray) -> None:
        """Give columns other bounds, until ``free``."""
        self._bounds(columns, lower, upper)

    def grow(self, cost: FloatArray, upper: FloatArray, coefficients: sparse.csc_matrix) -> None:
        """Add columns from 0 on; the basis stays.

        Args:
            cost: per unit.
            upper: bounds.
            coefficients: rows by new columns.
        """
        lower, n_new = np.zeros(len(cost)), len(cost)
        self._highs.addCols(
            n_new,
            cost,
            lower,
            upper,
            coefficients.nnz,
            coefficients.indptr[:-1].astype(np.int32),
            coefficients.indices.astype(np.int32),
            coefficients.data,
        )
        self.lower, self.upper = np.append(self.lower, lower), np.append(self.upper, upper)
        self.integers = np.append(self.integers, np.zeros(n_new, dtype=np.bool_))

    def price(self, columns: IntArray, cost: FloatArray) -> None:
        """Give columns another cost."""
        indices = columns.ravel().astype(np.int32)
        self._highs.changeColsCost(len(indices), indices, cost.ravel())

    def _bounds(self, columns: IntArray, lower: FloatArray, upper: FloatArray) -> None:
        indices = columns.ravel().astype(np.int32)
        self._highs.changeColsBounds(len(indices), indices, lower.ravel(), upper.ravel())

    def _set(self, **options: bool | int | float) -> None:
        for name, value in options.items():
            self._highs.setOptionValue(name, value)

    def _limit(self, time_limit_s: float) -> float:
        # HiGHS looks at its own limit rarely, so the callbacks do as well.
        self._due = time.perf_counter() + time_limit_s
        # HiGHS counts the time of all runs of one instance.
        return float(self._highs.getRunTime()) + max(time_limit_s, 0.0)

    def _on_event(self, event: object) -> None:
        now = time.perf_counter()
        if self._watch is not None and not self.stopped:
            out = getattr(event, "data_out")  # noqa: B009 - a foreign type without declarations
            progress = Progress(
                cost=float(out.mip_primal_bound),
                bound=float(out.mip_dual_bound),
                elapsed_s=now - self._begun,
            )
            self.stopped = self._watch(progress)
        if self.stopped or now > self._due:
            getattr(event, "interrupt")()  # noqa: B009


def fractional(values: FloatArray, integers: BoolArray, tolerance: float = 1e-6) -> BoolArray:
    """Tell which whole-number columns have another value."""
    return integers & (np.abs(values - np.round(values)) > tolerance)
