"""Answers from a history folder: minutes where they are current, samples where they are not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from cluster.storage.history.layout import (
    DAY_US,
    MINUTE_US,
    STREAM,
    Folder,
    day_of,
    day_start_us,
    explained,
)
from cluster.storage.history.minutes import add_minutes, minute_edges
from cluster.storage.history.samples import read_samples
from controllers.history.buckets import Buckets, InstantArray, Tally
from controllers.history.resample import resample
from controllers.history.samples import to_us

_CHUNK_US = DAY_US // 4
"""Samples are read for so long at once, which bounds the memory of a question."""

_SUBJECT = re.compile(r"[a-z]+-[a-z0-9][a-z0-9_-]{0,63}")

Span = tuple[int, int]


def read_buckets(
    path: Path, subjects: Sequence[str], edges_us: InstantArray, names: Iterable[str], now: datetime
) -> dict[str, Buckets]:
    """Return the intervals of each subject; see the port.

    Raises:
        StorageUnavailableError: the files cannot be read.
    """
    wanted = tuple(names)
    tallies = {subject: Tally(edges_us, wanted) for subject in subjects}
    with explained(path):
        from_minutes = not (edges_us % MINUTE_US).any()
        rolled: list[Span] = []
        live = [_whole(edges_us)]
        if from_minutes:
            rolled, live = _plan(Folder(path), edges_us, now)
        if rolled:
            for subject, tally in tallies.items():
                add_minutes(path, subject, wanted, rolled, tally)
        for span in live:
            chunks = _minute_chunks(span) if from_minutes else _own_chunks(edges_us)
            for chunk in chunks:
                _add_samples(path, tallies, chunk, now)
    return {subject: tally.buckets() for subject, tally in tallies.items()}


def knows(path: Path, subject: str) -> bool:
    """Tell whether there are minutes of a subject: from the night after its first sample on."""
    # A name from outside must not lead to another folder.
    return bool(_SUBJECT.fullmatch(subject)) and bool(Folder(path).months(subject))


def written_at(path: Path) -> datetime | None:
    """Return when history was last written; None when it never was."""
    place = Folder(path)
    newest = [*place.live.glob(f"*{STREAM}"), *(place.day(day) for day in place.days()[-1:])]
    stamps = []
    for file in newest:
        # A stream may have become parts since it was listed.
        with suppress(FileNotFoundError):
            stamps.append(file.stat().st_mtime)
    return datetime.fromtimestamp(max(stamps), UTC) if stamps else None


def _plan(place: Folder, edges_us: InstantArray, now: datetime) -> tuple[list[Span], list[Span]]:
    """Return the spans to take from minutes and those to take from samples."""
    # What came in the last minutes is in streams and may have no folder yet.
    first_kept = min([*place.days()[:1], now.date() - timedelta(days=1)])
    rolled: list[Span] = []
    live: list[Span] = []
    start_us, end_us = _whole(edges_us)
    # Before the first day with samples there are minutes only: one span, however long.
    if day_of(start_us) < first_kept:
        until_us = min(end_us, day_start_us(first_kept))
        rolled.append((start_us, until_us))
        start_us = until_us
    while start_us < end_us:
        day = day_of(start_us)
        until_us = min(end_us, day_start_us(day) + DAY_US)
        (rolled if place.rolled(day).exists() else live).append((start_us, until_us))
        start_us = until_us
    return rolled, live


def _whole(edges_us: InstantArray) -> Span:
    return int(edges_us[0]), int(edges_us[-1])


def _minute_chunks(span: Span) -> Iterable[InstantArray]:
    for from_us in range(*span, _CHUNK_US):
        yield minute_edges(from_us, min(from_us + _CHUNK_US, span[1]))


def _own_chunks(edges_us: InstantArray) -> Iterable[InstantArray]:
    chunk = (edges_us - edges_us[0]) // _CHUNK_US
    starts = np.flatnonzero(np.append(True, chunk[1:] != chunk[:-1]))
    for first, last in zip(starts, [*starts[1:], len(edges_us) - 1], strict=True):
        if last > first:
            yield edges_us[first : last + 1]


def _add_samples(
    path: Path, tallies: dict[str, Tally], edges_us: InstantArray, now: datetime
) -> None:
    from_us, until_us = _whole(edges_us)
    if from_us >= to_us(now):
        return
    for subject, samples in read_samples(path, list(tallies), from_us, until_us).items():
        part = resample(samples, edges_us, now_us=to_us(now))
        tallies[subject].add(part.edges_us[:-1], part.columns)
