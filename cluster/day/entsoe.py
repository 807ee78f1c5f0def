"""Day-ahead prices from an ENTSO-E ``Publication_MarketDocument`` (document type A44).

The namespace differs by version and is not looked at. A curve of type A03 leaves out positions
whose price repeats the one before; A01 must be complete. Where periods overlap the finer resolution
counts. A document with a DTD or entities is refused before it is parsed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from xml.etree import ElementTree as ET  # the text is refused before parsing if it has a DTD

from cluster.day.series import Series
from controllers.kernel.errors import ConfigError
from controllers.kernel.money import Currency

_RESOLUTIONS = {"PT15M": 15, "PT30M": 30, "PT60M": 60, "PT1H": 60}
_DAY_AHEAD_PRICES = "A44"
_LONGEST = timedelta(days=400)


@dataclass(frozen=True, slots=True, kw_only=True)
class DayAheadPrices:
    """A price series of one bidding zone, per MWh."""

    currency: Currency
    prices: Series[Decimal]


@dataclass(frozen=True, slots=True)
class _Span:
    start_at: datetime
    period: timedelta
    prices: list[Decimal]


def parse_prices(text: str, source: str) -> DayAheadPrices:
    """Return the prices of a document.

    Args:
        text: the whole document.
        source: file name for errors.

    Raises:
        ConfigError: not such a document, or it cannot be relied on; says why and what to do.
    """
    root = _root(text, source)
    kind = _local(root.tag)
    document_type = _text(root, "type") or "none"
    if kind != "Publication_MarketDocument" or document_type != _DAY_AHEAD_PRICES:
        raise _refuse(
            source,
            f"is an ENTSO-E {kind} of type {document_type}; prices come as a "
            f"Publication_MarketDocument of type {_DAY_AHEAD_PRICES}",
        )
    currencies: set[str] = set()
    spans: list[_Span] = []
    for series in _children(root, "TimeSeries"):
        currencies.add(_text(series, "currency_Unit.name") or "none")
        unit = _text(series, "price_Measure_Unit.name")
        if unit != "MWH":
            raise _refuse(source, f"prices are per {unit}; only MWH is read")
        curve = _text(series, "curveType") or "A01"
        spans += [_span(period, curve, source) for period in _children(series, "Period")]
    if not spans:
        raise _refuse(source, "holds no period with prices")
    return DayAheadPrices(currency=_currency(currencies, source), prices=_merged(spans, source))


def _root(text: str, source: str) -> ET.Element:
    # A DTD could define entities that grow without bound or name other files.
    if "<!doctype" in text.lower() or "<!entity" in text.lower():
        raise _refuse(source, "has a DTD or entities; remove them")
    try:
        return ET.fromstring(text)  # noqa: S314 - no DTD, hence no entities
    except ET.ParseError as error:
        line, column = error.position
        raise ConfigError(
            source, [f"{source}:{line}: no well-formed XML (column {column}): {error.msg}"]
        ) from error


def _span(period: ET.Element, curve: str, source: str) -> _Span:
    interval = next(iter(_children(period, "timeInterval")), None)
    resolution = _text(period, "resolution") or "none"
    minutes = _RESOLUTIONS.get(resolution)
    if minutes is None or interval is None:
        known = ", ".join(_RESOLUTIONS)
        raise _refuse(source, f"period with resolution {resolution}; known are {known}")
    start_at, end_at = (_instant(_text(interval, edge), source) for edge in ("start", "end"))
    step = timedelta(minutes=minutes)
    n_steps, rest = divmod(end_at - start_at, step)
    if rest or n_steps < 1 or n_steps * step > _LONGEST:
        raise _refuse(source, f"period from {start_at:%FT%RZ} does not hold whole {resolution}")
    prices: list[Decimal | None] = [None] * n_steps
    for point in _children(period, "Point"):
        position = _text(point, "position") or ""
        if not position.isdecimal() or not 1 <= int(position) <= n_steps:
            rule = f"must be 1 to {n_steps}"
            raise _refuse(source, f"period from {start_at:%FT%RZ}: position {position!r} {rule}")
        prices[int(position) - 1] = _price(_text(point, "price.amount"), position, source)
    return _Span(start_at, step, _filled(prices, curve, start_at, source))


def _filled(
    prices: list[Decimal | None], curve: str, start_at: datetime, source: str
) -> list[Decimal]:
    if curve not in ("A01", "A03"):
        raise _refuse(source, f"curveType {curve}; known are A01 and A03")
    filled: list[Decimal] = []
    for position, price in enumerate(prices, start=1):
        if price is not None:
            filled.append(price)
        elif curve == "A03" and filled:
            filled.append(filled[-1])
        else:
            where = f"period from {start_at:%FT%RZ}, curveType {curve}"
            raise _refuse(source, f"{where}: position {position} has no price")
    return filled


def _merged(spans: list[_Span], source: str) -> Series[Decimal]:
    step = min(span.period for span in spans)
    prices: dict[datetime, Decimal] = {}
    # Coarse periods first, so that finer ones replace them.
    for span in sorted(spans, key=lambda span: -span.period):
        finer = span.period // step
        for i, price in enumerate(span.prices):
            for j in range(finer):
                prices[span.start_at + i * span.period + j * step] = price
    first, last = min(prices), max(prices)
    n_steps = (last - first) // step + 1
    if n_steps * step > _LONGEST:
        raise _refuse(source, f"spans more than {_LONGEST.days} days; give a shorter file")
    values = [prices.get(first + i * step) for i in range(n_steps)]
    return Series(start_at=first, period=step, values=values)


def _currency(found: set[str], source: str) -> Currency:
    if len(found) == 1 and (name := next(iter(found))) in Currency.__members__:
        return Currency(name)
    known = ", ".join(Currency)
    raise _refuse(source, f"prices in {', '.join(sorted(found))}; known is one of {known}")


def _instant(text: str | None, source: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text or "")
    except ValueError:
        raise _refuse(source, f"{text!r} is no instant such as 2025-09-28T22:00Z") from None
    if instant.tzinfo is None:
        raise _refuse(source, f"{text!r} carries no time zone")
    return instant.astimezone(UTC)


def _price(text: str | None, position: str, source: str) -> Decimal:
    try:
        price = Decimal(text or "")
    except InvalidOperation:
        price = Decimal("NaN")
    if not price.is_finite():
        raise _refuse(source, f"position {position}: price.amount {text!r} is no number")
    return price


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _children(element: ET.Element, name: str) -> list[ET.Element]:
    return [child for child in element if _local(child.tag) == name]


def _text(element: ET.Element, name: str) -> str | None:
    found = _children(element, name)
    return (found[0].text or "").strip() if found else None


def _refuse(source: str, why: str) -> ConfigError:
    return ConfigError(source, [f"{source}: {why}"])
