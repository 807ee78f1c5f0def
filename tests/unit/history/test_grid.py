"""The intervals of an answer: aligned, local days, bounded with a remedy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from controllers.history.grid import Grid, make_grid, parse_resolution
from controllers.history.samples import to_us
from controllers.kernel.errors import DomainError

BERLIN = ZoneInfo("Europe/Berlin")
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def grid(from_at: datetime, to_at: datetime, resolution: str = "auto", **changes: object) -> Grid:
    given = {"zone": BERLIN, "n_columns": 2, "detail_from": LONG_AGO} | changes
    return make_grid(from_at, to_at, parse_resolution(resolution), **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("day", "hours"),
    [
        (datetime(2026, 3, 29, tzinfo=BERLIN), 23),
        (datetime(2026, 10, 25, tzinfo=BERLIN), 25),
        (datetime(2026, 6, 1, tzinfo=BERLIN), 24),
    ],
    ids=["clock goes forward", "clock goes back", "ordinary"],
)
def test_a_local_day_is_as_long_as_its_clock_says(day: datetime, hours: int) -> None:
    found = grid(day, day + timedelta(hours=1), "1d")
    assert found.n == 1
    assert np.diff(found.edges_us).tolist() == [hours * 3_600_000_000]
    assert found.edges_us[0] == to_us(day)


def test_local_days_over_a_change_of_clock_leave_no_hole() -> None:
    found = grid(
        datetime(2026, 3, 28, 12, tzinfo=BERLIN), datetime(2026, 3, 31, tzinfo=BERLIN), "1d"
    )
    assert [h // 3_600_000_000 for h in np.diff(found.edges_us)] == [24, 23, 24]


def test_intervals_are_aligned_and_cover_what_is_touched() -> None:
    from_at = datetime(2026, 6, 1, 10, 7, 30, tzinfo=UTC)
    found = grid(from_at, from_at + timedelta(minutes=15), "15m")
    assert found.edges_us.tolist() == [
        to_us(datetime(2026, 6, 1, 10, minute, tzinfo=UTC)) for minute in (0, 15, 30)
    ]


@pytest.mark.parametrize(
    ("span", "expected_s"),
    [
        (timedelta(minutes=10), 1),
        (timedelta(hours=24), 60),
        (timedelta(days=365), 21_600),
        (timedelta(days=3_600), 86_400),
    ],
)
def test_auto_fits_a_chart(span: timedelta, expected_s: int) -> None:
    found = grid(LONG_AGO, LONG_AGO + span)
    assert found.resolution_s == expected_s
    assert found.n <= 3_601


def test_auto_is_no_finer_than_what_is_kept() -> None:
    found = grid(
        LONG_AGO, LONG_AGO + timedelta(minutes=10), detail_from=LONG_AGO.replace(year=2001)
    )
    assert found.resolution_s == 60


@pytest.mark.parametrize(
    ("days", "resolution", "n_columns", "finest"),
    [(366, "1m", 2, None), (366, "1m", 12, 120), (30, "1s", 2, 5), (366, "59s", 2, 60)],
)
def test_too_many_values_are_refused_and_the_finest_that_does_is_named(
    days: int, resolution: str, n_columns: int, finest: int | None
) -> None:
    to_at = LONG_AGO + timedelta(days=days)
    if finest is None:
        assert grid(LONG_AGO, to_at, resolution, n_columns=n_columns).n == days * 1440
        return
    with pytest.raises(DomainError, match=f"must be at least {finest}s for this span"):
        grid(LONG_AGO, to_at, resolution, n_columns=n_columns)
    grid(LONG_AGO, to_at, f"{finest}s", n_columns=n_columns)


@pytest.mark.parametrize("text", ["", "1", "m", "1.5h", "-1s", "25h", "2d", "0s", "1s\n", "1 s"])
def test_what_is_no_resolution_is_refused(text: str) -> None:
    with pytest.raises(DomainError, match="from 1s to 1d"):
        parse_resolution(text)
