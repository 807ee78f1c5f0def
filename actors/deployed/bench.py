"""The deployed optimizers beside the built-in engine: who plans, who is only watched, who failed.

The built-in engine solves every live problem. A promoted optimizer solves it at the same time; its
plan is taken where it holds, else the built-in's. Shadows solve it afterwards, one after the other,
and are compared with the plan in force, which never waits for them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from actors import runtime
from actors.deployed.process import GRACE_S
from actors.tasks import end
from controllers.kernel.errors import (
    ActorUnavailableError,
    NotFoundError,
    ParkgridError,
)
from controllers.kernel.ids import IdSource
from controllers.kernel.timebase import Clock
from controllers.optimizers.deployment import BUILT_IN, Optimizer, OptimizerState
from controllers.optimizers.scores import N_FAILURES, Outcome, Score
from controllers.optimizers.verdicts import Answer, Verdict, bounded_by, score_of
from controllers.ports.optimizers import OptimizerLedger, OptimizerLedgerFactory
from controllers.supervision import optimizer_actor
from optimization.dispatch.problem import DispatchProblem
from optimization.dispatch.result import DispatchResult, DispatchStatus

logger = logging.getLogger(__name__)

LOOK_S = 2.0
"""How often it is looked who runs; a roll-back takes effect about so soon."""

_CALL_SLACK_S = 1.0
_MAX_UNRECORDED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A live problem, and the plan that came of it."""

    problem: DispatchProblem
    at: datetime
    deadline_s: float
    by: str
    """Whose plan it is: an optimizer's id, or ``built-in``."""
    result: DispatchResult


class Solvers:
    """The actors of the deployed optimizers, in the cluster this process has joined."""

    async def is_ready(self, optimizer_id: str) -> bool:
        """Tell whether its code was loaded, or tried to."""
        name = optimizer_actor(optimizer_id)
        try:
            handle = await asyncio.to_thread(runtime.find, name)
            health = await runtime.call(handle, "health", actor_id=name)
        except (ActorUnavailableError, NotFoundError):
            return False
        return bool(health["ready"])

    async def solve(self, optimizer_id: str, problem: DispatchProblem, deadline_s: float) -> Answer:
        """Pose a problem; an actor that is not there did not answer."""
        name = optimizer_actor(optimizer_id)
        limit_s = deadline_s + GRACE_S + _CALL_SLACK_S
        try:
            handle = await asyncio.to_thread(runtime.find, name)
            answer: Answer = await runtime.call(
                handle, "solve", problem, deadline_s, deadline_s=limit_s, actor_id=name
            )
        except (ActorUnavailableError, NotFoundError) as error:
            return Answer(outcome=Outcome.LATE, reason=str(error), solve_s=deadline_s)
        return answer


