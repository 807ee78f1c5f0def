"""Who did what, from the audit chain."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from serve_apps.system.views import AuditPage
from serve_apps.web.answers import answers, respond
from serve_apps.web.deps import Deps
from serve_apps.web.middleware import PREFIX
from serve_apps.web.permissions import Operation
from serve_apps.web.tokens import GuardedRoute

router = APIRouter(prefix=PREFIX, tags=["system"], route_class=GuardedRoute)


@router.get("/audit", **answers(AuditPage, Operation.AUDIT_READ, 422, 503))
async def list_audit(
    deps: Deps,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    subject: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """Return the newest audit entries; each digest covers the one before it."""
    return respond(AuditPage(items=await deps.store.audit_entries(limit, subject)))
