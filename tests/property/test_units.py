"""Properties of the kernel's quantities, money and time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import pytest
from hypothesis import given

from controllers.kernel.money import Currency, Money
from controllers.kernel.timebase import RESOLUTIONS, delivery_periods, floor_to, market_day
from controllers.kernel.units import Energy, EnergyPrice, Power

kilowatts = st.floats(-1e7, 1e7)
powers = kilowatts.map(Power.from_kw)
hours = st.floats(1e-3, 1e4).map(lambda h: timedelta(hours=h)).filter(bool)
amounts = st.decimals(-(10**9), 10**9, places=4).map(lambda a: Money.of(a, Currency.CNY))
zones = st.sampled_from(
    ["Europe/Berlin", "Asia/Shanghai", "America/New_York", "Australia/Sydney", "Asia/Kolkata"]
).map(ZoneInfo)
days = st.dates(date(2000, 1, 1), date(2037, 12, 31))


@given(a=powers, b=powers)
def test_addition_commutes_and_subtraction_undoes_it(a: Power, b: Power) -> None:
    assert a + b == b + a
    assert a + Power.zero() == a
    assert a - b == a + -b
    assert (a + b - b).isclose(a, abs_tol=Power.from_kw(1e-6))


@given(a=powers, b=powers)
def test_order_is_that_of_the_difference(a: Power, b: Power) -> None:
    assert (a < b) == (Power.zero() < b - a)


@given(kw=kilowatts)
def test_units_convert_there_and_back(kw: float) -> None:
    assert Power.from_mw(Power.from_kw(kw).mw).kw == pytest.approx(kw)
    assert Energy.from_mwh(Energy.from_kwh(kw).mwh).kwh == pytest.approx(kw)


@given(power=powers, span=hours)
def test_energy_over_its_own_time_is_the_power(power: Power, span: timedelta) -> None:
    assert (power * span / span).kw == pytest.approx(power.kw)


@given(power=powers, first=hours, second=hours)
def test_energy_adds_up_over_time(power: Power, first: timedelta, second: timedelta) -> None:
    whole, parts = power * (first + second), power * first + power * second
    assert whole.kwh == pytest.approx(parts.kwh, abs=2e-6 * max(abs(power.kw), 1.0))


@given(a=amounts, b=amounts, c=amounts)
def test_money_adds_exactly(a: Money, b: Money, c: Money) -> None:
    assert (a + b) + c == a + (b + c)
    assert a + b - b == a
    assert (a < b) == (b - a > Money.zero(Currency.CNY))


@given(amount=amounts)
def test_rounding_moves_by_half_a_cent_at_most_and_only_once(amount: Money) -> None:
    rounded = amount.rounded()
    assert abs(rounded.amount - amount.amount) <= Decimal("0.005")
    assert rounded.rounded() == rounded


@given(
    price=st.decimals(-5000, 5000, places=2),
    kwh=st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=20),
)
def test_the_value_of_parts_adds_up_to_the_value_of_the_whole(
    price: Decimal, kwh: list[int]
) -> None:
    rate = EnergyPrice.of(price, Currency.EUR)
    parts = Money.zero(Currency.EUR)
    for part in kwh:
        parts += rate.value_of(Energy.from_kwh(part))
    assert parts == rate.value_of(Energy.from_kwh(sum(kwh)))


@given(day=days, zone=zones)
def test_a_market_day_covers_exactly_its_local_date(day: date, zone: ZoneInfo) -> None:
    span = market_day(day, zone)
    assert span.start_at.astimezone(zone).date() == day
    assert (span.end_at - timedelta.resolution).astimezone(zone).date() == day
    assert span.end_at.astimezone(zone).date() == day + timedelta(days=1)
    assert span.duration in {timedelta(hours=h) for h in (23, 24, 25)}
    assert span.end_at == market_day(day + timedelta(days=1), zone).start_at


@given(day=days, zone=zones, resolution=st.sampled_from(RESOLUTIONS), moment=st.floats(0, 0.999))
def test_every_instant_of_a_day_lies_in_exactly_one_period(
    day: date, zone: ZoneInfo, resolution: timedelta, moment: float
) -> None:
    span = market_day(day, zone)
    instant = span.start_at + span.duration * moment
    assert sum(instant in period for period in delivery_periods(span, resolution)) == 1


@given(
    instant=st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds must be naive
    resolution=st.sampled_from(RESOLUTIONS),
)
def test_floor_is_a_multiple_within_one_resolution(
    instant: datetime, resolution: timedelta
) -> None:
    floored = floor_to(instant, resolution)
    assert timedelta(0) <= instant - floored < resolution
    assert floor_to(floored, resolution) == floored
