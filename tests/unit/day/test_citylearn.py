"""CityLearn files: buildings by the hour, columns without dates, ratings from the schema."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.day.citylearn import PRICE_COLUMN, read_building, read_column, read_ratings
from controllers.kernel.errors import ConfigError
from tests.support.day_files import write_building

HEADER = "month,hour,non_shiftable_load,solar_generation\n"


def test_rows_are_dated_by_counting_from_the_last_hour_of_july(tmp_path: Path) -> None:
    path = write_building(tmp_path, load_kwh=lambda row, hour: row)
    building = read_building(path.read_text(), "b.csv")
    assert len(building.load_kw) == 8760
    assert building.rows[7, 31, 23] == 0
    assert building.rows[8, 1, 0] == 1
    assert building.rows[12, 31, 23] + 1 == building.rows[1, 1, 0]
    assert building.load_kw[building.rows[9, 30, 12]] == 1 + (31 + 29) * 24 + 12
    assert max(building.sun_frac) <= 0.8


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("8,1,1,0\n8,3,1,0", "b.csv:3: month 8, hour 3: rows must follow one another"),
        ("8,1,1,0\n9,2,1,0", "expected month 8, hour 2"),
        ("13,1,1,0", "b.csv:2: month 13, hour 1: no such hour"),
        ("8,1,x,0", "b.csv:2: non_shiftable_load = 'x': must be a number"),
        ("8,1,1,-3", "b.csv:2: solar_generation = '-3': must be a number, not negative"),
        ("8,1,1", "b.csv:2: solar_generation = None"),
        ("", "without rows"),
    ],
)
def test_a_row_out_of_order_or_no_number_is_named(rows: str, says: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        read_building(HEADER + rows, "b.csv")
    assert says in refusal.value.problems[0]


def test_a_column_of_another_length_is_refused() -> None:
    with pytest.raises(ConfigError, match="2 rows"):
        read_column(f"{PRICE_COLUMN}\n0.2\n0.3", PRICE_COLUMN, "p.csv")


def test_ratings_come_from_the_schema_beside_the_building(tmp_path: Path) -> None:
    path = write_building(tmp_path)
    ratings = read_ratings(path)
    assert ratings is not None
    assert (ratings.pv_kw, ratings.battery_kwh, ratings.battery_kw) == (4.0, 6.4, 5.0)
    assert ratings.battery_efficiency_frac == 0.9


def test_without_a_schema_nothing_is_rated(tmp_path: Path) -> None:
    assert read_ratings(tmp_path / "Building_1.csv") is None


@pytest.mark.parametrize(
    ("schema", "says"),
    [("{", "no CityLearn schema"), ('{"buildings": {}}', "knows no building"), ("[]", "no City")],
)
def test_a_schema_that_does_not_help_is_refused(tmp_path: Path, schema: str, says: str) -> None:
    (tmp_path / "schema.json").write_text(schema)
    with pytest.raises(ConfigError, match=says):
        read_ratings(tmp_path / "Building_1.csv")
