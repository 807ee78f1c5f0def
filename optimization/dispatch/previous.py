"""The plan in force: what it says about a new horizon, to start from and to fall back on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optimization.checks import FloatArray, IntArray
from optimization.dispatch.fields import Series, series
from optimization.dispatch.problem import DispatchProblem
from optimization.dispatch.result import DispatchResult, DispatchStatus, Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviousPlan:
    """A result, the steps it was made for and how much time has passed since its start."""

    result: DispatchResult
    step_h: Series
    elapsed_h: float = 0.0

    def running(self, names: tuple[str, ...], start_h: FloatArray, end_h: FloatArray) -> FloatArray:
        """Return commitments [N, T] on new steps: 1 runs, 0 does not, NaN is unknown."""
        places = self.places(start_h, end_h)
        found = np.full((len(names), len(start_h)), np.nan)
        for row, name in zip(found, names, strict=True):
            schedule = self.result.schedules.get(name)
            if schedule is not None and schedule.running is not None:
                states = np.array([*map(float, schedule.running), np.nan])
                row[:] = states[places]
        return found

    def degraded(self, problem: DispatchProblem, reason: str, solve_s: float) -> DispatchResult:
        """Return what is left of the plan on the steps of a problem.

        Past its end stores and generators rest at 0; assets it does not know are absent.
        """
        end_h = np.cumsum(problem.step_h)
        places = self.places(end_h - problem.step_h, end_h)
        if (places == len(self.step_h)).all():
            reason = f"{reason}; nothing is left of the previous plan"
            return DispatchResult(status=DispatchStatus.LATE, solve_s=solve_s, reason=reason)
        schedules = {}
        for asset in problem.assets:
            known = self.result.schedules.get(asset.name)
            if known is not None:
                power = np.array([*known.power_mw, 0.0])[places]
                states = None if known.running is None else (*known.running, False)
                schedules[asset.name] = Schedule(
                    power_mw=series(power),
                    running=None if states is None else tuple(states[place] for place in places),
                )
        return DispatchResult(
            status=DispatchStatus.DEGRADED, solve_s=solve_s, reason=reason, schedules=schedules
        )

    def places(self, start_h: FloatArray, end_h: FloatArray) -> IntArray:
        """Return the own step that holds the middle of each new step; T where none does."""
        middle_h = (start_h + end_h) / 2 + self.elapsed_h
        return np.searchsorted(np.cumsum(self.step_h), middle_h, side="right")
