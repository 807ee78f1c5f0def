"""Control of one aggregate: the turn of its dispatch loop, from live sums to proposals.

The actor feeds member states, the parent's proposals and operators' calls, turns ``step`` once per
period and sends what it returns. Nothing here does I/O. Calls that change durable state
(``submit``, ``amend``, ``cancel``, ``set_plan``) must be followed by a commit of ``checkpoint()``
with ``take_records()`` before they are answered; a step says by ``durable`` when it must.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from controllers.aggregation.checkpoint import AggregateCheckpoint, MemberPlan
from controllers.aggregation.instruction import DeliveryReport, Instruction
from controllers.aggregation.portfolio import MemberSpec
from controllers.aggregation.settings import AggregateSettings
from controllers.control.events import Record
from controllers.kernel.states import AggregateState, Proposal, ResourceState
from controllers.park import AggregateDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What one turn wants done."""

    proposals: list[Proposal]
    """To publish on the members' proposal topics."""
    state: AggregateState
    """To publish on the retained state topic."""
    durable: bool
    """True when ``checkpoint()`` and ``records`` must be committed before the proposals go out."""
    records: list[Record]
    """Facts for the outbox."""
    finished: list[DeliveryReport]
    """Final reports of instructions that ended in this turn."""


class AggregateControl:
    """Decides for one aggregate. One writer, no I/O; time comes in as ``now``."""

    def __init__(
        self,
        definition: AggregateDefinition,
        members: Sequence[MemberSpec],
        *,
        epoch: int,
        now: datetime,
        restored: AggregateCheckpoint | None = None,
        settings: AggregateSettings | None = None,
    ) -> None:
        raise NotImplementedError

    def on_member_state(self, state: ResourceState | AggregateState, now: datetime) -> bool:
        """Take in a member's state; False if it was older than one already seen, or a stranger's."""
        raise NotImplementedError

    def on_proposal(self, proposal: Proposal, now: datetime) -> bool:
        """Take in a parent's proposal; False if it was late, repeated or not for this aggregate."""
        raise NotImplementedError

    def submit(self, instruction: Instruction, now: datetime) -> Instruction:
        """Accept an instruction; the same id with the same content returns the one that stands.

        Raises:
            DomainError: a field is outside its limit.
            ConflictError: its window overlaps another's, or its id was used for something else.
        """
        raise NotImplementedError

    def amend(
        self,
        instruction_id: str,
        version: int,
        now: datetime,
        *,
        operator: str,
        target_kw: float | None = None,
        end_at: datetime | None = None,
        ramp_kw_per_min: float | None = None,
        reason: str | None = None,
    ) -> Instruction:
        """Change an instruction that has not ended; None keeps.

        Raises:
            NotFoundError: unknown id.
            ConflictError: ``version`` is not the current one, or it has ended.
            DomainError: a field is outside its limit.
        """
        raise NotImplementedError

    def cancel(
        self, instruction_id: str, version: int | None, now: datetime, *, operator: str, reason: str
    ) -> Instruction:
        """End an instruction now; repeating it on a cancelled one succeeds.

        Raises:
            NotFoundError: unknown id.
            ConflictError: ``version`` is not the current one, or it has ended otherwise.
        """
        raise NotImplementedError

    def set_plan(self, plan: MemberPlan | None, now: datetime) -> None:
        """Follow a plan wherever no instruction or parent commands; None drops it."""
        raise NotImplementedError

    def step(self, now: datetime) -> StepResult:
        """Turn the loop once."""
        raise NotImplementedError

    def state(self, now: datetime) -> AggregateState:
        """Return the live sums as of now, with the next sequence number, to publish in between."""
        raise NotImplementedError

    def take_records(self) -> list[Record]:
        """Return and forget the facts gathered since the last step or call of this."""
        raise NotImplementedError

    def checkpoint(self) -> AggregateCheckpoint:
        """Return everything a successor needs."""
        raise NotImplementedError

    def report(self, instruction_id: str, now: datetime) -> DeliveryReport:
        """Return an instruction with its delivery so far.

        Raises:
            NotFoundError: unknown id, or it ended in an earlier life (see the kept documents).
        """
        raise NotImplementedError

    def instructions(self) -> list[Instruction]:
        """Return all instructions, newest first."""
        raise NotImplementedError
