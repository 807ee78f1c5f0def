"""The report as a table for people."""

from __future__ import annotations

from collections.abc import Callable
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table

from cluster.day.report import DayReport, Totals
from controllers.kernel.money import Money


def print_report(report: DayReport, console: Console) -> None:
    """Print both runs, their difference, plan against meter, and what it all rests on."""
    zone = ZoneInfo(report.park.timezone)
    span = f"{report.start_at.astimezone(zone):%F %R} to {report.end_at.astimezone(zone):%F %R %Z}"
    title = f"[bold]{report.park.name}[/], {span}, steps of {report.step_s} s"
    console.print(title if report.complete else f"{title} [bold red]INCOMPLETE[/]", highlight=False)
    console.print(_runs(report))
    console.print(_plan(report))
    for line in (*report.assumptions, *report.knowledge):
        console.print(f"  · {line}", style="dim", highlight=False)


def _runs(report: DayReport) -> Table:
    table = _table("", "with control", "without", "difference")
    with_, without = report.controlled, report.uncontrolled
    for name, pick in _ROWS:
        table.add_row(name, *_numbers(pick(with_), pick(without)))
    for name, money in _MONEY_ROWS:
        table.add_row(name, *_amounts(money(with_), money(without)))
    for id_, cycles in with_.battery_cycles.items():
        table.add_row(f"{id_}, cycles", *_numbers(cycles, without.battery_cycles[id_]))
    worth = report.difference.cost_less_stored
    table.add_row("cost less stored energy", "", "", f"[bold]{worth.amount:+.2f}[/]")
    return table


_ROWS: tuple[tuple[str, Callable[[Totals], float | None]], ...] = (
    ("bought kWh", lambda t: t.imported_kwh),
    ("sold kWh", lambda t: t.exported_kwh),
    ("peak import kW", lambda t: t.peak_import_kw),
    ("generated kWh", lambda t: t.generated_kwh),
    ("consumed kWh", lambda t: t.consumed_kwh),
    ("carbon of imports kg CO2", lambda t: t.carbon_kg_co2),
    ("self-consumption %", lambda t: _percent(t.self_consumption_frac)),
    ("self-sufficiency %", lambda t: _percent(t.self_sufficiency_frac)),
    ("stored at the end kWh", lambda t: t.stored_end_kwh),
)
_MONEY_ROWS: tuple[tuple[str, Callable[[Totals], Money]], ...] = (
    ("cost", lambda t: t.cost),
    ("worth of energy stored on top", lambda t: t.stored_change_worth),
)


def _plan(report: DayReport) -> Table:
    plan, metered = report.plan, report.controlled
    table = _table("plan and meter", "day ahead", "metered", "difference")
    table.add_row("bought kWh", *_numbers(plan.day_ahead_imported_kwh, metered.imported_kwh))
    table.add_row("sold kWh", *_numbers(plan.day_ahead_exported_kwh, metered.exported_kwh))
    table.add_row("cost", *_amounts(plan.day_ahead_cost, metered.cost))
    gap = "" if plan.worst_gap_frac is None else f", worst gap {plan.worst_gap_frac:.2%}"
    degraded = f", {plan.n_degraded} degraded" if plan.n_degraded else ""
    table.caption = (
        f"first plan {plan.first_status}; {plan.n_plans} plans{degraded}{gap}; "
        f"plan in force off the meter by {plan.mean_deviation_kw:.2f} kW on average"
    )
    table.caption_justify = "left"
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left", min_width=12 if i else 30)
    return table


def _numbers(first: float | None, second: float | None) -> tuple[str, str, str]:
    if first is None or second is None:
        return _number(first), _number(second), ""
    return _number(first), _number(second), f"{first - second:+,.2f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}"


def _amounts(first: Money, second: Money) -> tuple[str, str, str]:
    return str(first), str(second), f"{(first - second).amount:+.2f}"


def _percent(share: float | None) -> float | None:
    return None if share is None else share * 100.0
