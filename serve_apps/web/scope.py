"""Keeps callers who reach only a part of the park within it: the one place for path parameters.

A resource or aggregate beyond their reach answers like one that does not exist. A route that names
none in its path is closed to them, unless it declares with ``answers(..., in_scope=True)`` that
what it shows and does is within the caller's reach by itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import cast

from fastapi import Request

from controllers.kernel.errors import NotFoundError
from serve_apps.web.deps import ApiDeps
from serve_apps.web.permissions import Operation
from serve_apps.web.principals import Principal, forbidden

Belongs = Callable[[Request, Principal, str], Awaitable[bool]]
"""Tells whether what a path parameter names is within a principal's reach."""


async def _aggregate(_: Request, principal: Principal, id_: str) -> bool:
    return principal.sees_aggregate(id_)


async def _resource(_: Request, principal: Principal, id_: str) -> bool:
    return principal.sees_resource(id_)


async def _dispatch(_: Request, principal: Principal, id_: str) -> bool:
    # ``{aggregate}.{unique part}``
    return principal.sees_aggregate(id_.partition(".")[0])


async def _device(request: Request, principal: Principal, id_: str) -> bool:
    devices = cast(ApiDeps, request.app.state.deps).devices
    return principal.sees_resource((await devices.device(id_)).device.resource_id)


async def _window(request: Request, principal: Principal, id_: str) -> bool:
    upkeep = cast(ApiDeps, request.app.state.deps).upkeep
    return principal.sees_resource((await upkeep.window(id_)).resource_id)


async def _approval(request: Request, principal: Principal, id_: str) -> bool:
    approvals = cast(ApiDeps, request.app.state.deps).approvals
    return principal.sees((await approvals.approval(id_)).subject)


async def _alarm(request: Request, principal: Principal, id_: str) -> bool:
    deps = cast(ApiDeps, request.app.state.deps)
    return principal.sees(await alarm_subject(deps, id_))


async def alarm_subject(deps: ApiDeps, alarm_id: str) -> str:
    """Return what an alarm is about.

    Raises:
        NotFoundError: nobody knows the alarm.
    """
    # The database follows what stands a moment later.
    alarm = deps.live.alarms.get(alarm_id) or (await deps.alarms.alarm(alarm_id)).alarm
    return alarm.subject_id


PLACES: Mapping[str, tuple[str, Belongs]] = {
    "aggregation_id": ("aggregation", _aggregate),
    "resource_id": ("resource", _resource),
    "dispatch_id": ("dispatch", _dispatch),
    "device_id": ("device", _device),
    "window_id": ("window", _window),
    "alarm_id": ("alarm", _alarm),
    "approval_id": ("approval", _approval),
}
"""Path parameters that name a part of the park: what they name, and how to tell where it is."""


async def keep_within(
    request: Request, principal: Principal, operation: Operation, *, in_scope: bool
) -> None:
    """Let a caller with a limited reach pass, or not.

    Raises:
        NotFoundError: the path names something beyond their reach.
        RefusedError: the route concerns the whole park (403).
    """
    n_places = 0
    for name, value in request.path_params.items():
        if name in PLACES:
            kind, belongs = PLACES[name]
            n_places += 1
            if not await belongs(request, principal, value):
                raise NotFoundError(kind, value)
    if n_places == 0 and not in_scope:
        raise forbidden(f"{operation.value} here concerns the whole park; your scope is a part")
