"""By hand: override one resource, and the kill switch of a resource, an aggregate or the park.

A kill must work while the database does not: the wanted state and the audit entry are written first
where that is possible in time, and the actors are told in any case. A release is the other way
round: what cannot be recorded is not released, and a second person may have to agree.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import Annotated, cast

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from controllers.accounts.approvals import Approval
from controllers.kernel.errors import ConflictError
from controllers.kernel.wire import Wire
from controllers.park import ParkDefinition
from serve_apps.approvals.four_eyes import Agreed, four_eyes, with_approval
from serve_apps.operations.bodies import OverrideBody
from serve_apps.operations.park import require_aggregate, require_resource
from serve_apps.operations.views import KillOutcome, KillView, OverrideView
from serve_apps.operations.windows import check_until
from serve_apps.web.answers import answers, respond
from serve_apps.web.bodies import ReasonBody
from serve_apps.web.deps import ApiDeps, Deps
from serve_apps.web.guard import Caller, GuardedRoute, Principal
from serve_apps.web.middleware import PREFIX
from serve_apps.web.permissions import Operation
from serve_apps.web.records import audited

logger = logging.getLogger(__name__)

router = APIRouter(prefix=PREFIX, tags=["by hand"], route_class=GuardedRoute)

_KILL = answers(KillView, Operation.KILL_SET, 404, 413, 415, 422, also=202)
_RELEASE = answers(KillView, Operation.KILL_RELEASE, 404, 409, 422, 503, also=202, pending=Approval)


class ReleasePayload(Wire):
    """Kill switches to be released."""

    subject: str
    """What was named: a resource, an aggregate or the park."""
    resources: list[str]
    """Every resource that was below it when the release was asked for."""
    reason: str


ReasonQuery = Annotated[
    str, Query(min_length=1, max_length=500, description="Why; it goes into the audit log.")
]


@router.put(
    "/resources/{resource_id}/override",
    **answers(OverrideView, Operation.OVERRIDE_SET, 404, 409, 413, 415, 422, 503),
)
async def set_override(
    resource_id: str, body: OverrideBody, deps: Deps, caller: Caller
) -> Response:
    """Hold one resource at one power until an instant, whatever markets and plans say.

    Everything protective still stands above it. A second override replaces the first.
    """
    require_resource(deps.park(), resource_id)
    now = deps.clock.now()
    until = body.ends_at(now)
    check_until(until, now)
    data = {"target_kw": body.target_kw, "until": until.isoformat(), "reason": body.reason}
    async with audited(deps.store, caller, Operation.OVERRIDE_SET, resource_id, data):
        await deps.control.set_override(
            resource_id, body.target_kw, until, caller.username, body.reason
        )
    view = OverrideView(
        resource_id=resource_id, target_kw=body.target_kw, until=until, reason=body.reason
    )
    return respond(view)


@router.delete(
    "/resources/{resource_id}/override",
    **answers(None, Operation.OVERRIDE_CLEAR, 404, 503, status=204),
)
async def clear_override(resource_id: str, deps: Deps, caller: Caller) -> Response:
    """Let go of a resource; repeating it succeeds."""
    require_resource(deps.park(), resource_id)
    async with audited(deps.store, caller, Operation.OVERRIDE_CLEAR, resource_id, {}):
        await deps.control.clear_override(resource_id, caller.username)
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.put("/resources/{resource_id}/kill", **_KILL)
async def kill_resource(resource_id: str, body: ReasonBody, deps: Deps, caller: Caller) -> Response:
    """Stop a resource: power to zero until released. 202 says it is not yet durable."""
    require_resource(deps.park(), resource_id)
    return await _kill(deps, caller, resource_id, [resource_id], body.reason)


@router.put("/aggregations/{aggregation_id}/kill", **_KILL)
async def kill_aggregation(
    aggregation_id: str, body: ReasonBody, deps: Deps, caller: Caller
) -> Response:
    """Stop every resource below an aggregate."""
    leaves = _leaves(deps.park(), aggregation_id)
    return await _kill(deps, caller, aggregation_id, leaves, body.reason)


@router.put("/park/kill", **_KILL)
async def kill_park(body: ReasonBody, deps: Deps, caller: Caller) -> Response:
    """Stop every resource of the park."""
    park = deps.park()
    return await _kill(deps, caller, park.id, [r.id for r in park.resources], body.reason)


@router.delete("/resources/{resource_id}/kill", **_RELEASE)
async def release_resource(
    resource_id: str, reason: ReasonQuery, request: Request, deps: Deps, caller: Caller
) -> Response:
    """Lift the kill switch of a resource; it moves again on a fresh command only."""
    require_resource(deps.park(), resource_id)
    return await _release(request, caller, resource_id, [resource_id], reason)


@router.delete("/aggregations/{aggregation_id}/kill", **_RELEASE)
async def release_aggregation(
    aggregation_id: str, reason: ReasonQuery, request: Request, deps: Deps, caller: Caller
) -> Response:
    """Lift the kill switch of every resource below an aggregate."""
    leaves = _leaves(deps.park(), aggregation_id)
    return await _release(request, caller, aggregation_id, leaves, reason)


@router.delete("/park/kill", **_RELEASE)
async def release_park(
    reason: ReasonQuery, request: Request, deps: Deps, caller: Caller
) -> Response:
    """Lift the kill switch of every resource of the park."""
    park = deps.park()
    return await _release(request, caller, park.id, [r.id for r in park.resources], reason)


async def _kill(
    deps: ApiDeps, caller: Principal, subject: str, ids: list[str], reason: str
) -> Response:
    recorded = True
    data: dict[str, object] = {"reason": reason, "resources": ids}
    try:
        async with asyncio.timeout(deps.settings.store_timeout_s):
            await deps.store.want_kill(ids, True, caller.username)
            await deps.store.audit(caller.username, Operation.KILL_SET.value, subject, data)
    except Exception:
        # Whatever is wrong with the database, it must not keep the plant running.
        logger.exception("Kill of %s by %s is not recorded", subject, caller.username)
        recorded = False
    outcomes = await deps.control.kill(ids, caller.username, reason)
    return _answer(_outcome(outcomes, killed=True, recorded=recorded))


async def _release(
    request: Request, caller: Principal, subject: str, ids: list[str], reason: str
) -> Response:
    return await with_approval(
        request,
        caller,
        RELEASE,
        subject=subject,
        payload=ReleasePayload(subject=subject, resources=ids, reason=reason),
        reason=reason,
        answer=lambda view: _answer(cast(KillView, view)),
    )


async def _carry_out_release(deps: ApiDeps, payload: ReleasePayload, agreed: Agreed) -> Wire:
    ids = payload.resources
    killed_again = await deps.store.killed_since(ids, agreed.requested_at)
    if killed_again:
        message = "killed again since the release was asked for; look and ask again"
        raise ConflictError(message, current=", ".join(killed_again[:10]))
    data = {"reason": payload.reason, "resources": ids, **agreed.told()}
    async with audited(deps.store, agreed, Operation.KILL_RELEASE, payload.subject, data):
        await deps.store.want_kill(ids, False, agreed.username)
        outcomes = await deps.control.release_kill(ids, agreed.username, payload.reason)
    return _outcome(outcomes, killed=False, recorded=True)


RELEASE = four_eyes("kill.release", Operation.KILL_RELEASE, ReleasePayload, _carry_out_release)


def _outcome(outcomes: dict[str, str | None], *, killed: bool, recorded: bool) -> KillView:
    resources = [
        KillOutcome(resource_id=id_, done=detail is None, detail=detail)
        for id_, detail in outcomes.items()
    ]
    n_pending = sum(not r.done for r in resources)
    return KillView(
        killed=killed,
        recorded=recorded,
        n_done=len(resources) - n_pending,
        n_pending=n_pending,
        resources=resources,
    )


def _answer(view: KillView) -> Response:
    complete = view.n_pending == 0 and view.recorded
    return respond(view, HTTPStatus.OK if complete else HTTPStatus.ACCEPTED)


def _leaves(park: ParkDefinition, aggregation_id: str) -> list[str]:
    members = {a.id: a.members for a in park.aggregates}
    frontier = [require_aggregate(park, aggregation_id).id]
    # A dictionary keeps the order and drops what is reached twice.
    leaves: dict[str, None] = {}
    while frontier:
        for member in members[frontier.pop()]:
            if member in members:
                frontier.append(member)
            else:
                leaves[member] = None
    return list(leaves)
