"""Says in one line what is wrong: subject, figure and the limit it met."""

from __future__ import annotations

from controllers.alarms.rules import (
    Anomaly,
    Deviation,
    MissingData,
    NotApplied,
    RateOfChange,
    Rule,
    Threshold,
)


def describe(rule: Rule, subject_id: str, figure: float | None) -> str:
    """Return the line; it never exceeds 255 characters."""
    number = "unknown" if figure is None else f"{figure:.6g}"
    match rule.condition:
        case Threshold(above=above, below=below):
            high = figure is not None and above is not None and figure > above
            limit = f"above {above:g}" if high or below is None else f"below {below:g}"
            what = f"{rule.signal} is {number}, {limit}"
        case RateOfChange():
            what = f"{rule.signal} changes by {number} per minute"
        case MissingData(max_age_s=max_age_s):
            what = f"nothing new for {number} s, allowed are {max_age_s:g} s"
        case Deviation(tolerance_kw=tolerance_kw):
            what = f"{number} kW away from plan, allowed are {tolerance_kw:g} kW"
        case NotApplied(within_s=within_s):
            late = figure is not None and figure > within_s
            what = f"command not applied within {within_s:g} s" if late else "command refused"
        case Anomaly(z=z):
            what = f"{rule.signal} is {number} deviations from its usual, allowed are {z:g}"
    return f"{subject_id}: {what}"[:255]


def describe_group(rule: Rule, n_members: int) -> str:
    """Return the line of a group."""
    return f"{n_members} subjects: {rule.name}"[:255]
