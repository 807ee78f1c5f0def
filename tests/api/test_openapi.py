"""The OpenAPI document: complete, of our shapes, and the committed file is current."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from serve_apps.openapi import openapi_document
from serve_apps.web.answers import answer_types
from tests.support.api_world import World

COMMITTED = Path(__file__).parents[2] / "docs" / "openapi.json"


def test_committed_document_is_current() -> None:
    current = json.loads(json.dumps(openapi_document()))
    assert json.loads(COMMITTED.read_text()) == current, (
        "run `parkgrid openapi > docs/openapi.json`"
    )


def _references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def test_every_reference_leads_somewhere() -> None:
    document = openapi_document()
    found = set(_references(document))
    assert len(found) > 20
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert found <= known


def test_every_operation_tells_its_problems_and_who_may() -> None:
    n_operations = 0
    for path, operations in openapi_document()["paths"].items():
        for operation in operations.values():
            n_operations += 1
            refusals = {c: r for c, r in operation["responses"].items() if int(c) >= 400}
            for response in refusals.values():
                assert list(response["content"]) == ["application/problem+json"]
            if operation["security"]:
                assert {"401", "403"} <= set(refusals), path
                assert operation["x-roles"]
            if "requestBody" in operation:
                assert "422" in refusals, path
            if "{" in path:
                assert "404" in refusals, path
    assert n_operations >= 24


def test_every_operation_has_a_short_name_of_its_own() -> None:
    names = [
        operation["operationId"]
        for operations in openapi_document()["paths"].values()
        for operation in operations.values()
    ]
    assert [name for name in names if not re.fullmatch(r"[a-z]+(_[a-z]+){0,4}", name)] == []
    assert sorted(set(names)) == sorted(names)


def test_every_body_has_an_example() -> None:
    document = openapi_document()
    without = []
    for operations in document["paths"].values():
        for operation in operations.values():
            content = operation.get("requestBody", {}).get("content", {})
            if content:
                reference = content["application/json"]["schema"]["$ref"].rpartition("/")[2]
                if not document["components"]["schemas"][reference].get("examples"):
                    without.append(operation["operationId"])
    assert without == []


def _answer_examples() -> dict[str, tuple[dict[str, Any], Any]]:
    """Return schema and example by operation; the problem document's stands in its schema."""
    document = openapi_document()
    found = {
        operation["operationId"]: (content["schema"], content["example"])
        for operations in document["paths"].values()
        for operation in operations.values()
        for response in operation["responses"].values()
        for content in response.get("content", {}).values()
        if "example" in content
    }
    (problem,) = document["components"]["schemas"]["ProblemDocument"]["examples"]
    return found | {"problem": ({"$ref": "#/components/schemas/ProblemDocument"}, problem)}


def test_the_most_used_operations_have_an_example_of_their_answer() -> None:
    wanted = ["dispatch", "get_dispatch", "list_resources", "log_in", "problem"]
    assert sorted(_answer_examples()) == wanted


@pytest.mark.parametrize("name", sorted(_answer_examples()))
def test_an_example_fits_its_own_schema_and_its_type_whole(name: str) -> None:
    schema, example = _answer_examples()[name]
    rooted = {**schema, "components": openapi_document()["components"]}
    checker = jsonschema.FormatChecker()
    jsonschema.Draft202012Validator(rooted, format_checker=checker).validate(example)
    # A schema lets pass what it does not know, and what may be absent; the type does not.
    (type_,) = (t for t in answer_types if schema["$ref"].endswith(f"/{t.__name__}"))
    assert msgspec.to_builtins(msgspec.convert(example, type_)) == example


async def test_document_is_served(world: World) -> None:
    response = await world.client.get("/openapi.json")
    assert response.json()["info"]["title"] == "Parkgrid"
