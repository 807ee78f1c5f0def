"""Solve a day plan by a deadline: relax, separate what runs both ways at once, and explain.

Batteries first get no binaries. Where the solution charges and discharges at the same instant
(negative prices make burning energy attractive) binaries are added at those steps and the model is
solved again; the bound of every round stays valid for the next. When time runs short, directions
are fixed by the net flow of the last solution and the rest is solved once more.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from optimization.checks import BoolArray, FloatArray
from optimization.day_blocks import DayModel, Slack
from optimization.day_model import assemble, carbon_cost_per_mwh
from optimization.day_plan import Breach, DayPlanProblem, DayPlanResult, PlanStatus
from optimization.highs import Ended, Solution

_BOTH_WAYS_MW = 1e-6
_BREACH_MWH = 1e-6
_CONTRADICTION_MW = 1e-6
_RESERVED_FRAC = 0.25
"""Share of the deadline kept for turning a relaxed solution into one that batteries can follow."""
_LEAST_EXPLAIN_S = 0.5
_TINY_COST = 1e-6


def solve_day(
    problem: DayPlanProblem, *, deadline_s: float = 10.0, gap_frac: float = 1e-3
) -> DayPlanResult:
    """Return the cheapest schedule that can be found in time, or why there is none.

    Args:
        problem: what to plan.
        deadline_s: the answer is due about then, counted from the call; explaining a contradiction
            found at the last moment may take half a second longer.
        gap_frac: a cost this close to the bound, relative to the cost, counts as optimal.

    Raises:
        ProblemError: the problem breaks a rule; no solver was run.
    """
    problem.check()
    begun = time.perf_counter()
    search = _Search(problem, begun + deadline_s, gap_frac)
    day, solution = search.run()
    if solution.ended is Ended.INFEASIBLE:
        left_s = begun + deadline_s - time.perf_counter()
        reason = _explain(problem, max(left_s, _LEAST_EXPLAIN_S))
        spent = time.perf_counter() - begun
        return DayPlanResult(status=PlanStatus.INFEASIBLE, solve_s=spent, reason=reason)
    spent = time.perf_counter() - begun
    if solution.ended is Ended.NOTHING:
        reason = f"no feasible plan was found within {deadline_s:g} s"
        return DayPlanResult(status=PlanStatus.LATE, solve_s=spent, reason=reason)
    return _result(day, solution, gap_frac, spent)


@dataclass(slots=True)
class _Search:
    """Rounds of solving until no battery runs both ways."""

    problem: DayPlanProblem
    due: float
    gap_frac: float
    bound: float = -np.inf

    def run(self) -> tuple[DayModel, Solution]:
        """Return the last model with its solution, carrying the best bound of all rounds."""
        exclusive: dict[str, BoolArray] = {}
        reserved_s = _RESERVED_FRAC * self._left_s()
        while True:
            day = assemble(self.problem, exclusive)
            solution = self._solve(day, self._left_s() - reserved_s)
            both_ways = _both_ways(day, solution) if solution.values.size else {}
            if not both_ways:
                return day, solution
            if solution.ended is Ended.FEASIBLE:
                return self._one_way(day, solution)
            for name, steps in both_ways.items():
                # A battery that offends again gets all its binaries, so that rounds are few.
                exclusive[name] = np.ones_like(steps) if name in exclusive else steps

    def _one_way(self, day: DayModel, relaxed: Solution) -> tuple[DayModel, Solution]:
        """Fix each battery's direction and each engine's commitment, and solve what is left."""
        fixed = assemble(self.problem)
        lower, upper = fixed.model.bounds()
        for old, new in zip(day.batteries, fixed.batteries, strict=True):
            charge, discharge = relaxed.values[old.charge], relaxed.values[old.discharge]
            round_trip = (old.group.charge_efficiency * old.group.discharge_efficiency)[:, None]
            # The cells' energy can follow the same path with the smaller flow left out.
            charging = charge * round_trip >= discharge
            upper[new.charge[~charging]] = 0.0
            upper[new.discharge[charging]] = 0.0
        for (_, old_on), (_, new_on) in zip(day.running, fixed.running, strict=True):
            lower[new_on] = upper[new_on] = np.round(relaxed.values[old_on])
        fixed.model.lower, fixed.model.upper = [lower], [upper]
        solution = self._solve(fixed, self._left_s(), proves=False)
        if solution.ended is Ended.INFEASIBLE:
            nothing = Solution(ended=Ended.NOTHING, values=solution.values, bound=self.bound)
            return fixed, nothing
        return fixed, solution

    def _solve(self, day: DayModel, time_limit_s: float, *, proves: bool = True) -> Solution:
        solution = day.model.run(time_limit_s=time_limit_s, gap_frac=self.gap_frac)
        if proves and solution.ended is not Ended.INFEASIBLE:
            self.bound = max(self.bound, solution.bound)
        return Solution(ended=solution.ended, values=solution.values, bound=self.bound)

    def _left_s(self) -> float:
        return max(self.due - time.perf_counter(), 0.0)


def _both_ways(day: DayModel, solution: Solution) -> dict[str, BoolArray]:
    """Return, by battery, the steps [T] at which it charges and discharges at once."""
    found = {}
    for battery in day.batteries:
        flows = solution.values[battery.charge], solution.values[battery.discharge]
        offends = np.minimum(*flows) > _BOTH_WAYS_MW
        for n in np.flatnonzero(offends.any(axis=1)):
            found[battery.group.names[n]] = offends[n]
    return found


def _result(day: DayModel, solution: Solution, gap_frac: float, solve_s: float) -> DayPlanResult:
    problem, values = day.problem, solution.values.copy()
    both = np.minimum(values[day.grid_import], values[day.grid_export])
    values[day.grid_import] -= both
    values[day.grid_export] -= both
    terms = day.model.cost_terms(values)
    imported_mwh = values[day.grid_import] * problem.step_h
    terms["carbon"] = float(imported_mwh @ carbon_cost_per_mwh(problem))
    terms["import"] -= terms["carbon"]
    cost = sum(terms.values())
    gap = max(cost - solution.bound, 0.0) / max(abs(cost), _TINY_COST)
    proven = gap <= gap_frac * (1 + _TINY_COST) or cost - solution.bound <= _TINY_COST
    return DayPlanResult(
        status=PlanStatus.OPTIMAL if proven else PlanStatus.INCUMBENT,
        solve_s=solve_s,
        power_mw=_power(day, values),
        stored_mwh={
            name: np.concatenate([[initial], values[row]])
            for names, columns, first in day.stored
            for name, row, initial in zip(names, columns, first, strict=True)
        },
        running={
            name: values[row] > 0.5
            for names, columns in day.running
            for name, row in zip(names, columns, strict=True)
        },
        grid_mw=values[day.grid_export] - values[day.grid_import],
        cost=cost,
        cost_terms=terms,
        bound=solution.bound,
        gap_frac=gap,
        breaches=tuple(
            Breach(name=name, what=slack.what, amount_mwh=float(missed.max()))
            for slack in day.preferences
            for name, missed in zip(slack.names, values[slack.columns], strict=True)
            if missed.max() > _BREACH_MWH
        ),
    )


def _power(day: DayModel, values: FloatArray) -> dict[str, FloatArray]:
    power = {name: np.zeros(day.problem.n_steps) for name in day.problem.asset_names}
    for names, constant_mw in day.constants:
        for name, row in zip(names, constant_mw, strict=True):
            power[name] += row
    for injection in day.injections:
        for name, row in zip(injection.names, values[injection.columns], strict=True):
            power[name] += injection.sign * row
    return power


def _explain(problem: DayPlanProblem, time_limit_s: float) -> str:
    """Say which limits would have to give, by how much and when."""
    day = assemble(problem, open_limits=True)
    solution = day.model.run(time_limit_s=time_limit_s, gap_frac=1e-2)
    if not solution.values.size:
        return "the limits contradict one another; no single one could be found to blame in time"
    sentences = [_sentence(day, slack, solution.values[slack.columns[0]]) for slack in day.limits]
    return "; ".join(sentence for sentence in sentences if sentence)


def _sentence(day: DayModel, slack: Slack, excess_mw: FloatArray) -> str:
    steps = np.flatnonzero(excess_mw > _CONTRADICTION_MW)
    if not steps.size:
        return ""
    first_h, last_h = day.start_h[steps[0]], day.end_h[steps[-1]]
    return (
        f"{slack.names[0]}: {slack.what} must exceed its limit by up to {excess_mw.max():.3f} MW "
        f"in {steps.size} step(s) between {first_h:.2f} h and {last_h:.2f} h from the start, "
        "whatever is planned"
    )
