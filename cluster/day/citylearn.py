"""The CityLearn 2022 files: buildings by the hour of a year without number, and their schema.

``Building_N.csv`` counts hours 1 to 24, hour ``h`` being ``[h-1, h)``; its first row is the last
hour of 31 July. ``non_shiftable_load`` is kWh in that hour, ``solar_generation`` W per kW of
installed PV. ``pricing.csv`` (per kWh) and ``carbon_intensity.csv`` (kg CO2 per kWh) have the same
rows and no date of their own. PV and battery ratings stand in ``schema.json`` beside the building.
"""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from controllers.kernel.errors import ConfigError

LOAD_COLUMN = "non_shiftable_load"
SUN_COLUMN = "solar_generation"
PRICE_COLUMN = "electricity_pricing"
CARBON_COLUMN = "carbon_intensity"
SCHEMA_FILE = "schema.json"
_SOME_COMMON_YEAR = 2001
_HOURS_PER_YEAR = 8760

_LAST_HOUR = 24

Rows = dict[tuple[int, int, int], int]
_Hour = tuple[date, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratings:
    """What the schema says of a building's own plant."""

    pv_kw: float | None
    battery_kwh: float | None
    battery_kw: float | None
    battery_efficiency_frac: float | None
    """Of the whole cycle; CityLearn takes its square root each way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Building:
    """One building's file."""

    load_kw: list[float]
    sun_frac: list[float]
    """Yield as a share of installed power."""
    rows: Rows


def read_building(text: str, source: str) -> Building:
    """Return a building.

    Raises:
        ConfigError: a row is not in order or no number; names file and line.
    """
    load_kw: list[float] = []
    sun_frac: list[float] = []
    rows: Rows = {}
    last: _Hour | None = None
    for line, row in _lines(text, ("month", "hour", LOAD_COLUMN, SUN_COLUMN), source):
        last = _next_hour(last, int(row["month"]), int(row["hour"]), f"{source}:{line}")
        day, hour = last
        # A second year would stand in the past of the first one's beginning.
        rows.setdefault((day.month, day.day, hour - 1), len(load_kw))
        load_kw.append(row[LOAD_COLUMN])
        sun_frac.append(row[SUN_COLUMN] / 1000.0)
    if not load_kw:
        raise ConfigError(source, [f"{source}: a CityLearn building without rows"])
    return Building(load_kw=load_kw, sun_frac=sun_frac, rows=rows)


def read_column(text: str, column: str, source: str) -> list[float]:
    """Return one column of a file whose rows are those of the buildings; errors as above."""
    values = [row[column] for _, row in _lines(text, (column,), source)]
    if len(values) != _HOURS_PER_YEAR:
        rule = f"CityLearn {column} must have {_HOURS_PER_YEAR} rows, as its buildings have"
        raise ConfigError(source, [f"{source}: {len(values)} rows; {rule}"])
    return values


def read_ratings(building: Path) -> Ratings | None:
    """Return the ratings from the schema beside a building's file, None where there is none.

    Raises:
        ConfigError: the schema cannot be read, or does not know the building.
    """
    path = building.parent / SCHEMA_FILE
    if not path.exists():
        return None
    try:
        buildings = json.loads(path.read_text(encoding="utf-8"))["buildings"].values()
        entry = next((b for b in buildings if b["energy_simulation"] == building.name), None)
        if entry is None:
            raise ConfigError(str(path), [f"{path}: knows no building {building.name}"])
        return Ratings(
            pv_kw=_attribute(entry, "pv", "nominal_power"),
            battery_kwh=_attribute(entry, "electrical_storage", "capacity"),
            battery_kw=_attribute(entry, "electrical_storage", "nominal_power"),
            battery_efficiency_frac=_attribute(entry, "electrical_storage", "efficiency"),
        )
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise ConfigError(str(path), [f"{path}: no CityLearn schema ({error})"]) from error


def _attribute(
    entry: dict[str, dict[str, dict[str, float]]], device: str, name: str
) -> float | None:
    value = (entry.get(device) or {}).get("attributes", {}).get(name)
    return None if value is None else float(value)


def _next_hour(last: _Hour | None, month: int, hour: int, place: str) -> _Hour:
    """Return day and hour of a row; a first row is the last hour or on the first day of a month."""
    if last is None and 1 <= month <= 12 and 1 <= hour <= _LAST_HOUR:
        first = date(_SOME_COMMON_YEAR, month, 1)
        return first + timedelta(days=_days_in(month) - 1 if hour == _LAST_HOUR else 0), hour
    if last is None:
        raise ConfigError(place, [f"{place}: month {month}, hour {hour}: no such hour"])
    day, expected = last[0], last[1] + 1
    if expected > _LAST_HOUR:
        day, expected = (day + timedelta(days=1)).replace(year=_SOME_COMMON_YEAR), 1
    if (month, hour) != (day.month, expected):
        rule = f"rows must follow one another; expected month {day.month}, hour {expected}"
        raise ConfigError(place, [f"{place}: month {month}, hour {hour}: {rule}"])
    return day, expected


def _days_in(month: int) -> int:
    first = date(_SOME_COMMON_YEAR, month, 1)
    return ((first + timedelta(days=31)).replace(day=1) - first).days


def _lines(text: str, columns: tuple[str, ...], source: str) -> list[tuple[int, dict[str, float]]]:
    found = []
    for line, row in enumerate(csv.DictReader(text.splitlines()), start=2):
        numbers = {}
        for column in columns:
            try:
                numbers[column] = float(row[column] or "")
            except (KeyError, TypeError, ValueError):
                numbers[column] = math.nan
            if not math.isfinite(numbers[column]) or numbers[column] < 0.0:
                rule = "must be a number, not negative"
                raise ConfigError(
                    source, [f"{source}:{line}: {column} = {row.get(column)!r}: {rule}"]
                )
        found.append((line, numbers))
    return found
