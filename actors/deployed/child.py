"""The process in which a deployed optimizer lives: reads problems, calls ``solve``, writes answers.

Run as a file, so that it can belong to another Python environment: it needs the standard library
and, for the problem's types, ``optimization.dispatch``. What it says is believed by nobody.

Each message is its length in eight bytes, then itself: problems are pickled, answers are JSON.
Arguments: the file to run, the descriptor of the answers, the memory limit in bytes.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import pickle
import resource
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_SIGKILL = 9
_FILE_BYTES = 268_435_456
_ENTRY = "optimizer"


def main(path: str, answers_fd: int, memory_bytes: int) -> None:
    """Serve until nobody asks any more."""
    os.dup2(2, 1)  # what the code prints is for the log
    _confine(memory_bytes)
    questions = sys.stdin.buffer
    with os.fdopen(answers_fd, "wb") as answers:
        try:
            solve = _load(path)
        except BaseException:
            _say(answers, {"failed": _told()})
            raise
        _say(answers, {"ready": True})
        while header := questions.read(8):
            payload = questions.read(int.from_bytes(header, "big"))
            _say(answers, _answer(solve, payload))


def _confine(memory_bytes: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL)
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_BYTES, _FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _load(path: str) -> Callable[..., Any]:
    if path.endswith(".zip"):
        sys.path.insert(0, path)
        module = importlib.import_module(_ENTRY)
    else:
        spec = importlib.util.spec_from_file_location(_ENTRY, path)
        assert spec is not None  # noqa: S101 - a path that ends in .py has one
        assert spec.loader is not None  # noqa: S101
        module = importlib.util.module_from_spec(spec)
        # Where dataclasses and pickle look their module up.
        sys.modules[_ENTRY] = module
        spec.loader.exec_module(module)
    solve: Callable[..., Any] = module.solve
    return solve


def _answer(solve: Callable[..., object], payload: bytes) -> dict[str, object]:
    problem, deadline_s = pickle.loads(payload)  # noqa: S301 - from the actor that started this
    begun = time.perf_counter()
    try:
        found = solve(problem, deadline_s)
    except Exception:
        return {"failed": _told(), "solve_s": time.perf_counter() - begun}
    spent = time.perf_counter() - begun
    try:
        return {"power_mw": _powers(found), "solve_s": spent}
    except (TypeError, ValueError, AttributeError) as error:
        wanted = "a mapping from each asset to its power in MW per step, or a DispatchResult"
        told = f"{wanted} was expected, not this {type(found).__name__}: {error}"
        return {"wrong": told, "solve_s": spent}


def _powers(found: Any) -> dict[str, list[float]]:
    by_asset = found.schedules if hasattr(found, "schedules") else found
    if not isinstance(by_asset, Mapping):
        raise TypeError("no mapping")
    powers: dict[str, Any] = {str(n): getattr(v, "power_mw", v) for n, v in by_asset.items()}
    return {name: [float(value) for value in values] for name, values in powers.items()}


def _say(answers: Any, message: dict[str, object]) -> None:
    payload = json.dumps(message).encode()
    answers.write(len(payload).to_bytes(8, "big") + payload)
    answers.flush()


def _told() -> str:
    """Return the exception in hand with the last places it came through."""
    lines = traceback.format_exc().strip().splitlines()
    places = [line.strip() for line in lines[:-1] if line.strip().startswith("File")]
    last = places[-1].replace(str(Path(sys.argv[1]).parent) + os.sep, "") if places else ""
    return f"{lines[-1]} ({last})"


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
