"""Parameter rows: the one table per kind that drives validation, forms and documentation.

A row has a name (with its unit suffix), a kind, unit, default, bounds and a sentence in English and
Chinese. A default of None makes the parameter mandatory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from controllers.kernel.errors import Problem

ParameterValue = float | int | bool | str
ParameterKind = Literal["number", "integer", "boolean", "choice"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One row of a kind's table."""

    name: str
    kind: ParameterKind
    unit: str
    default: ParameterValue | None
    sentence: str
    sentence_zh: str
    low: float = -math.inf
    """Least value allowed, numbers only."""
    high: float = math.inf
    low_open: bool = False
    """True when ``low`` itself is not allowed."""
    choices: tuple[str, ...] = ()


def check_parameters(
    rows: Sequence[Parameter], given: Mapping[str, object], *, path: str = ""
) -> tuple[dict[str, ParameterValue], list[Problem]]:
    """Return the complete values (defaults filled in) and every broken rule.

    Args:
        rows: the kind's table.
        given: what the author wrote.
        path: prefix for the field names in problems, e.g. ``resources[2].parameters.``.
    """
    known = {row.name: row for row in rows}
    problems = [
        Problem(field=f"{path}{name}", value=value, rule=f"unknown; known are {', '.join(known)}")
        for name, value in given.items()
        if name not in known
    ]
    values: dict[str, ParameterValue] = {}
    for row in rows:
        value = given.get(row.name, row.default)
        rule = _broken_rule(row, value)
        if rule is not None:
            problems.append(Problem(field=f"{path}{row.name}", value=value, rule=rule))
        else:
            values[row.name] = value  # type: ignore[assignment]
    return values, problems


def number(values: Mapping[str, ParameterValue], name: str) -> float:
    """Return a checked numeric or boolean value as a float."""
    return float(values[name])


def _broken_rule(row: Parameter, value: object) -> str | None:
    unit = f" {row.unit}" if row.unit else ""
    if value is None:
        return "is required"
    if row.kind == "boolean":
        return None if isinstance(value, bool) else "must be true or false"
    if row.kind == "choice":
        return None if value in row.choices else f"must be one of {', '.join(row.choices)}"
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return "must be a finite number"
    if row.kind == "integer" and not isinstance(value, int):
        return "must be a whole number"
    if value < row.low or (row.low_open and value == row.low):
        return f"must be {'above' if row.low_open else 'at least'} {row.low:g}{unit}"
    if value > row.high:
        return f"must be at most {row.high:g}{unit}"
    return None
