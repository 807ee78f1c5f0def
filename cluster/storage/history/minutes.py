"""The one-minute roll-ups: one file per subject and month, replaced whole."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cluster.storage.history.layout import (
    DAY_US,
    MINUTE_SCHEMA,
    MINUTE_US,
    Folder,
    day_start_us,
    write_table,
)
from controllers.history.buckets import STORED, Buckets, InstantArray, Tally


def minute_edges(from_us: int, to_us: int) -> InstantArray:
    """Return the edges of whole minutes."""
    return np.arange(from_us, to_us + 1, MINUTE_US, dtype=np.int64)


def write_day(folder: Path, subject: str, day: date, minutes: Buckets) -> None:
    """Put a day's minutes into its month, in the place of what stood there for that day.

    Raises:
        OSError: the file cannot be read or written.
        pyarrow.ArrowException: the month's file is damaged.
    """
    path = Folder(folder).month(subject, day)
    columns = [minutes.edges_us[:-1], *(minutes.columns[name] for name in STORED)]
    table = pa.Table.from_arrays([pa.array(c) for c in columns], schema=MINUTE_SCHEMA)
    if path.exists():
        start_us = day_start_us(day)
        month = pq.read_table(path, schema=MINUTE_SCHEMA, use_threads=False)
        at_us = month.column("start_us").to_numpy()
        first, last = np.searchsorted(at_us, [start_us, start_us + DAY_US])
        table = pa.concat_tables([month.slice(0, first), table, month.slice(last)])
    write_table(table.combine_chunks(), path)


def add_minutes(
    folder: Path, subject: str, names: Sequence[str], spans: Sequence[tuple[int, int]], to: Tally
) -> None:
    """Add a subject's minutes of some spans.

    Args:
        folder: of the history.
        subject: whose.
        names: stored columns.
        spans: rising, ``[from_us, to_us)`` each.
        to: takes them.

    Raises:
        OSError: a file cannot be read.
        pyarrow.ArrowException: a file is damaged.
    """
    for path in Folder(folder).months(subject):
        within = _overlapping(path, spans)
        if not within:
            continue
        with pq.ParquetFile(path, memory_map=True) as file:
            table = file.read(["start_us", *names], use_threads=False)
        start_us = table.column("start_us").to_numpy()
        columns = {name: table.column(name).to_numpy() for name in names}
        for from_us, to_us in within:
            first, last = np.searchsorted(start_us, [from_us, to_us])
            part = {name: values[first:last] for name, values in columns.items()}
            to.add(start_us[first:last], part)


def _overlapping(path: Path, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    month = date.fromisoformat(f"{path.stem}-01")
    following = date(month.year + month.month // 12, month.month % 12 + 1, 1)
    begin_us, end_us = day_start_us(month), day_start_us(following)
    return [span for span in spans if span[0] < end_us and span[1] > begin_us]
