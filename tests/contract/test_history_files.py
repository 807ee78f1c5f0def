"""History on disk: durable at once, whole after any end, the same in samples and in minutes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from cluster.storage.history import writing
from cluster.storage.history.layout import Folder, day_of, group_of
from cluster.storage.history.opening import HistoryFolder
from cluster.storage.history.reading import read_buckets
from cluster.storage.history.streams import Stream
from cluster.storage.history.writing import HistoryFiles
from controllers.history.buckets import STORED, Buckets
from controllers.history.samples import Sample, to_us
from controllers.kernel.errors import StorageUnavailableError
from controllers.kernel.timebase import ManualClock
from controllers.ports.history import HistorySettings
from tests.support.history import DAY, edges_us, make_row

SUBJECT = "resource-bess1"
SETTINGS = HistorySettings(raw_days=5, minute_days=100)
SECOND = timedelta(seconds=1)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(DAY + timedelta(hours=1))


@pytest.fixture
def files(tmp_path: Path, clock: ManualClock) -> Iterator[HistoryFiles]:
    opened = HistoryFiles(tmp_path / "history", SETTINGS, clock)
    yield opened
    opened.rotate()


def settle(files: HistoryFiles) -> None:
    files.rotate()
    files.settle()


def rows(start_at: datetime, n: int, every: timedelta = SECOND, **changes: object) -> list[Sample]:
    """Return samples in a row, with registers that grow by the power's energy."""
    step_h = every / timedelta(hours=1)
    return [
        make_row(
            start_at + i * every,
            power_kw=float(i % 7) - 3.0,
            exported_kwh=1000.0 + i * step_h,
            imported_kwh=float(i // 10),
            soc_frac=(i % 100) / 100,
            **changes,
        )
        for i in range(n)
    ]


def ask(
    path: Path, edges: np.ndarray, now: datetime = DAY + timedelta(hours=40), subject: str = SUBJECT
) -> Buckets:
    return read_buckets(path / "history", [subject], edges, STORED, now)[subject]


def minutes(first: int, last: int, step: int = 1) -> np.ndarray:
    return edges_us(*(60 * n for n in range(first, last + 1, step)))


def assert_same(one: Buckets, other: Buckets) -> None:
    for name, values in one.columns.items():
        np.testing.assert_allclose(
            values, other.columns[name], rtol=1e-9, atol=1e-6, equal_nan=True, err_msg=name
        )


def small(path: Path) -> list[Path]:
    return Folder(path / "history").parts(day_of(to_us(DAY)), group_of(SUBJECT))


def test_what_was_appended_can_be_read_at_once(files: HistoryFiles, tmp_path: Path) -> None:
    files.append(rows(DAY, 10))
    files.append([make_row(DAY + 10 * SECOND, subject="resource-pv1")])
    buckets = ask(tmp_path, edges_us(0, 5, 10))
    assert list(buckets.columns["n_samples"]) == [5.0, 5.0]


def test_parts_answer_as_the_stream_did(files: HistoryFiles, tmp_path: Path) -> None:
    files.append(rows(DAY, 200))
    before = ask(tmp_path, minutes(0, 3))
    settle(files)
    assert not list((tmp_path / "history" / "live").iterdir())
    assert_same(ask(tmp_path, minutes(0, 3)), before)


def test_samples_handed_in_again_late_and_in_any_order_count_once(
    files: HistoryFiles, tmp_path: Path, clock: ManualClock
) -> None:
    everything = rows(DAY, 300)
    files.append(everything)
    settle(files)
    expected = ask(tmp_path, minutes(0, 5))
    rng = np.random.default_rng(1)
    for _ in range(3):
        clock.advance(SECOND)
        files.append([everything[i] for i in rng.integers(0, 300, 100)])
        settle(files)
        assert_same(ask(tmp_path, minutes(0, 5)), expected)


def test_rolled_days_answer_as_their_samples_did(
    files: HistoryFiles, tmp_path: Path, clock: ManualClock
) -> None:
    # Over midnight, with silences of minutes and of hours in which the registers went on.
    evening = DAY + timedelta(hours=23, minutes=40)
    files.append(rows(evening, 1500))
    files.append(
        [
            make_row(evening + timedelta(hours=9), exported_kwh=1500.0, imported_kwh=700.0),
            make_row(evening + timedelta(hours=9, seconds=2), exported_kwh=1501.0),
        ]
    )
    settle(files)
    edges = minutes(23 * 60, 35 * 60)
    expected = ask(tmp_path, edges)
    assert expected.columns["gap_exported_kwh"].sum() > 400.0
    now = DAY + timedelta(days=2, hours=1)
    files.tend(now)
    assert Folder(tmp_path / "history").rolled(day_of(to_us(DAY))).exists()
    assert_same(ask(tmp_path, edges), expected)
    hours = minutes(23 * 60, 35 * 60, 60)
    assert_same(ask(tmp_path, hours), expected.merged(hours))


def test_late_samples_of_a_rolled_day_reach_its_minutes(
    files: HistoryFiles, tmp_path: Path, clock: ManualClock
) -> None:
    files.append(rows(DAY, 60))
    files.append([make_row(DAY + timedelta(days=1, hours=5), exported_kwh=2000.0)])
    settle(files)
    now = DAY + timedelta(days=3)
    files.tend(now)
    late = rows(DAY + timedelta(hours=2), 60, is_live=False)
    clock.advance(SECOND)
    files.append(late)
    settle(files)
    whole = minutes(0, 36 * 60, 60)
    from_samples = ask(tmp_path, whole)
    assert from_samples.columns["n_samples"][2] == 60.0
    files.tend(now)
    assert_same(ask(tmp_path, whole), from_samples)
    # The gap that ends on the next day begins later now.
    gaps_kwh = from_samples.columns["gap_exported_kwh"]
    assert gaps_kwh[29] == pytest.approx(2000.0 - late[-1].exported_kwh)


def test_details_go_minutes_stay_and_go_in_their_turn(files: HistoryFiles, tmp_path: Path) -> None:
    files.append(rows(DAY, 120))
    settle(files)
    expected = ask(tmp_path, minutes(0, 2))
    files.tend(DAY + timedelta(days=3))
    assert small(tmp_path)
    files.tend(DAY + timedelta(days=7))
    assert not small(tmp_path)
    later = DAY + timedelta(days=7)
    assert_same(ask(tmp_path, minutes(0, 2), later), expected)
    files.tend(DAY + timedelta(days=200))
    assert not ask(tmp_path, minutes(0, 2), later).columns["n_samples"].any()


def test_small_parts_become_one(files: HistoryFiles, tmp_path: Path, clock: ManualClock) -> None:
    for i in range(writing.MERGE_AT):
        clock.advance(SECOND)
        files.append(rows(DAY + timedelta(seconds=20 * i), 20))
        settle(files)
    expected = ask(tmp_path, minutes(0, 4))
    assert len(small(tmp_path)) == writing.MERGE_AT
    files.tend(DAY + timedelta(hours=2))
    assert len(small(tmp_path)) == 1
    assert_same(ask(tmp_path, minutes(0, 4)), expected)


def test_a_reader_that_meets_a_merge_finds_everything(
    files: HistoryFiles, tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(2):
        clock.advance(SECOND)
        files.append(rows(DAY + timedelta(seconds=20 * i), 20))
        settle(files)
    expected = ask(tmp_path, minutes(0, 1))
    listing = Folder.parts
    n_listed = 0

    def merged_after_listing(self: Folder, *args: object) -> list[Path]:
        nonlocal n_listed
        found = listing(self, *args)  # type: ignore[arg-type]
        n_listed += bool(found)
        if n_listed == 1 and found:
            monkeypatch.undo()
            files.tend(DAY + timedelta(days=1, hours=1))
        return found

    monkeypatch.setattr(Folder, "parts", merged_after_listing)
    assert_same(ask(tmp_path, minutes(0, 1)), expected)
    assert len(small(tmp_path)) == 1


def test_resolutions_below_a_minute_and_odd_ones_come_from_samples(
    files: HistoryFiles, tmp_path: Path
) -> None:
    files.append(rows(DAY, 3600 * 8, every=SECOND))
    settle(files)
    files.tend(DAY + timedelta(days=2))
    whole = ask(tmp_path, edges_us(0, 8 * 3600))
    for step_s in (7, 90, 25_200):
        edges = edges_us(*range(0, 8 * 3600 + step_s, step_s))
        total = ask(tmp_path, edges)
        for name in ("power_kw.sum", "power_kw.s", "n_samples"):
            assert total.columns[name].sum() == pytest.approx(whole.columns[name].sum(), abs=15)


WRITER = """
import sys, datetime, pathlib
from cluster.storage.history.opening import open_history_writer
from controllers.ports.history import HistorySettings
from tests.support.history import DAY, make_row
writer = open_history_writer(sys.argv[1], HistorySettings())
for i in range(10**6):
    writer.append([make_row(DAY + datetime.timedelta(seconds=10 * i + n)) for n in range(10)])
    print(i, flush=True)
"""


def test_kill_loses_nothing_that_was_appended(files: HistoryFiles, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, tmp_path / "history"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for _ in range(30):
        n_acknowledged = int(process.stdout.readline()) + 1
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=20)
    # The successor takes over what the stream holds.
    settle(files)
    buckets = ask(tmp_path, edges_us(0, 10 * n_acknowledged))
    assert buckets.columns["n_samples"][0] == 10 * n_acknowledged


@pytest.mark.parametrize("cut", [1, 100, 700])
def test_a_torn_batch_costs_itself_only(
    files: HistoryFiles, tmp_path: Path, clock: ManualClock, cut: int
) -> None:
    files.append(rows(DAY, 20))
    stream = next((tmp_path / "history" / "live").iterdir())
    whole = stream.stat().st_size
    files.append(rows(DAY + 20 * SECOND, 20))
    # As a process leaves it that dies while it writes.
    left = tmp_path / "left"
    torn = left / "history" / "live" / stream.name
    torn.parent.mkdir(parents=True)
    torn.write_bytes(stream.read_bytes()[: max(whole, stream.stat().st_size - cut)])
    assert ask(left, minutes(0, 1)).columns["n_samples"][0] == 20
    HistoryFiles(left / "history", SETTINGS, clock).settle()
    assert small(left)
    assert ask(left, minutes(0, 1)).columns["n_samples"][0] == 20


def test_a_full_disk_is_told_and_the_samples_can_be_handed_in_again(
    files: HistoryFiles, tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.append(rows(DAY, 20))

    def full(self: Stream, samples: Sequence[Sample]) -> None:
        self._file.write(b"torn")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Stream, "append", full)
    with pytest.raises(StorageUnavailableError, match="No space left"):
        files.append(rows(DAY + 20 * SECOND, 20))
    monkeypatch.undo()
    clock.advance(SECOND)
    files.append(rows(DAY + 20 * SECOND, 20))
    assert ask(tmp_path, minutes(0, 1)).columns["n_samples"][0] == 40
    settle(files)
    assert ask(tmp_path, minutes(0, 1)).columns["n_samples"][0] == 40


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "history").write_text("in the way")
    files = HistoryFiles(tmp_path / "history", SETTINGS, clock)
    with pytest.raises(StorageUnavailableError):
        files.append(rows(DAY, 1))


async def test_a_damaged_part_is_told_not_passed_over(files: HistoryFiles, tmp_path: Path) -> None:
    files.append(rows(DAY, 20))
    settle(files)
    small(tmp_path)[0].write_bytes(b"PAR1 no more")
    reader = HistoryFolder(tmp_path / "history", SETTINGS)
    with pytest.raises(StorageUnavailableError):
        await reader.buckets([SUBJECT], minutes(0, 1), STORED, DAY + timedelta(hours=1))


async def test_an_unknown_subject_and_an_absent_folder_are_empty(tmp_path: Path) -> None:
    reader = HistoryFolder(tmp_path / "history", SETTINGS)
    found = await reader.buckets([SUBJECT], minutes(0, 1), ["n_samples"], DAY)
    assert list(found[SUBJECT].columns["n_samples"]) == [0.0]
    assert not await reader.knows(SUBJECT)
    with pytest.raises(StorageUnavailableError, match="never"):
        await reader.ping()


async def test_a_history_that_falls_silent_is_told(files: HistoryFiles, tmp_path: Path) -> None:
    files.append(rows(DAY, 1))
    now = datetime.fromtimestamp((tmp_path / "history" / "live").stat().st_mtime, UTC)
    reader = HistoryFolder(tmp_path / "history", SETTINGS, ManualClock(now))
    await reader.ping()
    late = ManualClock(now + timedelta(minutes=2))
    with pytest.raises(StorageUnavailableError, match="120 s ago"):
        await HistoryFolder(tmp_path / "history", SETTINGS, late).ping()
