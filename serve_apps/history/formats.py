"""An answer as JSON columns, CSV, or an Arrow stream."""

from __future__ import annotations

import io
from typing import Literal

import numpy as np

from controllers.history.buckets import US_PER_S, FloatArray
from controllers.kernel.wire import encode
from serve_apps.history.query import Past
from serve_apps.history.views import HistoryView

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
    return _table(past, format_)


def rounded(values: FloatArray) -> list[float | None]:
    """Return numbers as they go into JSON; NaN becomes null there."""
    found: list[float | None] = np.round(values, DECIMALS).tolist()
    return found


def _json(past: Past) -> bytes:
    grid = past.grid
    return encode(
        HistoryView(
            id=past.id,
            resolution_s=grid.resolution_s,
            n=grid.n,
            start_s=(grid.edges_us[:-1] // US_PER_S).tolist(),
            columns={name: rounded(values) for name, values in past.columns.items()},
        )
    )


def _table(past: Past, format_: Format) -> bytes:
    # Loaded only by who asks for it.
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.csv  # noqa: PLC0415

    as_text = format_ == "csv"
    start_s = pa.array(past.grid.edges_us[:-1] // US_PER_S)
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
