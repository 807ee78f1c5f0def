"""Opens a history folder for writing or reading; the file format is loaded at first use only."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from controllers.history.buckets import Buckets, InstantArray
from controllers.kernel.errors import StorageUnavailableError
from controllers.kernel.timebase import Clock, SystemClock
from controllers.ports.history import HistorySettings, HistoryWriter

_MAX_QUESTIONS = 2
"""Answered at once by one process; further ones wait, and live reads go on."""


SILENT_AFTER_S = 30.0
"""A park that lives says something every second."""


def open_history_writer(path: str, settings: HistorySettings) -> HistoryWriter:
    """Return the writer of a folder; it is made at the first append."""
    # Slow to import, and the processes that only hand this function on need none of it.
    from cluster.storage.history.writing import HistoryFiles  # noqa: PLC0415

    return HistoryFiles(Path(path), settings, SystemClock())


class HistoryFolder:
    """A HistoryReader over a folder that another process may be writing."""

    def __init__(self, path: Path, settings: HistorySettings, clock: Clock | None = None) -> None:
        self._path = path
        self._settings = settings
        self._clock = clock or SystemClock()
        self._turns = asyncio.Semaphore(_MAX_QUESTIONS)

    @property
    def settings(self) -> HistorySettings:
        """For how long history is kept."""
        return self._settings

    async def buckets(
        self,
        subjects: Sequence[str],
        edges_us: InstantArray,
        names: Iterable[str],
        now: datetime,
    ) -> Mapping[str, Buckets]:
        """Return the intervals of each subject; see the port."""

        def read() -> dict[str, Buckets]:
            from cluster.storage.history.reading import read_buckets  # noqa: PLC0415

            return read_buckets(self._path, subjects, edges_us, names, now)

        async with self._turns:
            return await asyncio.to_thread(read)

    async def knows(self, subject: str) -> bool:
        """Tell whether there are minutes of a subject."""

        def look() -> bool:
            from cluster.storage.history.reading import knows  # noqa: PLC0415

            return knows(self._path, subject)

        return await asyncio.to_thread(look)

    async def ping(self) -> None:
        """Raise StorageUnavailableError when nothing has been written for a while."""

        def look() -> datetime | None:
            from cluster.storage.history.reading import written_at  # noqa: PLC0415

            return written_at(self._path)

        at = await asyncio.to_thread(look)
        silent_s = None if at is None else (self._clock.now() - at).total_seconds()
        if silent_s is None or silent_s > SILENT_AFTER_S:
            told = "never" if silent_s is None else f"{silent_s:.0f} s ago"
            raise StorageUnavailableError(f"history was last written {told}")
