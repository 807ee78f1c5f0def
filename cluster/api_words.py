"""From the words of a command line to a request, by what the OpenAPI document says of an operation.

Path parameters come in their order; ``name=value`` is a query parameter if the operation has one of
that name, else a field of the body. Values are JSON where the document does not ask for a text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from controllers.kernel.errors import ConfigError
from serve_apps.client.transport import part


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to send."""

    method: str
    path: str
    query: dict[str, str]
    body: dict[str, object] | None
    keyed: bool


def request_of(document: Mapping[str, Any], operation_id: str, words: Sequence[str]) -> Request:
    """Return the request that the words ask for.

    Raises:
        ConfigError: no such operation, or words too few or too many.
    """
    method, path, operation = _find(document, operation_id)
    placed = re.findall(r"{(\w+)}", path)
    plain = [word for word in words if not _is_named(word)]
    if len(plain) != len(placed):
        usage = " ".join([*(name.upper() for name in placed), "[name=value ...]"])
        raise ConfigError("arguments", [f"{operation_id} takes: {usage}"])
    for name, value in zip(placed, plain, strict=True):
        path = path.replace(f"{{{name}}}", part(value))
    parameters = operation.get("parameters", [])
    asked = {p["name"] for p in parameters if p["in"] == "query"}
    fields = _fields(document, operation)
    query: dict[str, str] = {}
    body: dict[str, object] = {}
    for word in filter(_is_named, words):
        name, _, value = word.partition("=")
        if name in asked:
            query[name] = value
        elif fields is not None:
            body[name] = _value(value, fields.get(name, {}))
        else:
            known = ", ".join(sorted(asked)) or "none"
            raise ConfigError("arguments", [f"{name}: {operation_id} has no such field; {known}"])
    return Request(
        method=method.upper(),
        path=path,
        query=query,
        body=None if fields is None else body,
        keyed=any(p["name"] == "idempotency-key" for p in parameters),
    )


def _is_named(word: str) -> bool:
    return re.match(r"[a-z][a-z0-9_]*=", word) is not None


def _find(document: Mapping[str, Any], operation_id: str) -> tuple[str, str, Mapping[str, Any]]:
    known = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            known.append(operation["operationId"])
            if operation["operationId"] == operation_id:
                return method, path, operation
    problem = f"{operation_id}: no such operation; there are {', '.join(sorted(known))}"
    raise ConfigError("arguments", [problem])


def _fields(document: Mapping[str, Any], operation: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if "requestBody" not in operation:
        return None
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    fields: Mapping[str, Any] = schema.get("properties", {})
    return fields


def _value(text: str, schema: Mapping[str, Any]) -> object:
    types = {option.get("type") for option in schema.get("anyOf", [schema])}
    if "string" in types:
        return text
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
