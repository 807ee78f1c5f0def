"""The guarded route: admits the caller, and keeps them within their part of the park."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Annotated, Any, cast, get_origin

from fastapi import Depends, HTTPException, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.datastructures import QueryParams
from starlette.responses import Response

from serve_apps.web.bodies import StrictRequest, is_text
from serve_apps.web.deps import ApiDeps
from serve_apps.web.gate import Gate, admit
from serve_apps.web.paths import API_ROOT
from serve_apps.web.permissions import Operation
from serve_apps.web.principals import Principal
from serve_apps.web.problems import RefusedError, refuse_field
from serve_apps.web.quota import Quotas
from serve_apps.web.refusals import Refusals, where_from
from serve_apps.web.scope import keep_within

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

__all__ = ["Caller", "GuardedRoute", "Principal"]


class GuardedRoute(APIRoute):
    """A route that admits the caller before a byte of the body is read.

    Raises:
        KeyError: on construction, when the route does not declare its operation with ``answers``.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        # Generated clients name their methods by it; a path would make a long and shaky name.
        options["operation_id"] = options.get("operation_id") or endpoint.__name__
        super().__init__(path, endpoint, **options)

    def get_route_handler(self) -> Handler:
        """Return the handler behind its gate."""
        inner = self._strict(super().get_route_handler())
        extra = self.openapi_extra or {}
        name = extra["x-operation"]
        if name is None:
            return inner if not self.path.startswith(API_ROOT) else _for_strangers(inner)
        operation = Operation(name)
        in_scope: bool = extra["x-in-scope"]

        async def guarded(request: Request) -> Response:
            state = request.app.state
            gate = cast(Gate, state.gate)
            principal: Principal | None = None
            try:
                principal = gate.of_header(request.headers.get("authorization", ""))
                await _count(request, principal)
                admit(principal, operation)
                if principal.reach is not None:
                    await keep_within(request, principal, operation, in_scope=in_scope)
            except RefusedError as refusal:
                refusals = cast(Refusals, state.refusals)
                if principal is None:
                    refusals.note("anonymous", "access.refused", where_from(request))
                    # In place of the refusal, when there were too many.
                    await _count(request, None)
                elif refusal.status == HTTPStatus.FORBIDDEN:
                    refusals.note(principal.username, "access.denied", operation.value)
                raise
            request.state.principal = principal
            return await inner(request)

        return guarded

    def _strict(self, inner: Handler) -> Handler:
        """Refuse what is ambiguous or no text: a misspelt filter must not show everything."""
        known = _query_parameters(self.dependant)

        async def strict(request: Request) -> Response:
            # Most requests have none; parsing nothing costs as much as a small read.
            if request.scope["query_string"]:
                _check_query(request.query_params, known)
            if "\x00" in request.scope["path"]:
                raise HTTPException(HTTPStatus.NOT_FOUND)
            return await inner(StrictRequest(request.scope, request.receive))

        return strict


def _for_strangers(inner: Handler) -> Handler:
    async def counted(request: Request) -> Response:
        await _count(request, None)
        return await inner(request)

    return counted


async def _count(request: Request, principal: Principal | None) -> None:
    settings = cast(ApiDeps, request.app.state.deps).settings
    quotas = cast(Quotas, request.app.state.quotas)
    if principal is None:
        key, per_minute = f"address {where_from(request)}", settings.strangers_per_min
    else:
        key, per_minute = f"principal {principal.username}", settings.requests_per_min
    request.state.quota = await quotas.spend(key, per_minute)


def _check_query(given: QueryParams, known: Mapping[str, bool]) -> None:
    for name, value in given.multi_items():
        if name not in known:
            names = f"known are {', '.join(sorted(known))}" if known else "there are none"
            raise refuse_field(name, f"is not a known parameter; {names}", place="query")
        if not known[name] and len(given.getlist(name)) > 1:
            raise refuse_field(name, "must be given once", place="query")
        if not is_text(value):
            raise refuse_field(name, "must not hold NUL or half a character", place="query")


def _query_parameters(dependant: Dependant) -> dict[str, bool]:
    """Return by name whether a parameter may be given more than once."""
    found = {
        field.alias: get_origin(field.field_info.annotation) is list
        for field in dependant.query_params
    }
    for below in dependant.dependencies:
        found |= _query_parameters(below)
    return found


async def _principal_of(request: Request) -> Principal:
    return cast(Principal, request.state.principal)


Caller = Annotated[Principal, Depends(_principal_of)]
"""The admitted caller of a guarded route."""
