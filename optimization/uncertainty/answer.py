"""From a searched model to an answer: what a bid comes to, checked before it is given out."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from optimization.checks import FloatArray
from optimization.dispatch.fields import series
from optimization.dispatch.result import DispatchStatus
from optimization.dispatch.sparse.extract import breaches, cost_terms, schedules
from optimization.uncertainty.couple import Coupled
from optimization.uncertainty.foresight import ForesightError, anticipations
from optimization.uncertainty.problem import BiddingProblem, Scenario
from optimization.uncertainty.result import Bid, BiddingResult, Outcome, tail
from optimization.uncertainty.scenarios import probabilities

_TINY_COST = 1e-6


def answer(
    problem: BiddingProblem,
    scenarios: tuple[Scenario, ...],
    bid: Bid,
    outcomes: Sequence[Outcome],
    *,
    bound: float,
    gap_frac: float,
    reason: str,
    begun: float,
) -> BiddingResult:
    """Return a bid and its outcomes with the proof, if they stand the check.

    Args:
        problem: checked.
        scenarios: drawn.
        bid: in the venue's form.
        outcomes: one per scenario.
        bound: no bid has a lower objective.
        gap_frac: what counts as optimal.
        reason: why it is not.
        begun: by ``time.perf_counter``, when the work began.

    Raises:
        ForesightError: they do not stand it.
    """
    flaws = anticipations(problem, scenarios, bid, tuple(outcomes))
    if flaws:
        raise ForesightError(flaws)
    probability, costs = probabilities(scenarios), np.array([outcome.cost for outcome in outcomes])
    at_risk, beyond = tail(costs, probability, problem.confidence_frac)
    mean = float(probability @ costs)
    objective = (1 - problem.risk_weight) * mean + problem.risk_weight * beyond
    bound = min(bound, objective)
    known, scale = np.isfinite(bound), max(abs(objective), _TINY_COST)
    close = objective - bound <= max(gap_frac * abs(objective), _TINY_COST)
    return BiddingResult(
        status=DispatchStatus.OPTIMAL if close else DispatchStatus.INCUMBENT,
        solve_s=time.perf_counter() - begun,
        reason="" if close else reason,
        bid=bid,
        expected_cost=mean,
        value_at_risk=at_risk,
        conditional_value_at_risk=beyond,
        objective=objective,
        bound=float(bound) if known else None,
        gap_frac=float((objective - bound) / scale) if known else None,
        outcomes=tuple(outcomes),
    )


def outcomes_of(coupled: Coupled, values: FloatArray) -> tuple[Outcome, ...]:
    """Return what a solution comes to in each scenario."""
    market = coupled.problem.market
    outcomes = []
    for place, (draft, part) in enumerate(coupled.parts(values)):
        scenario, taken = coupled.scenarios[place], values[coupled.position[place]]
        injected = part[draft.net[market.point]]
        terms = cost_terms(draft, part)
        promise = draft.problem.commitments[-1]
        off = (injected - taken) * draft.step_h
        settled = np.where(
            off > 0, promise.up_price_per_mwh, np.negative(promise.down_price_per_mwh)
        )
        terms["imbalance"] = float(settled @ off)
        terms["commitments"] -= terms["imbalance"]
        terms["day_ahead"] = -float(coupled.income[place] @ taken)
        outcomes.append(
            Outcome(
                name=scenario.name,
                probability=float(coupled.probability[place]),
                price_per_mwh=scenario.price_per_mwh,
                position_mw=series(taken),
                injected_mw=series(injected),
                cost=sum(terms.values()),
                cost_terms=dict(sorted(terms.items())),
                schedules=schedules(draft, part),
                breaches=tuple(b for b in breaches(draft, part) if b.name != market.name),
            )
        )
    return tuple(outcomes)
