"""Tells whether the process is up and whether the system can be worked with."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from controllers.kernel.errors import StorageUnavailableError
from controllers.kernel.wire import encode
from serve_apps.system.views import AliveView, ReadyView
from serve_apps.web.answers import answers, respond
from serve_apps.web.deps import ApiDeps, Deps
from serve_apps.web.problems import MEDIA_TYPE, CheckView, RefusedError, document
from serve_apps.web.tokens import GuardedRoute

router = APIRouter(tags=["system"], route_class=GuardedRoute)

_ALIVE = respond(AliveView())


@router.get("/healthz", **answers(AliveView, None))
async def alive() -> Response:
    """Answer that the process is up; says nothing of the plant."""
    return _ALIVE


@router.get("/readyz", **answers(ReadyView, None, 503))
async def ready(request: Request, deps: Deps) -> Response:
    """Answer whether the system can be worked with, and name what is degraded.

    Without a part that it gets by without, such as Redis, it is degraded and ready all the same.
    """
    needed = [_live_check(deps), await _check(deps, "store", deps.store.ping)]
    asked = [_check(deps, name, ping) for name, ping in deps.helpers.items()]
    checks = [*needed, *await asyncio.gather(*asked)]
    if all(check.ok for check in needed):
        status = "ready" if all(check.ok for check in checks) else "degraded"
        return respond(ReadyView(status=status, checks=checks))
    names = ", ".join(check.name for check in checks if not check.ok)
    refusal = RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "not-ready", f"degraded: {names}")
    problem = document(refusal, instance=request.url.path, request_id=request.state.request_id)
    body = msgspec.structs.replace(problem, checks=checks)
    return Response(encode(body), refusal.status.value, {"Retry-After": "2"}, MEDIA_TYPE)


def _live_check(deps: ApiDeps) -> CheckView:
    if not deps.live.connected:
        return CheckView(name="live", ok=False, detail="the live feed is down")
    # A park of several thousand resources takes a moment to speak after a start.
    n_wanted = len(deps.park().aggregates)
    n_known = sum(a.id in deps.live.aggregates for a in deps.park().aggregates)
    detail = f"{n_known} of {n_wanted} aggregates have spoken"
    return CheckView(name="live", ok=n_known == n_wanted, detail=detail)


async def _check(deps: ApiDeps, name: str, ping: Callable[[], Awaitable[None]]) -> CheckView:
    try:
        async with asyncio.timeout(deps.settings.store_timeout_s):
            await ping()
    except (StorageUnavailableError, TimeoutError):
        return CheckView(name=name, ok=False, detail="does not answer")
    return CheckView(name=name, ok=True, detail="answers")
