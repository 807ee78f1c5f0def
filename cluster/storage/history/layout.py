"""What lies where in the history folder, and of which columns its files are.

``live/NAME.arrows``
    Arrow streams, one batch per flush; what came in the last minutes.
``raw/DAY/gN-NAME.parquet``
    Samples of one UTC day and one group of subjects, sorted by subject and instant.
``raw/DAY/rolled``
    Marks a day whose minutes are current.
``minute/SUBJECT/MONTH.parquet``
    One row per minute of a subject's month.

A file appears under its name whole and flushed, or not at all.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from controllers.history.buckets import STORED, US_PER_S
from controllers.history.samples import to_us
from controllers.kernel.errors import StorageUnavailableError

N_GROUPS = 8
"""Subjects share files by hash, so that merging needs an eighth of a day's memory at most."""
DAY_US = 86_400 * US_PER_S
MINUTE_US = 60 * US_PER_S
ROLLED = "rolled"
PARQUET = ".parquet"
STREAM = ".arrows"

RAW_SCHEMA = pa.schema(
    [
        ("subject", pa.string()),
        ("at_us", pa.int64()),
        ("hold_s", pa.float64()),
        ("is_live", pa.bool_()),
        ("is_repeat", pa.bool_()),
        ("epoch", pa.int64()),
        ("seq", pa.int64()),
        ("quality", pa.string()),
        ("rung", pa.string()),
        ("power_kw", pa.float64()),
        ("setpoint_kw", pa.float64()),
        ("target_kw", pa.float64()),
        ("soc_frac", pa.float64()),
        ("member_coverage_frac", pa.float64()),
        ("exported_kwh", pa.float64()),
        ("imported_kwh", pa.float64()),
    ]
)
"""In the order of the fields of a Sample."""
MINUTE_SCHEMA = pa.schema([("start_us", pa.int64()), *((name, pa.float64()) for name in STORED)])

_ROW_GROUP = 65_536


class Folder:
    """Paths within one history folder."""

    def __init__(self, path: Path) -> None:
        self.live = path / "live"
        self.raw = path / "raw"
        self.minute = path / "minute"

    def day(self, day: date) -> Path:
        """Return the folder of a UTC day's samples."""
        return self.raw / day.isoformat()

    def days(self) -> list[date]:
        """Return the days that have a folder, in order."""
        if not self.raw.exists():
            return []
        return sorted(date.fromisoformat(path.name) for path in self.raw.iterdir())

    def parts(self, day: date, group: int) -> list[Path]:
        """Return the files of a day and group."""
        return sorted(self.day(day).glob(f"g{group}-*{PARQUET}"))

    def rolled(self, day: date) -> Path:
        """Return the mark of a day whose minutes are current."""
        return self.day(day) / ROLLED

    def months(self, subject: str) -> list[Path]:
        """Return the files of a subject's minutes, in order."""
        return sorted((self.minute / subject).glob(f"*{PARQUET}"))

    def month(self, subject: str, day: date) -> Path:
        """Return the file with a subject's minutes of a day."""
        return self.minute / subject / f"{day:%Y-%m}{PARQUET}"


def group_of(subject: str) -> int:
    """Return the group of a subject; the same for ever."""
    return zlib.crc32(subject.encode()) % N_GROUPS


def day_of(at_us: int) -> date:
    """Return the UTC day of an instant."""
    return date(1970, 1, 1) + timedelta(days=at_us // DAY_US)


def day_start_us(day: date) -> int:
    """Return the instant at which a UTC day begins."""
    return to_us(datetime(day.year, day.month, day.day, tzinfo=UTC))


def write_table(table: pa.Table, path: Path) -> None:
    """Write a Parquet file, whole or not at all."""

    def write(draft: Path) -> None:
        # Numbers hardly repeat, and reading them fast is worth a few bytes more.
        texts = [field.name for field in table.schema if field.type == pa.string()]
        pq.write_table(
            table, draft, compression="lz4", use_dictionary=texts, row_group_size=_ROW_GROUP
        )

    _replace(path, write)


def mark(path: Path) -> None:
    """Make an empty file."""
    _replace(path, Path.touch)


def _replace(path: Path, write: Callable[[Path], None]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Hidden from every search by its ending.
    draft = path.with_name(f"{path.name}.tmp")
    try:
        write(draft)
        flush(draft)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    flush(path.parent)


def flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what files and their format may raise into our error."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise StorageUnavailableError(f"history at {path}: {error}") from error
