"""Where the simplex method ended on one model, as the place to begin on the next.

A basis says of each column and row whether it rests at a bound. A problem posed anew some steps
later has the same blocks, moved along by those steps, and so has its basis. A start that fits badly
costs time and changes no answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from optimization.checks import FloatArray, IntArray

if TYPE_CHECKING:
    # Heavy to import, and whoever holds a warm start need not solve.
    import highspy

    from optimization.highs import SparseModel


@dataclass(slots=True)
class WarmStart:
    """Held by who solves again and again: each solve begins here and leaves its own end."""

    n_steps: int = 0
    column_sizes: tuple[int, ...] = ()
    row_sizes: tuple[int, ...] = ()
    basis: highspy.HighsBasis | None = None

    def keep(self, model: SparseModel, n_steps: int, basis: highspy.HighsBasis) -> None:
        """Remember a basis of a model over so many steps."""
        self.n_steps, self.basis = n_steps, basis
        self.column_sizes, self.row_sizes = _sizes(model.lower), _sizes(model.row_lower)

    def take(self, model: SparseModel, places: IntArray) -> highspy.HighsBasis | None:
        """Return what is remembered, once, for a model with the same blocks; None for another.

        Args:
            model: complete.
            places: the step remembered for each of its steps; beyond the last, the last is taken.
        """
        basis, self.basis = self.basis, None
        sizes = (self.column_sizes, self.row_sizes)
        same = sizes == (_sizes(model.lower), _sizes(model.row_lower))
        if basis is None or not same or len(places) != self.n_steps:
            return None
        places = np.minimum(places, self.n_steps - 1)
        basis.col_status = _moved(basis.col_status, self.column_sizes, places)
        basis.row_status = _moved(basis.row_status, self.row_sizes, places)
        # The solver completes or thins out what no longer is a basis.
        basis.alien = True
        return basis


def _sizes(blocks: Sequence[FloatArray]) -> tuple[int, ...]:
    return tuple(block.size for block in blocks)


def _moved(
    statuses: Sequence[highspy.HighsBasisStatus], sizes: tuple[int, ...], places: IntArray
) -> list[highspy.HighsBasisStatus]:
    """Move each block whose last dimension is the steps; others stay."""
    blocks = np.split(np.array(statuses, dtype=object), np.cumsum(sizes)[:-1])
    moved: list[highspy.HighsBasisStatus] = []
    for block in blocks:
        steps = block.size % len(places) == 0
        moved += (block.reshape(-1, len(places))[:, places].ravel() if steps else block).tolist()
    return moved
