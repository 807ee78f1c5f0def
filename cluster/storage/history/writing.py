"""The one writer of a history folder: append, turn streams into parts, tend the files.

``append`` writes ahead into a stream, ``rotate`` ends it, and ``settle`` turns every ended stream
into Parquet parts by day and group; their names come from the stream's, so a settling that was cut
off and is done again replaces its own parts. ``tend`` keeps the files few and the minutes current.
A reader needs no lock: an instant of a subject counts once, in however many files it is.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cluster.storage.history.layout import (
    DAY_US,
    N_GROUPS,
    PARQUET,
    RAW_SCHEMA,
    Folder,
    day_of,
    day_start_us,
    explained,
    group_of,
    mark,
    write_table,
)
from cluster.storage.history.minutes import minute_edges, write_day
from cluster.storage.history.samples import MARGIN_US, read_samples
from cluster.storage.history.streams import Stream, finished_streams, read_stream
from controllers.history.buckets import STORED, US_PER_S, Buckets, Tally
from controllers.history.resample import resample
from controllers.history.samples import Sample, to_us
from controllers.kernel.timebase import Clock
from controllers.ports.history import HistorySettings

MERGE_AT = 12
"""So many small parts of a day and group become one."""
SMALL_ROWS = 500_000
MERGE_MAX_ROWS = 2_000_000
ROLL_AFTER_US = MARGIN_US + 300 * US_PER_S
"""A day is rolled up once what closes it has been turned into parts."""

_CHUNK_US = 3_600 * US_PER_S


class HistoryFiles:
    """The writer.

    ``append`` and ``rotate`` belong to one thread, ``settle`` and ``tend`` to the same or another.

    Args:
        path: the history folder; made at the first append.
        settings: for how long what is kept.
        clock: names streams.
    """

    def __init__(self, path: Path, settings: HistorySettings, clock: Clock) -> None:
        self.path = path
        self._place = Folder(path)
        self._settings = settings
        self._clock = clock
        self._stream: Stream | None = None

    def append(self, samples: Sequence[Sample]) -> None:
        """Make samples durable.

        Raises:
            StorageUnavailableError: they could not be written; hand them in again.
        """
        with explained(self._place.live):
            if self._stream is None:
                self._stream = Stream(self._place.live, self._new_name())
            try:
                self._stream.append(samples)
            except Exception:
                # What stands behind a torn batch is not read; the next one begins a new stream.
                self._end_stream()
                raise

    def rotate(self) -> None:
        """End the stream; the next append begins another."""
        self._end_stream()

    def settle(self) -> None:
        """Turn every stream that has ended into parts.

        Raises:
            StorageUnavailableError: they could not be written; the streams stay.
        """
        with explained(self.path):
            for path in finished_streams(self._place.live):
                self._into_parts(path)

    def tend(self, now: datetime) -> None:
        """Settle, merge small parts, roll up finished days, remove what is too old.

        Raises:
            StorageUnavailableError: it could not be done; what was done stays done.
        """
        self.settle()
        with explained(self.path):
            for day in self._place.days():
                for group in range(N_GROUPS):
                    self._merge(day, group, is_over=self._is_over(day, now))
            self._roll_up(now)
            self._expire(now)

    def _new_name(self) -> str:
        return f"{to_us(self._clock.now()):020d}-{os.getpid()}"

    def _end_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            with suppress(OSError):
                stream.close()

    def _into_parts(self, path: Path) -> None:
        table = read_stream(path)
        days = table.column("at_us").to_numpy() // DAY_US
        subjects = table.column("subject").combine_chunks().dictionary_encode()
        groups = np.array([group_of(name) for name in subjects.dictionary.to_pylist()], dtype=int)
        groups = groups[subjects.indices.to_numpy(zero_copy_only=False)]
        for day_number in np.unique(days):
            day = day_of(int(day_number) * DAY_US)
            # Before the part: done twice it costs time, left out it would cost samples.
            self._unroll(day)
            for group in np.unique(groups[days == day_number]):
                rows = pa.array((days == day_number) & (groups == group))
                self._write_part(table.filter(rows), day, f"g{group}-{path.stem}{PARQUET}")
        path.unlink()

    def _write_part(self, table: pa.Table, day: date, name: str) -> None:
        ordered = table.sort_by([("subject", "ascending"), ("at_us", "ascending")])
        write_table(ordered.combine_chunks(), self._place.day(day) / name)

    def _unroll(self, day: date) -> None:
        """Have the minutes of a day made anew, and of the days that its samples may reach."""
        days = self._place.days()
        before = [d for d in days if d < day][-1:]
        after = [d for d in days if d > day][:1]
        for touched in {*before, *after, day, day - timedelta(days=1), day + timedelta(days=1)}:
            self._place.rolled(touched).unlink(missing_ok=True)

    def _merge(self, day: date, group: int, *, is_over: bool) -> None:
        small = []
        n_rows = 0
        for path in self._place.parts(day, group):
            rows = pq.read_metadata(path).num_rows
            if rows < SMALL_ROWS and n_rows + rows <= MERGE_MAX_ROWS:
                small.append(path)
                n_rows += rows
        if len(small) < (2 if is_over else MERGE_AT):
            return
        tables = [pq.read_table(path, schema=RAW_SCHEMA, use_threads=False) for path in small]
        # A part's name is that of its oldest stream, so the merged one replaces the first.
        merged = small[0].stem.removesuffix("+")
        self._write_part(pa.concat_tables(tables), day, f"{merged}+{PARQUET}")
        for path in small:
            if path.stem != f"{merged}+":
                path.unlink()

    def _is_over(self, day: date, now: datetime) -> bool:
        return to_us(now) >= day_start_us(day) + DAY_US + ROLL_AFTER_US

    def _roll_up(self, now: datetime) -> None:
        days = self._place.days()
        # What stood at midnight reaches into the next day, samples there or not.
        filled = [day for day in days if any(self._place.day(day).glob(f"*{PARQUET}"))]
        for day in sorted({*days, *(day + timedelta(days=1) for day in filled)}):
            if self._is_over(day, now) and not self._place.rolled(day).exists():
                for group in range(N_GROUPS):
                    self._roll_up_group(day, group)
                mark(self._place.rolled(day))

    def _roll_up_group(self, day: date, group: int) -> None:
        start_us = day_start_us(day)
        subjects = self._subjects(day, group)
        if not subjects:
            return
        all_edges_us = minute_edges(start_us, start_us + DAY_US)
        tallies = {name: Tally(all_edges_us, STORED) for name in subjects}
        for from_us in range(start_us, start_us + DAY_US, _CHUNK_US):
            edges_us = minute_edges(from_us, from_us + _CHUNK_US)
            found = read_samples(self.path, subjects, from_us, from_us + _CHUNK_US)
            for name, samples in found.items():
                minutes = resample(samples, edges_us, now_us=start_us + DAY_US + ROLL_AFTER_US)
                tallies[name].add(edges_us[:-1], minutes.columns)
        for name, tally in tallies.items():
            minutes = tally.buckets()
            if _has_content(minutes):
                write_day(self.path, name, day, minutes)

    def _subjects(self, day: date, group: int) -> list[str]:
        found: set[str] = set()
        for near in (day - timedelta(days=1), day):
            for path in self._place.parts(near, group):
                column = pq.read_table(path, columns=["subject"], use_threads=False).column(0)
                found.update(pc.unique(column).to_pylist())
        return sorted(found)

    def _expire(self, now: datetime) -> None:
        oldest = (now - timedelta(days=self._settings.raw_days)).date()
        for day in self._place.days():
            if day < oldest and self._place.rolled(day).exists():
                shutil.rmtree(self._place.day(day))
        last_month = (now - timedelta(days=self._settings.minute_days)).strftime("%Y-%m")
        if self._place.minute.exists():
            for path in self._place.minute.glob(f"*/*{PARQUET}"):
                if path.stem < last_month:
                    path.unlink()


def _has_content(minutes: Buckets) -> bool:
    columns = minutes.columns
    marks = ("power_kw.s", "n_samples", "gap_exported_kwh", "gap_imported_kwh")
    return any(columns[name].any() for name in marks)
