"""Dispatch and bidding problems and their results as JSON, and their schemas.

The schemas are generated from the types that decode the files, so that they cannot drift apart:
``python -m cluster.solve.problem_json`` writes them to ``docs/engine``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from optimization.checks import ProblemError
from optimization.dispatch.problem import DispatchProblem
from optimization.dispatch.result import DispatchResult
from optimization.dispatch.rules import ProblemRefusedError
from optimization.uncertainty.problem import BiddingProblem
from optimization.uncertainty.result import BiddingResult

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_MOST_FAULTS = 50
_SHOWN = 60
_RULES = {"missing": "is required", "unexpected_keyword_argument": "is not a known field"}
_PROBLEM = TypeAdapter(DispatchProblem)
_RESULT = TypeAdapter(DispatchResult)
_BIDDING_PROBLEM = TypeAdapter(BiddingProblem)
_BIDDING_RESULT = TypeAdapter(BiddingResult)
T = TypeVar("T")


def decode_problem(data: bytes) -> DispatchProblem:
    """Return the problem in a JSON document; its values are not checked against each other.

    Raises:
        ProblemRefusedError: it is not JSON, or fields are missing, unknown or of another type.
    """
    return _decoded(_PROBLEM, data)


def encode_problem(problem: DispatchProblem) -> bytes:
    """Return a problem as JSON; what has its default is left out."""
    return _PROBLEM.dump_json(problem, exclude_defaults=True)


def encode_result(result: DispatchResult) -> bytes:
    """Return a result as JSON."""
    return _RESULT.dump_json(result)


def decode_result(data: bytes) -> DispatchResult:
    """Return the result in a JSON document.

    Raises:
        ProblemRefusedError: it is not JSON, or fields are missing, unknown or of another type.
    """
    return _decoded(_RESULT, data)


def decode_bidding(data: bytes) -> BiddingProblem:
    """Return the bidding problem in a JSON document, unchecked likewise.

    Raises:
        ProblemRefusedError: it is not JSON, or fields are missing, unknown or of another type.
    """
    return _decoded(_BIDDING_PROBLEM, data)


def encode_bidding(problem: BiddingProblem) -> bytes:
    """Return a bidding problem as JSON; what has its default is left out."""
    return _BIDDING_PROBLEM.dump_json(problem, exclude_defaults=True)


def encode_bidding_result(result: BiddingResult) -> bytes:
    """Return the result of a bidding problem as JSON."""
    return _BIDDING_RESULT.dump_json(result)


def decode_bidding_result(data: bytes) -> BiddingResult:
    """Return the result of a bidding problem in a JSON document.

    Raises:
        ProblemRefusedError: it is not JSON, or fields are missing, unknown or of another type.
    """
    return _decoded(_BIDDING_RESULT, data)


def _decoded(adapter: TypeAdapter[T], data: bytes) -> T:
    try:
        return adapter.validate_json(data)
    except ValidationError as error:
        raise ProblemRefusedError(faults_of(error)) from None


def faults_of(error: ValidationError) -> list[ProblemError]:
    """Return what a document gets wrong, at most the first fifty faults."""
    return [
        ProblemError(
            _path(fault["loc"]) or "document",
            None if fault["type"] == "missing" else _short(fault["input"]),
            _RULES.get(fault["type"]) or fault["msg"][:1].lower() + fault["msg"][1:],
        )
        for fault in error.errors(include_url=False)[:_MOST_FAULTS]
    ]


def schemas() -> dict[str, str]:
    """Return the schema files by name."""
    adapters: dict[str, TypeAdapter[Any]] = {
        "dispatch-problem": _PROBLEM,
        "dispatch-result": _RESULT,
        "bidding-problem": _BIDDING_PROBLEM,
        "bidding-result": _BIDDING_RESULT,
    }
    return {
        name: json.dumps({"$schema": _DIALECT, **adapter.json_schema()}, indent=2) + "\n"
        for name, adapter in adapters.items()
    }


def _path(place: tuple[int | str, ...]) -> str:
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in place]
    return "".join(parts).removeprefix(".")


def _short(value: object) -> object:
    if isinstance(value, int | float | bool):
        return value
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def main() -> None:
    """Entry point; the one argument is the folder, by default ``docs/engine``."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/engine")
    for name, text in schemas().items():
        (folder / f"{name}.json").write_text(text)


if __name__ == "__main__":
    main()
