"""An answer as JSON columns, CSV, or an Arrow stream."""

from __future__ import annotations

import io
from typing import Literal, cast

import msgspec
import numpy as np

from controllers.history.buckets import US_PER_S, FloatArray, InstantArray
from controllers.kernel.wire import encode
from serve_apps.history.numbers import csv_rows, fits, json_array, json_integers
from serve_apps.history.query import Past
from serve_apps.history.views import HistoryView, Values

Format = Literal["json", "csv", "arrow"]

MEDIA_TYPES: dict[Format, str] = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "arrow": "application/vnd.apache.arrow.stream",
}
DECIMALS = 6
"""Of numbers as text: a milliwatt, a milliwatt-hour."""


def encode_past(past: Past, format_: Format) -> bytes:
    """Return the body of an answer; numbers are exact in Arrow, else rounded to 6 decimals."""
    if format_ == "json":
        return _json(past)
    if format_ == "csv" and all(fits(values) for values in past.columns.values()):
        return _csv(past)
    return _table(past, format_)


def rounded(values: FloatArray) -> list[float | None]:
    """Return numbers as they go into JSON; NaN becomes null there."""
    found: list[float | None] = np.round(values, DECIMALS).tolist()
    return found


def _json(past: Past) -> bytes:
    grid = past.grid
    columns = {
        name: msgspec.Raw(json_array(values)) if fits(values) else rounded(values)
        for name, values in past.columns.items()
    }
    return encode(
        HistoryView(
            id=past.id,
            resolution_s=grid.resolution_s,
            n=grid.n,
            # Text already, of what the view says.
            start_s=cast(list[int], msgspec.Raw(json_integers(_start_s(past)))),
            columns=cast(dict[str, Values], columns),
        )
    )


def _csv(past: Past) -> bytes:
    header = ",".join(f'"{name}"' for name in ("start_at_utc", *past.columns))
    return header.encode() + b"\n" + csv_rows(_start_s(past), past.columns.values())


def _start_s(past: Past) -> InstantArray:
    return past.grid.edges_us[:-1] // US_PER_S


def _table(past: Past, format_: Format) -> bytes:
    # Loaded only by who asks for it.
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.csv  # noqa: PLC0415

    as_text = format_ == "csv"
    start_s = pa.array(_start_s(past))
    # Written with its zone, an instant takes the text longer than everything else.
    start_at = start_s.cast(pa.timestamp("s", None if as_text else "UTC"))
    columns = {
        # Null is what marks a gap, in both formats.
        name: pa.array(np.round(values, DECIMALS) if as_text else values, from_pandas=True)
        for name, values in past.columns.items()
    }
    name = "start_at_utc" if as_text else "start_at"
    table = pa.table({name: start_at, **columns}).replace_schema_metadata(
        {"id": past.id, "resolution_s": str(past.grid.resolution_s)}
    )
    body = io.BytesIO()
    if as_text:
        pyarrow.csv.write_csv(table, body, pyarrow.csv.WriteOptions(quoting_style="none"))
    else:
        with pa.ipc.new_stream(body, table.schema) as writer:
            writer.write_table(table)
    return body.getvalue()
