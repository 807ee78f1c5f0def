"""RFC 9457 problem documents: the one shape of every refusal, and where HTTP status is chosen.

A problem names the field, the value and the rule where there is one, and never anything of the
inside: unexpected errors are logged under the request id and answered with that id alone.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, Route

from controllers.kernel.errors import (
    ConflictError,
    DomainError,
    InvalidTransitionError,
    KeyReusedError,
    NotFoundError,
    ParkgridError,
    Problem,
    RulesBrokenError,
    StaleVersionError,
    TemporaryError,
)
from controllers.kernel.wire import Wire, encode

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
_MAX_VALUE_CHARS = 80
_MAX_ERRORS = 200
_SECRET_PATHS = ("/auth/", "/alarm-channels")
_RAW_BODY = "(not shown)"


class FieldError(Wire):
    """One broken rule of a request."""

    field: str
    """Dotted path as the caller wrote it; ``$`` is the whole document."""
    place: str
    """Where the field is: body, query, path or header."""
    value: str | None = None
    """What stood there, shortened; absent where it may be a secret."""
    rule: str
    """What the rule demands."""


class CheckView(Wire, omit_defaults=True):
    """One part of the system."""

    name: str
    ok: bool
    detail: str
    since: datetime | None = None
    """First seen missing here; absent while it is there."""
    degraded_mode: str | None = None
    """What goes on without it; absent while it is there."""


class ProblemDocument(Wire, omit_defaults=True):
    """What every error answer looks like."""

    type: str
    """``urn:parkgrid:problem:<name>``; the stable part to program against."""
    title: str
    status: int
    detail: str
    instance: str
    """Path of the request."""
    request_id: str
    errors: list[FieldError] | None = None
    current: str | None = None
    """Id or version of what stands in the way."""
    checks: list[CheckView] | None = None
    """State of each part, when the system is not ready."""


class RefusedError(ParkgridError):
    """A refusal of the edge itself: who, how often, how big, in which form.

    Args:
        status: HTTP status.
        name: last part of the problem type.
        detail: what was wrong and the remedy.
        headers: further response headers.
        errors: broken rules by field.
        current: id or version of what stands in the way.
    """

    def __init__(
        self,
        status: HTTPStatus,
        name: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[FieldError] = (),
        current: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.name = name
        self.detail = detail
        self.headers = dict(headers or {})
        self.errors = list(errors)
        self.current = current


def refuse_field(
    field: str, rule: str, *, value: object = None, place: str = "body"
) -> RefusedError:
    """Return the refusal of one field (422)."""
    shown = None if value is None else _shorten(value)
    return RefusedError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "validation",
        f"{field} {rule}",
        errors=[FieldError(field=field, place=place, value=shown, rule=rule)],
    )


def refusal_of(error: ParkgridError) -> RefusedError:
    """Choose the HTTP status of an error of the family."""
    match error:
        case RefusedError():
            return error
        case NotFoundError(kind=kind, id=id_):
            return RefusedError(HTTPStatus.NOT_FOUND, "not-found", f"no {kind} has the id {id_!r}")
        case DomainError(field=field, value=value, rule=rule):
            return refuse_field(field, rule, value=value)
        case RulesBrokenError(problems=problems):
            return _refuse_rules(problems)
        case ConflictError(current=current):
            return RefusedError(HTTPStatus.CONFLICT, "conflict", str(error), current=current)
        case StaleVersionError(current=version):
            return RefusedError(
                HTTPStatus.PRECONDITION_FAILED, "version-changed", str(error), current=str(version)
            )
        case KeyReusedError(subject=subject):
            return RefusedError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
                str(error),
                current=subject,
            )
        case InvalidTransitionError(state=state, trigger=trigger):
            detail = f"cannot {trigger} what is {state}"
            return RefusedError(HTTPStatus.CONFLICT, "conflict", detail, current=state)
        case TemporaryError(retry_after_s=retry_after_s):
            return RefusedError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "unavailable",
                "a part of the system is not answering; repeat the same request later",
                headers={"Retry-After": str(max(1, round(retry_after_s)))},
            )
        case _:
            logger.error("An error of the family has no HTTP status", exc_info=error)
            return internal_error()


def _refuse_rules(problems: Sequence[Problem]) -> RefusedError:
    errors = [
        FieldError(
            field=problem.field,
            place="body",
            value=None if problem.value is None else _shorten(problem.value),
            rule=problem.rule,
        )
        for problem in problems[:_MAX_ERRORS]
    ]
    detail = "; ".join(f"{e.field} {e.rule}" for e in errors[:3])
    return RefusedError(
        HTTPStatus.UNPROCESSABLE_ENTITY, "validation", _shorten(detail, 500), errors=errors
    )


def internal_error() -> RefusedError:
    """Return the refusal that says nothing but that it was not the caller's fault."""
    return RefusedError(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "internal",
        "something went wrong here; it was logged under the request id",
    )


