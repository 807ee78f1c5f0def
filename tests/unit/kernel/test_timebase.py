"""Clocks, delivery periods and market days of 23, 24 and 25 hours."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from controllers.kernel.errors import DomainError
from controllers.kernel.timebase import (
    QUARTER_HOUR,
    DeliveryPeriod,
    ManualClock,
    SystemClock,
    delivery_periods,
    floor_to,
    market_day,
    require_utc,
)

BERLIN, SHANGHAI = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Shanghai")
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        (date(2026, 3, 29), BERLIN, 23),
        (date(2026, 6, 1), BERLIN, 24),
        (date(2026, 10, 25), BERLIN, 25),
        (date(2026, 3, 8), ZoneInfo("America/New_York"), 23),
        (date(2026, 11, 1), ZoneInfo("America/New_York"), 25),
        (date(2026, 3, 29), SHANGHAI, 24),
        (date(2026, 10, 25), SHANGHAI, 24),
        # Daylight saving of half an hour.
        (date(2026, 4, 5), ZoneInfo("Australia/Lord_Howe"), 24.5),
    ],
)
def test_a_market_day_is_as_long_as_its_zone_makes_it(
    day: date, zone: ZoneInfo, hours: float
) -> None:
    assert market_day(day, zone).duration == timedelta(hours=hours)
    assert len(delivery_periods(market_day(day, zone))) == hours * 4


@pytest.mark.parametrize("zone", [BERLIN, SHANGHAI, ZoneInfo("America/Havana")])
def test_market_days_follow_each_other_without_gap_or_overlap(zone: ZoneInfo) -> None:
    first = date(2026, 1, 1)
    days = [market_day(first + timedelta(days=i), zone) for i in range(366)]
    assert all(a.end_at == b.start_at for a, b in pairwise(days))


def test_a_day_whose_midnight_is_skipped_starts_at_its_first_instant() -> None:
    # In Beirut the clock goes from 00:00 to 01:00.
    day = market_day(date(2026, 3, 29), ZoneInfo("Asia/Beirut"))
    assert day.start_at == datetime(2026, 3, 28, 22, tzinfo=UTC)
    assert day.duration == timedelta(hours=23)


def test_a_day_in_shanghai_has_96_points_from_local_midnight() -> None:
    points = delivery_periods(market_day(date(2026, 6, 1), SHANGHAI))
    assert len(points) == 96
    assert points[0].start_at == datetime(2026, 5, 31, 16, tzinfo=UTC)
    assert points[-1].end_at == datetime(2026, 6, 1, 16, tzinfo=UTC)


@pytest.mark.parametrize("minutes", [5, 15, 30, 60])
def test_periods_cover_their_span_without_gap(minutes: int) -> None:
    span = market_day(date(2026, 3, 29), BERLIN)
    periods = delivery_periods(span, timedelta(minutes=minutes))
    assert len(periods) == 23 * 60 // minutes
    assert (periods[0].start_at, periods[-1].end_at) == (span.start_at, span.end_at)
    assert all(a.end_at == b.start_at for a, b in pairwise(periods))


def test_a_resolution_must_be_known_and_divide_the_span() -> None:
    span = DeliveryPeriod(NOON, NOON + timedelta(minutes=50))
    with pytest.raises(DomainError, match="5, 15, 30 or 60"):
        delivery_periods(span, timedelta(minutes=10))
    with pytest.raises(DomainError, match="must divide"):
        delivery_periods(span, QUARTER_HOUR)


def test_a_period_holds_its_start_but_not_its_end() -> None:
    period = DeliveryPeriod(NOON, NOON + QUARTER_HOUR)
    assert NOON in period
    assert NOON + QUARTER_HOUR - timedelta.resolution in period
    assert NOON + QUARTER_HOUR not in period


def test_touching_periods_do_not_overlap() -> None:
    first = DeliveryPeriod(NOON, NOON + QUARTER_HOUR)
    second = DeliveryPeriod(first.end_at, first.end_at + QUARTER_HOUR)
    inner = DeliveryPeriod(NOON + timedelta(minutes=14), NOON + timedelta(minutes=20))
    assert not first.overlaps(second)
    assert not second.overlaps(first)
    assert inner.overlaps(first)
    assert second.overlaps(inner)


def test_a_period_is_kept_in_utc_whatever_zone_it_was_given_in() -> None:
    local = datetime(2026, 6, 1, 20, tzinfo=SHANGHAI)
    period = DeliveryPeriod(local, local + QUARTER_HOUR)
    assert period == DeliveryPeriod(NOON, NOON + QUARTER_HOUR)
    assert period.start_at.tzinfo is UTC


@pytest.mark.parametrize("minutes", [0, -15])
def test_a_period_ends_after_it_starts(minutes: int) -> None:
    with pytest.raises(DomainError, match="must be after start_at"):
        DeliveryPeriod(NOON, NOON + timedelta(minutes=minutes))


def test_a_naive_instant_is_refused_by_field() -> None:
    naive = datetime(2026, 6, 1)  # noqa: DTZ001 - the very thing refused
    with pytest.raises(DomainError) as refusal:
        require_utc("at", naive)
    assert (refusal.value.field, refusal.value.rule) == ("at", "must carry a time zone")
    with pytest.raises(DomainError, match="end_at"):
        DeliveryPeriod(NOON, naive)
    with pytest.raises(DomainError, match="start_at"):
        ManualClock(naive)


def test_floor_goes_back_to_the_multiple_of_the_epoch() -> None:
    instant = datetime(2026, 6, 1, 12, 29, 59, 999_999, tzinfo=UTC)
    assert floor_to(instant, QUARTER_HOUR) == NOON + QUARTER_HOUR
    assert floor_to(NOON, QUARTER_HOUR) == NOON
    early = datetime(1969, 12, 31, 23, 59, tzinfo=UTC)
    assert floor_to(early, QUARTER_HOUR) == datetime(1969, 12, 31, 23, 45, tzinfo=UTC)
    offset = timezone(timedelta(hours=5, minutes=45))
    assert floor_to(NOON.astimezone(offset), timedelta(hours=1)) == NOON


def test_a_manual_clock_moves_only_forward_when_told() -> None:
    clock = ManualClock(NOON)
    assert clock.now() == NOON
    assert clock.advance(timedelta(seconds=3)) == clock.now() == NOON + timedelta(seconds=3)
    with pytest.raises(DomainError, match="backwards"):
        clock.advance(timedelta(seconds=-1))
    assert clock.now() == NOON + timedelta(seconds=3)


def test_the_system_clock_tells_aware_utc() -> None:
    clock = SystemClock()
    earlier = clock.now()
    assert earlier.tzinfo is UTC
    assert clock.now() >= earlier
