"""The options of ``parkgrid solve`` and ``parkgrid bid``; what they do is in ``cluster.solve``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

GapOption = Annotated[
    float, typer.Option(min=0.0, max=1.0, help="Demanded gap as a fraction of the cost.")
]
DeadlineOption = Annotated[
    float, typer.Option(min=0.0, max=86_400.0, help="Seconds until an answer is due.")
]
OutOption = Annotated[
    Path | None, typer.Option("--json", help="File for the whole result, as JSON.")
]


def solve(
    file: Annotated[
        Path,
        typer.Argument(
            help="Problem: the project's JSON or PGLib-UC's.", exists=True, dir_okay=False
        ),
    ],
    *,
    gap: GapOption = 1e-3,
    deadline: DeadlineOption = 300.0,
    workers: Annotated[
        int,
        typer.Option(min=1, max=256, help="Processes that compute, for more than 400 stores."),
    ] = 1,
    out: OutOption = None,
) -> None:
    """Solve a dispatch problem; Ctrl-C answers with the best so far.

    Exit code 1 when there is no schedule, 2 when the problem breaks a rule.
    """
    from cluster.solve.command import run_command  # noqa: PLC0415 - other commands start faster

    raise typer.Exit(
        run_command(file, gap_frac=gap, deadline_s=deadline, n_workers=workers, out=out)
    )


def bid(
    file: Annotated[
        Path, typer.Argument(help="Bidding problem, as JSON.", exists=True, dir_okay=False)
    ],
    *,
    judge: Annotated[
        Path | None,
        typer.Option(
            help="Result of an earlier run: judge its bid, make none.", exists=True, dir_okay=False
        ),
    ] = None,
    gap: GapOption = 1e-3,
    deadline: DeadlineOption = 300.0,
    out: OutOption = None,
) -> None:
    """Find day-ahead curves and reserve for what may happen; Ctrl-C answers with the best so far.

    Exit code 1 when there is no bid, 2 when the problem breaks a rule.
    """
    from cluster.solve.bid import run_bid  # noqa: PLC0415 - other commands start faster

    raise typer.Exit(run_bid(file, judge=judge, gap_frac=gap, deadline_s=deadline, out=out))
