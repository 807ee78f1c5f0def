"""The process of a deployed optimizer: whatever its code does, there is an answer in time."""

from __future__ import annotations

import io
import os
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from actors.deployed.process import GRACE_S, SolverProcess
from controllers.optimizers.deployment import OptimizerCode
from controllers.optimizers.judging import judge
from controllers.optimizers.scores import Outcome
from optimization.dispatch.plant import Load
from optimization.dispatch.problem import ConnectionPoint, DispatchProblem
from tests.support.waiting import wait_until

PROBLEM = DispatchProblem(
    step_h=(1.0, 1.0),
    points=(ConnectionPoint(name="grid", max_import_mw=3.0),),
    import_price_per_mwh=(50.0, 100.0),
    loads=(Load(name="hall", point="grid", demand_mw=(1.0, 1.0)),),
)
RIGHT = 'return {"hall": [-1.0, -1.0]}'

Start = Callable[..., SolverProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Make a process of the lines of ``solve``."""
    made: list[SolverProcess] = []

    def begin(body: str = RIGHT, *, before: str = "", **options: float) -> SolverProcess:
        source = f"{before}\ndef solve(problem, deadline_s):\n    {body}\n"
        code = OptimizerCode(id="o", file_name="mine.py", content=source.encode(), environment=None)
        made.append(SolverProcess(code, tmp_path, **options))  # type: ignore[arg-type]
        return made[-1]

    yield begin
    for process in made:
        process.close()


def test_what_it_returns_is_the_answer(start: Start) -> None:
    answer = start("print('hello')\n    " + RIGHT).solve(PROBLEM, 5.0)
    assert (answer.outcome, answer.power_mw) == (Outcome.VALID, {"hall": (-1.0, -1.0)})
    assert judge(PROBLEM, answer).result is not None


@pytest.mark.parametrize(
    ("body", "outcome", "told"),
    [
        ("1 / 0", Outcome.CRASHED, "ZeroDivisionError"),
        ("import os; os._exit(7)", Outcome.CRASHED, "exit code 7"),
        ("import sys; sys.exit('enough')", Outcome.CRASHED, "it said: enough"),
        ("import os; os.kill(os.getpid(), 11)", Outcome.CRASHED, "signal 11"),
        ("return [1, 2]", Outcome.WRONG_SHAPE, "not this list"),
        ("return {'hall': 'x'}", Outcome.WRONG_SHAPE, "not this dict"),
        ("return None", Outcome.WRONG_SHAPE, "not this NoneType"),
        ("bytearray(8 * 2**30)", Outcome.CRASHED, "MemoryError"),
        (
            "import os, sys; os.write(int(sys.argv[2]), b'x' * 99)",
            Outcome.CRASHED,
            "its process ended",
        ),
        ("import os; os.closerange(3, 99); return {}", Outcome.CRASHED, "its process ended"),
    ],
    ids=[
        "raises",
        "exits",
        "leaves",
        "faults",
        "list",
        "text",
        "none",
        "memory",
        "forges",
        "closes",
    ],
)
def test_whatever_it_does_there_is_an_answer(
    start: Start, body: str, outcome: Outcome, told: str
) -> None:
    answer = start(body).solve(PROBLEM, 5.0)
    assert answer.outcome is outcome
    assert told in answer.reason


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ("return {}", Outcome.WRONG_SHAPE),
        ("return {'hall': [-1.0]}", Outcome.WRONG_SHAPE),
        ("return {'hall': [-1.0, -1.0], 'moon': [0.0, 0.0]}", Outcome.WRONG_SHAPE),
        ("return {'hall': [-1.0, -0.5]}", Outcome.INFEASIBLE),
    ],
    ids=["missing", "short", "unknown", "impossible"],
)
def test_what_is_no_plan_for_the_problem_does_not_hold(
    start: Start, body: str, outcome: Outcome
) -> None:
    verdict = judge(PROBLEM, start(body).solve(PROBLEM, 5.0))
    assert (verdict.outcome, verdict.result) == (outcome, None)
    assert verdict.reason


def test_no_number_is_no_plan(start: Start) -> None:
    # JSON has no word for it, so it does not even get across.
    answer = start("return {'hall': [-1.0, float('nan')]}").solve(PROBLEM, 5.0)
    assert answer.outcome is not Outcome.VALID


def test_a_hang_is_killed_with_what_it_has_started_and_the_next_problem_is_solved(
    start: Start, tmp_path: Path
) -> None:
    mark = tmp_path / "child"
    hang = (
        f"import os, subprocess, time\n    mark = {str(mark)!r}\n"
        "    if not os.path.exists(mark):\n"
        "        child = subprocess.Popen(['sleep', '600'])\n"
        "        open(mark, 'w').write(str(child.pid))\n"
        f"        time.sleep(600)\n    {RIGHT}"
    )
    process = start(hang)
    begun = time.monotonic()
    answer = process.solve(PROBLEM, 0.5)
    assert answer.outcome is Outcome.LATE
    assert time.monotonic() - begun < 0.5 + GRACE_S + 5.0
    child = Path(f"/proc/{mark.read_text()}/stat")
    wait_until(lambda: not child.exists() or " Z " in child.read_text(), within_s=5.0)
    assert process.solve(PROBLEM, 5.0).outcome is Outcome.VALID
    assert process.n_starts == 2


def test_code_that_does_not_load_is_told(start: Start) -> None:
    answer = start(before="import nowhere").solve(PROBLEM, 5.0)
    assert answer.outcome is Outcome.CRASHED
    assert "ModuleNotFoundError" in answer.reason


def test_code_that_never_loads_is_killed(start: Start) -> None:
    slow = start(before="import time; time.sleep(600)", load_s=1.0)
    assert "not loaded within 1 s" in slow.solve(PROBLEM, 5.0).reason


def test_it_sees_no_secret_of_ours(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARKGRID_SECRET", "hush")
    body = "import os; raise ValueError(sorted(os.environ), os.getcwd())"
    reason = start(body).solve(PROBLEM, 5.0).reason
    assert "PARKGRID" not in reason
    assert os.getcwd() not in reason
    assert "PATH" in reason


def test_a_package_brings_its_own_modules(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("optimizer.py", "from helper import solve\n")
        archive.writestr("helper.py", f"def solve(problem, deadline_s):\n    {RIGHT}\n")
    code = OptimizerCode(id="o", file_name="mine.zip", content=packed.getvalue(), environment=None)
    process = SolverProcess(code, tmp_path)
    assert process.solve(PROBLEM, 5.0).outcome is Outcome.VALID
    process.close()


def test_it_runs_in_the_environment_it_names(tmp_path: Path) -> None:
    python = tmp_path / "environments" / "quants" / "bin" / "python"
    python.parent.mkdir(parents=True)
    # Stands for another environment: it shows by a variable that it was this one.
    python.write_text(f'#!/bin/sh\nQUANTS=1 exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    source = f"import os\nassert os.environ['QUANTS']\ndef solve(p, d):\n    {RIGHT}\n"
    code = OptimizerCode(id="o", file_name="mine.py", content=source.encode(), environment="quants")
    process = SolverProcess(code, tmp_path)
    assert process.solve(PROBLEM, 5.0).outcome is Outcome.VALID
    process.close()
    missing = SolverProcess(
        OptimizerCode(id="o", file_name="m.py", content=source.encode(), environment="none"),
        tmp_path,
    )
    assert "environments/none/bin/python" in missing.solve(PROBLEM, 5.0).reason
    missing.close()
