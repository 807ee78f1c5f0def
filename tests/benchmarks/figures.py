"""What a benchmark reports: a measured value beside its budget."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from typing import Literal

import numpy as np

Better = Literal["lower", "higher"]


def figure(
    measured: float,
    unit: str,
    *,
    must: float | None = None,
    aim: float | None = None,
    better: Better = "lower",
) -> dict[str, object]:
    """Return one figure; without budgets it is for information.

    Args:
        measured: the value.
        unit: of value and budgets.
        must: the promise of the architecture.
        aim: what it hopes for.
        better: which way is good.
    """
    row: dict[str, object] = {"measured": round(measured, 3), "unit": unit}
    for name, limit in (("must", must), ("aim", aim)):
        if limit is not None:
            good = measured <= limit if better == "lower" else measured >= limit
            row[name] = limit
            row[f"{name}_met"] = bool(good)
    return row


def quantiles(values: Iterable[float]) -> dict[str, float]:
    """Return the count and p50, p95, p99 and the greatest of some values."""
    array = np.fromiter(values, dtype=float)
    if not array.size:
        return {"n": 0}
    p50, p95, p99 = np.percentile(array, [50, 95, 99])
    named = {"p50": p50, "p95": p95, "p99": p99, "max": array.max()}
    return {"n": array.size} | {name: round(float(value), 2) for name, value in named.items()}


def load_average() -> float:
    """Return the machine's load over the last minute; well above 0 spoils a figure."""
    return round(os.getloadavg()[0], 2)


def note(name: str, figures: object) -> None:
    """Tell a part of the figures as soon as it is known."""
    print(name, json.dumps(figures), file=sys.stderr)


def report(figures: dict[str, object]) -> None:
    """Print a benchmark's figures, the last thing it does."""
    print(json.dumps(figures))
