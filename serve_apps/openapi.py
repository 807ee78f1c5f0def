"""The OpenAPI document, made from the routes and the answer types without starting anything."""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import msgspec
from fastapi.openapi.utils import get_openapi

from serve_apps.examples import add_examples
from serve_apps.routes import ROUTES
from serve_apps.web.answers import REF, answer_types, refusal
from serve_apps.web.permissions import PERMISSIONS, Operation

_DESCRIPTION = """\
Operate a zero-carbon park as a virtual power plant.

**Sign**: injection into the grid is positive, everywhere. Units are in the names.
**Errors** are RFC 9457 problem documents; program against `type`.
**Versions**: everything under `/api/vpp` is also under `/api/v1/vpp`.
**Live**: WebSocket `/ws/live`; send `{"type": "auth", "token": "..."}` first, then read one
`snapshot` and `delta` messages; an empty delta is the heartbeat. `alarms` in them holds the
standing alarms, then those that changed.
"""


@cache
def openapi_document() -> dict[str, Any]:
    """Return the document; treat it as read-only."""
    document = get_openapi(
        title="Parkgrid", version=version("parkgrid"), description=_DESCRIPTION, routes=ROUTES
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    # The framework's own shape of a refusal, which is never sent.
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas.update(_answer_schemas())
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }
    for operations in document["paths"].values():
        for operation in operations.values():
            _describe_access(operation)
            if "requestBody" in operation:
                # What the envelope and the framework refuse of any body.
                operation["responses"] = _any_body() | operation["responses"]
    add_examples(document)
    return document


def _any_body() -> dict[str, Any]:
    codes = (
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    )
    return {str(int(code)): refusal(code) for code in codes}


def _answer_schemas() -> dict[str, Any]:
    ordered = sorted(answer_types, key=lambda type_: type_.__name__)
    # The one type without a schema of its own is the free-form value of an audit entry.
    _, schemas = msgspec.json.schema_components(
        ordered, ref_template=REF, schema_hook=lambda _: {"description": "any JSON value"}
    )
    return schemas


def _describe_access(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    # Added by the framework to whatever has a parameter, even where none can be wrong.
    if "HTTPValidationError" in str(responses.get("422", "")):
        del responses["422"]
    # A query parameter that is not declared is refused everywhere.
    responses.setdefault("422", refusal(HTTPStatus.UNPROCESSABLE_ENTITY))
    # Absent: a public route.
    name = operation.get("x-operation")
    operation["security"] = []
    if name is not None:
        operation["security"] = [{"bearer": []}]
        operation["x-roles"] = sorted(PERMISSIONS[Operation(name)])
