"""Aggregations: drafted, filled with members, changed, put to work and taken from it."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import cast

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from controllers.accounts.approvals import Approval
from controllers.assets.records import AggregateRecord, AggregateStatus
from controllers.kernel.errors import NotFoundError, StaleVersionError
from controllers.kernel.wire import Wire
from controllers.ports.acts import Done
from controllers.ports.assets import AggregateFilter, ConnectionLimits
from serve_apps.approvals.four_eyes import Agreed, four_eyes, with_approval
from serve_apps.assets.bodies import (
    AggregationBody,
    AggregationSettings,
    LimitsBody,
    MemberBody,
    MembersBody,
)
from serve_apps.assets.going_to_work import ask_to_activate, ask_to_add, require_unblocked
from serve_apps.assets.pictures import aggregate_view
from serve_apps.assets.situations import require_aggregation, require_idle
from serve_apps.assets.views import AggregateList, AggregateView
from serve_apps.web.acts import IdempotencyKey, act_of, answer
from serve_apps.web.answers import answers, respond
from serve_apps.web.deps import ApiDeps, Deps
from serve_apps.web.guard import Caller, GuardedRoute, Principal
from serve_apps.web.middleware import PREFIX
from serve_apps.web.paths import Cursor, Limit, PathId, Sort, Text, page_request
from serve_apps.web.permissions import Operation
from serve_apps.web.versions import IfMatch, etag, required_version, seen_version

_ROOT = f"{PREFIX}/aggregations"
_CHANGE_REFUSALS = (400, 404, 409, 412, 413, 415, 422, 428, 503)
_POST_REFUSALS = (400, 404, 409, 412, 413, 415, 422, 503)

router = APIRouter(prefix=_ROOT, tags=["aggregations"], route_class=GuardedRoute)


@router.get("", **answers(AggregateList, Operation.PARK_READ, 422, 503, in_scope=True))
async def list_aggregations(
    *,
    deps: Deps,
    caller: Caller,
    status: AggregateStatus | None = None,
    name: Text = None,
    member: Text = None,
    limit: Limit = 50,
    sort: Sort = "position",
    cursor: Cursor = None,
) -> Response:
    """Return aggregations; sort by ``position``, ``id``, ``name`` or ``created_at``.

    ``position`` is the order of the park's definition. Retired ones show when asked for.
    """
    within = None if caller.reach is None else sorted(caller.reach.aggregates)
    wanted = AggregateFilter(status=status, name=name, member=member, within=within)
    page = await deps.aggregations.list(wanted, page_request(limit, sort, cursor))
    items = [aggregate_view(deps, caller, record) for record in page.items]
    return respond(AggregateList(items=items, next_cursor=page.next_cursor))


@router.post(
    "",
    **answers(AggregateView, Operation.AGGREGATION_WRITE, 400, 409, 413, 415, 422, 503, status=201),
)
async def create_aggregation(
    body: AggregationBody, deps: Deps, caller: Caller, idempotency_key: IdempotencyKey = None
) -> Response:
    """Draft an aggregation; nothing runs until it is activated."""
    id_ = body.id or deps.ids.new("vpp")
    act = act_of(caller, Operation.AGGREGATION_WRITE, id_, body, key=idempotency_key, path=_ROOT)
    done = await deps.aggregations.create(act, body.definition(id_))
    return _one(deps, caller, done, created=True)


@router.get("/{aggregation_id}", **answers(AggregateView, Operation.PARK_READ, 404))
async def get_aggregation(aggregation_id: str, deps: Deps, caller: Caller) -> Response:
    """Return one aggregation: net power, envelope, coverage, target and members."""
    record = require_aggregation(deps, aggregation_id)
    return respond(aggregate_view(deps, caller, record), headers=etag(record.version))


@router.put(
    "/{aggregation_id}", **answers(AggregateView, Operation.AGGREGATION_WRITE, *_CHANGE_REFUSALS)
)
async def update_aggregation(
    aggregation_id: PathId,
    body: AggregationSettings,
    deps: Deps,
    caller: Caller,
    if_match: IfMatch = None,
) -> Response:
    """Change name, period and tolerances; limits and members have paths of their own."""
    act = act_of(caller, Operation.AGGREGATION_WRITE, aggregation_id, body)
    version = required_version(if_match)
    return _one(deps, caller, await deps.aggregations.update(act, version, body.change()))


@router.put(
    "/{aggregation_id}/limits",
    **answers(
        AggregateView,
        Operation.AGGREGATION_LIMITS,
        *_CHANGE_REFUSALS,
        also=202,
        pending=Approval,
    ),
)
async def set_limits(
    *,
    request: Request,
    aggregation_id: PathId,
    body: LimitsBody,
    deps: Deps,
    caller: Caller,
    if_match: IfMatch = None,
) -> Response:
    """Change the limits of the connection point; 202 where a second person must agree first."""
    version = required_version(if_match)
    standing = require_aggregation(deps, aggregation_id).version
    if standing != version:
        raise StaleVersionError("the aggregation", standing)
    return await with_approval(
        request,
        caller,
        LIMITS,
        subject=aggregation_id,
        payload=LimitsPayload(aggregation_id=aggregation_id, version=version, limits=body.limits()),
        reason="new limits of the connection point",
        answer=lambda record: _one(deps, caller, Done(value=cast(AggregateRecord, record))),
    )


class LimitsPayload(Wire):
    """Limits that an aggregation is to have."""

    aggregation_id: str
    version: int
    """That the limits were chosen for."""
    limits: ConnectionLimits


async def _carry_out_limits(deps: ApiDeps, payload: LimitsPayload, agreed: Agreed) -> Wire:
    limits = msgspec.structs.asdict(payload.limits)
    act = agreed.act(Operation.AGGREGATION_LIMITS, payload.aggregation_id, limits)
    return (await deps.aggregations.set_limits(act, payload.version, payload.limits)).value


LIMITS = four_eyes(
    "aggregation.limits", Operation.AGGREGATION_LIMITS, LimitsPayload, _carry_out_limits
)


@router.delete(
    "/{aggregation_id}",
    **answers(AggregateView, Operation.AGGREGATION_RETIRE, 404, 409, 412, 422, 428, 503),
)
async def retire_aggregation(
    aggregation_id: PathId, deps: Deps, caller: Caller, if_match: IfMatch = None
) -> Response:
    """Take a draft or an inactive aggregation out for good; its dispatches and reports stay."""
    act = act_of(caller, Operation.AGGREGATION_RETIRE, aggregation_id)
    return _one(deps, caller, await deps.aggregations.retire(act, required_version(if_match)))


@router.post(
    "/{aggregation_id}/resources",
    **answers(
        AggregateView, Operation.AGGREGATION_WRITE, *_POST_REFUSALS, also=202, pending=Approval
    ),
)
async def add_member(
    *,
    request: Request,
    aggregation_id: PathId,
    body: MemberBody,
    deps: Deps,
    caller: Caller,
    idempotency_key: IdempotencyKey = None,
    if_match: IfMatch = None,
) -> Response:
    """Add a resource or another aggregation; an active one takes it in within seconds.

    202 where a second person must agree that it goes to work.
    """
    path = f"{_ROOT}/{aggregation_id}/resources"
    act = act_of(
        caller,
        Operation.AGGREGATION_WRITE,
        aggregation_id,
        body,
        key=idempotency_key,
        path=path,
    )
    _require_seen(caller, [body.resource_id])
    version = seen_version(if_match)
    asked = await ask_to_add(request, caller, aggregation_id, version, [body.resource_id])
    if asked is not None:
        return asked
    return _one(deps, caller, await deps.aggregations.add_members(act, [body.resource_id], version))


@router.post(
    "/{aggregation_id}/resources/bulk",
    **answers(
        AggregateView, Operation.AGGREGATION_WRITE, *_POST_REFUSALS, also=202, pending=Approval
    ),
)
async def add_members(
    *,
    request: Request,
    aggregation_id: PathId,
    body: MembersBody,
    deps: Deps,
    caller: Caller,
    idempotency_key: IdempotencyKey = None,
    if_match: IfMatch = None,
) -> Response:
    """Add up to 500 members, all or none; problems name the member, such as ``members[3]``.

    202 where a second person must agree that they go to work.
    """
    path = f"{_ROOT}/{aggregation_id}/resources/bulk"
    act = act_of(
        caller,
        Operation.AGGREGATION_WRITE,
        aggregation_id,
        body,
        key=idempotency_key,
        path=path,
    )
    _require_seen(caller, body.resource_ids)
    version = seen_version(if_match)
    asked = await ask_to_add(request, caller, aggregation_id, version, body.resource_ids)
    if asked is not None:
        return asked
    return _one(deps, caller, await deps.aggregations.add_members(act, body.resource_ids, version))


@router.delete(
    "/{aggregation_id}/resources/{resource_id}",
    **answers(AggregateView, Operation.AGGREGATION_WRITE, 404, 409, 412, 422, 503),
)
async def remove_member(
    aggregation_id: PathId,
    resource_id: PathId,
    deps: Deps,
    caller: Caller,
    if_match: IfMatch = None,
) -> Response:
    """Remove a member; an active aggregation lets go of it within seconds.

    ``If-Match`` is optional: removing one named member undoes nobody's change.
    """
    data = {"removed": resource_id}
    act = act_of(caller, Operation.AGGREGATION_WRITE, aggregation_id, data=data)
    version = seen_version(if_match)
    return _one(deps, caller, await deps.aggregations.remove_member(act, resource_id, version))


@router.post(
    "/{aggregation_id}/activate",
    **answers(
        AggregateView, Operation.AGGREGATION_ACTIVATE, *_POST_REFUSALS, also=202, pending=Approval
    ),
)
async def activate_aggregation(
    *,
    request: Request,
    aggregation_id: PathId,
    deps: Deps,
    caller: Caller,
    idempotency_key: IdempotencyKey = None,
    if_match: IfMatch = None,
) -> Response:
    """Put an aggregation to work: its actor starts, sums live and takes dispatches.

    Conflicts are looked for and kept first; a blocking one refuses (409). 202 where a second person
    must agree to what it may do.
    """
    record = require_aggregation(deps, aggregation_id)
    version = seen_version(if_match)
    act = act_of(
        caller,
        Operation.AGGREGATION_ACTIVATE,
        aggregation_id,
        key=idempotency_key,
        path=f"{_ROOT}/{aggregation_id}/activate",
        data={"active": True},
    )
    if record.status in (AggregateStatus.DRAFT, AggregateStatus.INACTIVE):
        await require_unblocked(deps, caller.username, record)
        asked = await ask_to_activate(request, caller, record, version)
        if asked is not None:
            return asked
    return _one(deps, caller, await deps.aggregations.activate(act, version))


@router.post(
    "/{aggregation_id}/deactivate",
    **answers(AggregateView, Operation.AGGREGATION_ACTIVATE, *_POST_REFUSALS),
)
async def deactivate_aggregation(
    *,
    aggregation_id: PathId,
    deps: Deps,
    caller: Caller,
    idempotency_key: IdempotencyKey = None,
    if_match: IfMatch = None,
) -> Response:
    """Take an aggregation from work: its actor stops, nobody is commanded.

    Refused while dispatches stand (409 names them); cancel them first.
    """
    act = act_of(
        caller,
        Operation.AGGREGATION_ACTIVATE,
        aggregation_id,
        key=idempotency_key,
        path=f"{_ROOT}/{aggregation_id}/deactivate",
        data={"active": False},
    )
    if require_aggregation(deps, aggregation_id).status is AggregateStatus.ACTIVE:
        await require_idle(deps, aggregation_id)
        # Its actor stops, and with it what the recorder has not fetched by then.
        await deps.dispatches.record(await deps.control.records(aggregation_id))
    return _one(deps, caller, await deps.aggregations.deactivate(act, seen_version(if_match)))


def _require_seen(caller: Principal, member_ids: Sequence[str]) -> None:
    # Whoever could take in what they do not reach would reach it from then on.
    for member_id in member_ids:
        if not caller.sees(member_id):
            raise NotFoundError("resource", member_id)


def _one(
    deps: ApiDeps, caller: Principal, done: Done[AggregateRecord], *, created: bool = False
) -> Response:
    record = done.value
    headers = etag(record.version)
    if created:
        headers["Location"] = f"{_ROOT}/{record.definition.id}"
    view: Done[Wire] = Done(value=aggregate_view(deps, caller, record), replayed=done.replayed)
    return answer(view, HTTPStatus.CREATED if created else HTTPStatus.OK, headers)
