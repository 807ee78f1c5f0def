"""Examples of answers for the OpenAPI document: real ones, taken from the demo park.

They stand in ``examples.json`` by operation; a test holds each to its type and to its own schema.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

from serve_apps.web.problems import ProblemDocument

_FILE = Path(__file__).with_name("examples.json")
_STATUSES = {
    "log_in": HTTPStatus.OK,
    "list_resources": HTTPStatus.OK,
    "dispatch": HTTPStatus.ACCEPTED,
    "get_dispatch": HTTPStatus.OK,
}
"""Which answer of an operation has an example."""


def add_examples(document: dict[str, Any]) -> None:
    """Put the examples into a complete document.

    Args:
        document: with its answers and schemas; changed in place. The problem document's example
            stands in its schema, which all refusals share.
    """
    examples = json.loads(_FILE.read_text())
    for operations in document["paths"].values():
        for operation in operations.values():
            status = _STATUSES.get(operation["operationId"])
            if status is not None:
                content = operation["responses"][str(int(status))]["content"]
                content["application/json"]["example"] = examples[operation["operationId"]]
    problem = ProblemDocument.__name__
    document["components"]["schemas"][problem]["examples"] = [examples["problem"]]
