"""What waits for the disk: effects and answers that must not happen before their state is durable.

One flush serves all that gathered since the last one. While the store takes no writes, everything
stays, in order and bounded: of records the oldest go first, counted, and effects that have waited
for long are not performed any more, since what repeats has meanwhile been decided anew.
"""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from datetime import datetime
from typing import Generic, TypeVar

from controllers.control.events import Effect, Record
from controllers.kernel.wire import encode
from controllers.ports.actors import ActorStore

MAX_RECORDS = 5_000
MAX_EFFECTS = 1_000
EFFECT_MAX_WAIT_S = 5.0

AnswerT = TypeVar("AnswerT")


class Journal(Generic[AnswerT]):
    """Gathers one actor's decisions between flushes."""

    def __init__(self) -> None:
        self._must_flush = False
        self._records: deque[tuple[str, datetime, bytes]] = deque(maxlen=MAX_RECORDS)
        self._effects: deque[tuple[float, Effect]] = deque(maxlen=MAX_EFFECTS)
        self._answers: list[tuple[asyncio.Future[AnswerT], AnswerT]] = []
        self.n_commits = 0
        self.n_given_up = 0
        self.slowest_commit_s = 0.0

    @property
    def must_flush(self) -> bool:
        """Whether something waits that may only happen after a flush."""
        return self._must_flush

    @property
    def owes(self) -> bool:
        """Whether somebody waits for an answer."""
        return bool(self._answers)

    @property
    def has_records(self) -> bool:
        """Whether facts wait, in haste or not."""
        return bool(self._records)

    def add(self, effects: list[Effect], *, durable: bool) -> None:
        """Take in the effects of one decision."""
        self._must_flush |= durable
        now_s = asyncio.get_running_loop().time()
        for effect in effects:
            if isinstance(effect, Record):
                self.n_given_up += len(self._records) == MAX_RECORDS
                self._records.append((effect.kind, effect.at, encode(effect.data)))
            else:
                self.n_given_up += len(self._effects) == MAX_EFFECTS
                self._effects.append((now_s, effect))

    def owe(self, caller: asyncio.Future[AnswerT], answer: AnswerT) -> None:
        """Take in an answer that is due once its decision is durable."""
        self._answers.append((caller, answer))

    async def flush(self, store: ActorStore, epoch: int, state: object) -> None:
        """Make the state and all records durable.

        What somebody is told must survive the loss of power, and a thread waits for the disk. A
        set-point on its own way need not: its lifetime has ended at the device before the machine
        is back. It is written at once, in a fraction of a millisecond, because on a busy machine
        the way to a thread and back costs two turns of the scheduler.

        Raises:
            StorageUnavailableError: nothing was written and everything still waits.
            FencedError: a successor has taken over; nothing of this may happen any more.
        """
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        records = list(self._records)
        commit = functools.partial(store.commit, epoch, encode(state), records, flush=self.owes)
        if self.owes:
            await asyncio.to_thread(commit)
        else:
            commit()
        self._records.clear()
        self._must_flush = False
        self.n_commits += 1
        self.slowest_commit_s = max(self.slowest_commit_s, loop.time() - began_s)

    def release(self) -> list[Effect]:
        """Answer who waited, and return the effects to perform; call when all is durable."""
        for caller, answer in self._answers:
            if not caller.done():
                caller.set_result(answer)
        since_s = asyncio.get_running_loop().time() - EFFECT_MAX_WAIT_S
        effects = [effect for added_s, effect in self._effects if added_s >= since_s]
        self.n_given_up += len(self._effects) - len(effects)
        self._answers.clear()
        self._effects.clear()
        return effects

    def abandon(self, error: Exception) -> None:
        """Tell who waited that nothing will come of it."""
        for caller, _ in self._answers:
            if not caller.done():
                caller.set_exception(error)
        self._answers.clear()
