"""Deployed optimizers beside the built-in engine: real processes, whose failures cost no plan."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from actors.deployed.actor import DeployedOptimizerActor
from actors.deployed.bench import Bench, Solvers
from controllers.kernel.ids import SequentialIds
from controllers.kernel.timebase import ManualClock
from controllers.optimizers.deployment import BUILT_IN, OptimizerCode, OptimizerState
from controllers.optimizers.scores import N_FAILURES, Outcome
from controllers.optimizers.verdicts import Answer
from optimization.dispatch.problem import ConnectionPoint, DispatchProblem
from optimization.dispatch.result import DispatchResult
from optimization.dispatch.solve import solve_dispatch
from optimization.dispatch.storage import Battery
from tests.support.optimizers import FakeLedger
from tests.support.waiting import eventually

PROMOTED, SHADOW = OptimizerState.PROMOTED, OptimizerState.SHADOW
PROBLEM = DispatchProblem(
    step_h=(1.0, 1.0),
    points=(ConnectionPoint(name="grid"),),
    import_price_per_mwh=(50.0, 100.0),
    export_price_per_mwh=(50.0, 100.0),
    batteries=(
        Battery(
            name="store",
            point="grid",
            max_charge_mw=1.0,
            max_discharge_mw=1.0,
            initial_mwh=0.0,
            max_mwh=1.0,
        ),
    ),
)
CODE = {
    "idle": "return {'store': [0.0, 0.0]}",
    "half": "return {'store': [-0.5, 0.5]}",
    "cheat": "return {'store': [1.0, 1.0]}",
    "slow": "import time; time.sleep(0.4); return {'store': [-0.5, 0.5]}",
    "crash": "1 / 0",
    "hang": "import time; time.sleep(600)",
    "list": "return [0.0, 0.0]",
    "hog": "return {'store': bytearray(8 * 2**30)}",
    "exit": "import os; os._exit(1)",
}
DEADLINE_S = 0.7


class LocalSolvers(Solvers):
    """The actors of the optimizers, in this process; each still owns a process of its own."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.actors: dict[str, DeployedOptimizerActor] = {}

    def actor(self, optimizer_id: str) -> DeployedOptimizerActor:
        """Return the actor of an optimizer, started if need be."""
        if optimizer_id not in self.actors:
            source = f"def solve(problem, deadline_s):\n    {CODE[optimizer_id]}\n"
            code = OptimizerCode(
                id=optimizer_id, file_name="o.py", content=source.encode(), environment=None
            )
            self.actors[optimizer_id] = DeployedOptimizerActor(code, self._home)
        return self.actors[optimizer_id]

    async def is_ready(self, optimizer_id: str) -> bool:
        """Tell whether its code was loaded, or tried to."""
        return bool((await self.actor(optimizer_id).health())["ready"])

    async def solve(self, optimizer_id: str, problem: DispatchProblem, deadline_s: float) -> Answer:
        """Pose a problem."""
        return await self.actor(optimizer_id).solve(problem, deadline_s)


class World:
    """A bench with its ledger; ``plan`` is what the OptimizerActor does with a live problem."""

    def __init__(self, solvers: LocalSolvers) -> None:
        self.solvers = solvers
        self.ledger = FakeLedger()
        self.n_replans = 0
        self.bench = Bench(
            lambda: self.ledger,
            solvers,
            clock=ManualClock(datetime(2026, 3, 1, 12, 30, tzinfo=UTC)),
            ids=SequentialIds(),
            currency="EUR",
            replan=self.replan,
            look_s=0.02,
        )

    async def replan(self) -> None:
        """Count how often a new plan was asked for, and make it."""
        self.n_replans += 1
        await self.plan()

    async def plan(self) -> DispatchResult:
        """Solve the problem."""

        async def built_in() -> DispatchResult:
            return await asyncio.to_thread(solve_dispatch, PROBLEM, deadline_s=5.0)

        return await self.bench.plan(PROBLEM, built_in, DEADLINE_S)

    async def run(self, optimizer_id: str, state: OptimizerState) -> None:
        """Let an optimizer run; returns once the bench has seen it."""
        self.solvers.actor(optimizer_id)
        await until(lambda: self.bench.health()["optimizers"] == len(self.ledger.running()))
        self.ledger.put(optimizer_id, state)
        promoted = optimizer_id if state is PROMOTED else self.bench.health()["promoted"]
        await until(lambda: self.bench.health()["promoted"] == promoted)
        await until(lambda: self.bench.health()["optimizers"] == len(self.ledger.running()))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(LocalSolvers(tmp_path))
    yield world
    await world.bench.stop()
    for actor in world.solvers.actors.values():
        await actor.stop()


async def until(condition: Callable[[], bool]) -> None:
    await eventually(condition, within_s=15.0)


def cost(result: DispatchResult) -> float:
    assert result.cost is not None
    return round(result.cost, 2)


