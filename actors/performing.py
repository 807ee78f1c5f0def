"""Carries out the effects of an actor's decisions, each in a task of its own.

A state that holds no new measurement is published a moment later, the last one only: what follows
from one command shows in one message, and the commands themselves have gone first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine

from actors.logs import about_command
from actors.tasks import end
from controllers.control.events import Effect, PublishState
from controllers.kernel.errors import DeviceUnreachableError

logger = logging.getLogger(__name__)

GATHER_STATES_S = 0.15
"""Longer than a burst of commands to many resources takes, answers included."""


class Performing:
    """The effects of one actor; build it inside a running event loop.

    Args:
        actor_id: names the actor in the log.
        perform: carries out one effect; DeviceUnreachableError when it cannot.
    """

    def __init__(
        self, actor_id: str, perform: Callable[[Effect], Coroutine[None, None, None]]
    ) -> None:
        self._actor_id = actor_id
        self._perform = perform
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._unpublished: PublishState | None = None
        self._publisher: asyncio.TimerHandle | None = None
        self.n_unperformed = 0

    def begin(self, effect: Effect, *, at_once: bool) -> None:
        """Carry out an effect, in the order of the calls but for states that can wait.

        Args:
            effect: what to do.
            at_once: nothing waits, because somebody was told and will look.
        """
        if not isinstance(effect, PublishState):
            self._start(effect)
        elif effect.sampled or at_once:
            self._unpublished = None
            self._start(effect)
        else:
            self._unpublished = effect
            if self._publisher is None:
                self._publisher = self._loop.call_later(GATHER_STATES_S, self._publish)

    async def stop(self) -> None:
        """Give up what is not done."""
        if self._publisher is not None:
            self._publisher.cancel()
        self._publisher = self._unpublished = None
        await end(*self._tasks)

    def _publish(self) -> None:
        self._publisher = None
        effect, self._unpublished = self._unpublished, None
        if effect is not None:
            self._start(effect)

    def _start(self, effect: Effect) -> None:
        with about_command(effect):
            task = self._loop.create_task(self._perform(effect))
            task.add_done_callback(self._done)
        self._tasks.add(task)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        self.n_unperformed += 1
        if isinstance(error, DeviceUnreachableError):
            # The link has told once that it is down; this many lines are for who looks for one.
            logger.debug("%s: not sent: %s", self._actor_id, error)
        else:
            logger.error("%s: an effect failed", self._actor_id, exc_info=error)
