"""Power, energy and price: units, dimensions and what they refuse."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest

from controllers.kernel.errors import DomainError
from controllers.kernel.money import Currency, Money
from controllers.kernel.units import Energy, EnergyPrice, Power

ANY_POWER: Any = Power.from_kw(1.0)


def test_kilowatts_and_megawatts_are_the_same_quantity() -> None:
    assert Power.from_mw(1.5) == Power.from_kw(1500.0)
    assert Power.from_kw(250.0).mw == 0.25
    assert Energy.from_mwh(2.0).kwh == 2000.0
    assert Energy.from_kwh(500.0).mwh == 0.5


def test_power_over_time_is_energy_and_back() -> None:
    energy = Power.from_kw(400.0) * timedelta(minutes=15)
    assert energy == Energy.from_kwh(100.0)
    assert energy / timedelta(minutes=15) == Power.from_kw(400.0)


def test_power_scales_by_a_number() -> None:
    assert Power.from_kw(40.0) * 0.25 == Power.from_kw(10.0)
    assert -Power.from_kw(3.0) == Power.from_kw(-3.0)
    assert abs(Power.from_kw(-3.0)) == Power.from_kw(3.0)


def test_equal_numbers_of_different_dimensions_differ() -> None:
    different: object = Energy.from_kwh(1.0)
    assert Power.from_kw(1.0) != different


@pytest.mark.parametrize(
    "mixed",
    [
        lambda: ANY_POWER + Energy.from_kwh(1.0),
        lambda: ANY_POWER - Energy.from_kwh(1.0),
        lambda: ANY_POWER + 1.0,
        lambda: Energy.from_kwh(1.0) > ANY_POWER,
        lambda: ANY_POWER < 1.0,
        lambda: ANY_POWER * ANY_POWER,
        lambda: ANY_POWER * "2",
        lambda: ANY_POWER.isclose(Energy.from_kwh(1.0), abs_tol=ANY_POWER),
        lambda: ANY_POWER.isclose(ANY_POWER, abs_tol=Energy.from_kwh(1.0)),
    ],
)
def test_dimensions_do_not_mix(mixed: Any) -> None:
    with pytest.raises(TypeError):
        mixed()


@pytest.mark.parametrize("quantity", [Power.zero(), Energy.from_kwh(1.0)])
def test_a_quantity_has_no_truth_value(quantity: Power | Energy) -> None:
    with pytest.raises(TypeError, match="no truth value"):
        bool(quantity)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_quantity_is_finite(value: float) -> None:
    with pytest.raises(DomainError, match="power"):
        Power.from_kw(value)
    with pytest.raises(DomainError, match="energy"):
        Energy.from_kwh(value)


def test_order_follows_injection() -> None:
    charge, idle, discharge = Power.from_kw(-50.0), Power.zero(), Power.from_kw(20.0)
    assert sorted([discharge, charge, idle]) == [charge, idle, discharge]


def test_closeness_is_symmetric_and_includes_the_tolerance() -> None:
    low, high, tolerance = Power.from_kw(10.0), Power.from_kw(10.5), Power.from_kw(0.5)
    assert low.isclose(high, abs_tol=tolerance)
    assert high.isclose(low, abs_tol=tolerance)
    assert not low.isclose(high, abs_tol=Power.from_kw(0.49))


def test_text_shows_sign_and_unit() -> None:
    assert str(Power.from_kw(12.3456)) == "+12.346 kW"
    assert str(Energy.from_kwh(-2.0)) == "-2.000 kWh"


def test_selling_earns_and_buying_costs() -> None:
    price = EnergyPrice.of("312.50", Currency.CNY)
    assert price.value_of(Energy.from_kwh(100.0)) == Money.of("31.25", Currency.CNY)
    assert price.value_of(Energy.from_kwh(-100.0)) == Money.of("-31.25", Currency.CNY)


def test_a_negative_price_turns_sale_into_cost() -> None:
    price = EnergyPrice.of("-20", Currency.EUR)
    assert price.value_of(Energy.from_mwh(2.0)) == Money.of("-40", Currency.EUR)


def test_value_does_not_depend_on_binary_rounding() -> None:
    price = EnergyPrice.of("1000", Currency.CNY)
    tenths = sum((Energy.from_kwh(0.1) for _ in range(9)), Energy.from_kwh(0.1))
    assert tenths.kwh != 1.0
    assert price.value_of(tenths) == Money.of("1", Currency.CNY)
