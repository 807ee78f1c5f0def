"""What a field of a problem may hold, stated once beside its type.

The marks are read by ``rules`` and by whoever prints a schema; values are plain Python numbers and
tuples, so that a problem pickles, compares and turns into JSON without help.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from optimization.checks import BoolArray, FloatArray

INF = float("inf")

Series = tuple[float, ...]
"""One number per step."""


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers a field may hold; NaN never."""

    low: float = -INF
    high: float = INF
    above: bool = False
    """The low end itself is not allowed."""
    below: bool = False
    """The high end itself is not allowed."""
    endless: bool = False
    """Infinity is allowed and means no limit."""
    per_step: bool = False
    """A series with one value per step."""

    @property
    def rule(self) -> str:
        """The range as a sentence fragment."""
        parts = [] if self.endless else ["finite"]
        if self.low > -INF:
            parts.append(f"above {self.low:g}" if self.above else f"at least {self.low:g}")
        if self.high < INF:
            parts.append(f"below {self.high:g}" if self.below else f"at most {self.high:g}")
        return "must be " + (" and ".join(parts) or "a number")

    def holds(self, value: float) -> bool:
        """Tell whether a number lies inside; NaN never does."""
        low = value > self.low if self.above else value >= self.low
        high = value < self.high if self.below else value <= self.high
        return low and high and (isfinite(value) or (self.endless and value == INF))

    def hold(self, values: FloatArray) -> BoolArray:
        """Tell which values lie inside; NaN never does."""
        low = values > self.low if self.above else values >= self.low
        high = values < self.high if self.below else values <= self.high
        finite = np.isfinite(values) | (self.endless & (values == INF))
        return np.asarray(low & high & finite)


Number = Annotated[float, Range()]
Magnitude = Annotated[float, Range(0.0)]
Positive = Annotated[float, Range(0.0, above=True)]
Limit = Annotated[float, Range(0.0, endless=True)]
Rate = Annotated[float, Range(0.0, above=True, endless=True)]
Efficiency = Annotated[float, Range(0.0, 1.0, above=True)]
Share = Annotated[float, Range(0.0, 1.0)]
Loss = Annotated[float, Range(0.0, 1.0, below=True)]
Numbers = Annotated[Series, Range(per_step=True)]
Magnitudes = Annotated[Series, Range(0.0, per_step=True)]
Positives = Annotated[Series, Range(0.0, above=True, per_step=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """Base of all parts of a problem and a result: values without behaviour."""

    # For readers of JSON: types are exact, unknown fields refused, docstrings are descriptions.
    __pydantic_config__: ClassVar[dict[str, object]] = {
        "strict": True,
        "extra": "forbid",
        "use_attribute_docstrings": True,
    }


def series(values: ArrayLike) -> Series:
    """Return an array of one dimension as a series."""
    return tuple(np.asarray(values, dtype=np.float64).tolist())
