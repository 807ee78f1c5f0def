"""The write-ahead streams: samples on disk within a second, read back after any end.

A stream is an Arrow IPC file to which one batch is added per flush. The process that writes it
holds its lock; a stream without one is finished, and what comes after a torn last batch is nothing.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from cluster.storage.history.layout import RAW_SCHEMA, STREAM, flush
from controllers.history.samples import Sample


class Stream:
    """A stream that is being written.

    Args:
        folder: where streams lie.
        name: without ending; greater than those of all streams before.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{name}{STREAM}"
        self._file: BinaryIO = self.path.open("xb")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._writer = pa.ipc.new_stream(self._file, RAW_SCHEMA)
            flush(folder)
        except BaseException:
            self._file.close()
            raise

    def append(self, samples: Sequence[Sample]) -> None:
        """Write samples and wait until they are on disk."""
        self._writer.write_batch(batch_of(samples))
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Finish the stream; what cannot be written any more is left out."""
        try:
            self._writer.close()
        finally:
            # A full disk also fails the last flush, and the lock must go all the same.
            self._file.close()


def batch_of(samples: Sequence[Sample]) -> pa.RecordBatch:
    """Return samples as columns."""
    columns = zip(*samples, strict=True)
    arrays = [pa.array(c, field.type) for c, field in zip(columns, RAW_SCHEMA, strict=True)]
    return pa.record_batch(arrays, schema=RAW_SCHEMA)


def read_stream(path: Path) -> pa.Table:
    """Return what a stream holds up to its end or to where it is torn.

    Raises:
        FileNotFoundError: it has been turned into parts meanwhile.
    """
    batches = []
    try:
        with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as reader:
            while True:
                batches.append(reader.read_next_batch())
    except FileNotFoundError:
        raise
    except (StopIteration, pa.ArrowException, OSError):
        # The end; or a batch of which only a part was written.
        pass
    return pa.Table.from_batches(batches, RAW_SCHEMA)


def finished_streams(folder: Path) -> list[Path]:
    """Return the streams that nobody writes any more, oldest first."""
    return [path for path in sorted(folder.glob(f"*{STREAM}")) if not _is_locked(path)]


def _is_locked(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
