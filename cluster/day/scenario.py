"""From the command's files to a day that can be run: park, what devices follow, prices, knowledge.

A park file's resources may follow files; without a park file the park is built from the data, and
without either the demo park is run.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from cluster.day import citylearn
from cluster.day.built_park import LOAD, PV, Gathered, built_park, times
from cluster.day.formats import (
    Format,
    InputFile,
    Opened,
    PowerColumn,
    PriceColumns,
    building_columns,
    carbon_column,
    open_input,
    power_columns,
    price_columns,
)
from cluster.day.prices import PriceBook, tariff_book
from cluster.day.series import DayFrame, Series, Source
from cluster.park_file import load_park
from controllers.kernel.errors import ConfigError
from controllers.kernel.money import Currency
from controllers.park import (
    ParkDefinition,
)

MARKET_ZONE = "Europe/Brussels"
"""The clock of the European day-ahead market, whatever the bidding zone."""
DEMO_PARK = Path(__file__).parents[1] / "demo" / "park.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the command was asked."""

    park: Path | None = None
    day: date | None = None
    loads: Sequence[str] = ()
    """Each a path, or ``RESOURCE=path``."""
    yields: Sequence[str] = ()
    price: Path | None = None
    carbon: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Everything a day runs on."""

    park: ParkDefinition
    frame: DayFrame
    recorded_kw: dict[str, Series[float]]
    """What devices follow, by resource, as magnitudes."""
    initial_soc: dict[str, float]
    prices: PriceBook
    inputs: list[InputFile]
    assumptions: list[str]


def scenario(request: Request, now: datetime) -> Scenario:
    """Return the day to run.

    Args:
        request: files and date.
        now: the day taken where neither the request nor a file says which.

    Raises:
        ConfigError: names file, line and remedy.
    """
    files = Gathered()
    price_file = _opened(request.price, "price", files)
    carbon_file = _opened(request.carbon, "carbon", files)
    park = _given_park(request)
    zone = ZoneInfo(_zone_name(park, price_file, files))
    _gather_power(request, zone, files, given_park=park is not None)
    prices = None if price_file is None else price_columns(price_file, zone, files.rows)
    carbon = None if carbon_file is None else carbon_column(carbon_file, zone, files.rows)
    currency = park.currency if prices is None and park is not None else _currency(prices, park)
    if park is None:
        park, columns, soc = built_park(files, zone.key, currency)
    else:
        columns, soc = _assigned(park, files), {}
    sources: list[Source[object]] = [column.source for column in columns.values()]
    if prices is not None:
        sources += [prices.buying, prices.selling]
    frame = DayFrame(_day(request.day, sources, now.astimezone(zone).date()), zone)
    recorded_kw = {id_: _recorded(id_, c, park, frame) for id_, c in columns.items()}
    intensity = None if carbon is None else _whole(carbon.on(frame), frame, "carbon", "--carbon")
    files.notes += [] if prices is None else [f"Energy is {prices.note}."]
    return Scenario(
        park=park,
        frame=frame,
        recorded_kw=recorded_kw,
        initial_soc=soc,
        prices=_book(prices, park, frame, intensity),
        inputs=files.inputs,
        assumptions=files.notes,
    )


def _opened(path: Path | None, role: str, files: Gathered) -> Opened | None:
    if path is None:
        return None
    file = open_input(path, role)
    files.inputs.append(file.facts)
    return file


def _given_park(request: Request) -> ParkDefinition | None:
    if request.park is not None:
        return load_park(request.park)
    return None if request.loads or request.yields else load_park(DEMO_PARK)


def _zone_name(park: ParkDefinition | None, price: Opened | None, files: Gathered) -> str:
    if park is not None:
        return park.timezone
    if price is not None and price.format is Format.XML:
        files.notes.append(f"Local time is that of the day-ahead market, {MARKET_ZONE}.")
        return MARKET_ZONE
    files.notes.append("Local time is UTC, since neither a park nor a market says otherwise.")
    return "UTC"


def _currency(prices: PriceColumns | None, park: ParkDefinition | None) -> Currency:
    if prices is None:
        raise ConfigError("price", ["--price: is required where no --park gives a tariff"])
    if park is not None and park.currency is not prices.currency:
        rule = f"the park settles in {park.currency}; convert the prices or change the park"
        raise ConfigError("price", [f"--price: prices in {prices.currency}; {rule}"])
    return prices.currency


def _gather_power(request: Request, zone: ZoneInfo, files: Gathered, *, given_park: bool) -> None:
    for role, given in (("load", request.loads), ("pv", request.yields)):
        for argument in given:
            resource, path = _argument(argument)
            file = open_input(path, role)
            files.inputs.append(file.facts)
            found = files.loads if role == "load" else files.yields
            if file.format is not Format.BUILDING:
                found += [(resource, column) for column in power_columns(file, zone)]
                continue
            building = citylearn.read_building(file.text, file.name)
            files.rows = files.rows or building.rows
            load, sun = building_columns(building, path.stem.lower())
            found.append((resource, load if role == "load" else sun))
            if role == "load" and not given_park:
                _add_plant(path, sun, request, files)
    if files.rows is not None:
        files.notes.append(
            "CityLearn rows carry no year: those of the same month, day and hour are used, on "
            "whatever weekday; in the past of the day only rows above it in the file."
        )


def _argument(argument: str) -> tuple[str | None, Path]:
    resource, sign, path = argument.partition("=")
    if sign and re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", resource):
        return resource, Path(path)
    return None, Path(argument)


def _add_plant(path: Path, sun: PowerColumn, request: Request, files: Gathered) -> None:
    """Add what the schema says stands at a building."""
    ratings = citylearn.read_ratings(path)
    if ratings is None:
        rule = "its PV and battery are unknown, it is a load only"
        files.notes.append(f"{path.name}: no {citylearn.SCHEMA_FILE} beside it: {rule}.")
        return
    files.ratings[path.stem.lower()] = ratings
    if not request.yields and ratings.pv_kw:
        files.yields.append((None, sun))


def _assigned(park: ParkDefinition, files: Gathered) -> dict[str, PowerColumn]:
    """Return the columns by resource of a given park."""
    columns: dict[str, PowerColumn] = {}
    for kind, role, found in ((LOAD, "load", files.loads), (PV, "pv", files.yields)):
        known = [r.id for r in park.resources if r.kind == kind]
        for wanted, column in found:
            id_ = wanted or (known[0] if len(known) == len(found) == 1 else column.name)
            if id_ not in known or id_ in columns:
                rule = f"name one of {', '.join(known) or 'none'} as RESOURCE=FILE, each once"
                raise ConfigError(role, [f"--{role}: {id_}: no {kind} left of that id; {rule}"])
            resource = park.resource(id_)
            rated_kw = 0.0 if resource is None else float(resource.parameters["rated_kw"])
            columns[id_] = times(column, rated_kw) if column.per_kw else column
            if columns[id_].most_kw > rated_kw:
                rule = f"{columns[id_].most_kw:g} kW in the file; the park rates it {rated_kw:g} kW"
                raise ConfigError(role, [f"--{role}: {id_}: {rule}; raise rated_kw"])
    return columns


def _recorded(
    id_: str, column: PowerColumn, park: ParkDefinition, frame: DayFrame
) -> Series[float]:
    return _whole(column.source.on(frame), frame, id_, "its file")


def _whole(series: Series[float], frame: DayFrame, what: str, where: str) -> Series[float]:
    gap = series.first_gap(frame.period)
    if gap is not None:
        local = gap.astimezone(frame.zone)
        rule = "give another --date, or a file that holds the whole day"
        raise ConfigError(what, [f"{what}: nothing at {local:%F %R %Z} in {where}; {rule}"])
    return series


def _day(wanted: date | None, sources: list[Source[object]], today: date) -> date:
    """Return the day asked for, else the last one all dated files hold, else today."""
    if wanted is not None:
        return wanted
    spans = [days for source in sources if (days := source.days) is not None]
    if not spans:
        return today
    first, last = max(s[0] for s in spans), min(s[1] for s in spans)
    if last < first:
        rule = "no day is wholly in all files"
        raise ConfigError("date", [f"--date: {rule}; they share {first} to {last}"])
    return last


def _book(
    prices: PriceColumns | None,
    park: ParkDefinition,
    frame: DayFrame,
    carbon: Series[float] | None,
) -> PriceBook:
    if prices is None:
        return tariff_book(park, frame, carbon)
    return PriceBook(
        currency=prices.currency,
        frame=frame,
        buying=prices.buying.on(frame),
        selling=prices.selling.on(frame),
        carbon=carbon,
    )
