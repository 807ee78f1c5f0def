"""Who did what, from the audit chain: in pages, or all of it as lines of JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response, StreamingResponse

from controllers.kernel.timebase import require_utc
from controllers.kernel.wire import encode
from controllers.ports.operations import AuditEntry, AuditFilter
from controllers.ports.pages import Page, PageRequest
from serve_apps.system.views import AuditPage
from serve_apps.web.answers import answers, respond
from serve_apps.web.bodies import Instant
from serve_apps.web.deps import ApiDeps, Deps
from serve_apps.web.guard import GuardedRoute
from serve_apps.web.middleware import PREFIX
from serve_apps.web.permissions import Operation

NDJSON = "application/x-ndjson"
_LINES_AT_ONCE = 1000

router = APIRouter(prefix=PREFIX, tags=["system"], route_class=GuardedRoute)


async def _filter(
    principal: Annotated[str | None, Query(max_length=128)] = None,
    action: Annotated[str | None, Query(max_length=64)] = None,
    subject: Annotated[str | None, Query(max_length=255)] = None,
    from_at: Annotated[Instant | None, Query(alias="from", description="First instant.")] = None,
    to_at: Annotated[Instant | None, Query(alias="to", description="Not included.")] = None,
) -> AuditFilter:
    return AuditFilter(
        principal=principal,
        action=action,
        subject=subject,
        from_at=_utc("from", from_at),
        to_at=_utc("to", to_at),
    )


Wanted = Annotated[AuditFilter, Depends(_filter)]


@router.get("/audit", **answers(AuditPage, Operation.AUDIT_READ, 422, 503))
async def list_audit(
    deps: Deps,
    wanted: Wanted,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(max_length=2000)] = None,
) -> Response:
    """Return audit entries, newest first; each digest covers the one before it."""
    page = await deps.store.audit_page(wanted, PageRequest(limit=limit, cursor=cursor))
    return respond(AuditPage(items=page.items, next_cursor=page.next_cursor))


@router.get("/audit/export", **answers(None, Operation.AUDIT_READ, 422, 503, text=NDJSON))
async def export_audit(deps: Deps, wanted: Wanted) -> Response:
    """Return all audit entries, oldest first, one JSON object per line, as long as it takes."""
    # Before the answer begins: a database that does not answer is a 503, not half a file.
    first = await _page(deps, wanted, None)
    return StreamingResponse(_lines(deps, wanted, first), media_type=NDJSON)


async def _lines(
    deps: ApiDeps, wanted: AuditFilter, page: Page[AuditEntry]
) -> AsyncIterator[bytes]:
    while True:
        yield b"".join(encode(entry) + b"\n" for entry in page.items)
        if page.next_cursor is None:
            return
        page = await _page(deps, wanted, page.next_cursor)


async def _page(deps: ApiDeps, wanted: AuditFilter, cursor: str | None) -> Page[AuditEntry]:
    bounded = wanted.from_at is not None or wanted.to_at is not None
    sort = "at" if bounded else "seq"
    return await deps.store.audit_page(
        wanted, PageRequest(limit=_LINES_AT_ONCE, sort=sort, cursor=cursor)
    )


def _utc(field: str, instant: datetime | None) -> datetime | None:
    return None if instant is None else require_utc(field, instant)
