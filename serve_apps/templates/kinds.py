"""The kinds of resources, as forms."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from controllers.assets.forms import KindForm, kind_form, kind_forms
from serve_apps.templates.views import KindList
from serve_apps.web.answers import answers, respond
from serve_apps.web.guard import GuardedRoute
from serve_apps.web.middleware import PREFIX
from serve_apps.web.paths import PathId
from serve_apps.web.permissions import Operation

router = APIRouter(prefix=PREFIX, tags=["templates"], route_class=GuardedRoute)


@router.get("/resource-kinds", **answers(KindList, Operation.TEMPLATE_READ, in_scope=True))
async def list_kinds() -> Response:
    """Return every kind of resource with its parameters: unit, bounds, default and a sentence."""
    return respond(KindList(items=kind_forms()))


@router.get(
    "/resource-kinds/{kind}", **answers(KindForm, Operation.TEMPLATE_READ, 404, 422, in_scope=True)
)
async def get_kind(kind: PathId) -> Response:
    """Return one kind of resource as a form."""
    return respond(kind_form(kind))
