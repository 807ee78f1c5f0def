"""What every live actor shares: a mailbox, a clock, a fenced store, and commit before effect.

A turn takes whatever waits (calls first, then a due tick, then a bounded number of messages from
the link), runs the pure decision on each, makes the result durable once for all of them when any
asked for it, and only then performs the effects and answers the calls. While the disk is busy with
what a caller waits for, the next turn's work gathers, so that one flush serves many.

Mailbox: at most ``MAX_CALLS`` calls wait, the next is refused with ActorUnavailableError; ticks
coalesce; messages wait in the link under the policies of ``actors.links.inbox``. While the store
does not take writes, effects and answers wait with it, and callers get StorageUnavailableError at
their deadline; devices fall back by the lifetime of what they last received.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import random
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from actors.journal import Journal
from actors.logs import about_command
from actors.performing import Performing
from actors.tasks import end
from controllers.control.events import Effect, Event, Tick
from controllers.kernel.errors import (
    ActorUnavailableError,
    FencedError,
    ParkgridError,
    StorageUnavailableError,
)
from controllers.kernel.timebase import Clock
from controllers.ports.actors import ActorStore, OutboxRecord

logger = logging.getLogger(__name__)

MAX_CALLS = 256
MESSAGES_PER_TURN = 64
CALL_DEADLINE_S = 4.0
"""Shorter than what callers wait for, so that they learn the reason."""
CHECKPOINT_EVERY_S = 10.0
"""State that no decision asked to make durable is written this often."""

GATHER_RECORDS_S = 5.0
"""Whoever waits for records gets those of one to two such spans: not from all at one instant."""

_STORE_RETRY_S = 0.5
_RESTART_PAUSE_S = 1.0

StateT = TypeVar("StateT")
StateT_co = TypeVar("StateT_co", covariant=True)


class Outcome(Protocol[StateT_co]):
    """What a decision returns."""

    @property
    def state(self) -> StateT_co:
        """State after the event; a wire value, so that it can be a checkpoint."""
        ...

    @property
    def effects(self) -> list[Effect]:
        """What to do about it, in order."""
        ...

    @property
    def durable(self) -> bool:
        """Whether the state must be on disk before the effects happen."""
        ...


class Logic(Protocol[StateT]):
    """The pure part that a host gives life to."""

    def resume(self, epoch: int, checkpoint: bytes | None, now: datetime) -> Outcome[StateT]:
        """Return the first state of this epoch and what to do at once."""
        ...

    def decide(self, state: StateT, event: Event, now: datetime) -> Outcome[StateT]:
        """Return what an event changes; refuses with an error of the kernel's family."""
        ...


class Link(Protocol):
    """The host's connection to the outside; sets the host's ``wake`` when something arrived."""

    def drain(self, limit: int) -> list[Event]:
        """Return and forget up to ``limit`` received events."""
        ...

    def perform(self, effect: Effect) -> Coroutine[None, None, None]:
        """Carry out one effect; DeviceUnreachableError when it cannot."""
        ...

    async def run(self, admit: Callable[[], Awaitable[None]]) -> None:
        """Keep the connection up until cancelled; await ``admit`` before each connect."""
        ...

    def metrics(self) -> dict[str, int]:
        """Return counters."""
        ...


