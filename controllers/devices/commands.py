"""The life of a management command: proposed, sent, acknowledged, and one end of four.

Set-points have a life-cycle of their own (``controllers.control.commands``) and never come here.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec

from controllers.control.contract import DeviceMode
from controllers.devices.messages import Manage, ManageKind, ManageOutcome, ManageResult
from controllers.devices.reports import DeviceReport
from controllers.kernel.fsm import Machine
from controllers.kernel.wire import Identifier, Wire

MIN_LIFETIME_S = 5.0
MAX_LIFETIME_S = 86_400.0


class ManageState(StrEnum):
    """Where a management command stands."""

    PROPOSED = "proposed"
    """Waits for the device to be there."""
    SENT = "sent"
    ACKNOWLEDGED = "acknowledged"
    APPLIED = "applied"
    REJECTED = "rejected"
    FAILED = "failed"
    EXPIRED = "expired"


class ManageTrigger(StrEnum):
    """What moves a management command."""

    SEND = "send"
    ACCEPT = "accept"
    COMPLETE = "complete"
    REJECT = "reject"
    FAIL = "fail"
    EXPIRE = "expire"


_S, _T = ManageState, ManageTrigger
MANAGE_MACHINE: Machine[ManageState, ManageTrigger] = Machine(
    "management command",
    {
        (_S.PROPOSED, _T.SEND): _S.SENT,
        (_S.PROPOSED, _T.EXPIRE): _S.EXPIRED,
        # The answer overtook the note that it was sent.
        (_S.PROPOSED, _T.ACCEPT): _S.ACKNOWLEDGED,
        (_S.PROPOSED, _T.COMPLETE): _S.APPLIED,
        (_S.PROPOSED, _T.REJECT): _S.REJECTED,
        (_S.PROPOSED, _T.FAIL): _S.FAILED,
        (_S.SENT, _T.ACCEPT): _S.ACKNOWLEDGED,
        (_S.SENT, _T.COMPLETE): _S.APPLIED,
        (_S.SENT, _T.REJECT): _S.REJECTED,
        (_S.SENT, _T.FAIL): _S.FAILED,
        (_S.SENT, _T.EXPIRE): _S.EXPIRED,
        (_S.ACKNOWLEDGED, _T.ACCEPT): _S.ACKNOWLEDGED,
        (_S.ACKNOWLEDGED, _T.COMPLETE): _S.APPLIED,
        (_S.ACKNOWLEDGED, _T.REJECT): _S.REJECTED,
        (_S.ACKNOWLEDGED, _T.FAIL): _S.FAILED,
        (_S.ACKNOWLEDGED, _T.EXPIRE): _S.EXPIRED,
    },
)
OPEN = frozenset({_S.PROPOSED, _S.SENT, _S.ACKNOWLEDGED})

_ANSWERS = {
    ManageOutcome.ACCEPTED: _T.ACCEPT,
    ManageOutcome.DONE: _T.COMPLETE,
    ManageOutcome.REJECTED: _T.REJECT,
    ManageOutcome.FAILED: _T.FAIL,
}


class DeviceCommand(Wire):
    """One management command."""

    id: str
    device_id: Identifier
    kind: ManageKind
    reason: str
    state: ManageState = ManageState.PROPOSED
    issued_by: str
    issued_at: datetime
    expires_at: datetime
    sent_at: datetime | None = None
    acknowledged_at: datetime | None = None
    ended_at: datetime | None = None
    detail: str = ""
    """What the device said to it."""

    @property
    def is_open(self) -> bool:
        """Whether anything can still come of it."""
        return self.state in OPEN

    def message(self) -> Manage:
        """Return what the device is sent."""
        return Manage(
            command_id=self.id,
            kind=self.kind,
            issued_at=self.issued_at,
            expires_at=self.expires_at,
            lifetime_s=(self.expires_at - self.issued_at) / timedelta(seconds=1),
        )


def is_due(command: DeviceCommand, report: DeviceReport | None, now: datetime) -> bool:
    """Tell whether a command should be sent now: in time, to a device that has not signed off."""
    away = report is not None and report.mode is DeviceMode.OFFLINE
    return command.state is ManageState.PROPOSED and now < command.expires_at and not away


def sent(command: DeviceCommand, now: datetime) -> DeviceCommand:
    """Return a command after its sending."""
    return _after(command, ManageTrigger.SEND, sent_at=now)


def answered(command: DeviceCommand, result: ManageResult, now: datetime) -> DeviceCommand:
    """Return a command after an answer; one that has ended stays as it ended."""
    if not command.is_open:
        return command
    changes: dict[str, Any] = {"detail": result.reason or ""}
    if command.acknowledged_at is None:
        changes["acknowledged_at"] = now
    if result.result is not ManageOutcome.ACCEPTED:
        changes["ended_at"] = now
    return _after(command, _ANSWERS[result.result], **changes)


def rebooted(command: DeviceCommand, now: datetime) -> DeviceCommand:
    """Return a command after its device came up anew: that is what a reboot was to bring."""
    if command.kind is not ManageKind.REBOOT or command.sent_at is None or not command.is_open:
        return command
    return _after(command, ManageTrigger.COMPLETE, ended_at=now)


def judged(command: DeviceCommand, now: datetime) -> DeviceCommand:
    """Return a command after time has passed."""
    if not command.is_open or now < command.expires_at:
        return command
    detail = command.detail or (
        "the device was not there" if command.sent_at is None else "no answer in time"
    )
    return _after(command, ManageTrigger.EXPIRE, ended_at=now, detail=detail)


def _after(command: DeviceCommand, trigger: ManageTrigger, **changes: Any) -> DeviceCommand:
    state = MANAGE_MACHINE.next(command.state, trigger)
    return msgspec.structs.replace(command, state=state, **changes)
