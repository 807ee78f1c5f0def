"""The OptimizerActor: keeps the park's day planned and hands each aggregate its members' part.

The built-in engine plans, and beside it the optimizers that people deployed (``actors.deployed``).
It plans once every resource has answered (or the first wait is over), again every ``REPLAN_S`` and
at every quarter hour, from the twins' measured states. Solving runs in a thread with a deadline; a
solve that fails leaves what is left of the last plan, labelled degraded.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta

from actors import runtime
from actors.deployed.bench import Bench, Solvers
from actors.precedence import Precedence
from actors.tasks import end
from controllers.aggregation.checkpoint import MemberPlan
from controllers.kernel.errors import ActorUnavailableError, NotFoundError, ParkgridError
from controllers.kernel.ids import RandomIds
from controllers.kernel.timebase import QUARTER_HOUR, Clock, SystemClock, floor_to
from controllers.park import ParkDefinition
from controllers.planning.forecast import forecast_park
from controllers.planning.horizon import plan_horizon
from controllers.planning.park_plan import ParkPlan
from controllers.planning.pose import PosedPark, pose_park
from controllers.planning.read import read_plan
from controllers.ports.optimizers import OptimizerLedgerFactory
from controllers.resources.kinds import build_twin
from controllers.resources.twin import TwinState
from controllers.supervision import aggregate_actor, resource_actor
from optimization.dispatch.previous import PreviousPlan
from optimization.dispatch.problem import DispatchProblem
from optimization.dispatch.result import DispatchResult
from optimization.warm_start import WarmStart

logger = logging.getLogger(__name__)

REPLAN_S = 300.0
SOLVE_DEADLINE_S = 10.0
FIRST_WAIT_S = 10.0
"""How long the first plan waits for resources that have not been measured yet."""

_RETRY_S = 1.0
_SOLVER_NICENESS = 10


class OptimizerActor:
    """Plans one park on a rolling horizon.

    Args:
        park: the park.
        open_optimizers: opens the book of deployed optimizers.
        new_clock: makes the clock; another one only in simulated time.
    """

    PRECEDENCE = Precedence.BACKGROUND

    def __init__(
        self,
        park: ParkDefinition,
        open_optimizers: OptimizerLedgerFactory,
        *,
        new_clock: Callable[[], Clock] = SystemClock,
    ) -> None:
        self._park = park
        self._clock = new_clock()
        self._twins = {r.id: build_twin(r.kind, r.parameters) for r in park.resources}
        self._plan: ParkPlan | None = None
        self._warm = WarmStart()
        self._n_plans = 0
        self._problem = ""
        self._one_at_a_time = asyncio.Lock()
        self._bench = Bench(
            open_optimizers,
            Solvers(),
            clock=self._clock,
            ids=RandomIds(self._clock),
            currency=park.currency.value,
            replan=self.replan,
        )
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def plan(self) -> ParkPlan | None:
        """Return the plan in force; None before the first."""
        return self._plan

    async def replan(self) -> ParkPlan:
        """Plan from the present states and hand the parts out; return the plan."""
        async with self._one_at_a_time:
            posed = await asyncio.to_thread(self._pose, await self._states())
            result = await self._ask(posed)
            plan = self._plan = read_plan(posed, result, self._plan)
            self._n_plans += 1
            await self._hand_out(plan)
            return plan

    async def health(self) -> dict[str, int | float | str | bool]:
        """Return how the last plan came about."""
        plan = self._plan
        return {
            "ready": plan is not None,
            "plans": self._n_plans,
            "status": plan.status if plan else "",
            "degraded": bool(plan and plan.degraded),
            "solve_s": plan.solve_s if plan else 0.0,
            # Not a number while nothing is proven.
            "gap_frac": plan.gap_frac if plan and plan.gap_frac is not None else float("nan"),
            "breaches": len(plan.breaches) if plan else 0,
            "problem": self._problem,
            **self._bench.health(),
        }

    async def stop(self) -> None:
        """Plan no more."""
        await end(self._task)
        await self._bench.stop()

    async def _run(self) -> None:
        await self._wait_for_measurements()
        while True:
            try:
                await self.replan()
                self._problem = ""
                pause_s = self._until_next()
            except ParkgridError as error:
                self._note(str(error))
                pause_s = _RETRY_S
            except Exception as error:
                logger.exception("planning failed")
                self._note(f"{type(error).__name__}: {error}")
                pause_s = REPLAN_S
            await asyncio.sleep(pause_s)

    def _note(self, problem: str) -> None:
        if not self._problem:
            logger.warning("no new plan: %s", problem)
        self._problem = problem

    async def _wait_for_measurements(self) -> None:
        deadline_at = self._clock.now() + timedelta(seconds=FIRST_WAIT_S)
        while self._clock.now() < deadline_at:
            if len(await self._states()) == len(self._park.resources):
                return
            await asyncio.sleep(_RETRY_S)

    def _until_next(self) -> float:
        now = self._clock.now()
        quarter = floor_to(now, QUARTER_HOUR) + QUARTER_HOUR
        return min(REPLAN_S, (quarter - now).total_seconds() + _RETRY_S)

    async def _states(self) -> dict[str, TwinState]:
        """Return the states of all resources that have been measured."""

        async def one(resource_id: str) -> TwinState | None:
            name = resource_actor(resource_id)
            try:
                handle = await asyncio.to_thread(runtime.find, name)
                state: TwinState = await runtime.call(handle, "twin_state", actor_id=name)
            except (ActorUnavailableError, NotFoundError):
                return None
            return state if state.measured_at is not None else None

        ids = [r.id for r in self._park.resources]
        answers = await asyncio.gather(*(one(id_) for id_ in ids))
        return {id_: state for id_, state in zip(ids, answers, strict=True) if state is not None}

    def _pose(self, states: Mapping[str, TwinState]) -> PosedPark:
        now = self._clock.now()
        forecasts = forecast_park(self._park, self._twins, states, plan_horizon(now))
        return pose_park(self._park, self._twins, states, forecasts, now=now, previous=self._plan)

    async def _ask(self, posed: PosedPark) -> DispatchResult:
        """Return the answer to a problem, whatever happens: the seam between asking and reading."""

        async def built_in() -> DispatchResult:
            return await asyncio.to_thread(_solve, posed.problem, posed.previous, self._warm)

        return await self._bench.plan(posed.problem, built_in, SOLVE_DEADLINE_S)

    async def _hand_out(self, plan: ParkPlan) -> None:
        for aggregate_id, part in member_plans(self._park, plan).items():
            name = aggregate_actor(aggregate_id)
            try:
                handle = await asyncio.to_thread(runtime.find, name)
                await runtime.call(handle, "set_plan", part, actor_id=name)
            except NotFoundError as error:
                raise ActorUnavailableError(name) from error


def _solve(
    problem: DispatchProblem, previous: PreviousPlan | None, warm: WarmStart
) -> DispatchResult:
    # The solver is heavy to import, and the Supervisor imports this module too.
    from controllers.planning.engine import answer  # noqa: PLC0415

    if sys.platform == "linux":
        # Of this thread only: live control goes before planning.
        os.setpriority(os.PRIO_PROCESS, 0, _SOLVER_NICENESS)
    return answer(problem, deadline_s=SOLVE_DEADLINE_S, previous=previous, warm=warm)


def member_plans(park: ParkDefinition, plan: ParkPlan) -> dict[str, MemberPlan]:
    """Return, by aggregate, the set-points of the resources that have their home in it."""
    homes = {r.id: parents[0] for r in park.resources if (parents := park.parents_of(r.id))}
    return {
        aggregate.id: MemberPlan(
            plan_id=f"{park.id}-{plan.made_at:%Y%m%dT%H%M%S}",
            start_at=plan.start_at,
            step_s=plan.period_s,
            setpoints_kw={
                id_: values
                for id_, values in plan.setpoints_kw.items()
                if homes.get(id_) == aggregate.id
            },
        )
        for aggregate in park.aggregates
    }
