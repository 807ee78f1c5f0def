"""Dispatch: issue, follow, amend, cancel.

A dispatch id is ``{aggregate}.{unique part}``, so whoever holds the id can reach its owner without
a look-up table. The unique part sorts by time.
"""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.responses import Response

from controllers.aggregation.instruction import DeliveryReport, Instruction, InstructionState
from controllers.kernel.errors import (
    ConflictError,
    NotFoundError,
    StaleVersionError,
    TemporaryError,
)
from controllers.park import AggregateDefinition
from controllers.ports.control import Amendment
from serve_apps.operations.bodies import AmendBody, DispatchBody
from serve_apps.operations.park import require_aggregate
from serve_apps.operations.windows import check_end, check_window
from serve_apps.web.acts import IdempotencyKey
from serve_apps.web.answers import answers, respond
from serve_apps.web.bodies import ReasonBody
from serve_apps.web.deps import ApiDeps, Deps
from serve_apps.web.guard import Caller, GuardedRoute, Principal
from serve_apps.web.idempotency import KeyedRequest, once, required_key
from serve_apps.web.middleware import PREFIX
from serve_apps.web.permissions import Operation
from serve_apps.web.records import audited
from serve_apps.web.versions import IfMatch, etag, required_version, seen_version

router = APIRouter(prefix=PREFIX, tags=["dispatch"], route_class=GuardedRoute)


