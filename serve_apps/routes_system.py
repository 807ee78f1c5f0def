"""Is it up, is it ready, and who did what."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from controllers.kernel.errors import StorageUnavailableError
from controllers.kernel.wire import encode
from serve_apps.answers import answers
from serve_apps.deps import ApiDeps, Deps
from serve_apps.middleware import PREFIX
from serve_apps.permissions import Operation
from serve_apps.problems import MEDIA_TYPE, RefusedError, document
from serve_apps.tokens import GuardedRoute
from serve_apps.views import AliveView, AuditPage, CheckView, ReadyView, respond

probes = APIRouter(tags=["system"], route_class=GuardedRoute)
router = APIRouter(prefix=PREFIX, tags=["system"], route_class=GuardedRoute)

_ALIVE = respond(AliveView())


@probes.get("/healthz", **answers(AliveView, None))
async def alive() -> Response:
    """Answer that the process is up; says nothing of the plant."""
    return _ALIVE


@probes.get("/readyz", **answers(ReadyView, None, 503))
async def ready(request: Request, deps: Deps) -> Response:
    """Answer whether the system can be worked with, and name what is degraded."""
    checks = [_live_check(deps), await _store_check(deps)]
    if all(check.ok for check in checks):
        return respond(ReadyView(status="ready", checks=checks))
    names = ", ".join(check.name for check in checks if not check.ok)
    refusal = RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "not-ready", f"degraded: {names}")
    problem = document(refusal, instance=request.url.path, request_id=request.state.request_id)
    body = msgspec.structs.replace(problem, checks=checks)
    return Response(encode(body), refusal.status.value, {"Retry-After": "2"}, MEDIA_TYPE)


@router.get("/audit", **answers(AuditPage, Operation.AUDIT_READ, 422, 503))
async def list_audit(
    deps: Deps,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    subject: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """Return the newest audit entries; each digest covers the one before it."""
    return respond(AuditPage(items=await deps.store.audit_entries(limit, subject)))


def _live_check(deps: ApiDeps) -> CheckView:
    if not deps.live.connected:
        return CheckView(name="live", ok=False, detail="the live feed is down")
    # A park of several thousand resources takes a moment to speak after a start.
    n_wanted = len(deps.park().aggregates)
    n_known = sum(a.id in deps.live.aggregates for a in deps.park().aggregates)
    detail = f"{n_known} of {n_wanted} aggregates have spoken"
    return CheckView(name="live", ok=n_known == n_wanted, detail=detail)


async def _store_check(deps: ApiDeps) -> CheckView:
    try:
        async with asyncio.timeout(deps.settings.store_timeout_s):
            await deps.store.ping()
    except (StorageUnavailableError, TimeoutError):
        return CheckView(name="store", ok=False, detail="does not answer")
    return CheckView(name="store", ok=True, detail="answers")
