"""What an optimizer answered and what that is worth, as values that cost nothing to import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from controllers.optimizers.scores import Outcome, Score
from optimization.dispatch.fields import Series
from optimization.dispatch.result import DispatchResult

_NOT_PAID = ("breaches", "commitments")
"""Cost terms nobody pays: in a live problem promises only keep to the plan in force."""
_TINY_COST = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back from an optimizer's process."""

    outcome: Outcome
    """Valid here only says that powers came in time."""
    power_mw: Mapping[str, Series] | None = None
    reason: str = ""
    solve_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What an answer is worth."""

    outcome: Outcome
    reason: str
    solve_s: float
    result: DispatchResult | None
    """The plan, completed and priced by us; None unless it holds."""


def bounded_by(result: DispatchResult, incumbent: DispatchResult) -> DispatchResult:
    """Return a plan with the bound that another search proved for the same problem."""
    if incumbent.bound is None or result.cost is None:
        return result
    bound = min(incumbent.bound, result.cost)
    gap = (result.cost - bound) / max(abs(result.cost), _TINY_COST)
    return replace(result, bound=bound, gap_frac=gap, price_per_mwh=incumbent.price_per_mwh)


def score_of(
    verdict: Verdict,
    *,
    id_: str,
    optimizer_id: str,
    at: datetime,
    currency: str,
    promoted: bool,
    incumbent: str,
    beside: DispatchResult,
) -> Score:
    """Return a verdict as a score, beside the plan it is compared with."""
    own, other = verdict.result, beside if beside.feasible else None
    return Score(
        id=id_,
        optimizer_id=optimizer_id,
        at=at,
        promoted=promoted,
        dispatched=promoted and own is not None,
        outcome=verdict.outcome,
        reason=verdict.reason,
        solve_s=verdict.solve_s,
        currency=currency,
        cost=_cost(own),
        result=_income(own),
        n_breaches=None if own is None else len(own.breaches),
        incumbent=incumbent,
        incumbent_cost=_cost(other),
        incumbent_result=_income(other),
        incumbent_n_breaches=None if other is None else len(other.breaches),
    )


def _cost(result: DispatchResult | None) -> float | None:
    return None if result is None else result.cost


def _income(result: DispatchResult | None) -> float | None:
    if result is None or result.cost is None:
        return None
    return 0.0 - sum(cost for term, cost in result.cost_terms.items() if term not in _NOT_PAID)
