"""Problems travel as JSON unchanged; a document that is not one is refused with its faults."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from cluster.solve.problem_json import decode_problem, encode_problem, schemas
from optimization.dispatch.rules import ProblemRefusedError
from tests.support.dispatch_problems import random_problem

DOCS = Path(__file__).resolve().parents[3] / "docs" / "engine"
LEAST = {"step_h": [1.0], "points": [{"name": "grid"}]}


@pytest.mark.parametrize("seed", range(20))
def test_a_problem_survives_the_journey_and_fits_its_schema(seed: int) -> None:
    problem = random_problem(seed)
    document = encode_problem(problem)
    assert decode_problem(document) == problem
    jsonschema.validate(json.loads(document), json.loads(schemas()["dispatch-problem"]))


@pytest.mark.parametrize(
    ("change", "field", "rule"),
    [
        ({"windmills": []}, "windmills", "is not a known field"),
        ({"points": None}, "points", "input should be a valid array"),
        ({"step_h": "1"}, "step_h", "input should be a valid array"),
        ({"step_h": [True]}, "step_h[0]", "input should be a valid number"),
        ({"points": [{}]}, "points[0].name", "is required"),
        ({"batteries": [{"name": 1}]}, "batteries[0].name", "input should be a valid string"),
    ],
)
def test_a_wrong_document_is_refused_by_field(
    change: dict[str, object], field: str, rule: str
) -> None:
    with pytest.raises(ProblemRefusedError) as refused:
        decode_problem(json.dumps(LEAST | change).encode())
    assert (field, rule) in [(fault.field, fault.rule) for fault in refused.value.faults]


@pytest.mark.parametrize("data", [b"", b"[", b"\xff", b"[]", b"{}", b'{"step_h":' + b"[" * 10_000])
def test_what_is_no_problem_is_refused(data: bytes) -> None:
    with pytest.raises(ProblemRefusedError):
        decode_problem(data)


@pytest.mark.parametrize("name", sorted(schemas()))
def test_schema_file_is_current(name: str) -> None:
    assert (DOCS / f"{name}.json").read_text() == schemas()[name], (
        "run `python -m cluster.solve.problem_json`"
    )
