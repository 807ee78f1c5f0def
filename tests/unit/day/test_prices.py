"""Prices as of an instant: the day at once, the next day from its publication on."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from cluster.day.prices import PriceBook, tariff_book
from cluster.day.series import DayFrame, Series
from controllers.kernel.errors import ConfigError
from controllers.kernel.money import Currency
from controllers.planning.horizon import plan_horizon
from tests.support.small_park import small_park

PARIS = ZoneInfo("Europe/Paris")
HOUR = timedelta(hours=1)


def book(day: date, *, n_hours: int) -> PriceBook:
    """Return hours priced 0, 1, 2 and so on from the day's midnight."""
    frame = DayFrame(day, PARIS)
    values = [Decimal(hour) for hour in range(n_hours)]
    series = Series(start_at=frame.period.start_at, period=HOUR, values=values)
    return PriceBook(currency=Currency.EUR, frame=frame, buying=series, selling=series, carbon=None)


def hours_seen(prices: PriceBook, after: timedelta) -> list[float]:
    now = prices.frame.period.start_at + after
    seen: list[float] = prices.as_of(now, plan_horizon(now)).import_per_mwh[::4].tolist()
    return seen


def test_before_publication_the_next_day_repeats_the_day() -> None:
    prices = book(date(2025, 9, 30), n_hours=48)
    assert hours_seen(prices, 12 * HOUR) == [*range(12, 24), *range(12)]


def test_from_publication_on_the_next_day_is_known() -> None:
    prices = book(date(2025, 9, 30), n_hours=48)
    assert hours_seen(prices, 13 * HOUR) == list(range(13, 37))


def test_a_next_day_that_the_file_lacks_is_repeated_after_publication_too() -> None:
    prices = book(date(2025, 9, 30), n_hours=24)
    assert hours_seen(prices, 20 * HOUR) == [*range(20, 24), *range(20)]


def test_the_short_day_has_a_price_for_every_hour_beyond_it() -> None:
    prices = book(date(2025, 3, 30), n_hours=23)
    seen = hours_seen(prices, timedelta())
    assert seen == [*range(23), 0]


def test_a_day_without_all_its_prices_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no import price at 2025-09-30 23:00 CEST"):
        book(date(2025, 9, 30), n_hours=23)


def test_a_tariff_holds_on_any_day() -> None:
    park = small_park()
    prices = tariff_book(park, DayFrame(date(2025, 9, 30), ZoneInfo(park.timezone)), None)
    now = prices.frame.period.start_at
    seen = prices.as_of(now, plan_horizon(now))
    assert np.unique(seen.import_per_mwh).tolist() == [300.0, 900.0]
    buying, selling = prices.at(now + 7 * HOUR)
    assert (buying.per_mwh.amount, selling.per_mwh.amount) == (Decimal(900), Decimal(400))
