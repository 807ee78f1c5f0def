"""``parkgrid bid`` reads a bidding problem, tells a bid or judges one, and says why it has none."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner

from cluster.cli import app
from cluster.solve.problem_json import (
    decode_bidding,
    decode_bidding_result,
    encode_bidding,
    schemas,
)
from tests.support.bidding_problems import random_bidding

DOCS = Path(__file__).resolve().parents[3] / "docs" / "optimization.md"


def run(*arguments: str | Path) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["bid", *map(str, arguments)])
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """Return the example of the documentation as a file."""
    _, _, rest = DOCS.read_text().partition("## Bidding under uncertainty")
    _, _, block = rest.partition("```json\n")
    file = tmp_path / "problem.json"
    file.write_text(block.partition("```")[0])
    return file


def test_the_documented_example_gets_a_bid_that_can_be_judged_again(example: Path) -> None:
    out = example.with_name("result.json")
    code, told, complaint = run(example, "--json", out)
    assert code == 0, complaint
    result = decode_bidding_result(out.read_bytes())
    assert f"expected   {result.expected_cost:,.2f}" in told
    assert f"at risk    {result.conditional_value_at_risk:,.2f}" in told
    assert len([line for line in told.splitlines() if line.startswith("step ")]) == 2
    assert "up: " in told
    code, told, _ = run(example, "--judge", out)
    assert code == 0
    assert f"expected   {result.expected_cost:,.2f}" in told


@pytest.mark.parametrize("seed", range(5))
def test_a_bidding_problem_survives_the_journey_and_fits_its_schema(seed: int) -> None:
    problem = random_bidding(seed, reserves=True)
    document = encode_bidding(problem)
    assert decode_bidding(document) == problem
    jsonschema.validate(json.loads(document), json.loads(schemas()["bidding-problem"]))


def test_a_wrong_problem_ends_with_2_and_its_faults(example: Path) -> None:
    document = json.loads(example.read_text())
    document["market"]["limits"]["price_tick_per_mwh"] = 0.0
    document["risk_weight"] = 2.0
    example.write_text(json.dumps(document))
    code, _, told = run(example)
    assert code == 2
    assert "market.limits.price_tick_per_mwh = 0.0: must be finite and above 0" in told
    assert "risk_weight = 2.0: must be finite and at least 0 and below 1" in told


def test_an_unknown_field_ends_with_2(example: Path) -> None:
    example.write_text(example.read_text().replace("stages", "stairs", 1))
    code, _, told = run(example)
    assert code == 2
    assert "forecast.stairs" in told


def test_a_problem_without_a_bid_ends_with_1_and_its_reason(example: Path) -> None:
    out = example.with_name("result.json")
    code, told, complaint = run(example, "--deadline", "0", "--json", out)
    assert code == 1
    assert "status     late" in told
    assert "no bid was found within 0 s" in complaint
    code, _, complaint = run(example, "--judge", out)
    assert code == 2
    assert "must hold a bid" in complaint
