"""What ``parkgrid solve`` does: read a problem, solve it with progress, tell the answer."""

from __future__ import annotations

import math
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from cluster.solve.pglib import decode_pglib
from cluster.solve.problem_json import decode_problem, encode_result
from controllers.kernel.errors import ConfigError
from optimization.checks import ProblemError
from optimization.dispatch.problem import DispatchProblem
from optimization.dispatch.result import DispatchResult
from optimization.dispatch.rules import ProblemRefusedError
from optimization.dispatch.solve import solve_dispatch
from optimization.highs_session import Progress

MAX_BYTES = 200_000_000
_PGLIB_FIELD = b'"thermal_generators"'
_PROGRESS_S = 1.0
_SHOWN_BREACHES = 20


class _Console:
    """Shows progress once a second and remembers Ctrl-C."""

    def __init__(self) -> None:
        self.interrupted = False
        self._next_s = _PROGRESS_S

    def watch(self, progress: Progress) -> bool:
        """Show where the search stands; tell whether to stop."""
        if progress.elapsed_s >= self._next_s:
            self._next_s = progress.elapsed_s + _PROGRESS_S
            cost, bound = (_number(value) for value in (progress.cost, progress.bound))
            line = f"{progress.elapsed_s:7.1f} s  best {cost}  bound {bound}"
            print(f"\r{line}", end="", file=sys.stderr, flush=True)
        return self.interrupted

    def interrupt(self, signal_number: int, frame: FrameType | None) -> None:
        """Ask the search to end; a second Ctrl-C ends the program."""
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True

    def end(self) -> None:
        """End the line of progress."""
        if self._next_s > _PROGRESS_S:
            print(file=sys.stderr)


def run_command(file: Path, *, gap_frac: float, deadline_s: float, out: Path | None) -> int:
    """Solve a file and print the answer; return the exit code.

    Raises:
        ConfigError: the file is no problem, or breaks rules; each is told.
    """
    try:
        problem = read_problem(file)
        console = _Console()
        with _on_interrupt(console):
            result = solve_dispatch(
                problem, deadline_s=deadline_s, gap_frac=gap_frac, watch=console.watch
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
    size = file.stat().st_size
    if size > MAX_BYTES:
        rule = f"must not be larger than {MAX_BYTES} bytes"
        raise ProblemRefusedError([ProblemError("file", size, rule)])
    data = file.read_bytes()
    return decode_pglib(data) if _PGLIB_FIELD in data else decode_problem(data)


def summary(result: DispatchResult) -> Iterator[str]:
    """Yield the lines to print."""
    yield f"status     {result.status.value}"
    yield f"objective  {_number(result.cost)}"
    yield f"bound      {_number(result.bound)}"
    gap = result.gap_frac
    yield f"gap        {'-' if gap is None else f'{100 * gap:.4f} %'}"
    yield f"time       {result.solve_s:.2f} s"
    yield f"breaches   {len(result.breaches)}"
    for breach in result.breaches[:_SHOWN_BREACHES]:
        yield (
            f"  {breach.name}: {breach.what}, {breach.amount:.6g} {breach.unit}, "
            f"costs {breach.cost:,.2f}"
        )


def _number(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:,.2f}"


@contextmanager
def _on_interrupt(console: _Console) -> Iterator[None]:
    before = signal.signal(signal.SIGINT, console.interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
