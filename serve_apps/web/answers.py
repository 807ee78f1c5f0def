"""Declares what a route answers, for the OpenAPI document: one call per route.

Answers are msgspec types; their schemas are generated from the types themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from controllers.kernel.wire import Wire, encode
from serve_apps.web.permissions import Operation
from serve_apps.web.problems import MEDIA_TYPE, ProblemDocument

REF = "#/components/schemas/{name}"
"""Where a type's schema stands in the document."""
_ALWAYS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)
_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": REF.format(name=ProblemDocument.__name__)}}}

answer_types: set[type[Wire]] = {ProblemDocument}
"""Every type some route answers with."""


def answers(
    view: type[Wire] | None,
    operation: Operation | None,
    *problems: int,
    status: int = HTTPStatus.OK,
    also: int | None = None,
    text: str | None = None,
    in_scope: bool = False,
    pending: type[Wire] | None = None,
) -> dict[str, Any]:
    """Return the keyword arguments that declare a route.

    Args:
        view: type of the answer; None with status 204.
        operation: what the caller must be permitted to do; None makes the route public.
        problems: statuses of refusals, besides 401, 403 and 429 of a route that is not public and
            what any body may be refused for (400, 408, 413, 415, 422).
        status: status of success.
        also: second status with the same body.
        text: media type of an answer that is no JSON, instead of a view.
        in_scope: whether callers who reach only a part of the park may come here although the path
            names no part: what it shows and does is within their reach by itself.
        pending: what a 202 may hold instead, when a second person must agree first.
    """
    refusals = (*(_ALWAYS if operation else ()), *map(HTTPStatus, problems))
    responses: dict[int | str, dict[str, Any]] = {
        int(code): refusal(code) for code in sorted(refusals)
    }
    for code in filter(None, (status, also)):
        responses[int(code)] = {"description": HTTPStatus(code).phrase}
        if view is not None:
            answer_types.add(view)
            schema = {"$ref": REF.format(name=view.__name__)}
            responses[int(code)]["content"] = {"application/json": {"schema": schema}}
        elif text is not None:
            responses[int(code)]["content"] = {text: {"schema": {"type": "string"}}}
    if pending is not None:
        answer_types.add(pending)
        accepted = responses[int(HTTPStatus.ACCEPTED)]["content"]["application/json"]
        waiting = {"$ref": REF.format(name=pending.__name__)}
        accepted["schema"] = {"anyOf": [accepted["schema"], waiting]}
    return {
        "status_code": int(status),
        "response_model": None,
        # Or the framework would declare JSON too.
        "response_class": Response,
        "responses": responses,
        "openapi_extra": {
            "x-operation": None if operation is None else operation.value,
            "x-in-scope": in_scope,
        },
    }


def refusal(code: HTTPStatus) -> dict[str, Any]:
    """Return how the document declares a refusal."""
    return {"description": code.phrase, "content": _PROBLEM}


def respond(view: Wire, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON answer."""
    return Response(encode(view), status, headers, "application/json")
