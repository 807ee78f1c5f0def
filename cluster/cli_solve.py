"""The options of ``parkgrid solve``; what it does is in ``cluster.solve``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def solve(
    file: Annotated[
        Path,
        typer.Argument(
            help="Problem: the project's JSON or PGLib-UC's.", exists=True, dir_okay=False
        ),
    ],
    *,
    gap: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Demanded gap as a fraction of the cost.")
    ] = 1e-3,
    deadline: Annotated[
        float, typer.Option(min=0.0, max=86_400.0, help="Seconds until an answer is due.")
    ] = 300.0,
    out: Annotated[
        Path | None, typer.Option("--json", help="File for the whole result, as JSON.")
    ] = None,
) -> None:
    """Solve a dispatch problem; Ctrl-C answers with the best so far.

    Exit code 1 when there is no schedule, 2 when the problem breaks a rule.
    """
    from cluster.solve.command import run_command  # noqa: PLC0415 - other commands start faster

    raise typer.Exit(run_command(file, gap_frac=gap, deadline_s=deadline, out=out))
