"""A dispatch instruction: its life-cycle table, its rules and the report of its delivery."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from controllers.kernel.fsm import Machine
from controllers.kernel.states import CommandState, Priority, Quality
from controllers.kernel.wire import Wire


class InstructionState(StrEnum):
    """Where an instruction stands."""

    ACCEPTED = "accepted"
    """Durable; its window has not begun."""
    ACTIVE = "active"
    """In its window; power is on its way to the target."""
    DELIVERING = "delivering"
    """Metered within tolerance."""
    PARTIAL = "partial"
    """Metered outside tolerance after the ramp; the report says who is short and why."""
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"
    """The window ended and nothing of it was delivered."""


class InstructionTrigger(StrEnum):
    """What moves an instruction."""

    START = "start"
    WITHIN_TOLERANCE = "within_tolerance"
    OUTSIDE_TOLERANCE = "outside_tolerance"
    AMEND = "amend"
    END = "end"
    END_UNDELIVERED = "end_undelivered"
    CANCEL = "cancel"


_S, _T = InstructionState, InstructionTrigger
INSTRUCTION_MACHINE: Machine[InstructionState, InstructionTrigger] = Machine(
    "instruction",
    {
        (_S.ACCEPTED, _T.START): _S.ACTIVE,
        (_S.ACCEPTED, _T.AMEND): _S.ACCEPTED,
        (_S.ACCEPTED, _T.CANCEL): _S.CANCELLED,
        # The whole window passed while the aggregate was down.
        (_S.ACCEPTED, _T.END_UNDELIVERED): _S.FAILED,
        (_S.ACTIVE, _T.WITHIN_TOLERANCE): _S.DELIVERING,
        (_S.ACTIVE, _T.OUTSIDE_TOLERANCE): _S.PARTIAL,
        (_S.ACTIVE, _T.AMEND): _S.ACTIVE,
        (_S.ACTIVE, _T.CANCEL): _S.CANCELLED,
        (_S.ACTIVE, _T.END): _S.COMPLETED,
        (_S.ACTIVE, _T.END_UNDELIVERED): _S.FAILED,
        (_S.DELIVERING, _T.OUTSIDE_TOLERANCE): _S.PARTIAL,
        # An amended target is a new way to go.
        (_S.DELIVERING, _T.AMEND): _S.ACTIVE,
        (_S.DELIVERING, _T.CANCEL): _S.CANCELLED,
        (_S.DELIVERING, _T.END): _S.COMPLETED,
        (_S.PARTIAL, _T.WITHIN_TOLERANCE): _S.DELIVERING,
        (_S.PARTIAL, _T.AMEND): _S.ACTIVE,
        (_S.PARTIAL, _T.CANCEL): _S.CANCELLED,
        (_S.PARTIAL, _T.END): _S.COMPLETED,
        (_S.PARTIAL, _T.END_UNDELIVERED): _S.FAILED,
    },
)


class Instruction(Wire):
    """One dispatch of one aggregate to one net power over one window."""

    id: str
    aggregate_id: str
    target_kw: float
    """Net power of the aggregate, injection positive."""
    start_at: datetime
    end_at: datetime
    ramp_kw_per_min: float | None
    """None: as fast as the members can."""
    priority: Priority = Priority.MARKET
    reason: str
    issued_by: str
    issued_at: datetime
    version: int = 1
    """Rises with every amendment; an amendment names the version it saw."""
    tolerance_kw: float
    state: InstructionState = InstructionState.ACCEPTED
    ended_at: datetime | None = None


class MemberDelivery(Wire):
    """One member's part in an instruction: who won, why, until when, what the meter said."""

    member_id: str
    requested_kw: float | None
    granted_kw: float | None
    measured_kw: float
    quality: Quality
    winner: str
    """Source that won the member's last arbitration."""
    winner_reason: str
    winner_until: datetime | None
    command_state: CommandState | None
    delivered_kwh: float
    """Metered energy in the window so far."""
    requested_kwh: float
    n_redispatched: int
    """How often the member was set aside for not following."""
    set_aside_until: datetime | None
    note: str = ""


class DeliveryReport(Wire):
    """What was asked, what was metered, and by whom."""

    instruction: Instruction
    as_of: datetime
    measured_kw: float
    target_kw: float | None
    """Target after ramping, as of now."""
    shortfall_kw: float
    requested_kwh: float
    delivered_kwh: float
    """As far as it was metered."""
    unmetered_s: float = 0.0
    """Part of the elapsed window without measurements; members count by their rated power."""
    within_tolerance_frac: float
    """Share of the elapsed window, after the ramp, metered within tolerance."""
    coverage_frac: float
    members: list[MemberDelivery]
    history: list[InstructionStep]


class InstructionStep(Wire):
    """One transition, for the record."""

    at: datetime
    state: InstructionState
    version: int
    note: str
