"""The options of ``parkgrid day``; what it does is in ``cluster.day``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

_MANY = ("--load", "--pv")


class ManyValues(TyperCommand):
    """Takes several files after one ``--load`` or ``--pv``, as a shell's ``*.csv`` gives them."""

    # Some versions of typer carry a click of their own, so the context has no one type.
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give every file its own option; the command has no other arguments."""
        return super().parse_args(ctx, spread(args))


def spread(args: list[str]) -> list[str]:
    """Return the arguments with the option repeated before each further value."""
    spread_out: list[str] = []
    option: str | None = None
    for arg in args:
        if arg.startswith("-"):
            option = None
        elif option is not None and spread_out[-1] != option:
            spread_out.append(option)
        if arg in _MANY:
            option = arg
        spread_out.append(arg)
    return spread_out


def day(
    *,
    park: Annotated[
        Path | None,
        typer.Option(help="Park file (YAML). [default: built from --load; else the demo park]"),
    ] = None,
    date: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            help="Local day. [default: the last one all dated files hold, else today]",
        ),
    ] = None,
    load: Annotated[
        list[str] | None,
        typer.Option(metavar="CSV...", help="Loads: CSV or CityLearn buildings; RESOURCE=CSV."),
    ] = None,
    pv: Annotated[
        list[str] | None,
        typer.Option(metavar="CSV...", help="PV yields, as --load."),
    ] = None,
    price: Annotated[
        Path | None,
        typer.Option(help="Prices: CSV, CityLearn or ENTSO-E XML. [default: the park's tariff]"),
    ] = None,
    carbon: Annotated[
        Path | None, typer.Option(help="Carbon intensity of imports: CSV or CityLearn.")
    ] = None,
    step: Annotated[
        int, typer.Option(min=1, max=60, help="Seconds per step; divides a quarter hour.")
    ] = 60,
    out: Annotated[
        Path | None, typer.Option(help="Folder for report and chart. [default: out/day-<date>]")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON, not as a table.")
    ] = False,
) -> None:
    """Run one day in simulated time, with control and without, and compare."""
    from cluster.day.command import run_command  # noqa: PLC0415 - other commands start faster
    from cluster.day.scenario import Request  # noqa: PLC0415

    request = Request(
        park=park,
        day=None if date is None else date.date(),
        loads=load or [],
        yields=pv or [],
        price=price,
        carbon=carbon,
    )
    run_command(request, step_s=step, out=out, as_json=as_json)
