"""One's own CSV files: units in headers, times, and mistakes named with their line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from cluster.day.own_csv import OwnTable, read_table
from controllers.kernel.errors import ConfigError

PARIS = ZoneInfo("Europe/Paris")
UNITS = ("w", "kw", "kwh")
DAY_OF_HOURS = "\n".join(str(hour) for hour in range(24))


def read(text: str, *, may_be_negative: bool = False) -> OwnTable:
    return read_table(text, UNITS, PARIS, "my.csv", may_be_negative=may_be_negative)


@pytest.mark.parametrize(
    ("header", "name", "unit"),
    [
        ("hall_2_kw", "hall_2", "kw"),
        ("Hall 2 (kWh)", "hall_2", "kwh"),
        ("Hall 2 [W]", "hall_2", "w"),
        ("kW", "kw", "kw"),
        ("HALL2-KW", "hall2", "kw"),
    ],
)
def test_a_header_is_a_name_and_a_unit(header: str, name: str, unit: str) -> None:
    (column,) = read(f"{header}\n{DAY_OF_HOURS}").columns
    assert (column.name, column.unit) == (name, unit)


def test_rows_without_time_are_one_day() -> None:
    table = read(f"load_kw\n{DAY_OF_HOURS}\n")
    assert table.start_at is None
    assert table.period == timedelta(hours=1)
    assert table.columns[0].values[5] == Decimal(5)


def test_times_without_offset_are_local_and_with_offset_what_they_say() -> None:
    local = read("time,load_kw\n2025-09-30 00:00,1\n2025-09-30 00:30,2")
    offset = read("time,load_kw\n2025-09-29T22:00Z,1\n2025-09-30T00:30+02:00,2")
    assert local.start_at == offset.start_at == datetime(2025, 9, 29, 22, tzinfo=UTC)
    assert local.period == timedelta(minutes=30)


def test_semicolons_comments_and_blank_lines_are_understood() -> None:
    table = read("# from the meter\nload_kw;b_kw\n\n" + "\n".join("1.5;2" for _ in range(24)))
    assert [column.name for column in table.columns] == ["load", "b"]
    assert table.columns[0].values[0] == Decimal("1.5")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "my.csv: empty"),
        ("load_kw\n", "my.csv:1: no rows"),
        ("load\n1", "my.csv:1: column 'load': must end in its unit, one of w, kw, kwh"),
        ("time\n2025-09-30", "my.csv:1: no value column"),
        ("load_kw\n1\n2", "my.csv: 2 rows; without a time column a file is one day of 24"),
        ("load_kw,b_kw\n1,2\n3", "my.csv:3: 1 cells; the header has 2"),
        ("load_kw\n1\n\nx", "my.csv:4: load_kw = 'x': must be a number"),
        ("load_kw\n1\n1,5", "my.csv:3: 2 cells"),
        ("load_kw\nNaN", "my.csv:2: load_kw = 'NaN'"),
        ("load_kw\n-1", "my.csv:2: load_kw = -1: must not be negative"),
        ("time,load_kw\n2025-09-30,1", "my.csv:2: one row only"),
        ("time,load_kw\nyesterday,1", "my.csv:2: time 'yesterday': must be ISO 8601"),
        (
            "time,load_kw\n2025-09-30T00:00,1\n2025-09-30T01:00,1\n2025-09-30T03:00,1",
            "my.csv:4: 2:00:00 after the row before; rows must be 1:00:00 apart",
        ),
        (
            "time,load_kw\n2025-09-30T01:00,1\n2025-09-30T00:00,1",
            "my.csv:3: -1 day, 23:00:00 after the row before",
        ),
    ],
)
def test_a_mistake_is_named_with_its_line_and_remedy(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        read(text)
    assert says in refusal.value.problems[0]


def test_prices_may_be_negative() -> None:
    table = read("load_kw\n" + "\n".join("-1" for _ in range(24)), may_be_negative=True)
    assert table.columns[0].values[0] == Decimal(-1)
