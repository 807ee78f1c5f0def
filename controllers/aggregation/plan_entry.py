"""The plan of one aggregate as it is entered: without a step that others would have to make up.

A plan moves from one value to the next at once, at the quarter hour and whenever it is made anew.
Whoever holds the sum of several aggregates would see that as a dip, so a member goes there, and
back to running free, no faster than its rated power within ``plan_entry_s``.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np

from controllers.aggregation.checkpoint import MemberPlan
from controllers.aggregation.portfolio import FloatArray, Portfolio
from controllers.aggregation.settings import AggregateSettings


class PlanEntry:
    """Follows the plan of one aggregate. Mutable and owned by one control.

    Args:
        portfolio: the members.
        settings: how fast they may go.
        plan: the plan in force; None where there is none.
    """

    def __init__(
        self, portfolio: Portfolio, settings: AggregateSettings, plan: MemberPlan | None
    ) -> None:
        self.plan = plan
        self._portfolio = portfolio
        self._entry_s = settings.plan_entry_s
        self._setpoints_kw = np.full(len(portfolio), np.nan)

    def enter(self, now: datetime, elapsed_s: float) -> FloatArray:
        """Go on by one turn; return the set-points, [n], NaN where a member runs free."""
        p = self._portfolio
        planned_kw = self._planned_kw(now)
        # A member that ran free starts from its meter; one that was never heard starts at the plan.
        before_kw = np.where(np.isnan(self._setpoints_kw), p.power_kw, self._setpoints_kw)
        goal_kw = np.where(np.isnan(planned_kw), p.natural_kw, planned_kw)
        before_kw = np.where(np.isfinite(before_kw), before_kw, goal_kw)
        step_kw = p.rated_kw * (elapsed_s / self._entry_s)
        entered_kw = before_kw + np.clip(goal_kw - before_kw, -step_kw, step_kw)
        in_band = (entered_kw > p.band_low_kw) & (entered_kw < p.band_high_kw)
        entered_kw = np.where(in_band, goal_kw, entered_kw)
        arrived = entered_kw == goal_kw
        free = np.isnan(planned_kw) & (arrived | np.isnan(self._setpoints_kw))
        self._setpoints_kw = np.where(free, np.nan, entered_kw)
        return self._setpoints_kw

    def release(self) -> FloatArray:
        """Let everybody run free at once; return that as ``enter`` does."""
        self._setpoints_kw = np.full(len(self._portfolio), np.nan)
        return self._setpoints_kw

    def _planned_kw(self, now: datetime) -> FloatArray:
        planned_kw = np.full(len(self._portfolio), np.nan)
        if self.plan is not None:
            for member_id, setpoint_kw in self.plan.at(now).items():
                i = self._portfolio.index.get(member_id)
                if i is not None:
                    planned_kw[i] = setpoint_kw
        return planned_kw
