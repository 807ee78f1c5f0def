"""Deployed optimizers: deploy, watch in shadow, promote, roll back, remove, and how they do."""

from __future__ import annotations

import asyncio
import hashlib
from http import HTTPStatus
from typing import cast

from fastapi import APIRouter, Request
from starlette.responses import Response

from controllers.accounts.approvals import Approval
from controllers.kernel.wire import Wire
from controllers.optimizers.deployment import (
    Optimizer,
    OptimizerCode,
    OptimizerState,
    check_code,
    optimizer_id,
)
from controllers.optimizers.scores import Score, ScoreSummary
from controllers.ports.acts import Act, Done
from controllers.ports.optimizers import OptimizerFilter
from serve_apps.approvals.four_eyes import Agreed, four_eyes, with_approval
from serve_apps.optimizers.bodies import DeployBody, StepBody
from serve_apps.web.acts import IdempotencyKey, act_of, answer
from serve_apps.web.answers import answers, respond
from serve_apps.web.deps import ApiDeps, Deps
from serve_apps.web.guard import Caller, GuardedRoute
from serve_apps.web.middleware import PREFIX
from serve_apps.web.paths import Cursor, Limit, PathId, Sort, page_request
from serve_apps.web.permissions import Operation
from serve_apps.web.versions import IfMatch, etag, required_version, seen_version

_ROOT = f"{PREFIX}/optimizers"
_STEP_REFUSALS = (404, 409, 412, 422, 503)

router = APIRouter(prefix=_ROOT, tags=["optimizers"], route_class=GuardedRoute)


class OptimizerPage(Wire):
    """Deployed optimizers."""

    items: list[Optimizer]
    next_cursor: str | None


class ScorePage(Wire):
    """Scores of an optimizer, newest first."""

    items: list[Score]
    next_cursor: str | None


@router.get("", **answers(OptimizerPage, Operation.OPTIMIZER_READ, 422, 503))
async def list_optimizers(
    *,
    deps: Deps,
    state: OptimizerState | None = None,
    limit: Limit = 50,
    sort: Sort = "-deployed_at",
    cursor: Cursor = None,
) -> Response:
    """Return optimizers, without the removed; sort by ``deployed_at``, ``changed_at`` or ``id``."""
    wanted = OptimizerFilter(state=state)
    page = await deps.optimizers.list(wanted, page_request(limit, sort, cursor))
    return respond(OptimizerPage(items=page.items, next_cursor=page.next_cursor))


@router.post(
    "", **answers(Optimizer, Operation.OPTIMIZER_DEPLOY, 400, 409, 413, 415, 422, 503, status=201)
)
async def deploy_optimizer(
    body: DeployBody, deps: Deps, caller: Caller, idempotency_key: IdempotencyKey = None
) -> Response:
    """Store an optimizer; none of it runs before somebody puts it into shadow."""
    content = body.content()
    # Half a megabyte takes a while to parse.
    await asyncio.to_thread(check_code, body.file_name, content)
    id_ = optimizer_id(body.name, body.file_name, content, body.environment)
    code = OptimizerCode(
        id=id_, file_name=body.file_name, content=content, environment=body.environment
    )
    data = body.model_dump(mode="json", exclude={"content_base64"})
    act = act_of(
        caller,
        Operation.OPTIMIZER_DEPLOY,
        id_,
        body,
        key=idempotency_key,
        data={**data, "sha256": hashlib.sha256(content).hexdigest()},
    )
    done = await deps.optimizers.deploy(act, body.name, code, body.note)
    return _one(done, HTTPStatus.CREATED, {"Location": f"{_ROOT}/{id_}"})


@router.get("/{optimizer_id}", **answers(Optimizer, Operation.OPTIMIZER_READ, 404, 422, 503))
async def get_optimizer(optimizer_id: PathId, deps: Deps) -> Response:
    """Return an optimizer and how it stands."""
    optimizer = await deps.optimizers.get(optimizer_id)
    return respond(optimizer, headers=etag(optimizer.version))


@router.post(
    "/{optimizer_id}/shadow",
    **answers(Optimizer, Operation.OPTIMIZER_DEPLOY, *_STEP_REFUSALS),
)
async def shadow_optimizer(
    optimizer_id: PathId, body: StepBody, deps: Deps, caller: Caller, if_match: IfMatch = None
) -> Response:
    """Let it solve every live problem and be judged; nothing of it is dispatched."""
    act = act_of(caller, Operation.OPTIMIZER_DEPLOY, optimizer_id, body)
    return _one(await deps.optimizers.shadow(act, seen_version(if_match), body.reason))


