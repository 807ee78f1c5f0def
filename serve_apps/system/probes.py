"""Tells whether the process is up and whether the system can be worked with."""

from __future__ import annotations

from http import HTTPStatus
from typing import cast

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from controllers.kernel.wire import encode
from serve_apps.system.dependencies import DependencyBoard, is_ready
from serve_apps.system.views import AliveView, ReadyView
from serve_apps.web.answers import answers, respond
from serve_apps.web.guard import GuardedRoute
from serve_apps.web.problems import MEDIA_TYPE, RefusedError, document

router = APIRouter(tags=["system"], route_class=GuardedRoute)

_ALIVE = respond(AliveView())


@router.get("/healthz", **answers(AliveView, None))
async def alive() -> Response:
    """Answer that the process is up; says nothing of the plant."""
    return _ALIVE


@router.get("/readyz", **answers(ReadyView, None, 503))
async def ready(request: Request) -> Response:
    """Answer whether the plant can be worked with here, and name what is degraded.

    Without its live feed a replica is not ready; without anything else it is degraded and ready all
    the same.
    """
    board = cast(DependencyBoard, request.app.state.dependencies)
    checks = await board.checks()
    if is_ready(checks):
        status = "ready" if all(check.ok for check in checks) else "degraded"
        return respond(ReadyView(status=status, checks=checks))
    names = ", ".join(check.name for check in checks if not check.ok)
    refusal = RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "not-ready", f"degraded: {names}")
    problem = document(refusal, instance=request.url.path, request_id=request.state.request_id)
    body = msgspec.structs.replace(problem, checks=checks)
    return Response(encode(body), refusal.status.value, {"Retry-After": "2"}, MEDIA_TYPE)
