"""The control plane and the alarm desk over Ray: typed calls to live actors.

An actor that is being restarted answers late or not at all; the caller then gets
ActorUnavailableError and may repeat the call, since every call is idempotent by the ids it carries.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from actors.calls import ActorCalls
from controllers.aggregation.instruction import DeliveryReport, Instruction
from controllers.alarms.channels import Delivery
from controllers.alarms.lifecycle import Alarm
from controllers.kernel.errors import ParkgridError
from controllers.ports.actors import OutboxRecord
from controllers.ports.control import Amendment
from controllers.supervision import ALARMS, aggregate_actor, resource_actor

_MAX_RECORDS = 10_000


class RayControlPlane:
    """A ControlPlane over the actors of the cluster this process has joined.

    Args:
        calls: reaches them.
    """

    def __init__(self, calls: ActorCalls) -> None:
        self._calls = calls

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

    async def unrecorded(self, aggregate_id: str) -> list[Instruction]:
        """Return those of an aggregate's instructions whose last change may not be in SQL yet."""
        answer: list[Instruction] = await self._aggregate(aggregate_id, "unrecorded")
        return answer

    async def records(self, aggregate_id: str) -> list[OutboxRecord]:
        """Return the oldest of what an aggregate has on record that may not be in SQL yet."""
        answer: list[OutboxRecord] = await self._aggregate(aggregate_id, "outbox", _MAX_RECORDS)
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
                await self._calls.call_anyway(resource_actor(resource_id), method, *args)
            except ParkgridError as error:
                return str(error)
            return None

        outcomes = await asyncio.gather(*(one(resource_id) for resource_id in resource_ids))
        return dict(zip(resource_ids, outcomes, strict=True))

    async def _resource(self, resource_id: str, method: str, *args: object) -> Any:
        return await self._calls.call(resource_actor(resource_id), method, *args)

    async def _aggregate(self, aggregate_id: str, method: str, *args: object) -> Any:
        return await self._calls.call(aggregate_actor(aggregate_id), method, *args)


class RayAlarmDesk:
    """An AlarmDesk over the AlarmActor of the cluster this process has joined.

    Args:
        calls: reaches it.
    """

    def __init__(self, calls: ActorCalls) -> None:
        self._calls = calls

    async def acknowledge(self, alarm_id: str, by: str, note: str) -> Alarm:
        """Take note of an alarm."""
        alarm: Alarm = await self._calls.call(ALARMS, "acknowledge", alarm_id, by, note)
        return alarm

    async def shelve(self, alarm_id: str, until: datetime, by: str, reason: str) -> Alarm:
        """Silence an alarm until an instant."""
        alarm: Alarm = await self._calls.call(ALARMS, "shelve", alarm_id, until, by, reason)
        return alarm

    async def unshelve(self, alarm_id: str, by: str, note: str) -> Alarm:
        """Let go of a shelved alarm."""
        alarm: Alarm = await self._calls.call(ALARMS, "unshelve", alarm_id, by, note)
        return alarm

    async def clear(self, alarm_id: str, by: str, note: str) -> Alarm:
        """End an alarm that has returned."""
        alarm: Alarm = await self._calls.call(ALARMS, "clear", alarm_id, by, note)
        return alarm

    async def test(self, channel_id: str, by: str) -> Delivery:
        """Send one notice to a channel, now and once."""
        delivery: Delivery = await self._calls.call(ALARMS, "test", channel_id, by)
        return delivery
