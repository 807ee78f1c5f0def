"""A pool of workers on Ray: the same answers as here, as many workers as calls need, none lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from actors import runtime
from actors.optimizer_pool import OptimizerPool
from cluster.solve.problem_json import encode_problem
from optimization.decomposed.answers import answer
from optimization.decomposed.pool import Here
from optimization.decomposed.portfolio import decidable, divide
from optimization.dispatch.solve import solve_dispatch
from tests.support.portfolio import portfolio
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]


@dataclass(frozen=True)
class Job:
    """What the functions below get as their shared value."""

    pause_s: float = 0.0
    marks: str = ""


def who(job: Job, number: int) -> tuple[int, int]:
    time.sleep(job.pause_s)
    return number, os.getpid()


def die_once(job: Job, number: int) -> int:
    mark = Path(job.marks) / str(number)
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.fixture
def pool(ray_cluster: str) -> Iterator[OptimizerPool]:
    made = OptimizerPool(2, idle_s=0.5)
    yield made
    made.close()
    wait_until(
        lambda: not any(name.startswith("optimizer-worker") for name in runtime.list_names()),
        within_s=20,
    )


def test_workers_answer_prices_as_this_process_does(pool: OptimizerPool) -> None:
    problem = portfolio(600, 0, n_steps=24)
    blocks = divide(problem, decidable(problem)).blocks
    price = np.array([problem.import_price_per_mwh])
    here, there = (
        where.run(answer, [(where.share(block), price) for block in blocks])
        for where in (Here(), pool)
    )
    assert len(blocks) > 1
    for mine, theirs in zip(here, there, strict=True):
        np.testing.assert_array_equal(mine.least, theirs.least)
        np.testing.assert_array_equal(mine.one_way[1], theirs.one_way[1])


def test_the_engine_lets_the_pool_compute(pool: OptimizerPool) -> None:
    problem = portfolio(600, 0, n_steps=24)
    here, there = (solve_dispatch(problem, deadline_s=60.0, pool=where) for where in (None, pool))
    assert here.cost == there.cost
    assert len(pool) == 2


def test_it_grows_with_its_queue_and_shrinks_when_idle(pool: OptimizerPool) -> None:
    job = pool.share(Job(pause_s=0.2))
    assert len(pool) == 0
    assert [number for number, _ in pool.run(who, [(job, 0)])] == [0]
    assert len(pool) == 1
    answers = pool.run(who, [(job, number) for number in range(6)])
    assert [number for number, _ in answers] == list(range(6))
    assert len({pid for _, pid in answers}) == len(pool) == 2
    time.sleep(0.6)
    pool.run(who, [(job, 0)])
    assert len(pool) == 1


def test_a_worker_that_dies_is_replaced_and_its_call_made_again(
    pool: OptimizerPool, tmp_path: Path
) -> None:
    job = pool.share(Job(marks=str(tmp_path)))
    assert pool.run(die_once, [(job, number) for number in range(3)]) == [0, 1, 2]
    assert len(list(tmp_path.iterdir())) == 3


def test_the_command_solves_a_large_problem_with_workers(tmp_path: Path) -> None:
    file, out = tmp_path / "problem.json", tmp_path / "result.json"
    file.write_bytes(encode_problem(portfolio(420, 2, n_steps=24)))
    command = "from cluster.cli import app; app()"
    arguments = ["solve", str(file), "--workers", "2", "--json", str(out)]
    done = subprocess.run(
        [sys.executable, "-c", command, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:2] == ["status", "optimal"]
    assert len(json.loads(out.read_text())["schedules"]) == 422
