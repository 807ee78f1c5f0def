"""Maintenance of devices: windows in which nobody dispatches them, and the work log."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from controllers.devices.maintenance import (
    MaintenanceWindow,
    WindowState,
    WorkEntry,
    check_window,
)
from controllers.ports.devices import WindowFilter
from controllers.ports.pages import PageRequest
from serve_apps.devices.bodies import WindowBody, WindowChangeBody, WorkBody
from serve_apps.devices.registration import Cursor, Limit
from serve_apps.devices.views import WindowPage, WorkPage
from serve_apps.web.acts import IdempotencyKey, act_of, answer
from serve_apps.web.answers import answers, respond
from serve_apps.web.bodies import ReasonBody
from serve_apps.web.deps import Deps
from serve_apps.web.guard import Caller, GuardedRoute
from serve_apps.web.middleware import PREFIX
from serve_apps.web.permissions import Operation
from serve_apps.web.versions import IfMatch, etag, required_version

router = APIRouter(prefix=PREFIX, tags=["maintenance"], route_class=GuardedRoute)


@router.post(
    "/devices/{device_id}/maintenance",
    **answers(
        MaintenanceWindow, Operation.MAINTENANCE_PLAN, 404, 409, 413, 415, 422, 503, status=201
    ),
)
async def plan_maintenance(
    device_id: str,
    body: WindowBody,
    deps: Deps,
    caller: Caller,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Plan a window in which nobody dispatches the device; it begins and ends by itself."""
    now = deps.clock.now()
    # What began in the past begins now, so that the log does not claim otherwise.
    start_at = now if body.start_at is None else max(body.start_at, now)
    check_window(start_at, body.end_at, now)
    window = MaintenanceWindow(
        id=deps.ids.new("mw"),
        device_id=device_id,
        resource_id=device_id,
        start_at=start_at,
        end_at=body.end_at,
        reason=body.reason,
        planned_by=caller.username,
        planned_at=now,
    )
    act = act_of(caller, Operation.MAINTENANCE_PLAN, device_id, body, key=idempotency_key)
    done = await deps.upkeep.plan(act, window)
    headers = {
        **etag(done.value.version),
        "Location": f"{PREFIX}/maintenance-windows/{done.value.id}",
    }
    return answer(done, HTTPStatus.CREATED, headers)


@router.get(
    "/maintenance-windows",
    **answers(WindowPage, Operation.DEVICE_READ, 422, 503, in_scope=True),
)
async def list_windows(
    *,
    deps: Deps,
    caller: Caller,
    device: Annotated[str | None, Query(max_length=64)] = None,
    state: WindowState | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Return maintenance windows, the latest to begin first."""
    request = PageRequest(limit=limit, cursor=cursor)
    within = None if caller.reach is None else sorted(caller.reach.resources)
    wanted = WindowFilter(device_id=device, state=state, within=within)
    page = await deps.upkeep.windows(wanted, request)
    return respond(WindowPage(items=page.items, next_cursor=page.next_cursor))


@router.get(
    "/maintenance-windows/{window_id}",
    **answers(MaintenanceWindow, Operation.DEVICE_READ, 404, 503),
)
async def get_window(window_id: str, deps: Deps) -> Response:
    """Return one maintenance window; ``open`` once the resource has confirmed it."""
    window = await deps.upkeep.window(window_id)
    return respond(window, headers=etag(window.version))


@router.patch(
    "/maintenance-windows/{window_id}",
    **answers(
        MaintenanceWindow, Operation.MAINTENANCE_PLAN, 404, 409, 412, 413, 415, 422, 428, 503
    ),
)
async def change_maintenance(
    window_id: str, body: WindowChangeBody, deps: Deps, caller: Caller, if_match: IfMatch = None
) -> Response:
    """Change the end or the reason of a window that is not over."""
    version = required_version(if_match)
    data = {"version": version, **body.model_dump(mode="json", exclude_none=True)}
    act = act_of(caller, Operation.MAINTENANCE_PLAN, window_id, body, data=data)
    done = await deps.upkeep.change_window(act, window_id, version, body.end_at, body.reason)
    return answer(done, headers=etag(done.value.version))


@router.post(
    "/maintenance-windows/{window_id}/end",
    **answers(MaintenanceWindow, Operation.MAINTENANCE_END, 404, 413, 415, 422, 503),
)
async def end_maintenance(
    window_id: str,
    body: ReasonBody,
    deps: Deps,
    caller: Caller,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """End a window now, or cancel it before it began; repeating it succeeds.

    Without ``If-Match``: giving a resource back must not fail because someone changed the end.
    """
    act = act_of(caller, Operation.MAINTENANCE_END, window_id, body, key=idempotency_key)
    done = await deps.upkeep.end_window(act, window_id)
    return answer(done, headers=etag(done.value.version))


@router.post(
    "/devices/{device_id}/work-log",
    **answers(WorkEntry, Operation.WORK_LOG_WRITE, 404, 413, 415, 422, 503, status=201),
)
async def write_work_log(
    device_id: str,
    body: WorkBody,
    deps: Deps,
    caller: Caller,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Write down what was done; entries are never changed."""
    entry = WorkEntry(
        id=deps.ids.new("work"),
        device_id=device_id,
        window_id=body.window_id,
        text=body.text,
        written_by=caller.username,
        written_at=deps.clock.now(),
    )
    data = {"entry": entry.id, "window": body.window_id}
    act = act_of(caller, Operation.WORK_LOG_WRITE, device_id, body, key=idempotency_key, data=data)
    return answer(await deps.upkeep.write_work(act, entry), HTTPStatus.CREATED)


@router.get(
    "/devices/{device_id}/work-log", **answers(WorkPage, Operation.DEVICE_READ, 404, 422, 503)
)
async def list_work_log(
    device_id: str, deps: Deps, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """Return a device's work log, newest first."""
    page = await deps.upkeep.work(device_id, PageRequest(limit=limit, cursor=cursor))
    return respond(WorkPage(items=page.items, next_cursor=page.next_cursor))
