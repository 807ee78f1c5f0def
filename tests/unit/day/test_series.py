"""How files are dated, and that none of them shows the future."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from cluster.day.series import Dated, DayFrame, OneDay, Series, UnnumberedYear

PARIS = ZoneInfo("Europe/Paris")
HOUR = timedelta(hours=1)
FRAME = DayFrame(date(2025, 9, 30), PARIS)
MIDNIGHT = FRAME.period.start_at


def test_only_periods_that_have_ended_lie_before_an_instant() -> None:
    series = Series(start_at=MIDNIGHT, period=HOUR, values=[1.0, 2.0, 3.0])
    assert series.before(MIDNIGHT + 1.9 * HOUR).values == [1.0]
    assert series.before(MIDNIGHT + 2 * HOUR).values == [1.0, 2.0]
    assert series.before(MIDNIGHT - HOUR).values == []


def test_the_first_gap_of_a_day_is_found() -> None:
    values = [1.0] * 24
    whole = Series(start_at=MIDNIGHT, period=HOUR, values=values)
    assert whole.first_gap(FRAME.period) is None
    short = Series(start_at=MIDNIGHT, period=HOUR, values=values[:23])
    assert short.first_gap(FRAME.period) == MIDNIGHT + 23 * HOUR


def test_a_dated_file_says_which_local_days_it_holds() -> None:
    values = [1.0] * 49
    series = Series(start_at=MIDNIGHT - HOUR, period=HOUR, values=values)
    assert Dated(series=series, zone=PARIS).days == (date(2025, 9, 30), date(2025, 10, 1))


def test_a_dated_file_gives_what_lies_around_the_day() -> None:
    start = FRAME.span.start_at - 5 * HOUR
    n = (FRAME.span.end_at - start) // HOUR + 5
    series = Series(start_at=start, period=HOUR, values=[float(i) for i in range(n)])
    found = Dated(series=series, zone=PARIS).on(FRAME)
    assert (found.start_at, found.end_at) == (FRAME.span.start_at, FRAME.span.end_at)
    assert found.values[0] == 5.0


def year_from_august(zone: ZoneInfo) -> UnnumberedYear[int]:
    """Rows of a common year, numbered, the first at midnight of 1 August."""
    start = datetime(2022, 8, 1, tzinfo=UTC)
    rows = {}
    for row in range(8760):
        at = start + row * HOUR
        rows[at.month, at.day, at.hour] = row
    return UnnumberedYear(values=list(range(8760)), rows=rows)


def test_a_year_without_number_is_read_by_local_month_day_and_hour() -> None:
    found = year_from_august(PARIS).on(FRAME)
    september_30 = (31 + 29) * 24
    at = [found.at(MIDNIGHT + h * HOUR) for h in range(24)]
    assert at == list(range(september_30, september_30 + 24))
    assert found.at(MIDNIGHT - HOUR) == september_30 - 1


def test_the_end_of_the_file_is_not_the_past_of_its_beginning() -> None:
    frame = DayFrame(date(2025, 8, 1), PARIS)
    found = year_from_august(PARIS).on(frame)
    assert found.at(frame.period.start_at) == 0
    assert {found.at(frame.period.start_at - h * HOUR) for h in range(1, 300)} == {None}


def test_a_leap_day_repeats_the_day_before() -> None:
    frame = DayFrame(date(2028, 2, 29), PARIS)
    rows = year_from_august(PARIS)
    at_noon = frame.period.start_at + 12 * HOUR
    assert rows.on(frame).at(at_noon) == rows.rows[2, 28, 12]


@pytest.mark.parametrize(
    ("day", "n_hours"),
    [(date(2025, 3, 30), 23), (date(2025, 9, 30), 24), (date(2025, 10, 26), 25)],
)
def test_rows_of_one_day_fill_a_day_of_any_length(day: date, n_hours: int) -> None:
    frame = DayFrame(day, PARIS)
    found = OneDay(values=list(range(24))).on(frame)
    assert len(found.values) == n_hours
    assert found.first_gap(frame.period) is None
    assert found.at(frame.period.end_at - HOUR) == 23
    assert found.at(frame.period.start_at - HOUR) is None
