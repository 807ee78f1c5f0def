"""Where history is kept and read; writing blocks and belongs into threads, reading is awaited."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from controllers.history.buckets import Buckets, InstantArray
from controllers.history.samples import Sample
from controllers.kernel.timebase import floor_to
from controllers.kernel.wire import Wire

FLUSH_S = 1.0
"""Samples are on disk at most about this long after they came."""


class HistorySettings(Wire):
    """For how long history is kept."""

    raw_days: int = 14
    """Samples as they came; also how late a backfilled one may be."""
    minute_days: int = 3_660
    """One-minute roll-ups."""

    def oldest_at(self, now: datetime) -> datetime:
        """Return the instant before which a late sample is no longer taken."""
        return now - timedelta(days=self.raw_days - 1)

    def detail_from(self, now: datetime) -> datetime:
        """Return the instant from which on samples are kept, not only minutes."""
        return floor_to(now - timedelta(days=self.raw_days), timedelta(days=1))


class HistoryWriter(Protocol):
    """The one writer; every method blocks and raises StorageUnavailableError when it cannot.

    ``append`` and ``rotate`` belong to one thread; ``tend`` may run beside them in another.
    """

    def append(self, samples: Sequence[Sample]) -> None:
        """Make samples durable."""
        ...

    def rotate(self) -> None:
        """End what is being written, for ``tend`` or a successor to go on with."""
        ...

    def tend(self, now: datetime) -> None:
        """Make files that are quick to read, roll up finished days, remove what is too old."""
        ...


class HistoryReader(Protocol):
    """Reads history; any number may, while it is written."""

    @property
    def settings(self) -> HistorySettings:
        """For how long history is kept."""
        ...

    async def buckets(
        self,
        subjects: Sequence[str],
        edges_us: InstantArray,
        names: Iterable[str],
        now: datetime,
    ) -> Mapping[str, Buckets]:
        """Return the intervals of each subject; those of an unknown one are empty.

        Args:
            subjects: from ``samples.subject_of``.
            edges_us: [N+1].
            names: stored columns that are wanted.
            now: nothing is known of what comes after.

        Raises:
            StorageUnavailableError: the files cannot be read.
        """
        ...

    async def knows(self, subject: str) -> bool:
        """Tell whether there is any history of a subject."""
        ...
