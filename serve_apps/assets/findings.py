"""What is found about an aggregation: conflicts, capacity, real-time figures."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from controllers.aggregation.capacity import MAX_HORIZON_S, Capacity, capacity_of
from controllers.aggregation.conflicts import ConflictState, Severity, find_conflicts
from controllers.aggregation.realtime import figures_of
from controllers.assets.records import AggregateStatus
from serve_apps.assets.situations import require_aggregation, resources_below, situation_of
from serve_apps.assets.views import ConflictList, ConflictPage, RealtimeView
from serve_apps.web.acts import IdempotencyKey, act_of
from serve_apps.web.answers import answers, respond
from serve_apps.web.deps import Deps
from serve_apps.web.guard import Caller, GuardedRoute
from serve_apps.web.middleware import PREFIX
from serve_apps.web.paths import Cursor, Limit, PathId, Sort, page_request
from serve_apps.web.permissions import Operation

router = APIRouter(prefix=f"{PREFIX}/aggregations", tags=["aggregations"], route_class=GuardedRoute)

Horizon = Annotated[
    float, Query(ge=60.0, le=MAX_HORIZON_S, allow_inf_nan=False, description="In seconds.")
]


@router.get(
    "/{aggregation_id}/conflicts",
    **answers(ConflictPage, Operation.PARK_READ, 404, 422, 503),
)
async def list_conflicts(
    *,
    aggregation_id: PathId,
    deps: Deps,
    state: ConflictState | None = None,
    limit: Limit = 50,
    sort: Sort = "-found_at",
    cursor: Cursor = None,
) -> Response:
    """Return the conflicts on record, open and resolved; sort by ``found_at`` or ``seen_at``."""
    require_aggregation(deps, aggregation_id)
    request = page_request(limit, sort, cursor)
    page = await deps.findings.conflicts(aggregation_id, state, request)
    return respond(ConflictPage(items=page.items, next_cursor=page.next_cursor))


@router.post(
    "/{aggregation_id}/conflicts/detect",
    **answers(ConflictList, Operation.AGGREGATION_CHECK, 400, 404, 409, 413, 415, 422, 503),
)
async def detect_conflicts(
    aggregation_id: PathId,
    deps: Deps,
    caller: Caller,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Look for conflicts now and keep what is found; what is not found again is resolved."""
    record = require_aggregation(deps, aggregation_id)
    found = find_conflicts(await situation_of(deps, record))
    act = act_of(
        caller,
        Operation.AGGREGATION_CHECK,
        aggregation_id,
        key=idempotency_key,
        path=f"{PREFIX}/aggregations/{aggregation_id}/conflicts/detect",
        data={"found": len(found)},
    )
    items = (await deps.findings.record_conflicts(act, found)).value.items
    n_blocking = sum(conflict.severity is Severity.BLOCKING for conflict in items)
    return respond(ConflictList(aggregation_id=aggregation_id, n_blocking=n_blocking, items=items))


@router.get("/{aggregation_id}/capacity", **answers(Capacity, Operation.PARK_READ, 404, 422))
async def get_capacity(aggregation_id: PathId, deps: Deps, horizon_s: Horizon = 3600.0) -> Response:
    """Return what an aggregation can do, now and over a horizon, at work or not.

    Each resource counts once, by its envelope now; no forecast enters.
    """
    require_aggregation(deps, aggregation_id)
    return respond(
        capacity_of(
            resources_below(deps, aggregation_id),
            deps.live.resources,
            now=deps.clock.now(),
            horizon_s=horizon_s,
        )
    )


@router.get(
    "/{aggregation_id}/realtime", **answers(RealtimeView, Operation.PARK_READ, 404, 422, 503)
)
async def get_realtime(aggregation_id: PathId, deps: Deps) -> Response:
    """Return whether the real-time engine runs, and its figures, live and as last recorded.

    The engine of an aggregation is its actor: activating starts it, deactivating stops it.
    """
    record = require_aggregation(deps, aggregation_id)
    running = record.status is AggregateStatus.ACTIVE
    state = deps.live.aggregates.get(aggregation_id) if running else None
    age_s = None
    if state is not None:
        age_s = round((deps.clock.now() - state.published_at).total_seconds(), 3)
    return respond(
        RealtimeView(
            aggregation_id=aggregation_id,
            running=running,
            live=figures_of(state) if state else None,
            age_s=age_s,
            recorded=await deps.findings.realtime(aggregation_id),
        )
    )
