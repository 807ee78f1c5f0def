"""Keeps the connection's limits when the power would break them: bounds of rank grid limit.

Bounds go on as soon as the members, left to themselves, would break a limit, or once the metered
sum of a commanded aggregate has broken it for the response time. They come off when that has been
safe for a while. Between, the last bounds stand: their sum is the limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from controllers.aggregation.settings import AggregateSettings
from controllers.aggregation.target import Limits


class Side(StrEnum):
    """Which limit is in danger."""

    IMPORT = "import"
    EXPORT = "export"


@dataclass(slots=True)
class Guard:
    """Watches one aggregate's net power. Mutable and owned by one control."""

    settings: AggregateSettings
    side: Side | None = None
    """The limit that bounds are standing for."""
    _broken_since: datetime | None = None
    _safe_since: datetime | None = None

    def watch(self, power_kw: float, limits: Limits, now: datetime, *, patient: bool) -> bool:
        """Return whether bounds have to be set or tightened in this turn.

        Args:
            power_kw: measured power, or the power expected without commands.
            limits: of the connection.
            now: the present instant.
            patient: wait for the response time first, since commands are on their way.
        """
        side = _broken(power_kw, limits)
        if side is None:
            self._broken_since = None
            self._safe_since = self._safe_since or now
            safe_s = (now - self._safe_since).total_seconds()
            if safe_s >= self.settings.guard_release_s:
                self.side = None
            return False
        self._safe_since = None
        self._broken_since = self._broken_since or now
        broken_s = (now - self._broken_since).total_seconds()
        if patient and self.side is not side and broken_s < self.settings.response_s:
            return False
        self.side = side
        return True


def _broken(power_kw: float, limits: Limits) -> Side | None:
    if power_kw < limits.low_kw:
        return Side.IMPORT
    return Side.EXPORT if power_kw > limits.high_kw else None