def document(refusal: RefusedError, *, instance: str, request_id: str) -> ProblemDocument:
    """Return the problem document of a refusal."""
    return ProblemDocument(
        type=f"urn:parkgrid:problem:{refusal.name}",
        title=refusal.status.phrase,
        status=refusal.status.value,
        detail=refusal.detail,
        instance=instance,
        request_id=request_id,
        errors=refusal.errors or None,
        current=refusal.current,
    )


def problem_response(scope: Mapping[str, Any], refusal: RefusedError) -> Response:
    """Return the answer to a request that was refused.

    Args:
        scope: ASGI scope of the request.
        refusal: why.
    """
    body = document(
        refusal, instance=scope["path"], request_id=scope.get("state", {}).get("request_id", "")
    )
    return Response(encode(body), refusal.status.value, refusal.headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Make an application answer every error with a problem document."""

    async def on_family(request: Request, error: Exception) -> Response:
        if isinstance(error, TemporaryError):
            logger.warning("%s %s: %s", request.method, request.url.path, error)
        refusal = refusal_of(error) if isinstance(error, ParkgridError) else internal_error()
        return problem_response(request.scope, refusal)

    async def on_http(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            return problem_response(request.scope, internal_error())
        refusal = _of_http(error)
        if refusal.status == HTTPStatus.METHOD_NOT_ALLOWED:
            # The framework names the methods of the first route of that path only.
            refusal.headers["Allow"] = ", ".join(sorted(_allowed(app, request.scope)))
        return problem_response(request.scope, refusal)

    async def on_invalid(request: Request, error: Exception) -> Response:
        found = error.errors() if isinstance(error, RequestValidationError) else []
        secret = any(part in request.url.path for part in _SECRET_PATHS)
        errors = [_field_error(entry, secret=secret) for entry in found]
        detail = "; ".join(f"{e.field}: {e.rule}" for e in errors[:3])
        refusal = RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "validation", detail, errors=errors)
        return problem_response(request.scope, refusal)

    app.add_exception_handler(ParkgridError, on_family)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)


_HTTP_PROBLEMS = {
    HTTPStatus.BAD_REQUEST: ("malformed", "the body is not readable as JSON"),
    HTTPStatus.NOT_FOUND: ("not-found", "nothing is at this path; see /openapi.json"),
    HTTPStatus.METHOD_NOT_ALLOWED: ("method-not-allowed", "the path does not take this method"),
}


# Raised by the envelope while a body arrives.
_BOUNDS = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too-large",
    HTTPStatus.REQUEST_TIMEOUT: "too-slow",
}


def _allowed(app: FastAPI, scope: Mapping[str, Any]) -> set[str]:
    matching = [
        route
        for route in app.router.routes
        if isinstance(route, Route) and route.matches(dict(scope))[0] is not Match.NONE
    ]
    # Of two templates that fit, the more literal one is meant.
    meant = min(matching, key=lambda route: len(route.param_convertors)).path
    return {method for route in matching if route.path == meant for method in route.methods or ()}


def _of_http(error: HTTPException) -> RefusedError:
    status = HTTPStatus(error.status_code)
    if status in _BOUNDS:
        return RefusedError(status, _BOUNDS[status], error.detail, headers=error.headers)
    name, detail = _HTTP_PROBLEMS.get(status, ("http", status.phrase))
    return RefusedError(status, name, detail, headers=error.headers)


def _field_error(entry: Mapping[str, Any], *, secret: bool) -> FieldError:
    place, *path = entry["loc"]
    if entry["type"] == "json_invalid":
        rule = f"must be JSON ({entry['ctx']['error']} at character {path[0]})"
        return FieldError(field="$", place="body", rule=rule)
    rule = "is not a known field" if entry["type"] == "extra_forbidden" else entry["msg"]
    # The input of a missing field is its whole parent, which helps nobody.
    hidden = secret or entry["type"] == "missing"
    return FieldError(
        field=".".join(str(part) for part in path) or "$",
        place=str(place),
        value=None if hidden else _shorten(entry["input"]),
        rule=rule,
    )


def _shorten(value: object, n_chars: int = _MAX_VALUE_CHARS) -> str:
    if isinstance(value, str):
        text = value
    elif isinstance(value, bytes):
        text = _RAW_BODY
    elif isinstance(value, float):
        text = repr(value)
    else:
        try:
            text = msgspec.json.encode(value).decode()
        except (TypeError, ValueError, msgspec.MsgspecError):
            text = _RAW_BODY
    return text if len(text) <= n_chars else f"{text[: n_chars - 1]}…"
