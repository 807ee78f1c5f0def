"""Resources: made of a template or a kind, listed, changed, retired, drawn on a map."""

from __future__ import annotations

from http import HTTPStatus
from textwrap import shorten
from typing import cast

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from controllers.accounts.approvals import Approval
from controllers.assets.protection import widenings
from controllers.assets.records import ResourceRecord, ResourceStatus
from controllers.kernel.errors import NotFoundError
from controllers.kernel.wire import Wire
from controllers.ports.acts import Done
from controllers.ports.assets import ResourceChange, ResourceFilter
from serve_apps.approvals.four_eyes import Agreed, four_eyes, with_approval
from serve_apps.assets.bodies import ResourceBody, ResourcesBody, UpdateResourceBody
from serve_apps.assets.pictures import feature, resource_view
from serve_apps.assets.views import CreatedResources, ParkMap, ResourceList, ResourceView
from serve_apps.web.acts import IdempotencyKey, act_of, answer
from serve_apps.web.answers import answers, respond
from serve_apps.web.deps import ApiDeps, Deps
from serve_apps.web.guard import Caller, GuardedRoute, Principal
from serve_apps.web.middleware import PREFIX
from serve_apps.web.paths import Cursor, Limit, PathId, Sort, Text, page_request
from serve_apps.web.permissions import Operation
from serve_apps.web.versions import IfMatch, etag, required_version

_ROOT = f"{PREFIX}/resources"
_MAX_REASON = 500
_CREATE_REFUSALS = (400, 409, 413, 415, 422, 503)

router = APIRouter(prefix=PREFIX, tags=["resources"], route_class=GuardedRoute)


@router.get("/resources", **answers(ResourceList, Operation.PARK_READ, 422, 503, in_scope=True))
async def list_resources(
    *,
    deps: Deps,
    caller: Caller,
    status: ResourceStatus = ResourceStatus.ACTIVE,
    kind: Text = None,
    name: Text = None,
    aggregation: Text = None,
    template: Text = None,
    limit: Limit = 50,
    sort: Sort = "position",
    cursor: Cursor = None,
) -> Response:
    """Return resources; sort by ``position``, ``id``, ``name``, ``kind`` or ``created_at``.

    ``position`` is the order of the park's definition.
    """
    wanted = ResourceFilter(
        status=status,
        kind=kind,
        name=name,
        aggregation=aggregation,
        template=template,
        within=None if caller.reach is None else sorted(caller.reach.resources),
    )
    page = await deps.resources.list(wanted, page_request(limit, sort, cursor))
    items = [resource_view(deps, caller, record) for record in page.items]
    return respond(ResourceList(items=items, next_cursor=page.next_cursor))


@router.get("/resources/{resource_id}", **answers(ResourceView, Operation.PARK_READ, 404))
async def get_resource(resource_id: str, deps: Deps, caller: Caller) -> Response:
    """Return one resource: definition, live state, and who commands it, why and until when."""
    record = deps.assets.resources.get(resource_id)
    if record is None:
        raise NotFoundError("resource", resource_id)
    return respond(resource_view(deps, caller, record), headers=etag(record.version))


@router.get("/park/map", **answers(ParkMap, Operation.PARK_READ, in_scope=True))
async def get_map(deps: Deps, caller: Caller) -> Response:
    """Return all resources in operation as GeoJSON, with heights for a view in space."""
    records = deps.assets.resources.values()
    running = [record for record in records if record.status is ResourceStatus.ACTIVE]
    visible = caller.visible(running, lambda record: record.definition.id)
    return respond(ParkMap(features=[feature(deps, caller, record) for record in visible]))


@router.post(
    "/resources",
    **answers(ResourceView, Operation.RESOURCE_WRITE, *_CREATE_REFUSALS, status=201),
)
async def create_resource(
    body: ResourceBody, deps: Deps, caller: Caller, idempotency_key: IdempotencyKey = None
) -> Response:
    """Make a resource of a version of a template, or of a kind; it is started within seconds."""
    id_ = body.id or deps.ids.new("res")
    act = act_of(caller, Operation.RESOURCE_WRITE, id_, body, key=idempotency_key, path=_ROOT)
    done = await deps.resources.create(act, [body.new(id_)], paths=[""])
    return _one(deps, caller, Done(value=done.value.items[0], replayed=done.replayed), created=True)


