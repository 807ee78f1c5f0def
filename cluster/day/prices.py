"""The prices of the day, exact for money and as of an instant for planning.

The day's own prices are known when it begins. Those of the next day are known from the hour at
which day-ahead results are published; until then, and where the file has none, each period beyond
the day repeats the same time of the day before.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np

from cluster.day.series import DayFrame, Series
from controllers.kernel.errors import ConfigError
from controllers.kernel.money import Currency
from controllers.kernel.timebase import QUARTER_HOUR, delivery_periods
from controllers.kernel.units import EnergyPrice
from controllers.park import ParkDefinition
from controllers.planning.horizon import DAY, PlanHorizon
from controllers.planning.prices import Prices, tariff_row

_DAY_AHEAD_HOUR = 13
"""Local time at which the next day's prices of a market are out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBook:
    """Prices per MWh by instant, for buying and for selling."""

    currency: Currency
    frame: DayFrame
    buying: Series[Decimal]
    selling: Series[Decimal]
    carbon: Series[float] | None
    """kg CO2 per kWh drawn."""
    next_day_from_hour: int = _DAY_AHEAD_HOUR
    """Local time from which the next day's prices are known; 0: always."""

    def __post_init__(self) -> None:
        for name, series in (("import", self.buying), ("export", self.selling)):
            gap = series.first_gap(self.frame.period)
            if gap is not None:
                local = gap.astimezone(self.frame.zone)
                raise ConfigError(
                    "price", [f"--price: no {name} price at {local:%F %R %Z}; give another --date"]
                )
            if series.period % QUARTER_HOUR:
                rule = "prices must hold for whole quarter hours"
                raise ConfigError("price", [f"--price: rows of {series.period}; {rule}"])

    def at(self, instant: datetime) -> tuple[EnergyPrice, EnergyPrice]:
        """Return the prices of buying and selling within the day."""
        prices = (self.buying.at(instant), self.selling.at(instant))
        buying, selling = (EnergyPrice.of(p or Decimal(0), self.currency) for p in prices)
        return buying, selling

    def as_of(self, now: datetime, horizon: PlanHorizon) -> Prices:
        """Return what is known at an instant, on the steps of a horizon."""
        begins = horizon.begins_at
        return Prices(
            import_per_mwh=np.array([self._known(self.buying, at, now) for at in begins]),
            export_per_mwh=np.array([self._known(self.selling, at, now) for at in begins]),
        )

    def _known(self, series: Series[Decimal], instant: datetime, now: datetime) -> float:
        period = self.frame.period
        published_at = period.start_at.astimezone(self.frame.zone).replace(
            hour=self.next_day_from_hour
        )
        value = None
        if instant < period.end_at or now >= published_at:
            value = series.at(instant)
        while value is None and instant >= period.start_at:
            instant -= DAY
            value = series.at(instant)
        # A day of 23 hours has no yesterday for its first one.
        return float(series.at(period.start_at) or 0) if value is None else float(value)


def tariff_book(park: ParkDefinition, frame: DayFrame, carbon: Series[float] | None) -> PriceBook:
    """Return the park's own tariff as prices; it holds on any day."""
    zone = ZoneInfo(park.timezone)
    rows = [
        tariff_row(park.tariff, period.start_at.astimezone(zone))
        for period in delivery_periods(frame.span)
    ]
    start_at = frame.span.start_at
    buying, selling = (
        Series(start_at=start_at, period=QUARTER_HOUR, values=[Decimal(str(v)) for v in column])
        for column in zip(*((r.import_per_mwh, r.export_per_mwh) for r in rows), strict=True)
    )
    return PriceBook(
        currency=park.currency,
        frame=frame,
        buying=buying,
        selling=selling,
        carbon=carbon,
        next_day_from_hour=0,
    )
