"""What every command shares: the data directory, and errors as a line and an exit code."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, NoReturn, ParamSpec, TypeVar

import typer

from controllers.kernel.errors import ConfigError, ParkgridError

P = ParamSpec("P")
R = TypeVar("R")

HomeOption = Annotated[
    Path | None, typer.Option("--home", help="Data directory. [default: .parkgrid]")
]


def _fail(error: ParkgridError) -> NoReturn:
    problems = error.problems if isinstance(error, ConfigError) else [str(error)]
    for problem in problems:
        typer.echo(f"parkgrid: {problem}", err=True)
    raise typer.Exit(2 if isinstance(error, ConfigError) else 1)


def explained(command: Callable[P, R]) -> Callable[P, R]:
    """Turn our errors into a line on stderr and an exit code."""

    @wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except ParkgridError as error:
            _fail(error)

    return wrapper