@router.post(
    "/resources/bulk",
    **answers(CreatedResources, Operation.RESOURCE_WRITE, *_CREATE_REFUSALS, status=201),
)
async def create_resources(
    body: ResourcesBody, deps: Deps, caller: Caller, idempotency_key: IdempotencyKey = None
) -> Response:
    """Make up to 500 resources, all or none; problems name the item, such as ``items[3].name``."""
    path = f"{_ROOT}/bulk"
    act = act_of(
        caller,
        Operation.RESOURCE_WRITE,
        deps.ids.new("bulk"),
        body,
        key=idempotency_key,
        path=path,
    )
    items = [item.new(item.id or deps.ids.new("res")) for item in body.items]
    paths = [f"items[{i}]." for i in range(len(items))]
    done = await deps.resources.create(act, items, paths=paths)
    views = [resource_view(deps, caller, record) for record in done.value.items]
    made: Done[Wire] = Done(value=CreatedResources(items=views), replayed=done.replayed)
    return answer(made, HTTPStatus.CREATED)


@router.put(
    "/resources/{resource_id}",
    **answers(
        ResourceView,
        Operation.RESOURCE_WRITE,
        *(400, 404, 409, 412, 413, 415, 422, 428, 503),
        also=202,
        pending=Approval,
    ),
)
async def update_resource(
    *,
    request: Request,
    resource_id: PathId,
    body: UpdateResourceBody,
    deps: Deps,
    caller: Caller,
    if_match: IfMatch = None,
) -> Response:
    """Change a resource, whole; only what it touches is restarted.

    Where it widens what the device may be asked to do, a second person may have to agree first
    (202); narrowing goes at once.
    """
    version = required_version(if_match)
    change = body.change(resource_id)
    before, after = await deps.resources.foresee(resource_id, version, change)
    wider = widenings(before.definition, after.definition)
    if not wider:
        act = act_of(caller, Operation.RESOURCE_WRITE, resource_id, body)
        return _one(deps, caller, await deps.resources.update(act, version, change))
    return await with_approval(
        request,
        caller,
        WIDEN,
        subject=resource_id,
        payload=WidenPayload(
            resource_id=resource_id, version=version, change=change, widenings=wider
        ),
        reason=shorten(f"wider: {'; '.join(wider)}", _MAX_REASON, placeholder=" ..."),
        answer=lambda record: _one(deps, caller, Done(value=cast(ResourceRecord, record))),
    )


class WidenPayload(Wire):
    """A change of a resource that widens what its device may be asked to do."""

    resource_id: str
    version: int
    """That the change was made for."""
    change: ResourceChange
    widenings: list[str]
    """What becomes wider, each as ``name before -> after``."""


async def _carry_out_widening(deps: ApiDeps, payload: WidenPayload, agreed: Agreed) -> Wire:
    change = cast(dict[str, object], msgspec.to_builtins(payload.change))
    data = {**change, "widenings": payload.widenings}
    act = agreed.act(Operation.RESOURCE_WRITE, payload.resource_id, data)
    return (await deps.resources.update(act, payload.version, payload.change)).value


WIDEN = four_eyes("resource.widen", Operation.RESOURCE_WRITE, WidenPayload, _carry_out_widening)


@router.delete(
    "/resources/{resource_id}",
    **answers(ResourceView, Operation.RESOURCE_RETIRE, 404, 409, 412, 422, 428, 503),
)
async def retire_resource(
    resource_id: PathId, deps: Deps, caller: Caller, if_match: IfMatch = None
) -> Response:
    """Take a resource out for good; its history, commands and reports stay.

    Refused while an aggregation lists it.
    """
    act = act_of(caller, Operation.RESOURCE_RETIRE, resource_id)
    return _one(deps, caller, await deps.resources.retire(act, required_version(if_match)))


def _one(
    deps: ApiDeps, caller: Principal, done: Done[ResourceRecord], *, created: bool = False
) -> Response:
    record = done.value
    headers = etag(record.version)
    if created:
        headers["Location"] = f"{_ROOT}/{record.definition.id}"
    view: Done[Wire] = Done(value=resource_view(deps, caller, record), replayed=done.replayed)
    return answer(view, HTTPStatus.CREATED if created else HTTPStatus.OK, headers)
