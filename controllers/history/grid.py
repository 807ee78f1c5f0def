"""The intervals of an answer: resolution, alignment, and how many there may be.

Resolutions run from a second to a day. Up to an hour and beyond, intervals are aligned to multiples
of the resolution since 1970; a resolution of one day means local calendar days, 23, 24 or 25 hours
long. An answer covers every interval that the asked span touches.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from controllers.history.buckets import US_PER_S, InstantArray
from controllers.history.samples import to_us
from controllers.kernel.errors import DomainError
from controllers.kernel.timebase import market_day

MINUTE_S = 60
DAY_S = 86_400
MAX_INTERVALS = 530_000
"""A year of minutes, leap day and ragged ends included."""
MAX_VALUES = 3_200_000
"""Intervals times columns."""
MAX_SPAN_DAYS = 3_700
AUTO = "auto"
AUTO_INTERVALS = 1_500
"""What ``auto`` stays below: about one per pixel of a chart."""
_AUTO_STEPS_S = (1, 5, 10, 30, 60, 300, 900, 1_800, 3_600, 10_800, 21_600, DAY_S)

_RESOLUTION = re.compile(r"([1-9]\d{0,5})(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": DAY_S}


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Consecutive intervals."""

    resolution_s: int
    """Nominal; a local day with a change of clock differs."""
    edges_us: InstantArray  # [N+1]

    @property
    def n(self) -> int:
        """Number of intervals."""
        return len(self.edges_us) - 1


def parse_resolution(text: str) -> int | None:
    """Return seconds from e.g. ``30s``, ``15m``, ``1h`` or ``1d``; None for ``auto``.

    Raises:
        DomainError: not of that form, or not between a second and a day.
    """
    if text == AUTO:
        return None
    found = _RESOLUTION.fullmatch(text)
    seconds = int(found[1]) * _SECONDS[found[2]] if found else 0
    if not 1 <= seconds <= DAY_S:
        rule = "must be a whole number and s, m, h or d, from 1s to 1d, or auto"
        raise DomainError("resolution", text[:40], rule)
    return seconds


def make_grid(
    from_at: datetime,
    to_at: datetime,
    resolution_s: int | None,
    *,
    zone: ZoneInfo,
    n_columns: int,
    detail_from: datetime,
) -> Grid:
    """Return the intervals that ``[from_at, to_at)`` touches.

    Args:
        from_at: aware.
        to_at: aware, later.
        resolution_s: None chooses.
        zone: whose days a resolution of one day means.
        n_columns: how many values there are per interval.
        detail_from: before this only whole minutes are kept.

    Raises:
        DomainError: an empty or too long span, too many values, or details that are gone; names
            the finest resolution that would do.
    """
    span = to_at - from_at
    if span <= timedelta(0):
        raise DomainError("to", to_at.isoformat(), f"must be after from ({from_at.isoformat()})")
    if span > timedelta(days=MAX_SPAN_DAYS):
        raise DomainError("to", to_at.isoformat(), f"must be within {MAX_SPAN_DAYS} days of from")
    span_s = span.total_seconds()
    only_minutes = from_at < detail_from
    if resolution_s is None:
        steps = [s for s in _AUTO_STEPS_S if not (only_minutes and s < MINUTE_S)]
        resolution_s = next((s for s in steps if span_s <= s * AUTO_INTERVALS), DAY_S)
    most = min(MAX_INTERVALS, MAX_VALUES // max(n_columns, 1))
    if span_s / resolution_s > most:
        finest = _finest(span_s / most, only_minutes)
        rule = f"must be at least {finest}s for this span and {n_columns} columns, or auto"
        raise DomainError("resolution", f"{resolution_s}s", rule)
    if only_minutes and resolution_s % MINUTE_S:
        rule = f"must be a multiple of 60s before {detail_from.isoformat()}, where details end"
        raise DomainError("resolution", f"{resolution_s}s", rule)
    if resolution_s == DAY_S:
        return Grid(resolution_s=DAY_S, edges_us=_local_days(from_at, to_at, zone))
    step_us = resolution_s * US_PER_S
    first = to_us(from_at) // step_us
    last = -(-to_us(to_at) // step_us)
    return Grid(resolution_s=resolution_s, edges_us=np.arange(first, last + 1) * step_us)


def _finest(least_s: float, only_minutes: bool) -> int:
    step = MINUTE_S if only_minutes or least_s > MINUTE_S else 1
    return max(step, int(-(-least_s // step)) * step)


def _local_days(from_at: datetime, to_at: datetime, zone: ZoneInfo) -> InstantArray:
    day = from_at.astimezone(zone).date()
    edges = []
    while True:
        span = market_day(day, zone)
        edges.append(to_us(span.start_at))
        if span.end_at >= to_at:
            return np.array([*edges, to_us(span.end_at)], dtype=np.int64)
        day += timedelta(days=1)
