"""Clocks, delivery periods and market days; the only reader of the wall clock.

Instants are aware UTC datetimes. A delivery period is half open, ``[start, end)``. A market day is
the local calendar day of its zone: 23, 24 or 25 hours long where the zone has daylight saving,
always 24 hours (96 quarter hours) in China.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from controllers.kernel.errors import DomainError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
QUARTER_HOUR = timedelta(minutes=15)
RESOLUTIONS = tuple(timedelta(minutes=m) for m in (5, 15, 30, 60))


class Clock(Protocol):
    """Tells the present instant."""

    def now(self) -> datetime:
        """Return the present instant, aware UTC."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the present instant, aware UTC."""
        return datetime.now(UTC)


class ManualClock:
    """A clock that moves only when told to, and never backwards."""

    def __init__(self, start_at: datetime) -> None:
        self._now = require_utc("start_at", start_at)

    def now(self) -> datetime:
        """Return the instant last set."""
        return self._now

    def advance(self, by: timedelta) -> datetime:
        """Move forward and return the new instant.

        Raises:
            DomainError: ``by`` is negative.
        """
        if by < timedelta(0):
            raise DomainError("by", by, "time cannot go backwards")
        self._now += by
        return self._now


def require_utc(field: str, instant: datetime) -> datetime:
    """Return the instant in UTC.

    Raises:
        DomainError: the instant is naive.
    """
    if instant.tzinfo is None:
        raise DomainError(field, instant.isoformat(), "must carry a time zone")
    return instant.astimezone(UTC)


@dataclass(frozen=True, slots=True, order=True)
class DeliveryPeriod:
    """A half-open span of time, ``[start_at, end_at)``, in UTC."""

    start_at: datetime
    end_at: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "start_at", require_utc("start_at", self.start_at))
        object.__setattr__(self, "end_at", require_utc("end_at", self.end_at))
        if self.end_at <= self.start_at:
            raise DomainError("end_at", self.end_at.isoformat(), "must be after start_at")

    @property
    def duration(self) -> timedelta:
        """Length of the period."""
        return self.end_at - self.start_at

    def __contains__(self, instant: datetime) -> bool:
        return self.start_at <= instant < self.end_at

    def overlaps(self, other: DeliveryPeriod) -> bool:
        """Tell whether both share an instant; touching ends do not."""
        return self.start_at < other.end_at and other.start_at < self.end_at


def market_day(day: date, zone: ZoneInfo) -> DeliveryPeriod:
    """Return the local calendar day as a period: 23, 24 or 25 hours long."""
    start = datetime.combine(day, time.min, tzinfo=zone)
    end = datetime.combine(day + timedelta(days=1), time.min, tzinfo=zone)
    return DeliveryPeriod(start.astimezone(UTC), end.astimezone(UTC))


def delivery_periods(
    span: DeliveryPeriod, resolution: timedelta = QUARTER_HOUR
) -> list[DeliveryPeriod]:
    """Cut a span into consecutive periods of one resolution.

    Raises:
        DomainError: the resolution is not 5, 15, 30 or 60 minutes, or does not divide the span.
    """
    if resolution not in RESOLUTIONS:
        raise DomainError("resolution", resolution, "must be 5, 15, 30 or 60 minutes")
    n_periods, rest = divmod(span.duration, resolution)
    if rest:
        raise DomainError("resolution", resolution, f"must divide {span.duration}")
    return [
        DeliveryPeriod(span.start_at + i * resolution, span.start_at + (i + 1) * resolution)
        for i in range(n_periods)
    ]


def floor_to(instant: datetime, resolution: timedelta) -> datetime:
    """Return the last multiple of ``resolution`` (counted from the epoch) not after ``instant``."""
    instant = require_utc("instant", instant)
    return instant - (instant - EPOCH) % resolution
