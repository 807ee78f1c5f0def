"""Checks of what comes in, before any solver runs: the field, its value and the rule it breaks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


class ProblemError(Exception):
    """A problem statement breaks a rule; nothing was solved.

    Args:
        field: dotted path of the field, with the asset's name where one is to blame.
        value: the offending value.
        rule: what the rule demands, as a sentence fragment.
    """

    def __init__(self, field: str, value: object, rule: str) -> None:
        super().__init__(f"{field} = {value!r}: {rule}")
        self.field = field
        self.value = value
        self.rule = rule


def require_shape(field: str, values: FloatArray | BoolArray, shape: tuple[int, ...]) -> None:
    """Refuse an array of another shape.

    Raises:
        ProblemError: the shapes differ.
    """
    if values.shape != shape:
        raise ProblemError(f"{field}.shape", values.shape, f"must be {shape}")


def require(
    field: str, values: FloatArray, holds: BoolArray, rule: str, names: Sequence[str] = ()
) -> None:
    """Refuse the first value for which a rule does not hold.

    Args:
        field: path of the array.
        values: [T] or, with ``names``, [N] or [N, T].
        holds: of the same shape; a comparison with NaN is False, so NaN never passes.
        rule: what is demanded.
        names: of the N assets, to name the one to blame.

    Raises:
        ProblemError: naming field, place, value and rule.
    """
    if holds.all():
        return
    place = tuple(int(i) for i in np.argwhere(~holds)[0])
    labels = [names[place[0]] if names and i == 0 else str(at) for i, at in enumerate(place)]
    raise ProblemError(f"{field}[{', '.join(labels)}]", float(values[place]), rule)
