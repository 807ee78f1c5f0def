"""What commands that solve share: a file of limited size, a line of progress, Ctrl-C, numbers."""

from __future__ import annotations

import math
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from optimization.checks import ProblemError
from optimization.dispatch.rules import ProblemRefusedError
from optimization.highs_session import Progress

MAX_BYTES = 200_000_000
_PROGRESS_S = 1.0


class Console:
    """Shows progress once a second and remembers Ctrl-C."""

    def __init__(self) -> None:
        self.interrupted = False
        self._next_s = _PROGRESS_S

    def watch(self, progress: Progress) -> bool:
        """Show where the search stands; tell whether to stop."""
        if progress.elapsed_s >= self._next_s:
            self._next_s = progress.elapsed_s + _PROGRESS_S
            cost, bound = (number(value) for value in (progress.cost, progress.bound))
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


@contextmanager
def on_interrupt(console: Console) -> Iterator[None]:
    """Let Ctrl-C end the search, not the program."""
    before = signal.signal(signal.SIGINT, console.interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def read_limited(file: Path) -> bytes:
    """Return what a file holds.

    Raises:
        ProblemRefusedError: it is too large.
    """
    size = file.stat().st_size
    if size > MAX_BYTES:
        rule = f"must not be larger than {MAX_BYTES} bytes"
        raise ProblemRefusedError([ProblemError("file", size, rule)])
    return file.read_bytes()


def number(value: float | None) -> str:
    """Return a number to show, a dash where there is none."""
    return "-" if value is None or not math.isfinite(value) else f"{value:,.2f}"
