"""``parkgrid solve`` reads both formats, tells the answer and says why there is none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cluster.cli import app
from cluster.solve.pglib import decode_pglib
from cluster.solve.problem_json import decode_result, encode_problem
from optimization.dispatch.physics import violations
from optimization.dispatch.problem import ConnectionPoint, DispatchProblem
from optimization.dispatch.rules import ProblemRefusedError
from optimization.dispatch.solve import solve_dispatch
from optimization.dispatch.textbook.model import solve_textbook
from tests.support.dispatch_problems import random_problem

UNIT = {
    "must_run": 0,
    "power_output_minimum": 10.0,
    "power_output_maximum": 50.0,
    "ramp_up_limit": 30.0,
    "ramp_down_limit": 30.0,
    "ramp_startup_limit": 20.0,
    "ramp_shutdown_limit": 20.0,
    "time_up_minimum": 2,
    "time_down_minimum": 2,
    "power_output_t0": 0.0,
    "unit_on_t0": 0,
    "time_up_t0": 0,
    "time_down_t0": 4,
    "startup": [{"lag": 2, "cost": 100.0}, {"lag": 6, "cost": 250.0}],
    "piecewise_production": [
        {"mw": 10.0, "cost": 300.0},
        {"mw": 30.0, "cost": 800.0},
        {"mw": 50.0, "cost": 1400.0},
    ],
}
BASE = UNIT | {
    "power_output_minimum": 20.0,
    "must_run": 1,
    "power_output_t0": 30.0,
    "unit_on_t0": 1,
    "time_up_t0": 5,
    "time_down_t0": 0,
    "piecewise_production": [{"mw": 20.0, "cost": 200.0}, {"mw": 50.0, "cost": 500.0}],
}
INSTANCE = {
    "time_periods": 6,
    "demand": [40.0, 70.0, 95.0, 80.0, 45.0, 40.0],
    "reserves": [4.0] * 6,
    "thermal_generators": {"base": BASE, "peaker": UNIT, "peaker 2": UNIT},
    "renewable_generators": {
        "sun": {
            "power_output_minimum": [0.0] * 6,
            "power_output_maximum": [0.0, 5.0, 9.0, 9.0, 5.0, 0.0],
        }
    },
}


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["solve", *arguments])
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def instance(tmp_path: Path) -> Path:
    file = tmp_path / "instance.json"
    file.write_text(json.dumps(INSTANCE))
    return file


def test_a_unit_commitment_instance_costs_what_the_textbook_says() -> None:
    problem = decode_pglib(json.dumps(INSTANCE).encode())
    result = solve_dispatch(problem, gap_frac=1e-7)
    assert result.cost == pytest.approx(solve_textbook(problem, gap_frac=1e-7).cost, rel=1e-6)
    assert violations(problem, result.schedules) == ()


def test_it_tells_objective_bound_gap_and_time_and_writes_the_result(instance: Path) -> None:
    out = instance.with_name("result.json")
    code, told, _ = run(str(instance), "--gap", "0", "--json", str(out))
    assert code == 0
    assert [line.split()[0] for line in told.splitlines()[:6]] == [
        "status",
        "objective",
        "bound",
        "gap",
        "time",
        "breaches",
    ]
    result = decode_result(out.read_bytes())
    assert result.schedules["base"].running == (True,) * 6
    assert f"{result.cost:,.2f}" in told


def test_it_reads_the_projects_own_format(tmp_path: Path) -> None:
    file = tmp_path / "problem.json"
    file.write_bytes(encode_problem(random_problem(1)))
    code, told, _ = run(str(file))
    assert code == 0
    assert "optimal" in told


def test_a_contradiction_ends_with_1_and_its_reason(tmp_path: Path) -> None:
    file = tmp_path / "problem.json"
    unit = decode_pglib(json.dumps(INSTANCE).encode()).generators[1]
    island = ConnectionPoint(name="system", max_import_mw=0.0, fixed_mw=(-5.0,))
    problem = DispatchProblem(step_h=(1.0,), points=(island,), generators=(unit,))
    file.write_bytes(encode_problem(replace(problem, points=(replace(island, max_export_mw=0.0),))))
    code, _, complaint = run(str(file))
    assert code == 1
    assert "these cannot all hold" in complaint


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ("{", "invalid JSON"),
        ('{"step_h": [1], "points": []}', "exactly one point has none"),
        ('{"step_h": [1], "points": [{"name": "g"}], "windmills": []}', "windmills"),
    ],
)
def test_a_wrong_file_ends_with_2_and_its_faults(
    tmp_path: Path, document: str, complaint: str
) -> None:
    file = tmp_path / "problem.json"
    file.write_text(document)
    code, _, told = run(str(file))
    assert code == 2
    assert complaint in told


@pytest.mark.parametrize(
    "change",
    [
        {"demand": [1.0]},
        {"time_periods": 0},
        {"thermal_generators": {"base": BASE | {"unit_on_t0": 2}}},
        {"thermal_generators": {"base": BASE | {"time_up_t0": 0}}},
        {"thermal_generators": {"base": BASE | {"power_output_minimum": 60.0}}},
        {"thermal_generators": {"base": BASE | {"wheels": 4}}},
        {"thermal_generators": {"base": {}}},
    ],
)
def test_a_broken_instance_is_refused(change: dict[str, object]) -> None:
    data = json.dumps(INSTANCE | change).encode()
    with pytest.raises(ProblemRefusedError):
        solve_dispatch(decode_pglib(data))
