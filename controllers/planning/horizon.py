"""The steps of a plan: quarter hours aligned to the clock, the first one cut short by now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from controllers.kernel.errors import DomainError
from controllers.kernel.timebase import QUARTER_HOUR, floor_to, require_utc
from controllers.kernel.units import SECONDS_PER_HOUR
from controllers.resources.twin import FloatArray

DAY = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanHorizon:
    """T periods from ``start_at``; what lies before ``now`` in the first is gone."""

    start_at: datetime
    """Aligned to the period, not after ``now``."""
    now: datetime
    period: timedelta
    n_steps: int

    @property
    def begins_at(self) -> list[datetime]:
        """Aligned starts of the periods, [T]."""
        return [self.start_at + i * self.period for i in range(self.n_steps)]

    @property
    def middle_at(self) -> list[datetime]:
        """Middles of the periods, [T]; where a forecast is read off."""
        return [begin + self.period / 2 for begin in self.begins_at]

    @property
    def step_h(self) -> FloatArray:
        """Length of each step in hours, [T]; the first from now to the end of its period."""
        step_h = np.full(self.n_steps, self.period.total_seconds() / SECONDS_PER_HOUR)
        step_h[0] -= (self.now - self.start_at).total_seconds() / SECONDS_PER_HOUR
        return step_h

    @property
    def ahead_h(self) -> FloatArray:
        """Hours from now to the middle of each period, [T], never negative."""
        ahead = [(middle - self.now).total_seconds() for middle in self.middle_at]
        return np.maximum(np.array(ahead) / SECONDS_PER_HOUR, 0.0)


def plan_horizon(
    now: datetime, *, length: timedelta = DAY, period: timedelta = QUARTER_HOUR
) -> PlanHorizon:
    """Return the rolling horizon of a plan made now.

    Raises:
        DomainError: ``now`` is naive, or the length is not a positive number of periods.
    """
    now = require_utc("now", now)
    n_steps, rest = divmod(length, period)
    if rest or n_steps < 1:
        raise DomainError("length", str(length), f"must be a positive multiple of {period}")
    return PlanHorizon(start_at=floor_to(now, period), now=now, period=period, n_steps=n_steps)
