"""Money: exact decimals, one currency, explicit rounding."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from controllers.kernel.errors import CurrencyMismatchError, DomainError
from controllers.kernel.money import Currency, Money

CNY, EUR = Currency.CNY, Currency.EUR


def test_sums_are_exact() -> None:
    total = Money.zero(CNY)
    for _ in range(10):
        total += Money.of("0.1", CNY)
    assert total == Money.of(1, CNY)


def test_parts_of_a_cent_are_kept_until_rounded() -> None:
    third = Money.of("0.335", CNY)
    assert third + third == Money.of("0.67", CNY)
    assert third.rounded() + third.rounded() == Money.of("0.68", CNY)


@pytest.mark.parametrize(
    ("amount", "rounded"),
    [("0.005", "0.00"), ("0.015", "0.02"), ("0.025", "0.02"), ("-0.015", "-0.02")],
)
def test_rounding_is_half_even(amount: str, rounded: str) -> None:
    assert Money.of(amount, CNY).rounded().amount == Decimal(rounded)


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-Infinity", "twelve", ""])
def test_an_amount_is_a_finite_decimal(amount: str) -> None:
    with pytest.raises(DomainError, match="amount"):
        Money.of(amount, CNY)


def test_floats_are_refused_everywhere() -> None:
    number: Any = 0.1
    with pytest.raises(TypeError, match="float"):
        Money.of(number, CNY)
    with pytest.raises(TypeError, match=r"Money\.of"):
        Money(number, CNY)
    with pytest.raises(TypeError, match="float"):
        Money.of(1, CNY) * number


def test_a_product_stays_finite() -> None:
    with pytest.raises(DomainError, match="finite"):
        Money.of(1, CNY) * Decimal("NaN")


@pytest.mark.parametrize("operation", ["__add__", "__sub__", "__lt__", "__le__"])
def test_currencies_do_not_mix(operation: str) -> None:
    with pytest.raises(CurrencyMismatchError) as refusal:
        getattr(Money.of(1, CNY), operation)(Money.of(1, EUR))
    assert (refusal.value.left, refusal.value.right) == ("CNY", "EUR")


def test_equal_amounts_of_different_currencies_differ() -> None:
    assert Money.of(1, CNY) != Money.of(1, EUR)
    assert Money.of("1.0", CNY) == Money.of("1.00", CNY)


def test_order_sign_and_scale() -> None:
    income, expense = Money.of(5, CNY), Money.of(-3, CNY)
    assert expense < income
    assert expense <= income
    assert -expense == Money.of(3, CNY)
    assert income - expense == Money.of(8, CNY)
    assert income * Decimal("0.5") == Money.of("2.5", CNY)


def test_money_has_no_truth_value() -> None:
    with pytest.raises(TypeError, match="truth"):
        bool(Money.zero(CNY))


def test_text_is_rounded_and_names_the_currency() -> None:
    assert str(Money.of("12.345", EUR)) == "12.34 EUR"
