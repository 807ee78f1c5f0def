"""Ending background tasks for certain."""

from __future__ import annotations

import asyncio
from typing import Any

_ASK_AGAIN_S = 0.2


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and return when all have ended; what they raised stays with them.

    Up to Python 3.11 ``asyncio.wait_for`` can swallow a cancellation that meets its completion, so
    one request is not enough.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_ASK_AGAIN_S)
