"""Judges what a deployed optimizer answered: by shape, by our own model, and by physics alone.

Of an answer only the powers are believed. Our own model completes and prices them (``follow``), and
the schedule that comes of it is checked once more without any model (``violations``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import isfinite

from controllers.optimizers.scores import Outcome
from controllers.optimizers.verdicts import Answer, Verdict
from optimization.dispatch.fields import Series
from optimization.dispatch.following import follow
from optimization.dispatch.physics import violations
from optimization.dispatch.problem import DispatchProblem

JUDGE_S = 5.0
"""How long completing and pricing an answer may take."""

_MAX_REASON = 500
_NAMED = 3


def judge(problem: DispatchProblem, answer: Answer, *, time_limit_s: float = JUDGE_S) -> Verdict:
    """Return what an answer is worth on a checked problem."""
    if answer.outcome is not Outcome.VALID or answer.power_mw is None:
        return _failed(answer, answer.outcome, answer.reason)
    fault = _fault(problem, answer.power_mw)
    if fault:
        return _failed(answer, Outcome.WRONG_SHAPE, fault)
    result = follow(problem, answer.power_mw, time_limit_s=time_limit_s)
    if not result.feasible:
        return _failed(answer, Outcome.INFEASIBLE, result.reason)
    broken = violations(problem, result.schedules)
    if broken:
        told = [f"{v.name}: {v.what} by {v.amount:.6g} in step {v.step}" for v in broken[:_NAMED]]
        return _failed(answer, Outcome.INFEASIBLE, "; ".join(told))
    return Verdict(
        outcome=Outcome.VALID,
        reason="",
        solve_s=answer.solve_s,
        result=replace(result, solve_s=answer.solve_s),
    )


def _failed(answer: Answer, outcome: Outcome, reason: str) -> Verdict:
    return Verdict(
        outcome=outcome, reason=reason[:_MAX_REASON], solve_s=answer.solve_s, result=None
    )


def _fault(problem: DispatchProblem, power_mw: Mapping[str, Series]) -> str:
    """Return what is wrong with the shape of an answer; empty when nothing is."""
    known = {asset.name for asset in problem.assets}
    for what, names in (
        ("no power for", known - set(power_mw)),
        ("no asset", set(power_mw) - known),
    ):
        if names:
            few = ", ".join(sorted(names)[:_NAMED])
            return f"{what} {few}" + (
                f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            )
    for name, values in power_mw.items():
        if len(values) != problem.n_steps:
            return f"{name} has {len(values)} steps instead of {problem.n_steps}"
        if not all(map(isfinite, values)):
            return f"{name} has powers that are no finite numbers"
    return ""
