"""Power, energy and energy price as classes; the sign and unit rules of the whole project.

**Sign.** Injection into the grid is positive: discharge and sale positive, charge and purchase
negative. It is never configurable; a device that counts the other way is turned round in its link.

**Two regimes.** Values that cross between planning, dispatch instructions, reports and money are
quantities. The per-sample path and numeric code use plain floats whose name carries the unit
(``_kw`` on the device side, ``_mw`` in optimization arrays): a quantity addition costs ten times a
float addition, harmless per instruction and ruinous per sample.

Quantities have no truth value: zero is a value, not an absence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import NoReturn, Self, TypeVar, overload

from controllers.kernel.errors import DomainError
from controllers.kernel.money import Currency, Money

KW_PER_MW = 1000.0
SECONDS_PER_HOUR = 3600.0

_Q = TypeVar("_Q", bound="_Quantity")


@dataclass(frozen=True, slots=True, order=True)
class _Quantity:
    """A finite float of one dimension; arithmetic only with its own kind."""

    _base: float

    def __post_init__(self) -> None:
        if not math.isfinite(self._base):
            raise DomainError(type(self).__name__.lower(), self._base, "must be finite")

    def __bool__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} has no truth value; compare with zero()")

    @classmethod
    def zero(cls) -> Self:
        """Return the zero of this dimension."""
        return cls(0.0)

    def __add__(self: _Q, other: _Q) -> _Q:
        if type(other) is not type(self):
            return NotImplemented
        return type(self)(self._base + other._base)

    def __sub__(self: _Q, other: _Q) -> _Q:
        if type(other) is not type(self):
            return NotImplemented
        return type(self)(self._base - other._base)

    def __neg__(self) -> Self:
        return type(self)(-self._base)

    def __abs__(self) -> Self:
        return type(self)(abs(self._base))

    def isclose(self: _Q, other: _Q, *, abs_tol: _Q) -> bool:
        """Tell whether both differ by at most ``abs_tol``."""
        return abs(self - other) <= abs_tol


class Power(_Quantity):
    """Active power; positive is injection into the grid."""

    __slots__ = ()

    @classmethod
    def from_kw(cls, kw: float) -> Power:
        """Build from kilowatts."""
        return cls(float(kw))

    @classmethod
    def from_mw(cls, mw: float) -> Power:
        """Build from megawatts."""
        return cls(float(mw) * KW_PER_MW)

    @property
    def kw(self) -> float:
        """Kilowatts."""
        return self._base

    @property
    def mw(self) -> float:
        """Megawatts."""
        return self._base / KW_PER_MW

    @overload
    def __mul__(self, other: timedelta) -> Energy: ...
    @overload
    def __mul__(self, other: float) -> Power: ...
    def __mul__(self, other: timedelta | float) -> Energy | Power:
        """Return energy over a duration, or this power scaled."""
        if isinstance(other, timedelta):
            return Energy(self._base * other.total_seconds() / SECONDS_PER_HOUR)
        if isinstance(other, int | float):
            return Power(self._base * other)
        return NotImplemented

    def __str__(self) -> str:
        return f"{self._base:+.3f} kW"


class Energy(_Quantity):
    """Active energy; positive is energy injected into the grid."""

    __slots__ = ()

    @classmethod
    def from_kwh(cls, kwh: float) -> Energy:
        """Build from kilowatt-hours."""
        return cls(float(kwh))

    @classmethod
    def from_mwh(cls, mwh: float) -> Energy:
        """Build from megawatt-hours."""
        return cls(float(mwh) * KW_PER_MW)

    @property
    def kwh(self) -> float:
        """Kilowatt-hours."""
        return self._base

    @property
    def mwh(self) -> float:
        """Megawatt-hours."""
        return self._base / KW_PER_MW

    def __truediv__(self, other: timedelta) -> Power:
        """Return the mean power over a duration."""
        return Power(self._base * SECONDS_PER_HOUR / other.total_seconds())

    def __str__(self) -> str:
        return f"{self._base:+.3f} kWh"


@dataclass(frozen=True, slots=True)
class EnergyPrice:
    """A decimal price per megawatt-hour in one currency; may be negative."""

    per_mwh: Money

    @classmethod
    def of(cls, amount: str | Decimal | int, currency: Currency) -> EnergyPrice:
        """Build from an amount per MWh, e.g. ``EnergyPrice.of("312.50", Currency.CNY)``."""
        return cls(Money.of(amount, currency))

    def value_of(self, energy: Energy) -> Money:
        """Return what selling ``energy`` earns; a purchase (negative energy) costs.

        Energy enters the product as the decimal of its milliwatt-hour count, so the result does not
        depend on the binary rounding of a float sum.
        """
        mwh = Decimal(round(energy.mwh * 1_000_000_000)) / Decimal(1_000_000_000)
        return self.per_mwh * mwh
