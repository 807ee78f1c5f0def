"""The HistorianActor: follows the state topics and hands what they say to the history writer.

It stands beside live control: nothing waits for it, and it asks nobody. States gather for a tenth
of a second, so that a flood costs one turn; once a second what has gathered is written in a thread
and is on disk when that returns. What a device sends after an outage is taken only when no live
state waits. While the disk does not take writes, the newest samples wait in memory up to a bound,
the oldest go first, counted, and health says so.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import sys
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from actors.links.inbox import Inbound, Policy, Subscription
from actors.links.mqtt import MqttSession, MqttSettings
from actors.live_view import STATE_MAX_BYTES
from actors.precedence import Precedence
from actors.tasks import end
from controllers.control.contract import BACKFILL_MAX_BYTES, Backfill, topic
from controllers.history.samples import Intake, Sample, backfilled
from controllers.kernel.errors import DomainError, StorageUnavailableError
from controllers.kernel.states import (
    AggregateState,
    ResourceState,
    aggregate_state_topic,
    resource_state_topic,
)
from controllers.kernel.timebase import Clock, SystemClock
from controllers.ports.history import FLUSH_S, HistorySettings, HistoryWriter

logger = logging.getLogger(__name__)

GATHER_S = 0.1
ROTATE_S = 300.0
"""How often what was written ahead becomes files that are quick to read."""
MAX_WAITING = 200_000
"""Samples in memory while the disk does not take them: minutes of a busy park."""
RESOURCE_STATE_MAX_BYTES = 65_536

_DRAIN_LIMIT = 512
_BATCH = 20_000
_NICENESS = 10
_RESOURCE_PREFIX = resource_state_topic("")
_AGGREGATE_PREFIX = aggregate_state_topic("")


class HistorianActor:
    """Writes the history of one park; all constructor arguments are picklable.

    Args:
        park_id: the site in device topics.
        turned: ids of devices that count drawn power as positive.
        mqtt: the broker, with an account that may read the inner topics.
        open_writer: opens the history; called in a thread.
        settings: how late a sample may be.
        new_clock: makes the clock; another one only in tests.
        rotate_s: pause between two rotations.
    """

    PRECEDENCE = Precedence.BACKGROUND

    def __init__(
        self,
        park_id: str,
        turned: frozenset[str],
        mqtt: MqttSettings,
        open_writer: Callable[[], HistoryWriter],
        settings: HistorySettings,
        *,
        new_clock: Callable[[], Clock] = SystemClock,
        rotate_s: float = ROTATE_S,
    ) -> None:
        self._turned = turned
        self._open_writer = open_writer
        self._settings = settings
        self._clock = new_clock()
        self._rotate_s = rotate_s
        self._writer: HistoryWriter | None = None
        self._intake = Intake()
        self._waiting: deque[Sample] = deque()
        self._counts = dict.fromkeys(("written", "backfilled", "lost", "refused"), 0)
        self._problem = ""
        self._tending_problem = ""
        self._slowest_flush_s = 0.0
        self._wake = asyncio.Event()
        self._backfill_root = topic(park_id, "", "").rstrip("/") + "/"
        self._session = MqttSession(
            mqtt,
            f"parkgrid-{park_id}-historian",
            subscriptions=[
                Subscription(
                    topic_filter=resource_state_topic("+"),
                    policy=Policy.KEEP,
                    max_bytes=RESOURCE_STATE_MAX_BYTES,
                ),
                Subscription(
                    topic_filter=aggregate_state_topic("+"),
                    policy=Policy.LATEST,
                    max_bytes=STATE_MAX_BYTES,
                ),
                # Of the policies the one that leaves last.
                Subscription(
                    topic_filter=topic(park_id, "+", "backfill"),
                    policy=Policy.DROP_OLDEST,
                    qos=1,
                    max_bytes=BACKFILL_MAX_BYTES,
                ),
            ],
            wake=self._wake,
            peer="historian",
        )
        self._tending = ThreadPoolExecutor(1, "tending", initializer=_yield_to_control)
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._session.run()),
            loop.create_task(self._follow()),
            loop.create_task(self._write()),
            loop.create_task(self._tend()),
        ]

    async def health(self) -> dict[str, int | float | str | bool]:
        """Return what a supervisor and a metrics page want to know."""
        return {
            "ready": self._writer is not None and not self._problem,
            "pid": os.getpid(),
            "problem": self._problem or self._tending_problem,
            "waiting": len(self._waiting),
            "slowest_flush_s": self._slowest_flush_s,
            "repeated": self._intake.n_repeated,
            **self._counts,
            **self._session.metrics(),
        }

    async def stop(self) -> None:
        """End in order; everything received is on disk on return, if the disk takes it."""
        await end(*self._tasks)
        await self._flush()
        self._tending.shutdown(wait=False, cancel_futures=True)
        if self._writer is not None:
            await asyncio.to_thread(self._writer.rotate)

    async def _follow(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(GATHER_S)
            self._wake.clear()
            while messages := self._session.drain(_DRAIN_LIMIT):
                for message in messages:
                    self._take(message)
                await asyncio.sleep(0)

    def _take(self, message: Inbound) -> None:
        if not message.n_bytes:
            # A retained state that was cleared.
            return
        try:
            self._keep(self._samples(message))
        except DomainError as error:
            self._counts["refused"] += 1
            if self._counts["refused"] == 1:
                logger.warning("%s: not for history: %s", message.topic, error)

    def _samples(self, message: Inbound) -> list[Sample]:
        if message.topic.startswith(_RESOURCE_PREFIX):
            sample = self._intake.resource(message.decode(ResourceState))
        elif message.topic.startswith(_AGGREGATE_PREFIX):
            sample = self._intake.aggregate(message.decode(AggregateState))
        else:
            return self._backfilled(message)
        return [] if sample is None else [sample]

    def _backfilled(self, message: Inbound) -> list[Sample]:
        device_id = message.topic.removeprefix(self._backfill_root).partition("/")[0]
        now = self._clock.now()
        samples = backfilled(
            device_id,
            message.decode(Backfill),
            now=now,
            oldest_at=self._settings.oldest_at(now),
            turned=device_id in self._turned,
        )
        self._counts["backfilled"] += len(samples)
        return samples

    def _keep(self, samples: list[Sample]) -> None:
        self._waiting.extend(samples)
        while len(self._waiting) > MAX_WAITING:
            self._waiting.popleft()
            self._counts["lost"] += 1

    async def _write(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            await self._flush()

    async def _flush(self) -> None:
        """Write what waits; what could not be written waits on."""
        began_s = time.perf_counter()
        try:
            if self._writer is None:
                self._writer = await asyncio.to_thread(self._open_writer)
            while self._waiting:
                batch = list(itertools.islice(self._waiting, _BATCH))
                n_lost = self._counts["lost"]
                await asyncio.to_thread(self._writer.append, batch)
                # Some of them may have gone meanwhile to make room.
                for _ in range(len(batch) - (self._counts["lost"] - n_lost)):
                    self._waiting.popleft()
                self._counts["written"] += len(batch)
        except StorageUnavailableError as error:
            self._note(str(error))
        except Exception as error:
            logger.exception("history could not be written")
            self._note(f"{type(error).__name__}: {error}")
        else:
            self._note("")
        self._slowest_flush_s = max(self._slowest_flush_s, time.perf_counter() - began_s)

    async def _tend(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._rotate_s)
            if self._writer is None:
                continue
            try:
                await asyncio.to_thread(self._writer.rotate)
                # Aside, because rolling up a busy day takes longer than a flush may wait.
                await loop.run_in_executor(self._tending, self._writer.tend, self._clock.now())
                self._tending_problem = ""
            except StorageUnavailableError as error:
                self._tending_problem = str(error)
                logger.warning("history is not tended: %s", error)
            except Exception as error:
                self._tending_problem = f"{type(error).__name__}: {error}"
                logger.exception("history could not be tended")

    def _note(self, problem: str) -> None:
        if problem and not self._problem:
            logger.warning("history falls behind: %s", problem)
        elif self._problem and not problem:
            logger.info("history is written again")
        self._problem = problem


def _yield_to_control() -> None:
    if sys.platform == "linux":
        # Of this thread only.
        os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