@router.post(
    "/aggregations/{aggregation_id}/dispatch",
    **answers(
        Instruction, Operation.DISPATCH_CREATE, 400, 404, 409, 413, 415, 422, 503, status=202
    ),
)
async def dispatch(
    *,
    request: Request,
    aggregation_id: str,
    body: DispatchBody,
    deps: Deps,
    caller: Caller,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Dispatch an aggregate to a net power over a window; follow it under ``Location``.

    Repeating the request with the same ``Idempotency-Key`` never dispatches twice.
    """
    definition = require_aggregate(deps.park(), aggregation_id)
    keyed = KeyedRequest(
        key=required_key(idempotency_key),
        operation=Operation.DISPATCH_CREATE,
        path=f"/aggregations/{aggregation_id}/dispatch",
        location=f"{PREFIX}/dispatches",
        subject_id=f"{aggregation_id}.{deps.ids.new('d')}",
        body=body,
        audit={"aggregation": aggregation_id, **body.model_dump(mode="json")},
    )

    async def act(dispatch_id: str, repeated: bool) -> Response:
        if repeated:
            standing = await _standing(deps, aggregation_id, dispatch_id)
            if standing is not None:
                return respond(standing, HTTPStatus.ACCEPTED)
        instruction = instruction_of(deps, definition, body, dispatch_id, caller)
        return respond(await deps.control.submit(instruction), HTTPStatus.ACCEPTED)

    return await once(request, deps, caller, keyed, act)


@router.get(
    "/dispatches/{dispatch_id}", **answers(DeliveryReport, Operation.DISPATCH_READ, 404, 503)
)
async def get_dispatch(dispatch_id: str, deps: Deps) -> Response:
    """Return the delivery report: what was asked, what the meters said, and by whom."""
    report = await _report(deps, dispatch_id)
    return respond(report, headers=etag(report.instruction.version))


@router.patch(
    "/dispatches/{dispatch_id}",
    **answers(Instruction, Operation.DISPATCH_AMEND, 404, 409, 412, 413, 415, 422, 428, 503),
)
async def amend_dispatch(
    dispatch_id: str,
    body: AmendBody,
    deps: Deps,
    caller: Caller,
    if_match: IfMatch = None,
) -> Response:
    """Change target, end or ramp of a dispatch; name the version you saw in ``If-Match``."""
    version = required_version(if_match)
    standing = (await _report(deps, dispatch_id)).instruction
    _require_version(standing, version)
    if standing.ended_at is not None:
        raise _ended(standing)
    owner = standing.aggregate_id
    if body.end_at is not None:
        check_end(standing.start_at, body.end_at, deps.clock.now())
    change = Amendment(
        target_kw=body.target_kw,
        end_at=body.end_at,
        ramp_kw_per_min=body.ramp_kw_per_min,
        reason=body.reason,
    )
    data = {"version": version, **body.model_dump(mode="json", exclude_none=True)}
    async with audited(deps.store, caller, Operation.DISPATCH_AMEND, dispatch_id, data):
        try:
            amended = await deps.control.amend(owner, dispatch_id, version, change, caller.username)
        except ConflictError:
            # Someone may have been faster between our look and our change.
            report = await deps.control.instruction(owner, dispatch_id)
            _require_version(report.instruction, version)
            raise
    return respond(amended, headers=etag(amended.version))


@router.post(
    "/dispatches/{dispatch_id}/cancel",
    **answers(Instruction, Operation.DISPATCH_CANCEL, 404, 409, 412, 413, 415, 422, 503),
)
async def cancel_dispatch(
    dispatch_id: str,
    body: ReasonBody,
    deps: Deps,
    caller: Caller,
    if_match: IfMatch = None,
) -> Response:
    """End a dispatch now; repeating it on a cancelled one succeeds.

    ``If-Match`` is optional here: stopping must not fail because someone amended meanwhile.
    """
    owner = dispatch_id.partition(".")[0]
    version = seen_version(if_match)
    is_held = deps.park().aggregate(owner) is not None
    if version is not None or not is_held:
        standing = (await _report(deps, dispatch_id)).instruction
        if version is not None:
            _require_version(standing, version)
        if not is_held:
            return _cancelled_before(standing)
    data = {"reason": body.reason}
    async with audited(deps.store, caller, Operation.DISPATCH_CANCEL, dispatch_id, data):
        try:
            cancelled = await deps.control.cancel(
                owner, dispatch_id, version, caller.username, body.reason
            )
        except NotFoundError:
            # It ended so long ago that its aggregate forgot it.
            return _cancelled_before((await deps.dispatches.report(dispatch_id)).instruction)
    return respond(cancelled, headers=etag(cancelled.version))


def instruction_of(
    deps: ApiDeps,
    definition: AggregateDefinition,
    body: DispatchBody,
    dispatch_id: str,
    caller: Principal,
) -> Instruction:
    """Return the instruction that a body asks for.

    Raises:
        DomainError: the window lies in the past or too far ahead, or is too short or too long.
    """
    now = deps.clock.now()
    start_at, end_at = body.window(now)
    check_window(start_at, end_at, now)
    return Instruction(
        id=dispatch_id,
        aggregate_id=definition.id,
        target_kw=body.target_kw,
        start_at=start_at,
        end_at=end_at,
        ramp_kw_per_min=body.ramp_kw_per_min,
        reason=body.reason,
        issued_by=caller.username,
        issued_at=now,
        tolerance_kw=max(definition.tolerance_kw, definition.tolerance_frac * abs(body.target_kw)),
    )


async def _report(deps: ApiDeps, dispatch_id: str) -> DeliveryReport:
    owner, _, rest = dispatch_id.partition(".")
    if not rest:
        raise NotFoundError("dispatch", dispatch_id)
    if deps.park().aggregate(owner) is None:
        # It works no more; what it did is on record.
        return await deps.dispatches.report(dispatch_id)
    try:
        return await deps.control.instruction(owner, dispatch_id)
    except NotFoundError:
        return await deps.dispatches.report(dispatch_id)
    except TemporaryError:
        # Who does not answer may have ended it long ago; else it is as unavailable as it was.
        with suppress(NotFoundError, TemporaryError):
            return await deps.dispatches.report(dispatch_id)
        raise


async def _standing(deps: ApiDeps, owner: str, dispatch_id: str) -> Instruction | None:
    try:
        return (await deps.control.instruction(owner, dispatch_id)).instruction
    except NotFoundError:
        return None


def _cancelled_before(ended: Instruction) -> Response:
    if ended.state is not InstructionState.CANCELLED:
        raise _ended(ended)
    return respond(ended, headers=etag(ended.version))


def _ended(ended: Instruction) -> ConflictError:
    message = f"the dispatch has ended as {ended.state}; nothing of it is left to change"
    return ConflictError(message, current=ended.state)


def _require_version(standing: Instruction, version: int) -> None:
    if standing.version != version:
        raise StaleVersionError("the dispatch", standing.version)
