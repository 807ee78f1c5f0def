"""Parts of a day, run: exact sums, honest comparison, no look ahead, and an end on request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cluster.day.chart import draw_chart
from cluster.day.meter import Reading
from cluster.day.report import cost_of, day_report
from cluster.day.run import DayRun, check_step, run_day
from cluster.day.scenario import Request, Scenario, scenario
from cluster.day.table import print_report
from controllers.aggregation.settings import AggregateSettings
from controllers.kernel.errors import ConfigError
from controllers.kernel.wire import encode
from tests.support.day_files import EXPENSIVE_EVENING, write_building, write_prices

NOW = datetime(2025, 9, 30, tzinfo=UTC)
DAY = date(2025, 9, 30)
CHEAP_THEN_DEAR = [10.0, 200.0, *EXPENSIVE_EVENING[2:]]
"""Within the two hours that most tests run."""


def one_building(
    folder: Path, load_kwh: Callable[[int, int], float] = lambda row, hour: 1.0 + 0.1 * hour
) -> Scenario:
    request = Request(
        day=DAY,
        loads=[str(write_building(folder, load_kwh=load_kwh))],
        price=write_prices(folder, CHEAP_THEN_DEAR),
    )
    return scenario(request, NOW)


def run_hours(plan: Scenario, hours: float, step_s: int = 60) -> DayRun:
    steps = iter(range(round(hours * 3600 / step_s)))
    return asyncio.run(
        run_day(
            plan,
            step_s=step_s,
            progress=lambda done: None,
            stopped=lambda: next(steps, None) is None,
        )
    )


@pytest.fixture(scope="module")
def two_hours(tmp_path_factory: pytest.TempPathFactory) -> DayRun:
    return run_hours(one_building(tmp_path_factory.mktemp("day")), 2.0)


def as_read(run: DayRun) -> dict[str, Any]:
    """Return the report as a reader gets it, with every number a decimal."""
    report: dict[str, Any] = json.loads(encode(day_report(run)), parse_float=Decimal)
    return report


@pytest.mark.parametrize("which", ["controlled", "uncontrolled"])
def test_resources_add_up_to_the_connection_and_intervals_to_totals(
    two_hours: DayRun, which: str
) -> None:
    report = as_read(two_hours)
    for interval in report["intervals"]:
        metered = interval[which]
        net = metered["exported_kwh"] - metered["imported_kwh"]
        assert sum(metered["resources_net_kwh"].values()) == net
    for name in ("imported_kwh", "exported_kwh"):
        total = sum(interval[which][name] for interval in report["intervals"])
        assert total == report[which][name]


@pytest.mark.parametrize("which", ["controlled", "uncontrolled"])
def test_the_cost_follows_from_the_report_s_own_intervals(two_hours: DayRun, which: str) -> None:
    report = as_read(two_hours)
    cost = Decimal(0)
    for interval in report["intervals"]:
        metered = interval[which]
        bought = metered["imported_kwh"] * Decimal(interval["import_price_per_mwh"])
        sold = metered["exported_kwh"] * Decimal(interval["export_price_per_mwh"])
        assert (bought - sold) / 1000 == Decimal(metered["cost"])
        cost += (bought - sold) / 1000
    assert round(cost, 2) == Decimal(report[which]["cost"]["amount"])


def test_what_is_bought_and_what_is_sold_have_their_own_prices(tmp_path: Path) -> None:
    price = tmp_path / "p.csv"
    price.write_text("import_eur_per_mwh,export_eur_per_mwh\n" + "200.5,50\n" * 24)
    building = str(write_building(tmp_path))
    prices = scenario(Request(day=DAY, loads=[building], price=price), NOW).prices
    cost = cost_of(Reading(exported=400_000, imported=100_001), NOW, prices)
    assert cost.amount == Decimal("0.2005") + Decimal("0.000002005") - Decimal("0.2")


def test_control_buys_cheap_and_the_battery_without_control_rests(two_hours: DayRun) -> None:
    report = day_report(two_hours)
    assert report.plan.n_degraded == 0
    assert report.plan.first_status == "optimal"
    assert report.difference.cost.amount < 0
    (battery,) = report.uncontrolled.battery_cycles
    assert report.uncontrolled.battery_cycles[battery] == 0.0
    assert report.controlled.battery_cycles[battery] > 0.5
    cheap, dear = report.intervals[0], report.intervals[5]
    assert cheap.controlled.imported_kwh > cheap.uncontrolled.imported_kwh
    assert dear.controlled.imported_kwh < dear.uncontrolled.imported_kwh


def test_the_meter_counts_what_the_file_says(two_hours: DayRun) -> None:
    totals = day_report(two_hours).uncontrolled
    # The first two hours of the day, 1.1 and 1.2 kWh; a building follows with its switches' lag.
    assert totals.consumed_kwh == pytest.approx(2.3, abs=0.01)


def test_commands_are_delivered_and_none_is_lost(two_hours: DayRun) -> None:
    records = two_hours.records
    assert records["command_sent"] == records["command_applied"] > 0
    assert records["command_verified"] > 0
    assert not {"command_failed", "command_expired", "refusals", "ladder_failsafe"} & set(records)


def test_plans_and_commands_do_not_depend_on_what_comes_later(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    # Not above the greatest value of the year, which rates the load.
    until = 1 + (31 + 29) * 24 + 2  # the row of 02:00 on the day
    known = one_building(first)
    other = one_building(second, lambda row, hour: 1.0 + 0.1 * hour if row < until else 3.4)
    later = known.frame.period.start_at + timedelta(hours=3)
    for_load = "building_1_load"
    assert other.recorded_kw[for_load].at(later) != known.recorded_kw[for_load].at(later)
    one, two = (run_hours(plan, 2.0) for plan in (known, other))
    assert [p.setpoints_kw for p in one.plans] == [p.setpoints_kw for p in two.plans]
    assert one.controlled == two.controlled


def test_a_file_without_a_past_does_not_show_its_future(tmp_path: Path) -> None:
    plans = []
    for name, later in (("a.csv", 1.0), ("b.csv", 3.0)):
        rows = [2.0, 2.0, *[later] * 21, 3.0]
        path = tmp_path / name
        path.write_text("hall_kw\n" + "\n".join(map(str, rows)))
        request = Request(
            day=DAY, loads=[f"hall={path}"], price=write_prices(tmp_path, CHEAP_THEN_DEAR)
        )
        plans.append(run_hours(scenario(request, NOW), 0.25).plans[0])
    assert plans[0].park_net_kw == plans[1].park_net_kw


def test_the_past_does_count(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    today = 1 + (31 + 29) * 24
    known = one_building(first)
    other = one_building(second, lambda row, hour: 1.0 + 0.1 * hour if row >= today else 3.0)
    one, two = (run_hours(plan, 0.25) for plan in (known, other))
    assert one.plans[0].park_net_kw != two.plans[0].park_net_kw


def test_a_stopped_day_reports_what_was_done_and_says_so(tmp_path: Path) -> None:
    run = run_hours(one_building(tmp_path), 0.4)
    report = day_report(run)
    assert not report.complete
    assert [i.end_at - i.start_at for i in report.intervals] == [
        timedelta(minutes=15),
        timedelta(minutes=9),
    ]
    console = Console(record=True, width=120, file=(tmp_path / "table.txt").open("w"))
    print_report(report, console)
    assert "INCOMPLETE" in console.export_text()
    console.file.close()
    draw_chart(report, tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


def test_a_day_stopped_at_once_has_no_interval(tmp_path: Path) -> None:
    assert run_hours(one_building(tmp_path), 0.0).controlled == []


def test_a_shorter_step_meters_much_the_same(tmp_path: Path, two_hours: DayRun) -> None:
    fine = day_report(run_hours(one_building(tmp_path), 0.5, step_s=10))
    coarse = day_report(two_hours)
    (battery,) = (r for r in two_hours.scenario.park.resources if r.kind == "battery")
    # A plan is entered over some seconds, which a step of a minute does not resolve.
    entry_h = AggregateSettings().plan_entry_s / 3600.0
    entry_kwh = float(battery.parameters["max_discharge_kw"]) * entry_h
    for one, two in zip(fine.intervals, coarse.intervals, strict=False):
        assert one.controlled.imported_kwh == pytest.approx(
            two.controlled.imported_kwh, rel=0.03, abs=2.0 * entry_kwh
        )


@pytest.mark.parametrize("step_s", [0, 7, 61, 900])
def test_a_step_that_does_not_divide_a_quarter_hour_is_refused(step_s: int) -> None:
    with pytest.raises(ConfigError, match="--step"):
        check_step(step_s)
