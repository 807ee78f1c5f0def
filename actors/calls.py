"""Calls to live actors by name, each with a deadline; a caller never sees a Ray handle.

An actor that did not answer several times is not waited for again until a while has passed.
"""

from __future__ import annotations

import asyncio
from typing import Any

from actors import runtime
from controllers.kernel.breaker import Breaker
from controllers.kernel.errors import ActorUnavailableError, NotFoundError, ParkgridError


class ActorCalls:
    """The live actors of the cluster this process has joined.

    Args:
        deadline_s: how long any call may take.
    """

    def __init__(self, deadline_s: float = runtime.CALL_DEADLINE_S) -> None:
        self._deadline_s = deadline_s
        self._handles: dict[str, runtime.ActorHandle] = {}
        self._breakers: dict[str, Breaker] = {}

    def n_breakers_open(self) -> int:
        """Return how many actors are refused calls at once for not having answered."""
        return sum(breaker.is_open for breaker in self._breakers.values())

    async def call(self, name: str, method: str, *args: object) -> Any:
        """Call a method of the actor that has a name now, and return its answer.

        Raises:
            ActorUnavailableError: nobody has the name, no answer came in time, or none came the
                last times.
            ParkgridError: what the method itself raised on purpose, as raised.
        """
        breaker = self._breakers.setdefault(name, Breaker())
        loop = asyncio.get_running_loop()
        if not breaker.admits(loop.time()):
            raise ActorUnavailableError(name)
        try:
            answer = await self.call_anyway(name, method, *args)
        except ActorUnavailableError:
            breaker.failed(loop.time())
            raise
        except ParkgridError:
            # A refusal is an answer.
            breaker.succeeded()
            raise
        breaker.succeeded()
        return answer

    async def call_anyway(self, name: str, method: str, *args: object) -> Any:
        """Call whatever happened the last times."""
        handle = await self._handle(name)
        try:
            return await runtime.call(
                handle, method, *args, deadline_s=self._deadline_s, actor_id=name
            )
        except ActorUnavailableError:
            # The name may have passed to another actor; look it up anew next time.
            self._handles.pop(name, None)
            raise

    async def _handle(self, name: str) -> runtime.ActorHandle:
        if name not in self._handles:
            try:
                # The look-up blocks on the cluster's directory.
                self._handles[name] = await asyncio.to_thread(runtime.find, name)
            except NotFoundError as error:
                raise ActorUnavailableError(name) from error
        return self._handles[name]
