"""The examples of the tutorial are optimizers: their plans hold, on a live problem and others."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.deployed.process import SolverProcess
from controllers.optimizers.deployment import OptimizerCode, check_code
from controllers.optimizers.judging import judge
from controllers.optimizers.scores import Outcome
from optimization.dispatch.solve import solve_dispatch
from tests.support.dispatch_problems import KINDS, random_problem
from tests.support.plans import planned, posed

EXAMPLES = sorted((Path(__file__).parents[2] / "docs" / "examples").glob("*.py"))
KNOWN = tuple(kind for kind in KINDS if kind not in ("fleets", "electrolysers"))
"""Kinds of assets that a live problem has."""


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_plans_of_an_example_hold(path: Path, tmp_path: Path) -> None:
    content = path.read_bytes()
    check_code(path.name, content)
    code = OptimizerCode(id="o", file_name=path.name, content=content, environment=None)
    process = SolverProcess(code, tmp_path)
    live = posed(previous=planned()).problem
    others = [random_problem(seed, kinds=KNOWN, reserves=False) for seed in range(3)]
    try:
        for problem in (live, *others):
            verdict = judge(problem, process.solve(problem, 10.0))
            assert verdict.outcome is Outcome.VALID, verdict.reason
            best = solve_dispatch(problem, deadline_s=10.0)
            assert verdict.result is not None
            assert verdict.result.cost is not None
            assert best.bound is not None
            assert verdict.result.cost >= best.bound - 0.01
    finally:
        process.close()


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 2
