"""Child processes that never outlive us: start, stop, and die with the parent."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
# Loaded before any fork: a child of a threaded process must not import.
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def spawn(
    command: Sequence[str], log_path: Path, *, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a process of its own session, so that Ctrl-C in the terminal does not reach it.

    On Linux it gets SIGTERM when the thread that called this ends, so call it from a thread that
    lives as long as the child should: the main thread, as a rule.

    Args:
        command: program and arguments.
        log_path: its output is appended there.
        environment: None inherits ours.
    """
    parent_id = os.getpid()

    def die_with_parent() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent_id:
                # The parent died between fork and prctl; nobody would send the signal.
                os.kill(os.getpid(), signal.SIGTERM)

    with log_path.open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - commands are ours, never a user's text
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=dict(environment) if environment is not None else None,
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - two system calls, nothing that locks
        )


def stop(process: subprocess.Popen[bytes], *, limit_s: float = 5.0) -> None:
    """End a process: politely, then after ``limit_s`` by force. Idempotent."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(timeout=limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
