"""Grid emission factors as dated rows with their source.

Location-based (GHG Protocol Scope 2 Guidance): imported energy times the average factor of the grid
it comes from. What is exported earns no credit; emissions of making the plant, and of fuel burnt on
site, are not part of it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from controllers.history.buckets import US_PER_S, FloatArray, InstantArray
from controllers.kernel.errors import ConfigError
from controllers.kernel.timebase import EPOCH
from controllers.kernel.wire import Wire

HEADER = ("from_date", "kg_co2_per_kwh", "source")
MAX_ROWS = 100_000


class GridFactor(Wire):
    """One row; in force from its local day until that of the next row."""

    from_date: date
    kg_co2_per_kwh: Annotated[float, msgspec.Meta(ge=0.0, le=10.0)]
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=300)]


_MEE = "Ministry of Ecology and Environment and National Bureau of Statistics of China"
CHINA = (
    GridFactor(
        from_date=date(2021, 1, 1),
        kg_co2_per_kwh=0.5568,
        source=f"{_MEE}: national average CO2 factor of electricity for 2021 (April 2024)",
    ),
    GridFactor(
        from_date=date(2022, 1, 1),
        kg_co2_per_kwh=0.5366,
        source=f"{_MEE}: national average CO2 factor of electricity for 2022 (December 2024)",
    ),
)
"""Used for parks in China without a table of their own. The latest factor goes on until a later one
is given."""
_CHINESE_ZONES = frozenset({"Asia/Shanghai", "Asia/Urumqi", "PRC"})


def factors_for(timezone: str, own: Sequence[GridFactor]) -> tuple[GridFactor, ...]:
    """Return the table of a park: its own, else that of its country, else none."""
    if own:
        return tuple(own)
    return CHINA if timezone in _CHINESE_ZONES else ()


def read_factors(text: str, source: str) -> tuple[GridFactor, ...]:
    """Return a table from CSV with the columns ``from_date,kg_co2_per_kwh,source``.

    Raises:
        ConfigError: another header, a wrong value, or rows that do not rise; names file and line.
    """
    lines = csv.DictReader(io.StringIO(text))
    if tuple(lines.fieldnames or ()) != HEADER:
        raise ConfigError(source, [f"{source}:1: the header must be {','.join(HEADER)}"])
    rows: list[GridFactor] = []
    for line, row in enumerate(lines, start=2):
        try:
            factor = msgspec.convert(row, GridFactor, strict=False)
        except msgspec.ValidationError as error:
            raise ConfigError(source, [f"{source}:{line}: {error}"]) from error
        if rows and factor.from_date <= rows[-1].from_date:
            problem = f"{source}:{line}: from_date must be after {rows[-1].from_date}"
            raise ConfigError(source, [problem])
        if len(rows) >= MAX_ROWS:
            raise ConfigError(source, [f"{source}:{line}: must have at most {MAX_ROWS} rows"])
        rows.append(factor)
    if not rows:
        raise ConfigError(source, [f"{source}: has no rows"])
    return tuple(rows)


def factor_at(factors: Sequence[GridFactor], start_us: InstantArray, zone: ZoneInfo) -> FloatArray:
    """Return the factor at each instant in kg CO2 per kWh; NaN before the first row."""
    begins = [
        datetime(f.from_date.year, f.from_date.month, f.from_date.day, tzinfo=zone) for f in factors
    ]
    begin_us = np.array([(b - EPOCH).total_seconds() * US_PER_S for b in begins])
    values = np.array([np.nan, *(f.kg_co2_per_kwh for f in factors)])
    return values[np.searchsorted(begin_us, start_us, "right")]


def in_force(
    factors: Sequence[GridFactor], start_us: InstantArray, zone: ZoneInfo
) -> list[GridFactor]:
    """Return the rows that are used at any of the instants."""
    used = set(factor_at(factors, start_us, zone).tolist())
    return [factor for factor in factors if factor.kg_co2_per_kwh in used]
