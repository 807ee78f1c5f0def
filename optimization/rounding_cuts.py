"""Cuts by mixed-integer rounding from rows in columns that are 0 or 1.

A row ``a x >= b`` is turned into ``c z <= d`` over columns or their complements, divided by a
number and rounded: what is left over of a coefficient counts only beyond what is left over of
``d``. Every point in whole numbers that keeps the row keeps the cut; divisor and complements are
chosen so that the relaxed point breaks it by the most.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from optimization.checks import BoolArray, FloatArray, IntArray

_TINY = 1e-9
_WHOLE = 1e-6
_LEAST_REST = 0.01
"""Of the divided right-hand side: with less left over a cut says too little, or numbers blur it."""
_LEAST_DEPTH = 1e-3
"""Distance from the relaxed point below which a cut is not worth its row."""
_PARTS = np.array([1.0, 2.0, 4.0])
"""Each coefficient is tried as divisor, and these parts of it."""
_MAX_FLIPS = 12


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """Coefficients of columns that must add up to ``least``."""

    columns: IntArray
    coefficients: FloatArray
    least: float


@dataclass(frozen=True, slots=True, eq=False)
class _Rounded:
    depth: float
    coefficients: FloatArray
    most: float


def rounding_cuts(rows: Sequence[Row], values: FloatArray) -> Iterator[Row]:
    """Yield the deepest cut found for each row, where one cuts the values off.

    Args:
        rows: over columns that may only be 0 or 1.
        values: of all columns of the model, relaxed.
    """
    for row in rows:
        cut = _deepest(row, np.clip(values[row.columns], 0.0, 1.0))
        if cut is not None:
            yield cut


def _deepest(row: Row, values: FloatArray) -> Row | None:
    """Try divisors, then other complements of what is most undecided."""
    undecided = np.abs(values - np.round(values)) > _WHOLE
    undecided &= np.abs(row.coefficients) > _TINY
    divisors = np.unique(np.abs(row.coefficients[undecided]) / _PARTS[:, None])
    complemented = values > 0.5
    best = _rounded(row, values, complemented, divisors)
    places = np.flatnonzero(undecided)
    for place in places[np.argsort(np.abs(values[places] - 0.5))][:_MAX_FLIPS]:
        flipped = complemented.copy()
        flipped[place] = ~flipped[place]
        other = _rounded(row, values, flipped, divisors)
        if other is not None and (best is None or other.depth > best.depth):
            best, complemented = other, flipped
    if best is None or best.depth < _LEAST_DEPTH:
        return None
    sign = np.where(complemented, 1.0, -1.0)
    kept = np.abs(best.coefficients) > _TINY
    return Row(
        columns=row.columns[kept],
        coefficients=(sign * best.coefficients)[kept],
        least=float(best.coefficients[complemented].sum() - best.most),
    )


def _rounded(
    row: Row, values: FloatArray, complemented: BoolArray, divisors: FloatArray
) -> _Rounded | None:
    """Return the deepest rounding of ``c z <= d`` over the divisors."""
    c = np.where(complemented, row.coefficients, -row.coefficients)
    z = np.where(complemented, 1.0 - values, values)
    d = float(row.coefficients[complemented].sum()) - row.least
    most = np.floor(d / divisors)
    rest = d / divisors - most
    telling = (rest > _LEAST_REST) & (rest < 1 - _LEAST_REST)
    if not telling.any():
        return None
    most, rest = most[telling], rest[telling, None]
    divided = c / divisors[telling, None]
    whole = np.floor(divided + _TINY)
    rounded = whole + np.maximum(divided - whole - rest, 0.0) / (1 - rest)
    depth = (rounded @ z - most) / np.sqrt((rounded**2).sum(axis=1) + _TINY)
    best = int(np.argmax(depth))
    return _Rounded(float(depth[best]), rounded[best], float(most[best]))