class PromotePayload(Wire):
    """An optimizer whose plans are to be dispatched."""

    optimizer_id: str
    version: int
    """That the person who asks has seen."""
    reason: str


@router.post(
    "/{optimizer_id}/promote",
    **answers(
        Optimizer, Operation.OPTIMIZER_PROMOTE, 428, *_STEP_REFUSALS, also=202, pending=Approval
    ),
)
async def promote_optimizer(
    *,
    request: Request,
    optimizer_id: PathId,
    body: StepBody,
    deps: Deps,
    caller: Caller,
    if_match: IfMatch = None,
) -> Response:
    """Let its plans be dispatched where they hold; takes plans in shadow that held.

    Who was promoted before goes back into shadow. Takes effect within seconds.
    """
    version = required_version(if_match)
    await deps.optimizers.check_promotable(optimizer_id, version, deps.settings.shadow_plans)
    payload = PromotePayload(optimizer_id=optimizer_id, version=version, reason=body.reason)
    return await with_approval(
        request,
        caller,
        PROMOTION,
        subject=optimizer_id,
        payload=payload,
        reason=body.reason,
        answer=lambda view: _one(Done(value=cast(Optimizer, view))),
    )


async def _carry_out_promotion(deps: ApiDeps, payload: PromotePayload, agreed: Agreed) -> Wire:
    act = Act(
        principal=agreed.username,
        action=Operation.OPTIMIZER_PROMOTE.value,
        subject=payload.optimizer_id,
        data={"reason": payload.reason, **agreed.told()},
        # An attempt that was cut off after its effect finds the effect.
        key=agreed.approval_id,
        fingerprint=agreed.approval_id or "",
    )
    least = deps.settings.shadow_plans
    done = await deps.optimizers.promote(act, payload.version, payload.reason, least)
    return done.value


PROMOTION = four_eyes(
    "optimizer.promote", Operation.OPTIMIZER_PROMOTE, PromotePayload, _carry_out_promotion
)


@router.post(
    "/{optimizer_id}/rollback",
    **answers(Optimizer, Operation.OPTIMIZER_ROLL_BACK, *_STEP_REFUSALS),
)
async def roll_back_optimizer(
    optimizer_id: PathId, body: StepBody, deps: Deps, caller: Caller, if_match: IfMatch = None
) -> Response:
    """Take a promoted optimizer out of force; whoever was promoted before comes back.

    That is the built-in engine where there was nobody, or where that one cannot. It waits for
    nobody and takes effect within seconds.
    """
    act = act_of(caller, Operation.OPTIMIZER_ROLL_BACK, optimizer_id, body)
    return _one(await deps.optimizers.roll_back(act, seen_version(if_match), body.reason))


@router.delete(
    "/{optimizer_id}", **answers(Optimizer, Operation.OPTIMIZER_DEPLOY, 428, *_STEP_REFUSALS)
)
async def remove_optimizer(
    optimizer_id: PathId, deps: Deps, caller: Caller, if_match: IfMatch = None
) -> Response:
    """Remove an optimizer that is not promoted; its scores stay."""
    act = act_of(caller, Operation.OPTIMIZER_DEPLOY, optimizer_id)
    return _one(await deps.optimizers.remove(act, required_version(if_match)))


@router.get("/{optimizer_id}/scores", **answers(ScorePage, Operation.OPTIMIZER_READ, 404, 422, 503))
async def list_optimizer_scores(
    optimizer_id: PathId, deps: Deps, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """Return how each of its plans did beside the plan in force, newest first."""
    page = await deps.optimizers.scores(optimizer_id, page_request(limit, "", cursor))
    return respond(ScorePage(items=page.items, next_cursor=page.next_cursor))


@router.get(
    "/{optimizer_id}/summary", **answers(ScoreSummary, Operation.OPTIMIZER_READ, 404, 422, 503)
)
async def summarize_optimizer(optimizer_id: PathId, deps: Deps) -> Response:
    """Return what its newest scores say together: how many hold, at what cost, how fast."""
    return respond(await deps.optimizers.summary(optimizer_id))


def _one(
    done: Done[Optimizer], status: int = HTTPStatus.OK, headers: dict[str, str] | None = None
) -> Response:
    return answer(done, status, {**etag(done.value.version), **(headers or {})})
