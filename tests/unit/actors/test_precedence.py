"""Niceness of a process's threads, in a process of its own, which may be made nicer."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

_SCRIPT = """
import os, sys, threading
from actors.precedence import Precedence, take

ready, done = threading.Event(), threading.Event()
other = threading.Thread(target=lambda: (ready.set(), done.wait()))
other.start()
ready.wait()
take(Precedence(sys.argv[1]))
for thread in (threading.get_native_id(), other.native_id):
    print(os.getpriority(os.PRIO_PROCESS, thread))
done.set()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a niceness for each thread")
@pytest.mark.parametrize(
    ("precedence", "own", "others"),
    [("control", 0, 19), ("service", 0, 0), ("background", 10, 10)],
)
def test_who_gives_way(precedence: str, own: int, others: int) -> None:
    start = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    answer = subprocess.run(
        [sys.executable, "-c", _SCRIPT, precedence], capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == [str(max(start, own)), str(max(start, others))]
