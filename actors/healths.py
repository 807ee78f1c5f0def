"""Asks all actors at once how they are, with a deadline, every few seconds for many readers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from actors import runtime
from controllers.kernel.errors import ActorUnavailableError, ParkgridError
from controllers.ports.health import Health

MAX_AGE_S = 5.0
DEADLINE_S = 2.0
"""Of all answers together."""


class RayActorHealth:
    """An ActorHealth over the actors of the cluster this process has joined."""

    def __init__(self) -> None:
        self._handles: dict[str, runtime.ActorHandle] = {}
        self._known: Mapping[str, Health | None] = {}
        self._asked_at_s = float("-inf")
        self._one_at_a_time = asyncio.Lock()

    async def healths(self) -> Mapping[str, Health | None]:
        """Return what each actor said last, at most ``MAX_AGE_S`` ago."""
        async with self._one_at_a_time:
            now_s = asyncio.get_running_loop().time()
            if now_s - self._asked_at_s > MAX_AGE_S:
                self._known = await self._ask()
                self._asked_at_s = now_s
            return self._known

    async def _ask(self) -> Mapping[str, Health | None]:
        try:
            async with asyncio.timeout(DEADLINE_S):
                names = await asyncio.to_thread(runtime.list_names)
        except TimeoutError as error:
            raise ActorUnavailableError("the directory of the actors") from error
        answers = await asyncio.gather(*(self._one(name) for name in names))
        return dict(zip(names, answers, strict=True))

    async def _one(self, name: str) -> Health | None:
        try:
            async with asyncio.timeout(DEADLINE_S):
                if name not in self._handles:
                    self._handles[name] = await asyncio.to_thread(runtime.find, name)
                health: Health = await runtime.call(
                    self._handles[name], "health", deadline_s=DEADLINE_S, actor_id=name
                )
        except (ParkgridError, TimeoutError):
            # The name may pass to another actor.
            self._handles.pop(name, None)
            return None
        return health