class Host(Generic[StateT]):
    """The shell of one actor; build it inside a running event loop.

    Args:
        actor_id: names the actor in errors.
        open_store: opens the actor's store; called in a thread.
        clock: tells ``now`` to decisions.
        logic: the pure part.
        link: the outside.
        wake: what the link sets.
        tick_s: longest time between two ticks.
    """

    def __init__(
        self,
        actor_id: str,
        *,
        open_store: Callable[[], ActorStore],
        clock: Clock,
        logic: Logic[StateT],
        link: Link,
        wake: asyncio.Event,
        tick_s: float = 1.0,
    ) -> None:
        self._actor_id = actor_id
        self._open_store = open_store
        self._clock = clock
        self._logic = logic
        self._link = link
        self._wake = wake
        self._tick_s = tick_s
        self._tick_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._calls: deque[tuple[Event, asyncio.Future[StateT]]] = deque()
        self._journal = Journal[StateT]()
        self._written_at_s = 0.0
        self._store_ok = True
        self._counts = dict.fromkeys(("events", "calls", "refused", "crashed"), 0)
        self._ready = asyncio.Event()
        self._recorded = asyncio.Event()
        self._failure: ParkgridError | None = None
        self._store: ActorStore | None = None
        self._state: StateT
        self._epoch = 0
        self._performing = Performing(actor_id, link.perform)
        self._loop = asyncio.get_running_loop()
        self._main = self._loop.create_task(self._live())

    async def ready(self, deadline_s: float = CALL_DEADLINE_S) -> int:
        """Wait until the state is restored; return the epoch of this life.

        Raises:
            ActorUnavailableError: not restored in time, or broken.
            FencedError: a successor has taken over.
        """
        try:
            await asyncio.wait_for(self._ready.wait(), deadline_s)
        except TimeoutError as error:
            raise ActorUnavailableError(self._actor_id) from error
        if self._failure is not None:
            raise self._failure
        return self._epoch

    async def call(self, event: Event, deadline_s: float = CALL_DEADLINE_S) -> StateT:
        """Decide on an event for a caller; return the state once it is durable.

        Raises:
            ActorUnavailableError: not ready, or too many calls wait.
            StorageUnavailableError: the store did not take it in time; it may still come to pass.
            ParkgridError: the decision refused; nothing changed.
        """
        await self.ready(deadline_s)
        if len(self._calls) >= MAX_CALLS:
            raise ActorUnavailableError(self._actor_id)
        answer: asyncio.Future[StateT] = self._loop.create_future()
        self._calls.append((event, answer))
        self._wake.set()
        try:
            return await asyncio.wait_for(answer, deadline_s)
        except TimeoutError as error:
            raise StorageUnavailableError(f"{self._actor_id}: not durable in time") from error

    async def state(self) -> StateT:
        """Return the state as of now, durable or not."""
        await self.ready()
        return self._state

    async def store(self) -> tuple[ActorStore, int]:
        """Return the store and the epoch to write under; it blocks, so use it in threads."""
        await self.ready()
        return self._writable()

    async def outbox(self, limit: int, confirmed: int, wait_s: float) -> list[OutboxRecord]:
        """Return the oldest records not yet confirmed; wait for some while there are none.

        Args:
            limit: how many at most.
            confirmed: sequence number up to which, inclusive, records are forgotten first.
            wait_s: how long to wait; 0 returns at once.
        """
        store, _ = await self.store()
        if confirmed:
            await asyncio.to_thread(store.confirm, confirmed)
        self._recorded.clear()
        pending = await asyncio.to_thread(store.pending, limit)
        if pending or not wait_s:
            return pending
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._recorded.wait(), wait_s)
            await asyncio.sleep(GATHER_RECORDS_S * random.SystemRandom().uniform(1.0, 2.0))
        return await asyncio.to_thread(store.pending, limit)

    def health(self) -> dict[str, int | float | str | bool]:
        """Return what a supervisor and a metrics page want to know."""
        return {
            "actor_id": self._actor_id,
            "pid": os.getpid(),
            "ready": self._ready.is_set() and self._failure is None,
            "failure": str(self._failure or ""),
            "epoch": self._epoch,
            "store_ok": self._store_ok,
            "calls_waiting": len(self._calls),
            "commits": self._journal.n_commits,
            "slowest_commit_s": self._journal.slowest_commit_s,
            "given_up": self._journal.n_given_up,
            **self._counts,
            "unperformed": self._performing.n_unperformed,
            **self._link.metrics(),
        }

    async def stop(self) -> None:
        """End in order: no more turns, link closed, last state written, store released."""
        await end(self._main)
        if self._ready.is_set() and self._failure is None:
            with contextlib.suppress(ParkgridError):
                await self._flush()
        if self._store is not None:
            await asyncio.to_thread(self._store.close)
        self._fail(ActorUnavailableError(self._actor_id))

    async def _live(self) -> None:
        while self._failure is None:
            try:
                await self._one_life()
            except FencedError as error:
                logger.warning("%s: %s; this actor ends", self._actor_id, error)
                self._fail(error)
            except Exception:
                # Restoring from the checkpoint is the one tested way out of an unknown state.
                logger.exception("%s: the host broke and starts over", self._actor_id)
                self._ready.clear()
                await asyncio.sleep(_RESTART_PAUSE_S)

    async def _one_life(self) -> None:
        await self._restore()
        link = self._loop.create_task(self._link.run(self._admit))
        link.add_done_callback(lambda _: self._wake.set())
        self._ready.set()
        # What stands now stays; looking through it again and again would cost more than control.
        gc.collect()
        gc.freeze()
        self._make_tick_due()
        try:
            while not link.done():
                await self._turn()
                await self._rest()
            link.result()
        finally:
            if self._timer is not None:
                self._timer.cancel()
            await self._performing.stop()
            await end(link)

    async def _restore(self) -> None:
        while True:
            try:
                checkpoint = await asyncio.to_thread(self._open_and_load)
                break
            except StorageUnavailableError as error:
                self._note_store(error)
                await asyncio.sleep(_STORE_RETRY_S)
        self._note_store(None)
        # What resuming wants done waits for the first turn like everything else.
        self._accept(self._logic.resume(self._epoch, checkpoint, self._clock.now()))

    def _open_and_load(self) -> bytes | None:
        if self._store is None:
            self._store = self._open_store()
        self._epoch = self._store.acquire()
        return self._store.load()

    async def _admit(self) -> None:
        # A zombie that lost its link must not come back and drop its successor's.
        store, epoch = self._writable()
        with contextlib.suppress(StorageUnavailableError):
            await asyncio.to_thread(store.commit, epoch, None, [])

    async def _rest(self) -> None:
        await asyncio.sleep(0)  # a flood keeps ``wake`` set; others get their turn all the same
        await self._wake.wait()
        self._wake.clear()

    def _make_tick_due(self) -> None:
        self._tick_due = True
        self._wake.set()
        self._timer = self._loop.call_later(self._tick_s, self._make_tick_due)

    async def _turn(self) -> None:
        while self._calls:
            self._decide_for_caller(*self._calls.popleft())
        ticked, self._tick_due = self._tick_due, False
        messages = self._link.drain(MESSAGES_PER_TURN)
        if len(messages) >= MESSAGES_PER_TURN:
            self._wake.set()
        for event in (*messages, *([Tick()] if ticked else [])):
            self._decide(event)
        if self._journal.must_flush and not await self._flush():
            return
        told = self._journal.owes
        for effect in self._journal.release():
            self._performing.begin(effect, at_once=told)
        is_old = self._loop.time() - self._written_at_s > CHECKPOINT_EVERY_S
        if ticked and (self._journal.has_records or is_old):
            await self._flush()

    def _decide_for_caller(self, event: Event, answer: asyncio.Future[StateT]) -> None:
        if answer.done():
            return
        self._counts["calls"] += 1
        try:
            self._accept(self._logic.decide(self._state, event, self._clock.now()))
        except ParkgridError as error:
            self._counts["refused"] += 1
            answer.set_exception(error)
        except Exception as error:
            self._counts["crashed"] += 1
            logger.exception("%s: deciding on a call failed", self._actor_id)
            answer.set_exception(error)
        else:
            self._journal.owe(answer, self._state)

    def _decide(self, event: Event) -> None:
        self._counts["events"] += 1
        try:
            self._accept(self._logic.decide(self._state, event, self._clock.now()))
        except ParkgridError:
            self._counts["refused"] += 1
        except Exception:
            # One event that a decision cannot bear must not end control of the resource.
            self._counts["crashed"] += 1
            with about_command(event):
                logger.exception("%s: deciding on %s failed", self._actor_id, type(event).__name__)

    def _accept(self, outcome: Outcome[StateT]) -> None:
        self._state = outcome.state
        self._journal.add(outcome.effects, durable=outcome.durable)

    async def _flush(self) -> bool:
        try:
            store, epoch = self._writable()
            records = self._journal.has_records
            await self._journal.flush(store, epoch, self._state)
        except StorageUnavailableError as error:
            self._note_store(error)
            self._loop.call_later(_STORE_RETRY_S, self._wake.set)
            return False
        self._note_store(None)
        self._written_at_s = self._loop.time()
        if records:
            self._recorded.set()
        return True

    def _writable(self) -> tuple[ActorStore, int]:
        if self._store is None:
            raise ActorUnavailableError(self._actor_id)
        return self._store, self._epoch

    def _note_store(self, error: StorageUnavailableError | None) -> None:
        if self._store_ok != (error is None):
            self._store_ok = error is None
            logger.warning("%s: store %s", self._actor_id, error or "takes writes again")

    def _fail(self, error: ParkgridError) -> None:
        self._failure = error
        self._ready.set()
        self._journal.abandon(error)
        for _, answer in self._calls:
            if not answer.done():
                answer.set_exception(error)
        self._calls.clear()
