"""Values by instant, and the ways files date them: by time, by a year without number, by one day.

A series is a step function of equal periods in UTC. A source is a whole file; asked for one
simulated day it returns a series from up to two weeks before it to a day after, with None where the
file says nothing. Nothing later in the file than the day asked for ever stands in its past.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Generic, Protocol, TypeVar
from zoneinfo import ZoneInfo

from controllers.kernel.timebase import DeliveryPeriod, market_day

V_co = TypeVar("V_co", covariant=True)

HOUR = timedelta(hours=1)
HISTORY = timedelta(days=14)
"""How far back forecasts look."""
_BEYOND = timedelta(days=1)
_LEAP_DAY = (2, 29)


@dataclass(frozen=True, slots=True)
class DayFrame:
    """The simulated day: a local calendar day of 23, 24 or 25 hours, and what lies around it."""

    day: date
    zone: ZoneInfo

    @property
    def period(self) -> DeliveryPeriod:
        """The day itself."""
        return market_day(self.day, self.zone)

    @property
    def span(self) -> DeliveryPeriod:
        """From the oldest history to the end of the last plan's horizon."""
        period = self.period
        return DeliveryPeriod(period.start_at - HISTORY, period.end_at + _BEYOND)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series(Generic[V_co]):
    """Values of consecutive equal periods; None where nothing is known."""

    start_at: datetime
    period: timedelta
    values: Sequence[V_co | None]

    @property
    def end_at(self) -> datetime:
        """End of the last period."""
        return self.start_at + len(self.values) * self.period

    def at(self, instant: datetime) -> V_co | None:
        """Return the value of the period that holds an instant, None outside."""
        index = (instant - self.start_at) // self.period
        return self.values[index] if 0 <= index < len(self.values) else None

    def before(self, instant: datetime) -> Series[V_co]:
        """Return the periods that have ended by an instant."""
        n = max((instant - self.start_at) // self.period, 0)
        return Series(start_at=self.start_at, period=self.period, values=self.values[:n])

    def first_gap(self, span: DeliveryPeriod) -> datetime | None:
        """Return the first instant of a span without a value, None if there is none."""
        instant = span.start_at
        while instant < span.end_at:
            if self.at(instant) is None:
                return instant
            instant += self.period
        return None


class Source(Protocol[V_co]):
    """One column of a file."""

    @property
    def days(self) -> tuple[date, date] | None:
        """First and last local day wholly in the file; None where any day fits."""
        ...

    def on(self, frame: DayFrame) -> Series[V_co]:
        """Return the values around a simulated day."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Dated(Generic[V_co]):
    """A file whose rows carry their time."""

    series: Series[V_co]
    zone: ZoneInfo

    @property
    def days(self) -> tuple[date, date] | None:
        """First and last local day wholly in the file; the last may lie before the first."""
        first = self.series.start_at.astimezone(self.zone)
        last = self.series.end_at.astimezone(self.zone)
        begins = first.date() + timedelta(days=int(first.time() > first.time().min))
        return begins, last.date() - timedelta(days=1)

    def on(self, frame: DayFrame) -> Series[V_co]:
        """Return what the file holds around the day."""
        series, span = self.series, frame.span
        first = max((span.start_at - series.start_at) // series.period, 0)
        n = max(-((series.start_at - span.end_at) // series.period), 0)
        return Series(
            start_at=series.start_at + first * series.period,
            period=series.period,
            values=series.values[first:n],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UnnumberedYear(Generic[V_co]):
    """Hourly rows of a year without number, found by local month, day and hour.

    Of the days before the simulated one only rows above it in the file count, so that the end of
    the file is never taken for the past of its beginning.
    """

    values: Sequence[V_co]
    rows: dict[tuple[int, int, int], int]
    """Index of a row by month, day and hour 0..23."""

    @property
    def days(self) -> tuple[date, date] | None:
        """Any day fits."""
        return None

    def on(self, frame: DayFrame) -> Series[V_co]:
        """Return the rows of the same month, day and hour."""
        period, span = frame.period, frame.span
        today = self._row(period.start_at, frame.zone)
        found: list[V_co | None] = []
        instant = span.start_at
        while instant < span.end_at:
            row = self._row(instant, frame.zone)
            from_later = today is None or (row is not None and row > today)
            is_past = instant < period.start_at
            known = row is not None and not (is_past and from_later)
            found.append(self.values[row] if row is not None and known else None)
            instant += HOUR
        return Series(start_at=span.start_at, period=HOUR, values=found)

    def _row(self, instant: datetime, zone: ZoneInfo) -> int | None:
        local = instant.astimezone(zone)
        day = (local.month, local.day)
        # A year without a leap day repeats the day before it.
        if day == _LEAP_DAY and (*day, local.hour) not in self.rows:
            day = (2, 28)
        return self.rows.get((*day, local.hour))


@dataclass(frozen=True, slots=True, kw_only=True)
class OneDay(Generic[V_co]):
    """Rows of a single day without date, by local time of day; there is no day before it."""

    values: Sequence[V_co]

    @property
    def days(self) -> tuple[date, date] | None:
        """Any day fits."""
        return None

    def on(self, frame: DayFrame) -> Series[V_co]:
        """Return the day, cut or stretched where the local day has 23 or 25 hours."""
        day = frame.period
        period = timedelta(days=1) / len(self.values)
        found: list[V_co | None] = []
        instant = day.start_at
        while instant < day.end_at:
            local = instant.astimezone(frame.zone)
            since = timedelta(hours=local.hour, minutes=local.minute, seconds=local.second)
            found.append(self.values[since // period])
            instant += period
        return Series(start_at=day.start_at, period=period, values=found)
