"""Waiting on a condition with a limit, instead of sleeping."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], *, within_s: float, every_s: float = 0.02) -> T:
    """Return the first truthy value of ``condition``.

    Raises:
        TimeoutError: it stayed falsy for ``within_s`` seconds.
    """
    deadline = time.monotonic() + within_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"condition stayed {value!r} for {within_s} s")
        time.sleep(every_s)


async def eventually(
    condition: Callable[[], T | Awaitable[T]], *, within_s: float, every_s: float = 0.02
) -> T:
    """Return the first truthy value of ``condition``, which may be async.

    Raises:
        TimeoutError: it stayed falsy for ``within_s`` seconds.
    """
    deadline = time.monotonic() + within_s
    while True:
        value = condition()
        if isinstance(value, Awaitable):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"condition stayed {value!r} for {within_s} s")
        await asyncio.sleep(every_s)
