"""Decimal money with a currency; mixing currencies raises, rounding is explicit.

Amounts keep full decimal precision until ``rounded`` is called where a ledger or an invoice demands
it (half-even, to the currency's minor unit).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from enum import StrEnum
from typing import NoReturn

from controllers.kernel.errors import CurrencyMismatchError, DomainError


class Currency(StrEnum):
    """ISO 4217 codes Parkgrid settles in; all three have two minor digits."""

    CNY = "CNY"
    USD = "USD"
    EUR = "EUR"


_MINOR_UNIT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Money:
    """An amount of one currency; income positive, expense negative."""

    amount: Decimal
    currency: Currency

    def __post_init__(self) -> None:
        if not isinstance(self.amount, Decimal):
            raise TypeError("build Money with Money.of")
        if not self.amount.is_finite():
            raise DomainError("amount", str(self.amount), "must be finite")

    @classmethod
    def of(cls, amount: str | Decimal | int, currency: Currency) -> Money:
        """Build from a decimal string, Decimal or int; a float is refused.

        Raises:
            DomainError: the amount is not a finite decimal.
        """
        if isinstance(amount, float):
            raise TypeError("build Money from str, Decimal or int; a float is not what it says")
        try:
            value = Decimal(amount)
        except InvalidOperation:
            raise DomainError("amount", amount, "must be a decimal number") from None
        return cls(value, currency)

    @classmethod
    def zero(cls, currency: Currency) -> Money:
        """Return nothing of that currency."""
        return cls(Decimal(0), currency)

    def __bool__(self) -> NoReturn:
        raise TypeError("Money has no truth value; compare with Money.zero(currency)")

    def __add__(self, other: Money) -> Money:
        return Money(self.amount + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.amount - self._same(other), self.currency)

    def __mul__(self, factor: Decimal | int) -> Money:
        if isinstance(factor, float):
            raise TypeError("multiply Money by Decimal or int; a float would lose the cent")
        return Money(self.amount * factor, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount, self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.amount < self._same(other)

    def __le__(self, other: Money) -> bool:
        return self.amount <= self._same(other)

    def rounded(self) -> Money:
        """Return the amount rounded half-even to the minor unit."""
        return Money(self.amount.quantize(_MINOR_UNIT, ROUND_HALF_EVEN), self.currency)

    def _same(self, other: Money) -> Decimal:
        if other.currency is not self.currency:
            raise CurrencyMismatchError(self.currency, other.currency)
        return other.amount

    def __str__(self) -> str:
        return f"{self.rounded().amount} {self.currency}"
