"""The life-cycle of a command to one device: a table, and what is remembered of a command.

Sent, acknowledged, applied (read back) and verified (metered) are kept apart. A command is the
outbox of its device: it is checkpointed before it is published, and one that was never acknowledged
is published again after a restart under the same id with a later ``(epoch, seq)``.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from controllers.kernel.fsm import Machine
from controllers.kernel.states import CommandState, CommandView
from controllers.kernel.wire import Wire


class CommandTrigger(StrEnum):
    """What moves a command."""

    ACCEPT = "accept"
    SEND = "send"
    """Published, for the first time or again (resend, keep-alive)."""
    ACKNOWLEDGE = "acknowledge"
    REFUSE = "refuse"
    READ_BACK = "read_back"
    """The device reports that it executes the set-point."""
    METER_AGREES = "meter_agrees"
    METER_DEVIATES = "meter_deviates"
    TIME_OUT = "time_out"
    """The next evidence did not come in time, or evidence once given was withdrawn."""
    EXPIRE = "expire"
    SUPERSEDE = "supersede"


_S, _T = CommandState, CommandTrigger
COMMAND_MACHINE: Machine[CommandState, CommandTrigger] = Machine(
    "command",
    {
        (_S.PROPOSED, _T.ACCEPT): _S.ACCEPTED,
        (_S.ACCEPTED, _T.SEND): _S.SENT,
        (_S.SENT, _T.SEND): _S.SENT,
        (_S.SENT, _T.ACKNOWLEDGE): _S.ACKNOWLEDGED,
        (_S.SENT, _T.REFUSE): _S.REJECTED,
        # The sample that proves it overtook the acknowledgement, or that one was lost.
        (_S.SENT, _T.READ_BACK): _S.APPLIED,
        (_S.SENT, _T.TIME_OUT): _S.FAILED,
        (_S.SENT, _T.EXPIRE): _S.EXPIRED,
        (_S.SENT, _T.SUPERSEDE): _S.SUPERSEDED,
        (_S.ACKNOWLEDGED, _T.SEND): _S.ACKNOWLEDGED,
        (_S.ACKNOWLEDGED, _T.ACKNOWLEDGE): _S.ACKNOWLEDGED,
        (_S.ACKNOWLEDGED, _T.REFUSE): _S.REJECTED,
        (_S.ACKNOWLEDGED, _T.READ_BACK): _S.APPLIED,
        (_S.ACKNOWLEDGED, _T.TIME_OUT): _S.FAILED,
        (_S.ACKNOWLEDGED, _T.EXPIRE): _S.EXPIRED,
        (_S.ACKNOWLEDGED, _T.SUPERSEDE): _S.SUPERSEDED,
        (_S.APPLIED, _T.SEND): _S.APPLIED,
        (_S.APPLIED, _T.ACKNOWLEDGE): _S.APPLIED,
        # A keep-alive may be refused after the first sending was taken, e.g. in local mode.
        (_S.APPLIED, _T.REFUSE): _S.REJECTED,
        (_S.APPLIED, _T.METER_AGREES): _S.VERIFIED,
        # The device let go of a set-point that it had taken.
        (_S.APPLIED, _T.TIME_OUT): _S.FAILED,
        (_S.APPLIED, _T.EXPIRE): _S.EXPIRED,
        (_S.APPLIED, _T.SUPERSEDE): _S.SUPERSEDED,
        (_S.VERIFIED, _T.SEND): _S.VERIFIED,
        (_S.VERIFIED, _T.ACKNOWLEDGE): _S.VERIFIED,
        (_S.VERIFIED, _T.REFUSE): _S.REJECTED,
        # Delivered once is not delivered still: back to what is known for certain.
        (_S.VERIFIED, _T.METER_DEVIATES): _S.APPLIED,
        (_S.VERIFIED, _T.TIME_OUT): _S.FAILED,
        (_S.VERIFIED, _T.EXPIRE): _S.EXPIRED,
        (_S.VERIFIED, _T.SUPERSEDE): _S.SUPERSEDED,
        # A late acknowledgement changes nothing: the device's own lifetime has run out as well.
        (_S.EXPIRED, _T.ACKNOWLEDGE): _S.EXPIRED,
        (_S.FAILED, _T.ACKNOWLEDGE): _S.FAILED,
        (_S.REJECTED, _T.ACKNOWLEDGE): _S.REJECTED,
    },
)

ENDED = frozenset({_S.REJECTED, _S.EXPIRED, _S.SUPERSEDED, _S.FAILED})
"""States in which a command asks nothing of its device any more."""

TAKEN = frozenset({_S.APPLIED, _S.VERIFIED})
"""States in which the device is known to execute the command."""


class ActiveCommand(Wire):
    """The one command a device is to execute, and the evidence gathered so far."""

    command_id: str
    state: CommandState = CommandState.PROPOSED
    setpoint_kw: float | None
    """None releases the device."""
    ramp_kw_per_min: float | None = None
    source_id: str
    """Whose proposal it carries out."""
    instruction_id: str | None = None
    reason: str = ""
    start_kw: float
    """Where the ramp to the set-point begins: the power when it was issued."""
    ramp_time_s: float = 0.0
    """How long the way from there to the set-point takes."""
    epoch: int
    """Of the last sending."""
    first_seq: int
    seq: int
    """Of the last sending."""
    issued_at: datetime
    sent_at: datetime
    """Last sending."""
    expires_at: datetime
    n_sends: int = 0
    """Sendings since the last evidence that the device hears."""
    acked_at: datetime | None = None
    applied_at: datetime | None = None
    missing_since: datetime | None = None
    """First of the latest unbroken run of samples that read back something else."""
    deviating_since: datetime | None = None
    """First of the latest unbroken run of samples metered outside tolerance."""

    @property
    def ended(self) -> bool:
        """Whether it asks nothing of the device any more."""
        return self.state in ENDED

    def after(self, trigger: CommandTrigger) -> ActiveCommand:
        """Return the command after a trigger.

        Raises:
            InvalidTransitionError: the table has no such row.
        """
        return msgspec.structs.replace(self, state=COMMAND_MACHINE.next(self.state, trigger))

    def view(self) -> CommandView:
        """Return what others may see of it."""
        return CommandView(
            command_id=self.command_id,
            state=self.state,
            setpoint_kw=self.setpoint_kw,
            seq=self.seq,
            sent_at=self.sent_at,
            expires_at=self.expires_at,
            reason=self.reason or None,
        )
