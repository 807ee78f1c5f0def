"""Devices: register, list, change, retire; accounts on the broker: rotate, revoke."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from controllers.devices.registration import Device, DeviceState, Issued
from controllers.kernel.errors import DomainError
from controllers.ports.acts import Done
from controllers.ports.devices import DeviceFilter
from controllers.ports.pages import PageRequest
from serve_apps.devices.bodies import DeviceChangeBody, RegisterBody, RotateBody
from serve_apps.devices.views import (
    DeviceAccountList,
    DeviceAccountView,
    DevicePage,
    DeviceView,
    FirmwareChangePage,
    IssuedView,
    account_view,
    device_view,
    topics_of,
)
from serve_apps.web.acts import IdempotencyKey, act_of, answer
from serve_apps.web.answers import answers, respond
from serve_apps.web.bodies import ReasonBody
from serve_apps.web.deps import ApiDeps, Deps
from serve_apps.web.guard import Caller, GuardedRoute
from serve_apps.web.middleware import PREFIX
from serve_apps.web.permissions import Operation
from serve_apps.web.versions import IfMatch, etag, required_version

router = APIRouter(prefix=PREFIX, tags=["devices"], route_class=GuardedRoute)

Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str | None, Query(max_length=2000)]


@router.post(
    "/devices",
    **answers(
        IssuedView,
        Operation.DEVICE_REGISTER,
        404,
        409,
        413,
        415,
        422,
        503,
        status=201,
        in_scope=True,
    ),
)
async def register_device(
    body: RegisterBody, deps: Deps, caller: Caller, idempotency_key: IdempotencyKey = None
) -> Response:
    """Register a device behind a resource; the answer shows its password, this once.

    It takes the place of the provisional device that the park's first start made.
    """
    caller.require_resource(body.resource_id)
    if deps.park().resource(body.resource_id) is None:
        raise DomainError("resource_id", body.resource_id, "must be a resource of this park")
    now = deps.clock.now()
    device = Device(
        id=body.id or body.resource_id,
        resource_id=body.resource_id,
        maker=body.maker,
        model=body.model,
        serial=body.serial,
        protocol_note=body.protocol_note,
        firmware_target=body.firmware_target,
        registered_by=caller.username,
        registered_at=now,
        changed_at=now,
    )
    act = act_of(caller, Operation.DEVICE_REGISTER, device.id, body, key=idempotency_key)
    return _issued(deps, await deps.devices.register(act, device))


@router.get("/devices", **answers(DevicePage, Operation.DEVICE_READ, 422, 503, in_scope=True))
async def list_devices(
    *,
    deps: Deps,
    caller: Caller,
    state: DeviceState | None = None,
    resource: Annotated[str | None, Query(max_length=64)] = None,
    maker: Annotated[str | None, Query(max_length=120)] = None,
    outdated: bool | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    sort: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """Return devices, by id; ``outdated`` asks for those that run another firmware than wanted."""
    wanted = DeviceFilter(
        state=state,
        resource_id=resource,
        maker=maker,
        outdated=outdated,
        within=None if caller.reach is None else sorted(caller.reach.resources),
    )
    page = await deps.devices.devices(wanted, PageRequest(limit=limit, cursor=cursor, sort=sort))
    visible = caller.visible(page.items, lambda known: known.device.resource_id)
    items = [device_view(deps, known) for known in visible]
    return respond(DevicePage(items=items, next_cursor=page.next_cursor))


@router.get("/devices/{device_id}", **answers(DeviceView, Operation.DEVICE_READ, 404, 503))
async def get_device(device_id: str, deps: Deps) -> Response:
    """Return one device, with what it last said and how its resource lives."""
    known = await deps.devices.device(device_id)
    return respond(device_view(deps, known), headers=etag(known.device.version))


@router.patch(
    "/devices/{device_id}",
    **answers(Device, Operation.DEVICE_UPDATE, 404, 409, 412, 413, 415, 422, 428, 503),
)
async def update_device(
    device_id: str, body: DeviceChangeBody, deps: Deps, caller: Caller, if_match: IfMatch = None
) -> Response:
    """Change what is noted of a device, or the firmware it should run."""
    version = required_version(if_match)
    data = {"version": version, **body.model_dump(mode="json", exclude_unset=True)}
    act = act_of(caller, Operation.DEVICE_UPDATE, device_id, body, data=data)
    done = await deps.devices.update(act, device_id, version, body.change())
    return answer(done, headers=etag(done.value.version))


@router.post(
    "/devices/{device_id}/retire",
    **answers(Device, Operation.DEVICE_RETIRE, 404, 409, 412, 413, 415, 422, 428, 503),
)
async def retire_device(
    *,
    device_id: str,
    body: ReasonBody,
    deps: Deps,
    caller: Caller,
    if_match: IfMatch = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Take a device out for good: its accounts end, its history stays."""
    version = required_version(if_match)
    act = act_of(caller, Operation.DEVICE_RETIRE, device_id, body, key=idempotency_key)
    done = await deps.devices.retire(act, device_id, version)
    return answer(done, headers=etag(done.value.version))


