"""Lists dispatches: those on record, with what aggregates did in the last seconds laid over them.

An aggregate's newest changes reach the database some seconds late. They are asked of it before the
database is read, so that nothing falls in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from controllers.aggregation.instruction import Instruction, InstructionState
from controllers.kernel.errors import DomainError, StorageUnavailableError, TemporaryError
from controllers.kernel.timebase import require_utc
from controllers.ports.dispatches import DispatchFilter
from controllers.ports.pages import PageRequest
from serve_apps.assets.situations import require_aggregation
from serve_apps.operations.views import DispatchPage
from serve_apps.web.answers import answers, respond
from serve_apps.web.bodies import Instant
from serve_apps.web.deps import ApiDeps, Deps
from serve_apps.web.guard import Caller, GuardedRoute
from serve_apps.web.middleware import PREFIX
from serve_apps.web.paths import Cursor, Limit, Sort, page_request
from serve_apps.web.permissions import Operation

router = APIRouter(prefix=PREFIX, tags=["dispatch"], route_class=GuardedRoute)

_MAX_REMEMBERED = 1000
"""Instructions asked of each aggregate while the database does not answer."""
_SORTS = ("issued_at", "start_at")


@router.get(
    "/dispatches", **answers(DispatchPage, Operation.DISPATCH_READ, 404, 422, 503, in_scope=True)
)
async def list_dispatches(
    *,
    deps: Deps,
    caller: Caller,
    aggregation: str | None = None,
    state: InstructionState | None = None,
    issued_by: Annotated[str | None, Query(max_length=128)] = None,
    from_at: Annotated[
        Instant | None, Query(alias="from", description="Earliest start of the window.")
    ] = None,
    to_at: Annotated[Instant | None, Query(alias="to", description="Not included.")] = None,
    limit: Limit = 50,
    sort: Sort = "-issued_at",
    cursor: Cursor = None,
) -> Response:
    """Return dispatches, those of retired aggregations too; sort by ``issued_at`` or ``start_at``.

    Should the database not answer, the first page holds what live aggregates remember, and
    ``complete`` is false.
    """
    if aggregation is not None:
        caller.require_aggregate(aggregation)
        require_aggregation(deps, aggregation)
    wanted = DispatchFilter(
        aggregation_id=aggregation,
        state=state,
        issued_by=issued_by,
        from_at=None if from_at is None else require_utc("from", from_at),
        to_at=None if to_at is None else require_utc("to", to_at),
        within=None if caller.reach is None else sorted(caller.reach.aggregates),
    )
    owners = [
        one.id
        for one in deps.park().aggregates
        if caller.sees_aggregate(one.id) and aggregation in (None, one.id)
    ]
    return respond(await _page(deps, owners, wanted, page_request(limit, sort, cursor)))


async def _page(
    deps: ApiDeps, owners: list[str], wanted: DispatchFilter, request: PageRequest
) -> DispatchPage:
    live, unavailable = await _gather(deps.control.unrecorded, owners)
    try:
        page = await deps.dispatches.page(wanted, request, live)
    except StorageUnavailableError:
        if request.cursor is not None:
            raise
        return await _remembered(deps, owners, wanted, request)
    return DispatchPage(
        items=page.items, next_cursor=page.next_cursor, unavailable=unavailable, complete=True
    )


async def _remembered(
    deps: ApiDeps, owners: list[str], wanted: DispatchFilter, request: PageRequest
) -> DispatchPage:
    """Return what can be told without the database: enough to find and stop what runs."""
    name, descending = request.sort.removeprefix("-"), request.sort.startswith("-")
    if name not in _SORTS:
        raise DomainError("sort", request.sort, f"must be one of {', '.join(_SORTS)}, or -…")
    found, unavailable = await _gather(
        lambda id_: deps.control.instructions(id_, _MAX_REMEMBERED), owners
    )
    items = sorted(
        filter(wanted.takes, found),
        key=lambda one: (getattr(one, name), one.id),
        reverse=descending,
    )
    return DispatchPage(
        items=items[: request.limit], next_cursor=None, unavailable=unavailable, complete=False
    )


async def _gather(
    ask: Callable[[str], Awaitable[list[Instruction]]], owners: list[str]
) -> tuple[list[Instruction], list[str]]:
    results = await asyncio.gather(*map(ask, owners), return_exceptions=True)
    found: list[Instruction] = []
    unavailable: list[str] = []
    for id_, result in zip(owners, results, strict=True):
        if isinstance(result, TemporaryError):
            unavailable.append(id_)
        elif isinstance(result, BaseException):
            raise result
        else:
            found += result
    return found, unavailable
