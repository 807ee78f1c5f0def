"""Resource templates: create, list, update by version, compare, validate, count, delete."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi import Path as PathParameter
from starlette.responses import Response

from controllers.assets.forms import parameter_forms
from controllers.assets.templates import (
    Template,
    TemplateState,
    TemplateUsage,
    TemplateValidation,
    TemplateVersion,
    changes,
    narrowed_rows,
)
from controllers.ports.templates import TemplateFilter
from serve_apps.templates.bodies import CreateTemplateBody, UpdateTemplateBody, ValidateBody
from serve_apps.templates.views import (
    DiffView,
    TemplateForm,
    TemplatePage,
    ValidationPage,
    VersionPage,
)
from serve_apps.web.acts import IdempotencyKey, act_of, answer
from serve_apps.web.answers import answers, respond
from serve_apps.web.deps import Deps
from serve_apps.web.guard import Caller, GuardedRoute
from serve_apps.web.middleware import PREFIX
from serve_apps.web.paths import Cursor, Limit, PathId, Sort, Text, page_request
from serve_apps.web.permissions import Operation
from serve_apps.web.versions import IfMatch, etag, required_version

_ROOT = f"{PREFIX}/resource-templates"

router = APIRouter(prefix=_ROOT, tags=["templates"], route_class=GuardedRoute)

VersionNumber = Annotated[int, PathParameter(ge=1, le=10**9)]
VersionQuery = Annotated[int, Query(ge=1, le=10**9)]


@router.get("", **answers(TemplatePage, Operation.TEMPLATE_READ, 422, 503, in_scope=True))
async def list_templates(
    *,
    deps: Deps,
    kind: Text = None,
    state: TemplateState | None = None,
    name: Text = None,
    limit: Limit = 50,
    sort: Sort = "id",
    cursor: Cursor = None,
) -> Response:
    """Return templates; sort by ``id``, ``name``, ``kind``, ``created_at`` or ``updated_at``."""
    wanted = TemplateFilter(kind=kind, state=state, name=name)
    page = await deps.templates.list(wanted, page_request(limit, sort, cursor))
    return respond(TemplatePage(items=page.items, next_cursor=page.next_cursor))


@router.post(
    "", **answers(Template, Operation.TEMPLATE_WRITE, 400, 409, 413, 415, 422, 503, status=201)
)
async def create_template(
    body: CreateTemplateBody, deps: Deps, caller: Caller, idempotency_key: IdempotencyKey = None
) -> Response:
    """Create a template: a kind of resource with defaults and narrower bounds."""
    subject = body.id or deps.ids.new("tpl")
    act = act_of(caller, Operation.TEMPLATE_WRITE, subject, body, key=idempotency_key, path=_ROOT)
    done = await deps.templates.create(act, body.kind, body.content())
    headers = {"Location": f"{_ROOT}/{done.value.id}", **etag(done.value.version)}
    return answer(done, HTTPStatus.CREATED, headers)


@router.get(
    "/{template_id}", **answers(Template, Operation.TEMPLATE_READ, 404, 422, 503, in_scope=True)
)
async def get_template(template_id: PathId, deps: Deps) -> Response:
    """Return a template with its newest version."""
    template = await deps.templates.get(template_id)
    return respond(template, headers=etag(template.version))


@router.put(
    "/{template_id}",
    **answers(Template, Operation.TEMPLATE_WRITE, 400, 404, 409, 412, 413, 415, 422, 428, 503),
)
async def update_template(
    template_id: PathId,
    body: UpdateTemplateBody,
    deps: Deps,
    caller: Caller,
    if_match: IfMatch = None,
) -> Response:
    """Make the next version; resources keep the version they were made of."""
    version = required_version(if_match)
    act = act_of(caller, Operation.TEMPLATE_WRITE, template_id, body)
    done = await deps.templates.update(act, version, body.content(), body.state, body.note)
    return answer(done, headers=etag(done.value.version))


@router.delete(
    "/{template_id}",
    **answers(None, Operation.TEMPLATE_DELETE, 404, 409, 412, 422, 428, 503, status=204),
)
async def delete_template(
    template_id: PathId, deps: Deps, caller: Caller, if_match: IfMatch = None
) -> Response:
    """Delete a template that no resource in operation uses, with versions and validations."""
    act = act_of(caller, Operation.TEMPLATE_DELETE, template_id)
    await deps.templates.delete(act, required_version(if_match))
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.get(
    "/{template_id}/versions",
    **answers(VersionPage, Operation.TEMPLATE_READ, 404, 422, 503, in_scope=True),
)
async def list_versions(
    template_id: PathId, deps: Deps, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """Return the versions of a template, newest first; each is immutable."""
    page = await deps.templates.versions(template_id, page_request(limit, "", cursor))
    return respond(VersionPage(items=page.items, next_cursor=page.next_cursor))


@router.get(
    "/{template_id}/versions/{version}",
    **answers(TemplateVersion, Operation.TEMPLATE_READ, 404, 422, 503, in_scope=True),
)
async def get_version(template_id: PathId, version: VersionNumber, deps: Deps) -> Response:
    """Return one version of a template."""
    return respond(await deps.templates.version(template_id, version))


@router.get(
    "/{template_id}/versions/{version}/form",
    **answers(TemplateForm, Operation.TEMPLATE_READ, 404, 422, 503, in_scope=True),
)
async def get_form(template_id: PathId, version: VersionNumber, deps: Deps) -> Response:
    """Return what to fill in for a resource of this version: unit, bounds, default, sentence."""
    kind = (await deps.templates.get(template_id)).kind
    parameters = (await deps.templates.version(template_id, version)).parameters
    rows, _ = narrowed_rows(kind, parameters)
    return respond(
        TemplateForm(
            template_id=template_id, version=version, kind=kind, parameters=parameter_forms(rows)
        )
    )


@router.get(
    "/{template_id}/diff",
    **answers(DiffView, Operation.TEMPLATE_READ, 404, 422, 503, in_scope=True),
)
async def diff_versions(
    template_id: PathId, before: VersionQuery, after: VersionQuery, deps: Deps
) -> Response:
    """Return what differs between two versions, field by field."""
    first = await deps.templates.version(template_id, before)
    second = await deps.templates.version(template_id, after)
    return respond(
        DiffView(
            template_id=template_id, before=before, after=after, changes=changes(first, second)
        )
    )


@router.post(
    "/{template_id}/validate",
    **answers(TemplateValidation, Operation.TEMPLATE_VALIDATE, 400, 404, 409, 413, 415, 422, 503),
)
async def validate_configuration(
    template_id: PathId,
    body: ValidateBody,
    deps: Deps,
    caller: Caller,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Check a configuration against a version; every broken rule is told, and kept on record."""
    act = act_of(
        caller,
        Operation.TEMPLATE_VALIDATE,
        deps.ids.new("check"),
        body,
        key=idempotency_key,
        path=f"{_ROOT}/{template_id}/validate",
        data={"template": template_id, "version": body.version},
    )
    configuration: dict[str, object] = dict(body.configuration)
    return answer(await deps.templates.validate(act, template_id, body.version, configuration))


@router.get(
    "/{template_id}/validations",
    **answers(ValidationPage, Operation.TEMPLATE_READ, 404, 422, 503),
)
async def list_validations(
    template_id: PathId, deps: Deps, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """Return what was checked against a template, newest first."""
    page = await deps.templates.validations(template_id, page_request(limit, "", cursor))
    return respond(ValidationPage(items=page.items, next_cursor=page.next_cursor))


@router.get(
    "/{template_id}/usage", **answers(TemplateUsage, Operation.TEMPLATE_READ, 404, 422, 503)
)
async def get_usage(template_id: PathId, deps: Deps) -> Response:
    """Return which resources use a template, and which version of it."""
    return respond(await deps.templates.usage(template_id))