async def test_without_any_the_built_in_plans(world: World) -> None:
    assert cost(await world.plan()) == -50.0
    assert world.ledger.scores == []


async def test_a_shadow_is_judged_on_the_live_problem_once_and_dispatches_nothing(
    world: World,
) -> None:
    await world.plan()
    await world.run("half", SHADOW)
    await until(lambda: len(world.ledger.scores) == 1)
    (score,) = world.ledger.scores
    assert (score.outcome, score.promoted, score.dispatched) == (Outcome.VALID, False, False)
    assert (score.cost, score.incumbent) == (pytest.approx(-25.0, abs=0.01), BUILT_IN)
    assert score.incumbent_cost == pytest.approx(-50.0)
    assert score.result == pytest.approx(25.0, abs=0.01)
    assert cost(await world.plan()) == -50.0
    await until(lambda: len(world.ledger.scores) == 2)
    assert world.n_replans == 0


async def test_a_promoted_one_plans_at_once_and_a_roll_back_takes_it_out_at_once(
    world: World,
) -> None:
    await world.plan()
    await world.run("half", PROMOTED)
    await until(lambda: world.n_replans == 1 and len(world.ledger.scores) == 1)
    (score,) = world.ledger.scores
    assert (score.promoted, score.dispatched, score.incumbent) == (True, True, BUILT_IN)
    result = await world.plan()
    assert cost(result) == -25.0
    # The built-in's bound tells how far it is from the best.
    assert result.bound == pytest.approx(-50.0, abs=0.1)
    world.ledger.put("half", SHADOW)
    await until(lambda: world.n_replans == 2)
    assert cost(await world.plan()) == -50.0


async def test_who_is_rolled_back_while_it_solves_is_not_dispatched(world: World) -> None:
    await world.run("slow", PROMOTED)
    planning = asyncio.create_task(world.plan())
    await asyncio.sleep(0)
    world.ledger.put("slow", SHADOW)
    await until(lambda: world.bench.health()["promoted"] == BUILT_IN)
    assert cost(await planning) == -50.0
    assert not any(score.promoted for score in world.ledger.scores)


async def test_another_shadow_is_compared_with_the_promoted_one(world: World) -> None:
    await world.plan()
    await world.run("half", PROMOTED)
    await until(lambda: world.n_replans == 1)
    await world.run("idle", SHADOW)
    await until(lambda: len(world.ledger.of("idle")) == 1)
    (score,) = world.ledger.of("idle")
    assert (score.incumbent, score.cost) == ("half", pytest.approx(0.0, abs=0.01))
    assert score.incumbent_cost == pytest.approx(-25.0, abs=0.01)


@pytest.mark.parametrize(
    ("optimizer_id", "outcome"),
    [
        ("crash", Outcome.CRASHED),
        ("exit", Outcome.CRASHED),
        ("hog", Outcome.CRASHED),
        ("hang", Outcome.LATE),
        ("list", Outcome.WRONG_SHAPE),
        ("cheat", Outcome.INFEASIBLE),
    ],
)
async def test_a_promoted_one_that_fails_costs_no_plan_and_is_demoted(
    world: World, optimizer_id: str, outcome: Outcome
) -> None:
    await world.run(optimizer_id, PROMOTED)
    for n in range(1, N_FAILURES + 1):
        begun = asyncio.get_running_loop().time()
        assert cost(await world.plan()) == -50.0
        assert asyncio.get_running_loop().time() - begun < 5.0
        await until(lambda n=n: len(world.ledger.scores) >= n)  # type: ignore[misc]
    assert {score.outcome for score in world.ledger.scores} == {outcome}
    assert not any(score.dispatched for score in world.ledger.scores)
    assert all(score.reason for score in world.ledger.scores)
    await until(lambda: optimizer_id in world.ledger.demoted)
    assert f"{N_FAILURES} plans in a row" in world.ledger.demoted[optimizer_id]
    assert world.bench.health()["promoted"] == BUILT_IN
    assert optimizer_id in str(world.bench.health()["optimizer_problem"])


async def test_a_shadow_that_hangs_delays_no_plan(world: World) -> None:
    await world.plan()
    await world.run("hang", SHADOW)
    await until(lambda: bool(world.bench._seen))
    begun = asyncio.get_running_loop().time()
    await world.plan()
    assert asyncio.get_running_loop().time() - begun < DEADLINE_S
    await until(lambda: len(world.ledger.scores) == 1)
    assert world.ledger.scores[0].outcome is Outcome.LATE


async def test_without_a_database_who_ran_goes_on_and_scores_wait(world: World) -> None:
    await world.run("half", PROMOTED)
    world.ledger.broken = True
    assert cost(await world.plan()) == -25.0
    assert cost(await world.plan()) == -25.0
    assert world.ledger.scores == []
    world.ledger.broken = False
    await until(lambda: len(world.ledger.scores) == 2)
