"""The command ``parkgrid day``: run, show progress, write the report and the chart, print a table.

Ctrl-C ends the day at the present step; what was done until then is reported and labelled so. A
second one ends the program at once.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from cluster.day.run import check_step, run_day
from cluster.day.scenario import Request, Scenario, scenario
from controllers.kernel.errors import ConfigError, TemporaryError
from controllers.kernel.timebase import SystemClock
from controllers.kernel.wire import encode

INTERRUPTED = 130
REPORT_FILE, CHART_FILE = "report.json", "chart.png"
_LINE_EVERY_FRAC = 0.125
"""Where there is no terminal, progress is a line every three simulated hours."""


class InterruptedEarlyError(TemporaryError):
    """The day was stopped before anything was metered."""


def run_command(request: Request, *, step_s: int, out: Path | None, as_json: bool) -> None:
    """Run a day and tell of it; exits with 130 where it was interrupted.

    Args:
        request: files and date.
        step_s: length of a step.
        out: folder for report and chart; None names it after the day.
        as_json: print the report instead of the table.

    Raises:
        ConfigError: an argument or file cannot be used.
        InterruptedEarlyError: nothing was done yet.
    """
    check_step(step_s)
    plan = scenario(request, SystemClock().now())
    folder = _folder(out or Path("out") / f"day-{plan.frame.day}")
    with _stop_button() as stopped, _progress(plan) as progress:
        run = asyncio.run(run_day(plan, step_s=step_s, progress=progress, stopped=stopped))
    if not run.controlled:
        raise InterruptedEarlyError("interrupted before the first step; nothing to report")
    from cluster.day.chart import draw_chart  # noqa: PLC0415 - a wrong argument is told at once
    from cluster.day.report import day_report  # noqa: PLC0415
    from cluster.day.table import print_report  # noqa: PLC0415

    report = day_report(run)
    payload = msgspec.json.format(encode(report), indent=1)
    (folder / REPORT_FILE).write_bytes(payload)
    draw_chart(report, folder / CHART_FILE)
    if as_json:
        typer.echo(payload)
    else:
        print_report(report, Console())
        typer.echo(f"Written: {folder / REPORT_FILE}, {folder / CHART_FILE}")
    if not run.complete:
        raise typer.Exit(INTERRUPTED)


def _folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
        for name in (REPORT_FILE, CHART_FILE):
            (path / name).unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError("out", [f"--out {path}: {error.strerror}; name another"]) from error
    return path


@contextmanager
def _stop_button() -> Iterator[Callable[[], bool]]:
    """Yield what tells whether the user has asked to stop."""
    asked = False
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        restore()

    for number in before:
        signal.signal(number, ask)
    try:
        yield lambda: asked
    finally:
        restore()


@contextmanager
def _progress(plan: Scenario) -> Iterator[Callable[[float], None]]:
    """Yield what takes the share of the day that is done; shown on stderr."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(plan)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(f"{plan.frame.day}", total=1.0)
        yield lambda done: bar.update(
            task, completed=done, description=f"{plan.frame.day} {_time(plan, done)}"
        )


def _lines(plan: Scenario) -> Callable[[float], None]:
    told = -1.0

    def tell(done: float) -> None:
        nonlocal told
        if done - told >= _LINE_EVERY_FRAC or done >= 1.0:
            told = done
            line = f"parkgrid: {plan.frame.day} {_time(plan, done)}, {done:.0%}"
            print(line, file=sys.stderr, flush=True)

    return tell


def _time(plan: Scenario, done: float) -> str:
    if done >= 1.0:
        return "24:00"
    period = plan.frame.period
    return f"{(period.start_at + done * period.duration).astimezone(plan.frame.zone):%H:%M}"
