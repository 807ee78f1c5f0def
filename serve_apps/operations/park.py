"""The park, its aggregates and its resources: as defined and as they live."""

from __future__ import annotations

from typing import cast

from fastapi import APIRouter, Request
from starlette.responses import Response

from controllers.kernel.errors import NotFoundError
from controllers.park import AggregateDefinition, ParkDefinition, ResourceDefinition
from serve_apps.live.picture import LivePicture
from serve_apps.operations.views import LivePictureView, ParkView
from serve_apps.web.answers import answers, respond
from serve_apps.web.deps import Deps
from serve_apps.web.guard import Caller, GuardedRoute
from serve_apps.web.middleware import PREFIX
from serve_apps.web.permissions import Operation

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
