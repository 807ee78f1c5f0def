"""Devices: configuration, management commands, connectivity."""

from __future__ import annotations

from datetime import UTC, date, timedelta
from http import HTTPStatus

from fastapi import APIRouter
from starlette.responses import Response

from controllers.devices.commands import DeviceCommand
from controllers.devices.configuration import ConfigurationVersion
from controllers.kernel.errors import DomainError
from controllers.ports.pages import PageRequest
from serve_apps.devices.bodies import ConfigurationBody, ManageBody, RestoreBody
from serve_apps.devices.registration import Cursor, Limit
from serve_apps.devices.views import (
    ConfigurationPage,
    ConfigurationView,
    ConnectivityList,
    DeviceCommandPage,
    connectivity_view,
)
from serve_apps.web.acts import IdempotencyKey, act_of, answer
from serve_apps.web.answers import answers, respond
from serve_apps.web.deps import Deps
from serve_apps.web.guard import Caller, GuardedRoute
from serve_apps.web.middleware import PREFIX
from serve_apps.web.permissions import Operation
from serve_apps.web.versions import IfMatch, etag, required_version

router = APIRouter(prefix=PREFIX, tags=["devices"], route_class=GuardedRoute)

_MAX_DAYS = 366


@router.get(
    "/devices/{device_id}/configuration",
    **answers(ConfigurationView, Operation.DEVICE_READ, 404, 503),
)
async def get_configuration(device_id: str, deps: Deps) -> Response:
    """Return what a device should be set to, and which version it says it runs."""
    known = await deps.devices.device(device_id)
    newest = await deps.upkeep.configurations(device_id, PageRequest(limit=1))
    wanted = newest.items[0] if newest.items else None
    version = 0 if wanted is None else wanted.version
    reported = None if known.report is None else known.report.configuration_version
    view = ConfigurationView(
        device_id=device_id,
        wanted=wanted,
        reported_version=reported,
        in_force=wanted is not None and reported == version,
    )
    return respond(view, headers=etag(version))


@router.put(
    "/devices/{device_id}/configuration",
    **answers(
        ConfigurationVersion, Operation.DEVICE_CONFIGURE, 404, 409, 412, 413, 415, 422, 428, 503
    ),
)
async def put_configuration(
    device_id: str, body: ConfigurationBody, deps: Deps, caller: Caller, if_match: IfMatch = None
) -> Response:
    """Make the next version of a configuration; ``If-Match: "0"`` makes the first."""
    version = required_version(if_match)
    # The values may be many; the audit entry names what stands in the version for ever.
    data = {"version": version + 1, "note": body.note}
    act = act_of(caller, Operation.DEVICE_CONFIGURE, device_id, body, data=data)
    done = await deps.upkeep.configure(act, device_id, version, body.settings, body.note)
    return answer(done, headers=etag(done.value.version))


@router.post(
    "/devices/{device_id}/configuration/rollback",
    **answers(
        ConfigurationVersion, Operation.DEVICE_CONFIGURE, 404, 409, 412, 413, 415, 422, 428, 503
    ),
)
async def roll_back_configuration(
    *,
    device_id: str,
    body: RestoreBody,
    deps: Deps,
    caller: Caller,
    if_match: IfMatch = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Make the next version a copy of an earlier one."""
    version = required_version(if_match)
    act = act_of(
        caller,
        Operation.DEVICE_CONFIGURE,
        device_id,
        body,
        key=idempotency_key,
        path=f"{device_id}/rollback/{version}",
        data={"version": version + 1, "restores": body.version, "note": body.note},
    )
    done = await deps.upkeep.restore(act, device_id, version, body.version, body.note)
    return answer(done, headers=etag(done.value.version))


@router.get(
    "/devices/{device_id}/configurations",
    **answers(ConfigurationPage, Operation.DEVICE_READ, 404, 422, 503),
)
async def list_configurations(
    device_id: str, deps: Deps, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """Return all versions of a device's configuration, newest first."""
    request = PageRequest(limit=limit, cursor=cursor)
    page = await deps.upkeep.configurations(device_id, request)
    return respond(ConfigurationPage(items=page.items, next_cursor=page.next_cursor))


@router.post(
    "/devices/{device_id}/commands",
    **answers(DeviceCommand, Operation.DEVICE_COMMAND, 404, 409, 413, 415, 422, 503, status=202),
)
async def manage_device(
    device_id: str,
    body: ManageBody,
    deps: Deps,
    caller: Caller,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Ask a device to identify itself, reboot, set its clock or report; follow it at ``Location``.

    It is sent within about a second, or when the device is back, but not after its lifetime.
    """
    now = deps.clock.now()
    command = DeviceCommand(
        id=deps.ids.new("dc"),
        device_id=device_id,
        kind=body.kind,
        reason=body.reason,
        issued_by=caller.username,
        issued_at=now,
        expires_at=now + timedelta(seconds=body.lifetime_s),
    )
    act = act_of(caller, Operation.DEVICE_COMMAND, device_id, body, key=idempotency_key)
    done = await deps.upkeep.propose(act, command)
    location = f"{PREFIX}/devices/{device_id}/commands/{done.value.id}"
    return answer(done, HTTPStatus.ACCEPTED, {"Location": location})


@router.get(
    "/devices/{device_id}/commands",
    **answers(DeviceCommandPage, Operation.DEVICE_READ, 404, 422, 503),
)
async def list_device_commands(
    device_id: str, deps: Deps, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """Return a device's management commands, newest first."""
    page = await deps.upkeep.commands(device_id, PageRequest(limit=limit, cursor=cursor))
    return respond(DeviceCommandPage(items=page.items, next_cursor=page.next_cursor))


@router.get(
    "/devices/{device_id}/commands/{command_id}",
    **answers(DeviceCommand, Operation.DEVICE_READ, 404, 503),
)
async def get_device_command(device_id: str, command_id: str, deps: Deps) -> Response:
    """Return one management command with where it stands and what the device said."""
    return respond(await deps.upkeep.command(device_id, command_id))


@router.get(
    "/devices/{device_id}/connectivity",
    **answers(ConnectivityList, Operation.DEVICE_READ, 404, 422, 503),
)
async def get_connectivity(
    device_id: str, deps: Deps, from_day: date | None = None, to_day: date | None = None
) -> Response:
    """Return a device's connectivity per UTC day; by default of the last 30 days."""
    last = to_day or deps.clock.now().astimezone(UTC).date()
    first = from_day or max(last, date.min + timedelta(days=30)) - timedelta(days=29)
    if not timedelta(0) <= last - first < timedelta(days=_MAX_DAYS):
        rule = f"must be at most {_MAX_DAYS} days from from_day, and not before it"
        raise DomainError("to_day", last.isoformat(), rule)
    rows = await deps.upkeep.connectivity(device_id, first, last)
    items = [connectivity_view(row) for row in rows]
    return respond(ConnectivityList(device_id=device_id, items=items))
