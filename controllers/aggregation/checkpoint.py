"""What an aggregate remembers across a restart, and the plan it follows, as wire values."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from controllers.aggregation.instruction import Instruction, InstructionStep
from controllers.kernel.states import Priority, Proposal
from controllers.kernel.wire import Wire

CHECKPOINT_MAX_BYTES = 16_777_216
"""Bound for decoding a checkpoint of 5,000 members with a plan of two days."""


class MemberPlan(Wire):
    """Set-points of members by time, from the planner; outside its span the plan says nothing."""

    plan_id: str
    start_at: datetime
    step_s: float
    setpoints_kw: dict[str, list[float | None]]
    """By member id, one per step; None leaves the member released in that step."""

    def at(self, now: datetime) -> dict[str, float]:
        """Return the set-points in force, in kW; empty outside the plan's span."""
        step = (now - self.start_at) // timedelta(seconds=self.step_s)
        if step < 0:
            return {}
        return {
            member: value
            for member, column in self.setpoints_kw.items()
            if step < len(column) and (value := column[step]) is not None
        }


class MemberTally(Wire):
    """One member's energies within an instruction's window."""

    requested_kwh: float = 0.0
    delivered_kwh: float = 0.0
    n_redispatched: int = 0


class Tally(Wire):
    """Delivery of one instruction so far."""

    requested_kwh: float = 0.0
    delivered_kwh: float = 0.0
    metered_s: float = 0.0
    """Part of the window with measurements; members count by their rated power."""
    settled_s: float = 0.0
    """Time after the ramp."""
    within_s: float = 0.0
    """Part of it metered within tolerance."""
    start_kw: float | None = None
    """Measured power when the window began."""
    nearest_kw: float | None = None
    """Measured power that came nearest to the target."""
    members: dict[str, MemberTally] = {}


class Dispatch(Wire):
    """An instruction with all that belongs to it."""

    instruction: Instruction
    submitted: Instruction
    """As it first arrived, to recognise a repetition."""
    history: list[InstructionStep] = []
    tally: Tally = Tally()


class ReferenceState(Wire):
    """The ramp-limited target and whose it is."""

    owner: str
    priority: Priority
    value_kw: float
    at: datetime
    moved_at: datetime
    """When the value last changed by more than the aggregate's tolerance."""
    arrived: bool = False
    """The value has reached its target."""
    trim_kw: float = 0.0


class AggregateCheckpoint(Wire):
    """Everything durable of one aggregate."""

    version: Literal[1] = 1
    epoch: int
    saved_at: datetime
    dispatches: list[Dispatch] = []
    plan: MemberPlan | None = None
    reference: ReferenceState | None = None
    sent_kw: dict[str, float] = {}
    """Last proposed set-point by member."""
    parent_proposals: list[Proposal] = []
    exported_kwh: float = 0.0
    imported_kwh: float = 0.0
