"""Long columns as text say the same as number by number, byte for byte in CSV."""

from __future__ import annotations

import io
import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from controllers.history.buckets import US_PER_S, FloatArray
from controllers.history.grid import Grid
from serve_apps.history import numbers
from serve_apps.history.formats import encode_past, rounded
from serve_apps.history.numbers import LIMIT, fits
from serve_apps.history.query import Past

SMALL = st.floats(-LIMIT + 1.5, LIMIT - 1.5) | st.just(math.nan)
STEPS = st.integers(-2_000_000_000, 2_000_000_000).map(lambda n: n / 1_000_000)
NUMBERS = SMALL | STEPS
INSTANTS_S = st.integers(0, 7_258_118_400)


def past_of(start_s: int, *columns: list[float], step_s: int = 60) -> Past:
    n = len(columns[0])
    edges_us = (start_s + np.arange(n + 1, dtype=np.int64) * step_s) * US_PER_S
    named = {f"c{i}": np.array(column, dtype=np.float64) for i, column in enumerate(columns)}
    return Past(id="bess1", grid=Grid(resolution_s=step_s, edges_us=edges_us), columns=named)


def csv_of_a_library(past: Past) -> bytes:
    start_s = pa.array(past.grid.edges_us[:-1] // US_PER_S)
    table = {"start_at_utc": start_s.cast(pa.timestamp("s"))}
    for name, values in past.columns.items():
        table[name] = pa.array(np.round(values, 6), from_pandas=True)
    body = io.BytesIO()
    pyarrow.csv.write_csv(pa.table(table), body, pyarrow.csv.WriteOptions(quoting_style="none"))
    return body.getvalue()


def without_nan(values: FloatArray) -> list[float | None]:
    return [None if value is None or math.isnan(value) else value for value in rounded(values)]


@given(start_s=INSTANTS_S, column=st.lists(NUMBERS, min_size=1, max_size=30))
@example(start_s=0, column=[0.0, -0.0, 1e-6, -1e-6, 1e-7, -1e-7, 0.1, 0.12, 0.000120, 0.001])
@example(start_s=951_782_399, column=[999.9999999, -999.9999999, 1000.0, -1000.5, 1001.000001])
@example(start_s=1, column=[math.nan, -math.nan, 12_345.678, -998_999.999999, 5e-7, 1.5e-6])
def test_columns_as_text_say_the_same_as_one_by_one(start_s: int, column: list[float]) -> None:
    past = past_of(start_s, column, [float(n) for n in range(len(column))], step_s=3_601)
    assert encode_past(past, "csv") == csv_of_a_library(past)
    columns = json.loads(encode_past(past, "json"))["columns"]
    assert columns == {name: without_nan(values) for name, values in past.columns.items()}


@pytest.mark.parametrize("value", [LIMIT - 0.5, 1e9, -1e22, math.inf])
def test_what_is_too_large_for_it_is_written_all_the_same(value: float) -> None:
    past = past_of(0, [1.5, value], [2.5, 3.5])
    assert not fits(past.columns["c0"])
    assert encode_past(past, "csv") == csv_of_a_library(past)
    expected = None if math.isinf(value) else value
    assert json.loads(encode_past(past, "json"))["columns"]["c0"] == [1.5, expected]


def test_no_row_is_lost_or_doubled_between_blocks() -> None:
    n = 3 * numbers._BLOCK + 1
    column = (np.arange(n) / 8.0).tolist()
    past = past_of(1_700_000_000, column, column)
    assert encode_past(past, "csv") == csv_of_a_library(past)
    answer = json.loads(encode_past(past, "json"))
    assert answer["columns"]["c0"] == column
    assert answer["start_s"] == (past.grid.edges_us[:-1] // US_PER_S).tolist()


@pytest.mark.parametrize("value", [1.0, -12_345.678, math.nan])
def test_what_stands_still_is_written_as_often_as_it_was_measured(value: float) -> None:
    n = numbers._BLOCK + 2
    column = [value] * (n - 1) + [0.5]
    expected = [None if math.isnan(value) else value] * (n - 1) + [0.5]
    assert json.loads(numbers.json_array(np.array(column))) == expected


def test_nothing_is_an_empty_array() -> None:
    assert numbers.json_array(np.array([])) == b"[]"
