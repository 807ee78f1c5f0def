"""Four eyes: an act that waits until a second person agrees, and the states it goes through."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from controllers.kernel.errors import ConflictError
from controllers.kernel.fsm import Machine
from controllers.kernel.wire import Wire

AGAIN_AFTER = timedelta(seconds=30)
"""An approved act that was cut off may be driven on after this; no attempt takes as long."""


class ApprovalState(StrEnum):
    """Where an act stands that needs a second person."""

    PENDING = "pending"
    APPROVED = "approved"
    """A second person agreed; it is being carried out."""
    DONE = "done"
    FAILED = "failed"
    """It was refused when it was carried out; nothing was changed."""
    REJECTED = "rejected"
    EXPIRED = "expired"


class ApprovalStep(StrEnum):
    """What happens to it."""

    APPROVE = "approve"
    DRIVE_ON = "drive on"
    REJECT = "reject"
    SUCCEED = "succeed"
    FAIL = "fail"


APPROVAL_MACHINE = Machine(
    "approval",
    {
        (ApprovalState.PENDING, ApprovalStep.APPROVE): ApprovalState.APPROVED,
        (ApprovalState.PENDING, ApprovalStep.REJECT): ApprovalState.REJECTED,
        # Cut off while it was carried out.
        (ApprovalState.APPROVED, ApprovalStep.DRIVE_ON): ApprovalState.APPROVED,
        (ApprovalState.APPROVED, ApprovalStep.SUCCEED): ApprovalState.DONE,
        (ApprovalState.APPROVED, ApprovalStep.FAIL): ApprovalState.FAILED,
    },
)


class Approval(Wire):
    """An act that needs a second person."""

    id: str
    kind: str
    operation: str
    """What both persons must be permitted to do."""
    subject: str
    """The resource, aggregate or park that it is about."""
    payload: dict[str, object]
    """What will be done, exactly."""
    reason: str
    requested_by: str
    requester: str
    """The person behind ``requested_by``, who may have asked with an API key."""
    requested_at: datetime
    expires_at: datetime
    state: ApprovalState = ApprovalState.PENDING
    decided_by: str | None = None
    decided_at: datetime | None = None
    decision_reason: str | None = None
    outcome: str | None = None
    """What came of it, as JSON or in words."""
    version: int = 1

    def seen_at(self, now: datetime) -> Approval:
        """Return it as it stands at an instant: what nobody decided in time has expired."""
        if self.state is ApprovalState.PENDING and self.expires_at <= now:
            return msgspec.structs.replace(self, state=ApprovalState.EXPIRED)
        return self


def decided(
    approval: Approval, step: ApprovalStep, by: str, reason: str | None, now: datetime
) -> Approval:
    """Return an approval after somebody's decision.

    Args:
        approval: as stored.
        step: approve or reject.
        by: the person who decides.
        reason: why.
        now: the present instant.

    Raises:
        ConflictError: they asked for it themselves and now approve, it has expired, or somebody
            is carrying it out at this moment.
        InvalidTransitionError: it was decided before.
    """
    standing = approval.seen_at(now)
    if step is ApprovalStep.APPROVE and by == approval.requester:
        message = "nobody approves their own request; ask a second person"
        raise ConflictError(message, current=standing.state)
    if standing.state is ApprovalState.EXPIRED:
        raise ConflictError("nobody decided in time; ask again", current=standing.state)
    if standing.state is ApprovalState.APPROVED and step is ApprovalStep.APPROVE:
        if by != standing.decided_by or now - (standing.decided_at or now) < AGAIN_AFTER:
            message = "it is being carried out; look again in half a minute"
            raise ConflictError(message, current=standing.state)
        step = ApprovalStep.DRIVE_ON
    return msgspec.structs.replace(
        standing,
        state=APPROVAL_MACHINE.next(standing.state, step),
        decided_by=by,
        decided_at=now,
        decision_reason=reason,
        version=standing.version + 1,
    )


def needs_second_person(mode: str, others: Iterable[str]) -> bool:
    """Tell whether an act must wait for a second person.

    Args:
        mode: ``always``, ``never``, or ``auto``: when there is somebody who could be the second.
        others: persons besides the one who asks who may do the same to the same subject.
    """
    return mode == "always" or (mode == "auto" and any(True for _ in others))
