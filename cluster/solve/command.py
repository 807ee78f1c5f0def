"""What ``parkgrid solve`` does: read a problem, solve it with progress, tell the answer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from cluster.solve.console import Console, number, on_interrupt, read_limited
from cluster.solve.pglib import decode_pglib
from cluster.solve.problem_json import decode_problem, encode_result
from cluster.solve.workers import workers
from controllers.kernel.errors import ConfigError
from optimization.decomposed.search import is_large
from optimization.dispatch.problem import DispatchProblem
from optimization.dispatch.result import DispatchResult
from optimization.dispatch.rules import ProblemRefusedError
from optimization.dispatch.solve import solve_dispatch

_PGLIB_FIELD = b'"thermal_generators"'
_SHOWN_BREACHES = 20


def run_command(
    file: Path, *, gap_frac: float, deadline_s: float, n_workers: int, out: Path | None
) -> int:
    """Solve a file and print the answer; return the exit code.

    The deadline counts from when the workers are there.

    Raises:
        ConfigError: the file is no problem, or breaks rules; each is told.
    """
    try:
        problem = read_problem(file)
        console = Console()
        with workers(n_workers if is_large(problem) else 1) as pool, on_interrupt(console):
            result = solve_dispatch(
                problem, deadline_s=deadline_s, gap_frac=gap_frac, watch=console.watch, pool=pool
            )
        console.end()
    except ProblemRefusedError as error:
        raise ConfigError(str(file), [str(fault) for fault in error.faults]) from None
    if out is not None:
        out.write_bytes(encode_result(result))
    for line in summary(result):
        print(line)
    if not result.feasible:
        print(f"parkgrid: {result.reason}", file=sys.stderr)
    return 0 if result.feasible else 1


def read_problem(file: Path) -> DispatchProblem:
    """Return the problem in a file, in either format.

    Raises:
        ProblemRefusedError: it is too large or no problem.
    """
    data = read_limited(file)
    return decode_pglib(data) if _PGLIB_FIELD in data else decode_problem(data)


def summary(result: DispatchResult) -> Iterator[str]:
    """Yield the lines to print."""
    yield f"status     {result.status.value}"
    yield f"objective  {number(result.cost)}"
    yield f"bound      {number(result.bound)}"
    gap = result.gap_frac
    yield f"gap        {'-' if gap is None else f'{100 * gap:.4f} %'}"
    yield f"time       {result.solve_s:.2f} s"
    yield f"breaches   {len(result.breaches)}"
    for breach in result.breaches[:_SHOWN_BREACHES]:
        yield (
            f"  {breach.name}: {breach.what}, {breach.amount:.6g} {breach.unit}, "
            f"costs {breach.cost:,.2f}"
        )
