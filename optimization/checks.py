"""Types of arrays, and the error of a problem statement that breaks a rule."""

from __future__ import annotations

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
