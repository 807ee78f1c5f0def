"""What can happen to an aggregate and what its control wants done, as values for its actor.

``AggregateLogic`` gives the mutable control of ``loop`` the face a host expects: events in,
outcome out, a checkpoint whenever something must be durable.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from controllers.aggregation.checkpoint import (
    CHECKPOINT_MAX_BYTES,
    AggregateCheckpoint,
    MemberPlan,
)
from controllers.aggregation.instruction import DeliveryReport, Instruction
from controllers.aggregation.loop import AggregateControl
from controllers.aggregation.portfolio import MemberSpec
from controllers.aggregation.settings import AggregateSettings
from controllers.control.events import Effect, Event, InputRefused, LinkChanged, Record, Tick
from controllers.kernel.errors import ConflictError, NotFoundError, ParkgridError
from controllers.kernel.states import AggregateState, Proposal, ResourceState
from controllers.kernel.wire import decode
from controllers.park import AggregateDefinition

REPORT_KIND = "delivery_report"
"""Of records that hold the final report of an instruction."""


class MemberChanged(Event, tag="member"):
    """A member published its state."""

    state: ResourceState | AggregateState


class ParentProposed(Event, tag="parent_proposal"):
    """The aggregate above wishes something of this one."""

    proposal: Proposal


class Submitted(Event, tag="submit"):
    """An operator issued an instruction."""

    instruction: Instruction


class SubmittedAll(Event, tag="submit_all"):
    """An operator issued many instructions; each that will not do is left out."""

    instructions: list[Instruction]


class Amended(Event, tag="amend"):
    """An operator changes an instruction; None keeps."""

    instruction_id: str
    version: int
    operator: str
    target_kw: float | None = None
    end_at: datetime | None = None
    ramp_kw_per_min: float | None = None
    reason: str | None = None


class Cancelled(Event, tag="cancel"):
    """An operator ends an instruction."""

    instruction_id: str
    version: int | None
    operator: str
    reason: str


class Planned(Event, tag="plan"):
    """The planner has a new plan for the members."""

    plan: MemberPlan | None


class Propose(Effect, tag="propose"):
    """Publish on a member's proposal topic."""

    proposal: Proposal


class PublishAggregate(Effect, tag="publish_aggregate"):
    """Publish on the aggregate's retained state topic."""

    state: AggregateState


class KeepReport(Effect, tag="keep_report"):
    """Keep the final report of an instruction."""

    report: DeliveryReport


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregateOutcome:
    """What one event led to."""

    state: AggregateCheckpoint
    """As last made for the disk; current whenever ``durable``."""
    effects: list[Effect] = field(default_factory=list)
    durable: bool = False


class AggregateLogic:
    """One aggregate's control in the form a host gives life to."""

    def __init__(
        self,
        definition: AggregateDefinition,
        members: Sequence[MemberSpec],
        settings: AggregateSettings | None = None,
    ) -> None:
        self._definition = definition
        self._members = members
        self._settings = settings
        self._control: AggregateControl | None = None
        self._checkpoint: AggregateCheckpoint | None = None
        self.n_refused = 0
        """Payloads that were not what their topic carries."""

    @property
    def control(self) -> AggregateControl:
        """The control of this life.

        Raises:
            NotFoundError: before ``resume``.
        """
        if self._control is None:
            raise NotFoundError("aggregate", self._definition.id)
        return self._control

    def resume(self, epoch: int, checkpoint: bytes | None, now: datetime) -> AggregateOutcome:
        """Begin a life; the first turn of the loop follows with the first tick."""
        restored = (
            decode(checkpoint, AggregateCheckpoint, max_bytes=CHECKPOINT_MAX_BYTES)
            if checkpoint is not None
            else None
        )
        self._control = AggregateControl(
            self._definition,
            self._members,
            epoch=epoch,
            now=now,
            restored=restored,
            settings=self._settings,
        )
        return self._outcome([], durable=True)

    def decide(self, state: AggregateCheckpoint, event: Event, now: datetime) -> AggregateOutcome:
        """Fold one event; an operator's call or a tick turns the loop."""
        control = self.control
        match event:
            case MemberChanged():
                control.on_member_state(event.state, now)
                return AggregateOutcome(state=state)
            case ParentProposed():
                changed = control.on_proposal(event.proposal, now)
                return self._turn(now) if changed else AggregateOutcome(state=state)
            case Submitted():
                control.submit(event.instruction, now)
            case SubmittedAll():
                self._submit_all(event.instructions, now)
            case Amended():
                control.amend(
                    event.instruction_id,
                    event.version,
                    now,
                    operator=event.operator,
                    target_kw=event.target_kw,
                    end_at=event.end_at,
                    ramp_kw_per_min=event.ramp_kw_per_min,
                    reason=event.reason,
                )
            case Cancelled():
                control.cancel(
                    event.instruction_id,
                    event.version,
                    now,
                    operator=event.operator,
                    reason=event.reason,
                )
            case Planned():
                control.set_plan(event.plan, now)
            case Tick():
                return self._turn(now)
            case LinkChanged() | InputRefused():
                self.n_refused += isinstance(event, InputRefused)
                return AggregateOutcome(state=state)
            case _:
                raise ConflictError(
                    f"an aggregate takes no {type(event).__name__}", current=self._definition.id
                )
        return self._turn(now, durable=True)

    def instruction(self, instruction_id: str) -> Instruction:
        """Return an instruction as it stands.

        Raises:
            NotFoundError: unknown id.
        """
        for instruction in self.control.instructions():
            if instruction.id == instruction_id:
                return instruction
        raise NotFoundError("instruction", instruction_id)

    def _submit_all(self, instructions: Sequence[Instruction], now: datetime) -> None:
        for instruction in instructions:
            with suppress(ParkgridError):
                self.control.submit(instruction, now)

    def _turn(self, now: datetime, *, durable: bool = False) -> AggregateOutcome:
        result = self.control.step(now)
        effects: list[Effect] = [*result.records]
        effects += [Propose(proposal=proposal) for proposal in result.proposals]
        for report in result.finished:
            # Kept here for who asks, and recorded for when nobody is here any more.
            data = msgspec.to_builtins(report)
            effects += [
                KeepReport(report=report),
                Record(kind=REPORT_KIND, at=report.as_of, data=data),
            ]
        if not self.control.listens(now):
            effects.append(PublishAggregate(state=result.state))
        return self._outcome(effects, durable=durable or result.durable)

    def _outcome(self, effects: list[Effect], *, durable: bool) -> AggregateOutcome:
        if durable or self._checkpoint is None:
            self._checkpoint = self.control.checkpoint()
        return AggregateOutcome(state=self._checkpoint, effects=effects, durable=durable)
