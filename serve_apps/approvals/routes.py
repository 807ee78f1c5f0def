"""Approvals: what waits for a second person, and that person's word."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import ConfigDict
from starlette.responses import Response

from controllers.accounts.approvals import Approval, ApprovalState, ApprovalStep
from controllers.kernel.errors import PermanentError
from controllers.kernel.wire import Wire, encode
from controllers.ports.acts import Act
from controllers.ports.pages import PageRequest
from serve_apps.approvals.four_eyes import KINDS
from serve_apps.web.answers import answers, respond
from serve_apps.web.bodies import Body, Reason, ReasonBody
from serve_apps.web.deps import ApiDeps, Deps
from serve_apps.web.guard import Caller, GuardedRoute, Principal
from serve_apps.web.middleware import PREFIX
from serve_apps.web.permissions import Operation, permits
from serve_apps.web.principals import forbidden
from serve_apps.web.versions import etag

router = APIRouter(prefix=f"{PREFIX}/approvals", tags=["approvals"], route_class=GuardedRoute)


class ApproveBody(Body):
    """Why one agrees, if there is something to say."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "looked at the site"}]})

    reason: Reason | None = None


class ApprovalPage(Wire):
    """Approvals, newest first."""

    items: list[Approval]
    next_cursor: str | None


@router.get("", **answers(ApprovalPage, Operation.APPROVAL_READ, 422, 503, in_scope=True))
async def list_approvals(
    *,
    deps: Deps,
    caller: Caller,
    state: ApprovalState | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=2000)] = None,
) -> Response:
    """Return approvals, newest first; a page may be shorter for who reaches a part of the park."""
    page = await deps.approvals.approvals(PageRequest(limit=limit, cursor=cursor), state)
    items = caller.visible(page.items, lambda approval: approval.subject)
    return respond(ApprovalPage(items=items, next_cursor=page.next_cursor))


@router.get("/{approval_id}", **answers(Approval, Operation.APPROVAL_READ, 404, 503))
async def get_approval(approval_id: str, deps: Deps) -> Response:
    """Return one approval: what is asked, by whom, and what came of it."""
    approval = await deps.approvals.approval(approval_id)
    return respond(approval, headers=etag(approval.version))


@router.post(
    "/{approval_id}/approve", **answers(Approval, Operation.APPROVAL_DECIDE, 404, 409, 422, 503)
)
async def approve(approval_id: str, body: ApproveBody, deps: Deps, caller: Caller) -> Response:
    """Agree as a second person; the act is then carried out, once.

    ``done`` or ``failed`` says what came of it. If the answer is lost (503), look again; what is
    still ``approved`` after half a minute is driven on by approving again.
    """
    approval = await _decidable(deps, caller, approval_id)
    data = _told(approval, body.reason)
    act = Act(principal=caller.username, action="approval.approve", subject=approval_id, data=data)
    decided = await deps.approvals.decide(
        act, approval_id, ApprovalStep.APPROVE, caller.person, body.reason
    )
    step, outcome = ApprovalStep.SUCCEED, ""
    try:
        view = await KINDS[approval.kind].carry_out(deps, decided.value, caller.person)
        outcome = encode(view).decode()
    except PermanentError as error:
        step, outcome = ApprovalStep.FAIL, str(error)
    act = Act(
        principal=caller.username,
        action=f"approval.{step.value}",
        subject=approval_id,
        data=data | {"approved_by": caller.person},
    )
    done = await deps.approvals.finish(act, approval_id, step, outcome)
    return respond(done.value, headers=etag(done.value.version))


@router.post(
    "/{approval_id}/reject", **answers(Approval, Operation.APPROVAL_DECIDE, 404, 409, 422, 503)
)
async def reject(approval_id: str, body: ReasonBody, deps: Deps, caller: Caller) -> Response:
    """Refuse a request, or withdraw one's own; nothing is changed."""
    approval = await _decidable(deps, caller, approval_id)
    act = Act(
        principal=caller.username,
        action="approval.reject",
        subject=approval_id,
        data=_told(approval, body.reason),
    )
    done = await deps.approvals.decide(
        act, approval_id, ApprovalStep.REJECT, caller.person, body.reason
    )
    return respond(done.value, headers=etag(done.value.version))


async def _decidable(deps: ApiDeps, caller: Principal, approval_id: str) -> Approval:
    approval = await deps.approvals.approval(approval_id)
    if not permits(caller.roles, Operation(approval.operation)):
        raise forbidden(f"{approval.operation} is not permitted to your roles")
    return approval


def _told(approval: Approval, reason: str | None) -> dict[str, object]:
    return {
        "kind": approval.kind,
        "subject": approval.subject,
        "requested_by": approval.requested_by,
        "reason": reason,
    }