class Bench:
    """Who runs beside the built-in engine; build it inside a running event loop.

    Args:
        open_ledger: opens the database; called in a thread.
        solvers: reach the optimizers.
        clock: gives the instants of scores.
        ids: of scores.
        currency: of the park.
        replan: makes a new plan; called when another one is promoted than before.
        look_s: see ``LOOK_S``.
    """

    def __init__(
        self,
        open_ledger: OptimizerLedgerFactory,
        solvers: Solvers,
        *,
        clock: Clock,
        ids: IdSource,
        currency: str,
        replan: Callable[[], Awaitable[object]],
        look_s: float = LOOK_S,
    ) -> None:
        self._open_ledger = open_ledger
        self._solvers = solvers
        self._clock = clock
        self._ids = ids
        self._currency = currency
        self._replan = replan
        self._look_s = look_s
        self._ledger: OptimizerLedger | None = None
        self._revision = -1
        self._running: dict[str, Optimizer] = {}
        self._promoted: str | None = None
        self._n_failures = 0
        self._demoting: dict[str, str] = {}
        """Why, by id: what is not in the database yet."""
        self._planned: Planned | None = None
        self._seen: dict[str, Planned] = {}
        """By shadow, the last problem it was given."""
        self._unrecorded: deque[Score] = deque(maxlen=_MAX_UNRECORDED)
        self._problem = ""
        self._showing: asyncio.Task[None] | None = None
        self._task = asyncio.get_running_loop().create_task(self._run())

    def health(self) -> dict[str, int | float | str | bool]:
        """Return who is promoted, how many run, and what went wrong last."""
        return {
            "promoted": self._promoted or BUILT_IN,
            "optimizers": len(self._running),
            "promoted_failures": self._n_failures,
            "optimizer_problem": self._problem,
        }

    async def plan(
        self,
        problem: DispatchProblem,
        built_in: Callable[[], Awaitable[DispatchResult]],
        deadline_s: float,
    ) -> DispatchResult:
        """Return the plan to dispatch: the promoted optimizer's where it holds, or the built-in's.

        Args:
            problem: checked.
            built_in: solves it here.
            deadline_s: of both; judging an answer may take a few seconds more.
        """
        at, promoted = self._clock.now(), self._promoted
        if promoted is None:
            by, result = BUILT_IN, await built_in()
        else:
            own, verdict = await asyncio.gather(
                built_in(), self._verdict(promoted, problem, deadline_s)
            )
            by, result = BUILT_IN, own
            # Who was taken out of force meanwhile is not dispatched any more; and what has no
            # solution is nobody's failure.
            if promoted == self._promoted and own.status is not DispatchStatus.INFEASIBLE:
                if verdict.result is not None:
                    by, result = promoted, bounded_by(verdict.result, own)
                self._note(promoted, verdict, at, own, promoted=True)
        if result.feasible:
            self._planned = Planned(
                problem=problem, at=at, deadline_s=deadline_s, by=by, result=result
            )
        return result

    async def stop(self) -> None:
        """Look no more."""
        await end(self._task, *([self._showing] if self._showing else []))

    async def _run(self) -> None:
        changed = False
        while True:
            try:
                changed = await self._look() or changed
                if changed:
                    await self._replan()
                    changed = False
                self._show()
            except ParkgridError as error:
                # Whoever ran goes on running; what is to be recorded or handed out waits.
                logger.debug("optimizers are not looked after: %s", error)
            except Exception:
                logger.exception("looking after the optimizers failed")
            await asyncio.sleep(self._look_s)

    async def _look(self) -> bool:
        """Write what is to be written and read who runs; tell whether who plans has changed."""
        if self._ledger is None:
            self._ledger = await asyncio.to_thread(self._open_ledger)
        for optimizer_id, reason in list(self._demoting.items()):
            await asyncio.to_thread(self._ledger.demote, optimizer_id, reason)
            del self._demoting[optimizer_id]
        if self._unrecorded:
            scores = list(self._unrecorded)
            await asyncio.to_thread(self._ledger.record, scores)
            for _ in scores:
                self._unrecorded.popleft()
        revision = await asyncio.to_thread(self._ledger.revision)
        if revision == self._revision:
            return False
        running = await asyncio.to_thread(self._ledger.running)
        first, before = self._revision < 0, self._promoted
        self._revision = revision
        self._running = {optimizer.id: optimizer for optimizer in running}
        self._seen = {id_: seen for id_, seen in self._seen.items() if id_ in self._running}
        states = {optimizer.state: optimizer.id for optimizer in running}
        self._promoted = states.get(OptimizerState.PROMOTED)
        if self._promoted == before:
            return False
        self._n_failures = 0
        logger.info("%s plans from now on", self._promoted or BUILT_IN)
        # At the start the first plan is on its way anyway, unless it was made without.
        return not first or self._planned is not None

    def _show(self) -> None:
        """Give the live problem to the shadows that have not had it, unless they are at one."""
        if self._planned is not None and (self._showing is None or self._showing.done()):
            self._showing = asyncio.create_task(self._show_all(self._planned))

    async def _show_all(self, planned: Planned) -> None:
        for optimizer in list(self._running.values()):
            id_ = optimizer.id
            shadows = optimizer.state is OptimizerState.SHADOW and id_ in self._running
            if not shadows or self._seen.get(id_) is planned:
                continue
            if not await self._solvers.is_ready(id_):
                continue
            self._seen[id_] = planned
            verdict = await self._verdict(id_, planned.problem, planned.deadline_s)
            self._note(id_, verdict, planned.at, planned.result, by=planned.by)

    async def _verdict(
        self, optimizer_id: str, problem: DispatchProblem, deadline_s: float
    ) -> Verdict:
        try:
            answer = await self._solvers.solve(optimizer_id, problem, deadline_s)
            return await asyncio.to_thread(_judge, problem, answer)
        except Exception as error:
            # Whatever goes wrong around a deployed optimizer, the built-in's plan goes out.
            logger.exception("optimizer %s could not be judged", optimizer_id)
            reason = f"it could not be judged: {type(error).__name__}"
            return Verdict(outcome=Outcome.CRASHED, reason=reason, solve_s=0.0, result=None)

    def _note(
        self,
        optimizer_id: str,
        verdict: Verdict,
        at: datetime,
        beside: DispatchResult,
        *,
        by: str = BUILT_IN,
        promoted: bool = False,
    ) -> None:
        score = score_of(
            verdict,
            id_=self._ids.new("score"),
            optimizer_id=optimizer_id,
            at=at,
            currency=self._currency,
            promoted=promoted,
            incumbent=by,
            beside=beside,
        )
        self._unrecorded.append(score)
        if verdict.outcome is Outcome.VALID:
            self._n_failures = 0 if promoted else self._n_failures
            return
        told = f"{optimizer_id}: {verdict.outcome}: {verdict.reason}"
        logger.log(logging.WARNING if promoted else logging.INFO, "no plan of %s", told)
        if promoted:
            self._problem = told
            self._n_failures += 1
            if self._n_failures >= N_FAILURES:
                self._demote(optimizer_id, verdict)

    def _demote(self, optimizer_id: str, verdict: Verdict) -> None:
        reason = f"{N_FAILURES} plans in a row failed; the last: {verdict.outcome}"
        logger.error("%s is demoted: %s; the built-in engine plans", optimizer_id, reason)
        # At once here; the database follows, however long that takes.
        self._demoting[optimizer_id] = f"{reason}: {verdict.reason}"[:500]
        self._promoted = None
        self._n_failures = 0


def _judge(problem: DispatchProblem, answer: Answer) -> Verdict:
    # Judging takes a solver, heavy to import; and the Supervisor imports this module too.
    from controllers.optimizers.judging import judge  # noqa: PLC0415

    return judge(problem, answer)
