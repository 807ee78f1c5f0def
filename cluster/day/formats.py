"""Which format a file is in, told from its content, and its columns as sources.

Powers come out as kW, prices per MWh with their currency, carbon as kg CO2 per kWh. What cannot be
used is refused by the name of what it is.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

from cluster.day import citylearn, entsoe
from cluster.day.own_csv import Column, OwnTable, read_table
from cluster.day.series import Dated, OneDay, Series, Source, UnnumberedYear
from controllers.kernel.errors import ConfigError
from controllers.kernel.money import Currency
from controllers.kernel.wire import Wire

V = TypeVar("V")

MAX_BYTES = 64 * 2**20

# Factors to kW, to a price per MWh and to kg per kWh; energies are divided by the row's hours too.
_POWER_KW = {"w": Decimal("0.001"), "kw": Decimal(1), "mw": Decimal(1000)}
_ENERGY_KWH = {"wh": Decimal("0.001"), "kwh": Decimal(1), "mwh": Decimal(1000)}
_PRICES = {
    f"{currency.lower()}_per_{energy}": (currency, factor)
    for currency in Currency
    for energy, factor in (("mwh", Decimal(1)), ("kwh", Decimal(1000)))
}
_CARBON = {
    f"{mass}{gas}_per_{energy}": factor
    for gas in ("", "_co2", "_co2e", "_co2eq")
    for mass, energy, factor in (
        ("g", "kwh", 1e-3),
        ("kg", "kwh", 1.0),
        ("kg", "mwh", 1e-3),
        ("t", "mwh", 1.0),
    )
}
_BUYING, _SELLING = ("import", "buy"), ("export", "sell")


class Format(StrEnum):
    """What a file is, in words."""

    BUILDING = "CityLearn building"
    PRICING = "CityLearn pricing"
    CARBON = "CityLearn carbon intensity"
    XML = "ENTSO-E XML"
    OWN = "CSV"


class InputFile(Wire):
    """A file that went into the day, for the report."""

    path: str
    format: str
    role: str
    n_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A file as read."""

    path: Path
    text: str
    format: Format
    facts: InputFile

    @property
    def name(self) -> str:
        """The path as its user wrote it."""
        return str(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerColumn:
    """What one device does, as a magnitude in kW; or, if ``per_kw``, per kW of its rating."""

    name: str
    source: Source[float]
    most_kw: float
    """Greatest value in the whole file."""
    per_kw: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceColumns:
    """What buying and selling cost, per MWh."""

    currency: Currency
    buying: Source[Decimal]
    selling: Source[Decimal]
    note: str


def open_input(path: Path, role: str) -> Opened:
    """Read a file and tell its format.

    Raises:
        ConfigError: it cannot be read, or is no text.
    """
    try:
        payload = path.read_bytes()
        if len(payload) > MAX_BYTES:
            rule = f"must be at most {MAX_BYTES} bytes"
            raise ConfigError(str(path), [f"--{role} {path}: {len(payload)} bytes; {rule}"])
        text = payload.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(str(path), [f"--{role} {path}: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), [f"--{role} {path}: must be text in UTF-8"]) from error
    kind = _format(text)
    facts = InputFile(
        path=str(path),
        format=kind.value,
        role=role,
        n_bytes=len(payload),
        sha256=hashlib.sha256(payload).hexdigest(),
    )
    return Opened(path=path, text=text, format=kind, facts=facts)


def _format(text: str) -> Format:
    if text.lstrip().startswith("<"):
        return Format.XML
    header = {cell.strip() for cell in text.partition("\n")[0].split(",")}
    if citylearn.LOAD_COLUMN in header:
        return Format.BUILDING
    if citylearn.PRICE_COLUMN in header:
        return Format.PRICING
    return Format.CARBON if header == {citylearn.CARBON_COLUMN} else Format.OWN


def power_columns(file: Opened, zone: ZoneInfo) -> list[PowerColumn]:
    """Return the loads or yields of a file of one's own."""
    if file.format is not Format.OWN:
        raise _refuse(file, "a load or yield comes as CSV or as a CityLearn building")
    table = read_table(file.text, (*_POWER_KW, *_ENERGY_KWH), zone, file.name)
    hours = Decimal(table.period.total_seconds()) / 3600
    columns = []
    for column in table.columns:
        factor = _POWER_KW.get(column.unit) or _ENERGY_KWH[column.unit] / hours
        values = [float(value * factor) for value in column.values]
        name = file.path.stem.lower() if column.name == column.unit else column.name
        source = _source(table, values, zone)
        columns.append(PowerColumn(name=name, source=source, most_kw=max(values)))
    return columns


def building_columns(building: citylearn.Building, stem: str) -> tuple[PowerColumn, PowerColumn]:
    """Return the load and the yield per kW of a CityLearn building."""
    load, sun = building.load_kw, building.sun_frac
    return (
        PowerColumn(
            name=f"{stem}_load",
            source=UnnumberedYear(values=load, rows=building.rows),
            most_kw=max(load),
        ),
        PowerColumn(
            name=f"{stem}_pv",
            source=UnnumberedYear(values=sun, rows=building.rows),
            most_kw=max(sun),
            per_kw=True,
        ),
    )


def price_columns(file: Opened, zone: ZoneInfo, rows: citylearn.Rows | None) -> PriceColumns:
    """Return the prices of a file.

    Args:
        file: ENTSO-E, CityLearn or one's own.
        zone: of the park.
        rows: of a CityLearn building, which date its pricing.
    """
    match file.format:
        case Format.XML:
            market = entsoe.parse_prices(file.text, file.name)
            source = Dated(series=market.prices, zone=zone)
            note = "bought and sold at the day-ahead price, without fees and taxes"
            return PriceColumns(currency=market.currency, buying=source, selling=source, note=note)
        case Format.PRICING:
            per_kwh = citylearn.read_column(file.text, citylearn.PRICE_COLUMN, file.name)
            prices = [Decimal(str(price)) * 1000 for price in per_kwh]
            dates = _dates(file, rows)
            note = "CityLearn pays nothing for what is sold, and neither is anything paid here"
            return PriceColumns(
                currency=Currency.USD,
                buying=UnnumberedYear(values=prices, rows=dates),
                selling=UnnumberedYear(values=[Decimal(0)] * len(prices), rows=dates),
                note=note,
            )
        case Format.OWN:
            return _own_prices(file, zone)
        case _:
            raise _refuse(file, "prices come as CSV, as CityLearn pricing or as ENTSO-E A44")


def _own_prices(file: Opened, zone: ZoneInfo) -> PriceColumns:
    table = read_table(file.text, tuple(_PRICES), zone, file.name, may_be_negative=True)
    buying, selling = _one_of(table, _BUYING), _one_of(table, _SELLING)
    if buying is None and selling is None and len(table.columns) == 1:
        buying = selling = table.columns[0]
    if buying is None or selling is None:
        names = ", ".join(column.header for column in table.columns)
        rule = "one price column, or one beginning with import and one with export"
        raise ConfigError(file.name, [f"{file.name}: columns {names}; wanted is {rule}"])
    currency, _ = _PRICES[buying.unit]
    if _PRICES[selling.unit][0] is not currency:
        raise ConfigError(file.name, [f"{file.name}: both prices must be in one currency"])
    same = buying is selling
    return PriceColumns(
        currency=currency,
        buying=_source(table, _per_mwh(buying), zone),
        selling=_source(table, _per_mwh(selling), zone),
        note="bought and sold at the same price" if same else "bought and sold as in the file",
    )


def _per_mwh(column: Column) -> list[Decimal]:
    _, factor = _PRICES[column.unit]
    return [value * factor for value in column.values]


def _one_of(table: OwnTable, words: tuple[str, ...]) -> Column | None:
    found = [c for c in table.columns if c.name.startswith(words)]
    return found[0] if len(found) == 1 else None


def carbon_column(file: Opened, zone: ZoneInfo, rows: citylearn.Rows | None) -> Source[float]:
    """Return the carbon intensity of drawn energy, kg CO2 per kWh; arguments as for prices."""
    if file.format is Format.CARBON:
        values = citylearn.read_column(file.text, citylearn.CARBON_COLUMN, file.name)
        return UnnumberedYear(values=values, rows=_dates(file, rows))
    if file.format is not Format.OWN:
        raise _refuse(file, "carbon intensity comes as CSV or as that of CityLearn")
    table = read_table(file.text, tuple(_CARBON), zone, file.name)
    if len(table.columns) != 1:
        raise ConfigError(file.name, [f"{file.name}: must have one column of carbon intensity"])
    column = table.columns[0]
    return _source(table, [float(v) * _CARBON[column.unit] for v in column.values], zone)


def _source(table: OwnTable, values: list[V], zone: ZoneInfo) -> Source[V]:
    if table.start_at is None:
        return OneDay(values=values)
    series = Series(start_at=table.start_at, period=table.period, values=values)
    return Dated(series=series, zone=zone)


def _dates(file: Opened, rows: citylearn.Rows | None) -> citylearn.Rows:
    if rows is None:
        rule = "its rows have no dates of their own; give a CityLearn building with --load too"
        raise ConfigError(file.name, [f"{file.name}: {file.format}: {rule}"])
    return rows


def _refuse(file: Opened, wanted: str) -> ConfigError:
    role, name = file.facts.role, file.name
    return ConfigError(name, [f"--{role} {name}: is {file.format}; {wanted}"])
