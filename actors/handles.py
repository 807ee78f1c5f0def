"""The control plane over Ray: typed calls to live actors, each with a deadline.

A caller never sees a Ray handle. An actor that is being restarted answers late or not at all; the
caller then gets ActorUnavailableError and may repeat the call, since every call is idempotent by
the ids it carries.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from actors import runtime
from controllers.aggregation.instruction import DeliveryReport, Instruction
from controllers.kernel.breaker import Breaker
from controllers.kernel.errors import ActorUnavailableError, NotFoundError, ParkgridError
from controllers.ports.control import Amendment
from controllers.supervision import aggregate_actor, resource_actor


class RayControlPlane:
    """A ControlPlane over the actors of the cluster this process has joined.

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

    async def submit(self, instruction: Instruction) -> Instruction:
        """Hand an instruction to its aggregate; durable on return."""
        answer: Instruction = await self._aggregate(instruction.aggregate_id, "submit", instruction)
        return answer

    async def submit_all(
        self, instructions: Sequence[Instruction]
    ) -> list[Instruction | ParkgridError]:
        """Hand many instructions to their aggregates, to all of these at once."""
        places: dict[str, list[int]] = {}
        for place, instruction in enumerate(instructions):
            places.setdefault(instruction.aggregate_id, []).append(place)
        outcomes: list[Instruction | ParkgridError] = [*instructions]

        async def one(aggregate_id: str, mine: list[int]) -> None:
            batch = [instructions[place] for place in mine]
            try:
                answers = await self._aggregate(aggregate_id, "submit_all", batch)
            except ParkgridError as error:
                answers = [error] * len(mine)
            for place, answer in zip(mine, answers, strict=True):
                outcomes[place] = answer

        await asyncio.gather(*(one(id_, mine) for id_, mine in places.items()))
        return outcomes

    async def amend(
        self,
        aggregate_id: str,
        instruction_id: str,
        version: int,
        change: Amendment,
        operator: str,
    ) -> Instruction:
        """Change a running instruction."""
        answer: Instruction = await self._aggregate(
            aggregate_id, "amend", instruction_id, version, change, operator
        )
        return answer

    async def cancel(
        self,
        aggregate_id: str,
        instruction_id: str,
        version: int | None,
        operator: str,
        reason: str,
    ) -> Instruction:
        """End an instruction now."""
        answer: Instruction = await self._aggregate(
            aggregate_id, "cancel", instruction_id, version, operator, reason
        )
        return answer

    async def instruction(self, aggregate_id: str, instruction_id: str) -> DeliveryReport:
        """Return an instruction with its delivery so far."""
        answer: DeliveryReport = await self._aggregate(aggregate_id, "report", instruction_id)
        return answer

    async def instructions(self, aggregate_id: str, limit: int) -> list[Instruction]:
        """Return an aggregate's instructions, newest first."""
        answer: list[Instruction] = await self._aggregate(aggregate_id, "instructions", limit)
        return answer

    async def set_override(
        self, resource_id: str, target_kw: float, until: datetime, operator: str, reason: str
    ) -> None:
        """Take a resource in hand."""
        await self._resource(resource_id, "set_override", target_kw, until, operator, reason)

    async def clear_override(self, resource_id: str, operator: str) -> None:
        """Let go of a resource."""
        await self._resource(resource_id, "clear_override", operator)

    async def kill(
        self, resource_ids: Sequence[str], operator: str, reason: str
    ) -> dict[str, str | None]:
        """Stop resources, all at once; None when durable, else why not yet."""
        return await self._each(resource_ids, "kill", operator, reason)

    async def release_kill(
        self, resource_ids: Sequence[str], operator: str, reason: str
    ) -> dict[str, str | None]:
        """Lift the kill switch of resources."""
        return await self._each(resource_ids, "release_kill", operator, reason)

    async def _each(
        self, resource_ids: Sequence[str], method: str, *args: object
    ) -> dict[str, str | None]:
        async def one(resource_id: str) -> str | None:
            try:
                # A kill is tried whatever happened before.
                await self._call(resource_actor(resource_id), method, *args)
            except ParkgridError as error:
                return str(error)
            return None

        outcomes = await asyncio.gather(*(one(resource_id) for resource_id in resource_ids))
        return dict(zip(resource_ids, outcomes, strict=True))

    async def _resource(self, resource_id: str, method: str, *args: object) -> Any:
        return await self._guarded(resource_actor(resource_id), method, *args)

    async def _aggregate(self, aggregate_id: str, method: str, *args: object) -> Any:
        return await self._guarded(aggregate_actor(aggregate_id), method, *args)

    async def _guarded(self, name: str, method: str, *args: object) -> Any:
        breaker = self._breakers.setdefault(name, Breaker())
        loop = asyncio.get_running_loop()
        if not breaker.admits(loop.time()):
            raise ActorUnavailableError(name)
        try:
            answer = await self._call(name, method, *args)
        except ActorUnavailableError:
            breaker.failed(loop.time())
            raise
        except ParkgridError:
            # A refusal is an answer.
            breaker.succeeded()
            raise
        breaker.succeeded()
        return answer

    async def _call(self, name: str, method: str, *args: object) -> Any:
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
