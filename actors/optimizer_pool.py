"""Workers that compute for the optimizer: more while calls wait, fewer when some stay idle."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from actors import runtime

T = TypeVar("T")

_IDLE_S = 10.0
"""A worker without work for so long ends when the next calls come."""


class OptimizerWorker:
    """Computes what it is called for and holds nothing, so that any worker can do any call."""

    async def run(self, function: Callable[..., T], *args: object) -> T:
        """Return what a function answers; it may be called again should this process end."""
        return function(*args)


class OptimizerPool:
    """A pool of workers on the Ray cluster that this process has joined.

    Args:
        n_most: workers at any time.
        idle_s: a worker without work for so long ends when the next calls come.
    """

    def __init__(self, n_most: int, *, idle_s: float = _IDLE_S) -> None:
        self._n_most = n_most
        self._idle_s = idle_s
        self._n_begun = 0
        self._handles: dict[str, runtime.ActorHandle] = {}
        self._idle: deque[tuple[str, float]] = deque()  # with the time it became so

    def __len__(self) -> int:
        """Return the number of workers."""
        return len(self._handles)

    def share(self, value: object) -> Any:
        """Put a value where every worker of this machine reads it without a copy."""
        return runtime.put(value)

    def run(self, function: Callable[..., T], calls: Sequence[tuple[Any, ...]]) -> list[T]:
        """Return what a function answers to each call, in their order.

        Args:
            function: of a module, so that workers can import it.
            calls: positional arguments; the first is what ``share`` returned.

        Raises:
            ActorUnavailableError: a worker is gone for good.
        """
        self._end_idle()
        queue = deque(enumerate(calls))
        busy: dict[runtime.Reference, tuple[int, str]] = {}
        answers: dict[int, T] = {}
        while queue or busy:
            while queue and (self._idle or len(self._handles) < self._n_most):
                place, args = queue.popleft()
                name = self._idle.pop()[0] if self._idle else self._begin()
                busy[runtime.begin(self._handles[name], "run", function, *args)] = place, name
            for begun in runtime.first_done(list(busy)):
                place, name = busy.pop(begun)
                self._idle.append((name, time.perf_counter()))
                answers[place] = runtime.answer(begun)
        return [answers[place] for place in range(len(calls))]

    def close(self) -> None:
        """End all workers."""
        for name in self._handles:
            runtime.kill(name)
        self._handles.clear()
        self._idle.clear()

    def _begin(self) -> str:
        self._n_begun += 1
        name = f"optimizer-worker-{os.getpid()}-{self._n_begun}"
        self._handles[name] = runtime.spawn(OptimizerWorker, name)
        return name

    def _end_idle(self) -> None:
        while self._idle and time.perf_counter() - self._idle[0][1] > self._idle_s:
            name, _ = self._idle.popleft()
            del self._handles[name]
            runtime.kill(name)
