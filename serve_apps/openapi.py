"""The OpenAPI document, made from the routes and the answer types without starting anything."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from serve_apps.answers import REF, answer_types
from serve_apps.permissions import PERMISSIONS, Operation

_DESCRIPTION = """\
Operate a zero-carbon park as a virtual power plant.

**Sign**: injection into the grid is positive, everywhere. Units are in the names.
**Errors** are RFC 9457 problem documents; program against `type`.
**Versions**: everything under `/api/vpp` is also under `/api/v1/vpp`.
**Live**: WebSocket `/ws/live`; send `{"type": "auth", "token": "..."}` first, then read one
`snapshot` and `delta` messages; an empty delta is the heartbeat.
"""


def install(app: FastAPI) -> None:
    """Make the application serve its document at ``/openapi.json``."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=_DESCRIPTION, routes=app.routes
    )
    ordered = sorted(answer_types, key=lambda type_: type_.__name__)
    _, schemas = msgspec.json.schema_components(ordered, ref_template=REF)
    components = document.setdefault("components", {})
    inherited = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        inherited.pop(unused, None)
    inherited.update(schemas)
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }
    for path in document["paths"].values():
        for operation in path.values():
            _describe_access(operation)
    return document


def _describe_access(operation: dict[str, Any]) -> None:
    name = operation.pop("x-operation", None)
    # The framework adds its own 422, whose shape is not ours.
    if "HTTPValidationError" in str(operation["responses"].get("422", "")):
        del operation["responses"]["422"]
    if name is None:
        operation["security"] = []
        return
    operation["security"] = [{"bearer": []}]
    operation["x-operation"] = name
    operation["x-roles"] = sorted(PERMISSIONS[Operation(name)])
