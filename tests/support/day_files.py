"""Small input files of a simulated day: a CityLearn building with its schema, and prices."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

_HEADER = "month,hour,day_type,non_shiftable_load,solar_generation"
_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

EXPENSIVE_EVENING = [40.0] * 6 + [100.0] * 4 + [20.0] * 6 + [250.0] * 5 + [90.0] * 3
"""A day of prices a battery can earn on, EUR/MWh."""


def write_building(
    folder: Path,
    name: str = "Building_1.csv",
    *,
    load_kwh: Callable[[int, int], float] = lambda row, hour: 1.0 + 0.1 * hour,
    battery_kwh: float = 6.4,
) -> Path:
    """Write a year of a building from the last hour of 31 July on, and its schema.

    Args:
        folder: where.
        name: of the file.
        load_kwh: by row and hour 1..24.
        battery_kwh: capacity in the schema.
    """
    lines = [_HEADER]
    days = [
        (month, day) for month in (8, 9, 10, 11, 12, 1, 2, 3, 4, 5, 6, 7) for day in _days(month)
    ]
    hours = [(7, 24), *((month, hour) for month, _ in days for hour in range(1, 25))][:8760]
    for row, (month, hour) in enumerate(hours):
        sun = 800.0 * max(0.0, math.sin(math.pi * (hour - 6.5) / 12.0))
        lines.append(f"{month},{hour},1,{load_kwh(row, hour):.4f},{sun:.4f}")
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    battery = {"capacity": battery_kwh, "nominal_power": 5.0, "efficiency": 0.9}
    entry = {
        "energy_simulation": name,
        "electrical_storage": {"attributes": battery},
        "pv": {"attributes": {"nominal_power": 4.0}},
    }
    (folder / "schema.json").write_text(json.dumps({"buildings": {"b": entry}}))
    return path


def write_prices(folder: Path, prices: list[float], name: str = "prices.csv") -> Path:
    """Write one day of hourly prices in EUR/MWh."""
    path = folder / name
    path.write_text("price_eur_per_mwh\n" + "\n".join(map(str, prices)) + "\n")
    return path


def entsoe_document(
    *periods: str,
    kind: str = "A44",
    curve: str = "A01",
    currency: str = "EUR",
    version: str = "7:3",
) -> str:
    """Return a price document with one series."""
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        "<Publication_MarketDocument "
        f'xmlns="urn:iec62325.351:tc57wg16:451-3:publicationdocument:{version}">\n'
        f"<type>{kind}</type><TimeSeries>"
        f"<currency_Unit.name>{currency}</currency_Unit.name>"
        "<price_Measure_Unit.name>MWH</price_Measure_Unit.name>"
        f"<curveType>{curve}</curveType>{''.join(periods)}"
        "</TimeSeries></Publication_MarketDocument>"
    )


def entsoe_period(start: str, end: str, resolution: str, prices: dict[int, float | str]) -> str:
    """Return one period; positions without a price are left out."""
    points = "".join(
        f"<Point><position>{position}</position><price.amount>{price}</price.amount></Point>"
        for position, price in prices.items()
    )
    return (
        f"<Period><timeInterval><start>{start}</start><end>{end}</end></timeInterval>"
        f"<resolution>{resolution}</resolution>{points}</Period>"
    )


def _days(month: int) -> list[int]:
    return list(range(1, _MONTH_DAYS[month - 1] + 1))
