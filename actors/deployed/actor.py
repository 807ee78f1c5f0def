"""The DeployedOptimizerActor: owns the process of one optimizer that somebody deployed.

Nothing of the optimizer's code runs in the actor itself, so it answers whatever that code does. A
process that crashed or was killed is started again with the next problem; after several failures in
a row it rests for a while between trials.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from actors.deployed.process import SolverProcess
from actors.precedence import Precedence
from controllers.kernel.breaker import Breaker
from controllers.optimizers.deployment import OptimizerCode
from controllers.optimizers.scores import N_FAILURES, Outcome
from controllers.optimizers.verdicts import Answer
from optimization.dispatch.problem import DispatchProblem

REST_S = 60.0
"""Between two trials of one that keeps failing."""

_BROKEN = (Outcome.CRASHED, Outcome.LATE)


class DeployedOptimizerActor:
    """Poses problems to one deployed optimizer.

    Args:
        code: what was deployed.
        home: folder of what belongs to optimizers; see ``SolverProcess``.
        rest_s: see ``REST_S``.
    """

    PRECEDENCE = Precedence.BACKGROUND

    def __init__(self, code: OptimizerCode, home: Path, *, rest_s: float = REST_S) -> None:
        self._process = SolverProcess(code, home)
        self._breaker = Breaker(n_failures=N_FAILURES, rest_s=rest_s)
        self._last = ""
        # One thread: it asks one thing at a time, and the process ends with it.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="optimizer")
        loop = asyncio.get_running_loop()
        self._loaded = loop.run_in_executor(self._thread, self._process.start)

    async def solve(self, problem: DispatchProblem, deadline_s: float) -> Answer:
        """Pose a problem and return the answer, whatever it is."""
        loop = asyncio.get_running_loop()
        if not self._breaker.admits(loop.time()):
            reason = f"rests after {N_FAILURES} failures in a row; the last: {self._last}"
            return Answer(outcome=Outcome.CRASHED, reason=reason)
        answer = await loop.run_in_executor(self._thread, self._process.solve, problem, deadline_s)
        if answer.outcome in _BROKEN:
            self._breaker.failed(loop.time())
            self._last = answer.reason
        else:
            self._breaker.succeeded()
        return answer

    async def health(self) -> dict[str, int | float | str | bool]:
        """Return whether its code was loaded, or tried to, and what went wrong last."""
        done = self._loaded.done()
        return {
            "ready": done,
            "starts": self._process.n_starts,
            "problem": self._last or (self._loaded.result() if done else ""),
        }

    async def stop(self) -> None:
        """End the process."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._process.close)
        self._thread.shutdown(wait=False, cancel_futures=True)
