"""Who goes first on a busy machine: control, then what waits for an answer, then the rest.

Linux has a niceness for each thread. Elsewhere, and where it may not be changed, all are alike.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from enum import Enum
from pathlib import Path

_THREADS = Path("/proc/self/task")
_LAST_NICENESS = 19
_BACKGROUND_NICENESS = 10


class Precedence(Enum):
    """How the threads of an actor's process stand to those of others."""

    CONTROL = "control"
    """Ray's own threads give way: in each process one of them looks for signals 100 times a second,
    which for 50 resources is a quarter of a core just while commands go out."""
    SERVICE = "service"
    """As the machine has it."""
    BACKGROUND = "background"
    """All threads give way: nobody waits for what they do."""


def take(precedence: Precedence) -> None:
    """Set this process's threads; call it from the thread that does the actor's own work."""
    if precedence is Precedence.SERVICE or not _THREADS.exists():
        return
    threads = {int(task.name) for task in _THREADS.iterdir()}
    if precedence is Precedence.BACKGROUND:
        _give_way(threads, _BACKGROUND_NICENESS)
    else:
        _give_way(threads - {threading.get_native_id()}, _LAST_NICENESS)


def _give_way(threads: Iterable[int], niceness: int) -> None:
    for thread in threads:
        try:
            os.setpriority(os.PRIO_PROCESS, thread, niceness)
        except OSError:
            continue  # it has ended, or is nicer already
