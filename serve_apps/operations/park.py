"""The park, its aggregates and its resources: as defined and as they live."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from fastapi import APIRouter, Request
from starlette.responses import Response

from controllers.kernel.errors import NotFoundError
from controllers.kernel.states import ResourceState
from controllers.park import AggregateDefinition, ParkDefinition, ResourceDefinition
from serve_apps.live.picture import LivePicture
from serve_apps.operations.views import (
    AggregateList,
    AggregateView,
    ControlView,
    LivePictureView,
    ParkView,
    ResourceList,
    ResourceView,
)
from serve_apps.web.answers import answers, respond
from serve_apps.web.deps import ApiDeps, Deps
from serve_apps.web.middleware import PREFIX
from serve_apps.web.permissions import Operation
from serve_apps.web.tokens import Caller, GuardedRoute, Principal

router = APIRouter(prefix=PREFIX, tags=["park"], route_class=GuardedRoute)


@router.get("/park", **answers(ParkView, Operation.PARK_READ, in_scope=True))
async def get_park(deps: Deps, caller: Caller) -> Response:
    """Return the park as defined; numbers and roots are of the part that the caller reaches."""
    park = deps.park()
    aggregates = caller.visible(park.aggregates, _id_of)
    members = {member for aggregate in aggregates for member in aggregate.members}
    return respond(
        ParkView(
            id=park.id,
            name=park.name,
            timezone=park.timezone,
            currency=park.currency,
            tariff=park.tariff,
            n_resources=len(caller.visible(park.resources, _id_of)),
            n_aggregates=len(aggregates),
            roots=[aggregate.id for aggregate in aggregates if aggregate.id not in members],
        )
    )


@router.get("/aggregations", **answers(AggregateList, Operation.PARK_READ, in_scope=True))
async def list_aggregations(deps: Deps, caller: Caller) -> Response:
    """Return all aggregates, in the order of the park's definition."""
    parents = _parents(deps.park(), caller)
    visible = caller.visible(deps.park().aggregates, _id_of)
    items = [_aggregate(deps, parents, a) for a in visible]
    return respond(AggregateList(items=items))


@router.get("/aggregations/{aggregation_id}", **answers(AggregateView, Operation.PARK_READ, 404))
async def get_aggregation(aggregation_id: str, deps: Deps, caller: Caller) -> Response:
    """Return one aggregate: net power, envelope, coverage, target and members."""
    definition = require_aggregate(deps.park(), aggregation_id)
    return respond(_aggregate(deps, _parents(deps.park(), caller), definition))


@router.get("/resources", **answers(ResourceList, Operation.PARK_READ, in_scope=True))
async def list_resources(deps: Deps, caller: Caller) -> Response:
    """Return all resources, in the order of the park's definition."""
    parents = _parents(deps.park(), caller)
    items = [_resource(deps, parents, r) for r in caller.visible(deps.park().resources, _id_of)]
    return respond(ResourceList(items=items))


@router.get("/resources/{resource_id}", **answers(ResourceView, Operation.PARK_READ, 404))
async def get_resource(resource_id: str, deps: Deps, caller: Caller) -> Response:
    """Return one resource: definition, live state, and who commands it, why and until when."""
    definition = require_resource(deps.park(), resource_id)
    return respond(_resource(deps, _parents(deps.park(), caller), definition))


@router.get("/live", **answers(LivePictureView, Operation.LIVE_READ, in_scope=True))
async def get_live(request: Request, caller: Caller) -> Response:
    """Return the whole live picture; at most 100 ms old, see ``as_of``."""
    picture = cast(LivePicture, request.app.state.picture)
    return Response(picture.whole(caller.reach), media_type="application/json")


def require_aggregate(park: ParkDefinition, aggregation_id: str) -> AggregateDefinition:
    """Return an aggregate of this park.

    Raises:
        NotFoundError: it has none of that id.
    """
    definition = park.aggregate(aggregation_id)
    if definition is None:
        raise NotFoundError("aggregation", aggregation_id)
    return definition


def require_resource(park: ParkDefinition, resource_id: str) -> ResourceDefinition:
    """Return a resource of this park.

    Raises:
        NotFoundError: it has none of that id.
    """
    definition = park.resource(resource_id)
    if definition is None:
        raise NotFoundError("resource", resource_id)
    return definition


def _id_of(definition: AggregateDefinition | ResourceDefinition) -> str:
    return definition.id


def _parents(park: ParkDefinition, caller: Principal) -> dict[str, list[str]]:
    parents: dict[str, list[str]] = {}
    for aggregate in caller.visible(park.aggregates, _id_of):
        for member in aggregate.members:
            parents.setdefault(member, []).append(aggregate.id)
    return parents


def _resource(
    deps: ApiDeps, parents: dict[str, list[str]], definition: ResourceDefinition
) -> ResourceView:
    state = deps.live.resources.get(definition.id)
    return ResourceView(
        definition=definition,
        aggregates=parents.get(definition.id, []),
        age_s=_age_s(deps, state.measured_at if state else None),
        state=state,
        control=_control(state) if state else None,
    )


def _aggregate(
    deps: ApiDeps, parents: dict[str, list[str]], definition: AggregateDefinition
) -> AggregateView:
    state = deps.live.aggregates.get(definition.id)
    return AggregateView(
        definition=definition,
        parents=parents.get(definition.id, []),
        age_s=_age_s(deps, state.published_at if state else None),
        state=state,
    )


def _control(state: ResourceState) -> ControlView:
    winner = next((c for c in state.contenders if c.outcome == "won"), None)
    return ControlView(
        winner=winner.source_id if winner else None,
        reason=winner.reason if winner else "no live proposal",
        until=winner.until if winner else None,
        contenders=state.contenders,
    )


def _age_s(deps: ApiDeps, instant: datetime | None) -> float | None:
    return None if instant is None else round((deps.clock.now() - instant).total_seconds(), 3)
