"""One's own CSV files: a time column or one row per period, and value columns with their unit.

A header ends in its unit, after an underscore or in brackets: ``load_kw``, ``hall 2 (kWh)``,
``price_eur_per_mwh``. Energies are per row and become mean powers. Times are the starts of rows,
ISO 8601; one without offset is local to the park. Without a time column the rows are one day.
"""

from __future__ import annotations

import csv
import itertools
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

from controllers.kernel.errors import ConfigError

_TIME_NAMES = {
    "time",
    "timestamp",
    "datetime",
    "date_time",
    "start",
    "start_at",
    "utc",
    "local_time",
}
_ROWS_PER_DAY = (24, 48, 96, 288, 1440)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One value column."""

    name: str
    """Header without unit, as an id: lower case, other signs become underscores."""
    header: str
    unit: str
    """As one of the units asked for."""
    values: list[Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTable:
    """A whole file."""

    columns: list[Column]
    start_at: datetime | None
    """None: one day without date."""
    period: timedelta


def read_table(
    text: str,
    units: tuple[str, ...],
    zone: ZoneInfo,
    source: str,
    *,
    may_be_negative: bool = False,
) -> OwnTable:
    """Return a file's columns in one of the units asked for.

    Args:
        text: the whole file.
        units: lower case, e.g. ``kw`` and ``kwh``; the longest that fits a header counts.
        zone: of times without offset.
        source: file name for errors.
        may_be_negative: loads and yields may not.

    Raises:
        ConfigError: names file, line and remedy of the first mistake.
    """
    lines = _records(text)
    if not lines:
        raise ConfigError(source, [f"{source}: empty; the first line must name the columns"])
    header_line, header = lines[0]
    time_index = next((i for i, h in enumerate(header) if h.lower() in _TIME_NAMES), None)
    if len(lines) == 1:
        raise _refuse(source, header_line, "no rows follow the header")
    for line, row in lines[1:]:
        if len(row) != len(header):
            raise _refuse(source, line, f"{len(row)} cells; the header has {len(header)}")
    columns = []
    for i, title in enumerate(header):
        if i != time_index:
            name, unit = _name_and_unit(title, units, source, header_line)
            values = [
                _number(row[i], title, source, line, may_be_negative) for line, row in lines[1:]
            ]
            columns.append(Column(name=name, header=title, unit=unit, values=values))
    if not columns:
        raise _refuse(source, header_line, f"no value column; one may end in {', '.join(units)}")
    if time_index is None:
        return OwnTable(columns=columns, start_at=None, period=_period_of(len(lines) - 1, source))
    times = [(line, _instant(row[time_index], zone, source, line)) for line, row in lines[1:]]
    return OwnTable(columns=columns, start_at=times[0][1], period=_step(times, source))


def _records(text: str) -> list[tuple[int, list[str]]]:
    lines = [
        (number, line)
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not lines:
        return []
    first = lines[0][1]
    delimiter = max(",;\t", key=first.count)
    cells = csv.reader((line for _, line in lines), delimiter=delimiter)
    return [(n, [c.strip() for c in row]) for (n, _), row in zip(lines, cells, strict=False)]


def _name_and_unit(title: str, units: tuple[str, ...], source: str, line: int) -> tuple[str, str]:
    flat = re.sub(r"[^a-z0-9]+", "_", title.lower().replace("/", "_per_")).strip("_")
    for unit in sorted(units, key=len, reverse=True):
        if flat == unit or flat.endswith(f"_{unit}"):
            name = flat[: -len(unit)].strip("_")
            return name or unit, unit
    wanted = ", ".join(units)
    raise _refuse(source, line, f"column {title!r}: must end in its unit, one of {wanted}")


def _number(cell: str, title: str, source: str, line: int, may_be_negative: bool) -> Decimal:
    try:
        value = Decimal(cell)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        rule = "must be a number with a decimal point; fill gaps before"
        raise _refuse(source, line, f"{title} = {cell!r}: {rule}")
    if value < 0 and not may_be_negative:
        rule = "must not be negative; loads and yields are magnitudes"
        raise _refuse(source, line, f"{title} = {cell}: {rule}")
    return value


def _instant(cell: str, zone: ZoneInfo, source: str, line: int) -> datetime:
    try:
        instant = datetime.fromisoformat(cell)
    except ValueError:
        raise _refuse(
            source, line, f"time {cell!r}: must be ISO 8601, such as 2025-09-30T13:00+02:00"
        ) from None
    return (instant if instant.tzinfo else instant.replace(tzinfo=zone)).astimezone(UTC)


def _step(times: list[tuple[int, datetime]], source: str) -> timedelta:
    if len(times) < 2:
        raise _refuse(source, times[0][0], "one row only; give at least a whole day")
    period = times[1][1] - times[0][1]
    if period <= timedelta() or _DAY % period or period % timedelta(minutes=1):
        rule = "rows must rise by equal steps of whole minutes that divide a day"
        raise _refuse(source, times[1][0], f"{period} after the row before; {rule}")
    for (_, before), (line, instant) in itertools.pairwise(times):
        if instant - before != period:
            rule = f"rows must be {period} apart; fill gaps, and write offsets where clocks change"
            raise _refuse(source, line, f"{instant - before} after the row before; {rule}")
    return period


def _period_of(n_rows: int, source: str) -> timedelta:
    if n_rows not in _ROWS_PER_DAY:
        known = ", ".join(map(str, _ROWS_PER_DAY))
        rule = f"without a time column a file is one day of {known} rows"
        raise ConfigError(source, [f"{source}: {n_rows} rows; {rule}"])
    return _DAY / n_rows


def _refuse(source: str, line: int, why: str) -> ConfigError:
    return ConfigError(source, [f"{source}:{line}: {why}"])
