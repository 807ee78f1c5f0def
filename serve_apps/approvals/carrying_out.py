"""Carries out what a second person approved, once, and drives on what was cut off meanwhile."""

from __future__ import annotations

import asyncio
import logging

from controllers.accounts.approvals import AGAIN_AFTER, Approval, ApprovalState, ApprovalStep
from controllers.kernel.errors import ParkgridError, PermanentError
from controllers.kernel.wire import encode
from controllers.ports.acts import Act
from controllers.ports.pages import PageRequest
from serve_apps.approvals.four_eyes import KINDS
from serve_apps.web.deps import ApiDeps

_AT_ONCE = 200

_log = logging.getLogger(__name__)


async def carry_out(
    deps: ApiDeps, approval: Approval, principal: str, person: str, reason: str | None
) -> Approval:
    """Take an approval on as a second person, do what it is about and note what came of it.

    Args:
        deps: what the API is built from.
        approval: pending, or cut off.
        principal: what the audit log calls who approves.
        person: the account behind it.
        reason: why, if there is something to say.

    Raises:
        ParkgridError: as the store's ``decide``; or nothing is known of the outcome.
    """
    data = told(approval, reason)
    act = Act(principal=principal, action="approval.approve", subject=approval.id, data=data)
    decided = await deps.approvals.decide(act, approval.id, ApprovalStep.APPROVE, person, reason)
    step, outcome = ApprovalStep.SUCCEED, ""
    try:
        view = await KINDS[approval.kind].carry_out(deps, decided.value, person)
        outcome = encode(view).decode()
    except PermanentError as error:
        step, outcome = ApprovalStep.FAIL, str(error)
    act = Act(
        principal=principal,
        action=f"approval.{step.value}",
        subject=approval.id,
        data=data | {"approved_by": person},
    )
    return (await deps.approvals.finish(act, approval.id, step, outcome)).value


async def drive_on(deps: ApiDeps) -> None:
    """Carry out again what was cut off, in the name of who approved it.

    What expired meanwhile is left: nobody counts on it any more, so somebody must look again.
    """
    now = deps.clock.now()
    page = await deps.approvals.approvals(PageRequest(limit=_AT_ONCE), ApprovalState.APPROVED)
    for approval in page.items:
        person, decided_at = approval.decided_by, approval.decided_at
        if person is None or decided_at is None or now - decided_at < AGAIN_AFTER:
            continue
        if now < approval.expires_at:
            try:
                await carry_out(deps, approval, person, person, approval.decision_reason)
            except ParkgridError as error:
                # Another replica was faster, or it will be tried again.
                _log.info("approval %s is not carried out yet: %s", approval.id, error)


async def keep_driving_on(deps: ApiDeps) -> None:
    """Look for what was cut off at once and every half minute until cancelled."""
    while True:
        try:
            await drive_on(deps)
        except ParkgridError as error:
            _log.info("approvals cannot be looked at: %s", error)
        except Exception:
            _log.exception("approvals were not driven on")
        await asyncio.sleep(AGAIN_AFTER.total_seconds())


def told(approval: Approval, reason: str | None) -> dict[str, object]:
    """Return what an audit entry says of an approval."""
    return {
        "kind": approval.kind,
        "subject": approval.subject,
        "requested_by": approval.requested_by,
        "reason": reason,
    }