@router.get(
    "/devices/{device_id}/credentials",
    **answers(DeviceAccountList, Operation.DEVICE_READ, 404, 503),
)
async def list_credentials(device_id: str, deps: Deps) -> Response:
    """Return all accounts a device ever had, newest first; never a password."""
    accounts = await deps.devices.accounts(device_id)
    return respond(DeviceAccountList(items=[account_view(deps, a) for a in accounts]))


@router.post(
    "/devices/{device_id}/credentials",
    **answers(IssuedView, Operation.DEVICE_CREDENTIALS, 404, 409, 413, 415, 422, 503, status=201),
)
async def rotate_credentials(
    device_id: str,
    body: RotateBody,
    deps: Deps,
    caller: Caller,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Make a new account; the one before ends now, or after the overlap that was asked for."""
    act = act_of(caller, Operation.DEVICE_CREDENTIALS, device_id, body, key=idempotency_key)
    return _issued(deps, await deps.devices.rotate(act, device_id, body.overlap_s))


@router.post(
    "/devices/{device_id}/credentials/{credential_id}/revoke",
    **answers(DeviceAccountView, Operation.DEVICE_CREDENTIALS, 404, 413, 415, 422, 503),
)
async def revoke_credentials(
    *,
    device_id: str,
    credential_id: str,
    body: ReasonBody,
    deps: Deps,
    caller: Caller,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """End an account at once; who is connected with it is dropped. Repeating it succeeds."""
    data = {"credential": credential_id, **body.model_dump(mode="json")}
    act = act_of(
        caller,
        Operation.DEVICE_CREDENTIALS,
        device_id,
        body,
        key=idempotency_key,
        path=f"{device_id}/{credential_id}/revoke",
        data=data,
    )
    done = await deps.devices.revoke(act, device_id, credential_id)
    return answer(Done(value=account_view(deps, done.value), replayed=done.replayed))


@router.get(
    "/devices/{device_id}/firmware",
    **answers(FirmwareChangePage, Operation.DEVICE_READ, 404, 422, 503),
)
async def list_firmware(
    device_id: str, deps: Deps, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """Return the firmware versions a device reported, newest first."""
    request = PageRequest(limit=limit, cursor=cursor)
    page = await deps.devices.firmware_history(device_id, request)
    return respond(FirmwareChangePage(items=page.items, next_cursor=page.next_cursor))


def _issued(deps: ApiDeps, done: Done[Issued]) -> Response:
    issued = done.value
    view = IssuedView(
        device=issued.device,
        topics=topics_of(deps, issued.device),
        account=account_view(deps, issued.account),
        password=issued.password,
    )
    headers = {"Location": f"{PREFIX}/devices/{issued.device.id}"}
    return answer(Done(value=view, replayed=done.replayed), HTTPStatus.CREATED, headers)
