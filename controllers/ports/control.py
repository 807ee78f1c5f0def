"""Commands and queries to live actors."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from controllers.aggregation.instruction import DeliveryReport, Instruction
from controllers.kernel.errors import ParkgridError
from controllers.kernel.wire import Wire
from controllers.ports.actors import OutboxRecord


class Amendment(Wire):
    """What an operator may change of a running instruction; None keeps."""

    target_kw: float | None = None
    end_at: datetime | None = None
    ramp_kw_per_min: float | None = None
    reason: str | None = None


class ControlPlane(Protocol):
    """Commands and queries to live actors; every call has a deadline.

    All raise ActorUnavailableError when the actor does not answer in time; all are idempotent by
    the ids they carry, so a caller may repeat them.
    """

    async def submit(self, instruction: Instruction) -> Instruction:
        """Hand an instruction to its aggregate; durable on return.

        Raises:
            ConflictError: another instruction holds the window.
            DomainError: beyond what the rules of the aggregate allow.
        """
        ...

    async def submit_all(
        self, instructions: Sequence[Instruction]
    ) -> list[Instruction | ParkgridError]:
        """Hand many instructions to their aggregates; those accepted are durable on return.

        Returns in the same order what was accepted, or why not: as ``submit`` raises. A refused one
        does not keep the others.
        """
        ...

    async def amend(
        self, aggregate_id: str, instruction_id: str, version: int, change: Amendment, operator: str
    ) -> Instruction:
        """Change a running instruction.

        Raises:
            NotFoundError: the aggregate does not know it.
            ConflictError: ``version`` is not the current one, or it has ended.
        """
        ...

    async def cancel(
        self,
        aggregate_id: str,
        instruction_id: str,
        version: int | None,
        operator: str,
        reason: str,
    ) -> Instruction:
        """End an instruction now; repeating it on a cancelled one succeeds."""
        ...

    async def instruction(self, aggregate_id: str, instruction_id: str) -> DeliveryReport:
        """Return an instruction with its delivery so far."""
        ...

    async def instructions(self, aggregate_id: str, limit: int) -> list[Instruction]:
        """Return an aggregate's instructions, newest first."""
        ...

    async def unrecorded(self, aggregate_id: str) -> list[Instruction]:
        """Return those of an aggregate's instructions whose last change may not be in SQL yet."""
        ...

    async def records(self, aggregate_id: str) -> list[OutboxRecord]:
        """Return the oldest of what an aggregate has on record that may not be in SQL yet."""
        ...

    async def set_override(
        self, resource_id: str, target_kw: float, until: datetime, operator: str, reason: str
    ) -> None:
        """Take a resource in hand."""
        ...

    async def clear_override(self, resource_id: str, operator: str) -> None:
        """Let go of a resource."""
        ...

    async def kill(
        self, resource_ids: Sequence[str], operator: str, reason: str
    ) -> dict[str, str | None]:
        """Stop resources; returns per resource None when durable, else why not yet."""
        ...

    async def release_kill(
        self, resource_ids: Sequence[str], operator: str, reason: str
    ) -> dict[str, str | None]:
        """Lift the kill switch of resources."""
        ...
