"""How the plan of a deployed optimizer did on a live problem, and what many such scores say.

Money is a plain number in the park's currency: these are figures to compare by, not to settle.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from itertools import takewhile
from math import ceil
from statistics import fmean

from controllers.kernel.wire import Wire

N_FAILURES = 3
"""Plans of a promoted optimizer that fail in a row before it is demoted."""

_P95 = 0.95


class Outcome(StrEnum):
    """What became of a problem that was posed to an optimizer."""

    VALID = "valid"
    """Its plan holds."""
    INFEASIBLE = "infeasible"
    """Its plan breaks physics or a limit."""
    WRONG_SHAPE = "wrong_shape"
    """It answered with something that is no plan."""
    CRASHED = "crashed"
    """It raised, ran out of memory or ended."""
    LATE = "late"
    """It did not answer by the deadline."""


class Score(Wire):
    """One live problem, one optimizer's answer, and the plan in force beside it."""

    id: str
    optimizer_id: str
    at: datetime
    """When the problem was posed."""
    promoted: bool
    """Whether its plan was to be dispatched, or it ran in shadow."""
    dispatched: bool
    """Whether its plan came into force."""
    outcome: Outcome
    reason: str
    """Why the plan does not hold; empty when it does."""
    solve_s: float
    currency: str
    cost: float | None
    """Over the horizon, as our own model prices its powers, breaches included."""
    result: float | None
    """What its plan brings, or would have brought: income positive; without breach prices."""
    n_breaches: int | None
    """Preferences it misses."""
    incumbent: str
    """Whose plan it is compared with: the one in force or, when that is its own, the built-in."""
    incumbent_cost: float | None
    incumbent_result: float | None
    incumbent_n_breaches: int | None


class ScoreSummary(Wire):
    """The newest scores of an optimizer in one line."""

    optimizer_id: str
    n_plans: int
    """Scores looked at: the newest, at most 1,000."""
    n_valid: int
    n_valid_in_a_row: int
    """Up to the newest."""
    n_dispatched: int
    valid_frac: float | None
    mean_cost_difference: float | None
    """Its cost less the incumbent's, over plans that hold; negative is cheaper."""
    cheaper_frac: float | None
    """Share of those that cost less than the incumbent's."""
    p95_solve_s: float | None
    """Of plans that hold."""
    currency: str | None
    since: datetime | None
    """The oldest looked at."""


def summary_of(optimizer_id: str, newest_first: Sequence[Score]) -> ScoreSummary:
    """Return what scores of one optimizer say together."""
    valid = [score for score in newest_first if score.outcome is Outcome.VALID]
    differences = [
        score.cost - score.incumbent_cost
        for score in valid
        if score.cost is not None and score.incumbent_cost is not None
    ]
    times = sorted(score.solve_s for score in valid)
    n = len(newest_first)
    streak = takewhile(lambda score: score.outcome is Outcome.VALID, newest_first)
    return ScoreSummary(
        optimizer_id=optimizer_id,
        n_plans=n,
        n_valid=len(valid),
        n_valid_in_a_row=sum(1 for _ in streak),
        n_dispatched=sum(score.dispatched for score in newest_first),
        valid_frac=len(valid) / n if n else None,
        mean_cost_difference=fmean(differences) if differences else None,
        cheaper_frac=sum(d < 0 for d in differences) / len(differences) if differences else None,
        p95_solve_s=times[ceil(_P95 * len(times)) - 1] if times else None,
        currency=newest_first[0].currency if n else None,
        since=newest_first[-1].at if n else None,
    )
