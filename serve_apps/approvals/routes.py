"""Approvals: what waits for a second person, and that person's word."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import ConfigDict
from starlette.responses import Response

from controllers.accounts.approvals import Approval, ApprovalState, ApprovalStep
from controllers.kernel.wire import Wire
from controllers.ports.acts import Act
from controllers.ports.pages import PageRequest
from serve_apps.approvals.carrying_out import carry_out, told
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

    ``done`` or ``failed`` says what came of it. If the answer is lost (503), look again: what is
    still ``approved`` is driven on by itself within a minute, and after its expiry by approving
    again.
    """
    approval = await _decidable(deps, caller, approval_id)
    done = await carry_out(deps, approval, caller.username, caller.person, body.reason)
    return respond(done, headers=etag(done.version))


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
        data=told(approval, body.reason),
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
