"""Background tasks end, even those that miss the first request."""

from __future__ import annotations

import asyncio

from actors.tasks import end


async def test_a_task_that_swallows_its_first_cancellation_ends_all_the_same() -> None:
    asked = 0

    async def deaf() -> None:
        nonlocal asked
        while asked < 2:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                asked += 1

    async def willing() -> None:
        await asyncio.sleep(3600)

    tasks = [asyncio.create_task(deaf()), asyncio.create_task(willing())]
    await asyncio.sleep(0)
    await end(*tasks)
    assert asked == 2
    assert all(task.done() for task in tasks)


async def test_ending_what_has_ended_is_nothing() -> None:
    async def brief() -> None:
        raise ValueError

    task = asyncio.create_task(brief())
    await asyncio.wait([task])
    await end(task)
    assert isinstance(task.exception(), ValueError)
