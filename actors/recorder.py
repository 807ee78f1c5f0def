"""The RecorderActor: carries facts from the actors' outboxes into the database.

It waits at each actor's outbox, stores what comes from all of them together, and confirms it only
then; a crash in between stores the batch again, and the sink takes a record once. While the
database does not take writes the records wait in their outboxes and control is not touched.

Every few seconds it also stores the last figures of each aggregate; those are asked for, may be
missed, and are replaced by the next.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from actors import runtime
from actors.precedence import Precedence
from actors.tasks import end
from controllers.aggregation.realtime import RealtimeFigures, figures_of
from controllers.kernel.errors import (
    ActorUnavailableError,
    NotFoundError,
    ParkgridError,
    StorageUnavailableError,
)
from controllers.kernel.states import AggregateState
from controllers.ports.actors import OutboxRecord, RecordSink
from controllers.supervision import AGGREGATE_PREFIX, ALARMS, RESOURCE_PREFIX

logger = logging.getLogger(__name__)

BATCH_RECORDS = 500
LOOK_S = 1.0
"""How often new actors are looked for."""
WAIT_S = 30.0
"""How long one call waits at an empty outbox."""
STORAGE_RETRY_S = 2.0
PRUNE_S = 60.0
"""How often what is too old is given up."""
_PRUNE_TURNS = 20
FIGURES_S = 5.0
"""How often the aggregates' figures are stored."""
_ANSWER_S = 10.0


class RecorderActor:
    """Stands at the outbox of every resource and aggregate actor and of the alarms.

    Args:
        open_sink: opens the database; called in a thread.
        figures_s: how often the aggregates' figures are stored.
    """

    PRECEDENCE = Precedence.BACKGROUND

    def __init__(
        self, open_sink: Callable[[], RecordSink], *, figures_s: float = FIGURES_S
    ) -> None:
        self._open_sink = open_sink
        self._figures_s = figures_s
        self._opening = asyncio.Lock()
        self._sink: RecordSink | None = None
        self._n_stored = 0
        self._storage_error = ""
        self._waiting: dict[str, asyncio.Task[None]] = {}
        self._arrived: asyncio.Queue[tuple[list[OutboxRecord], asyncio.Future[None]]]
        self._arrived = asyncio.Queue()
        loop = asyncio.get_running_loop()
        work = (self._look(), self._write(), self._prune(), self._keep_figures())
        self._tasks = [loop.create_task(each) for each in work]

    async def health(self) -> dict[str, int | float | str | bool]:
        """Return counters and the last storage error, empty when all is well."""
        return {
            "ready": self._sink is not None,
            "stored": self._n_stored,
            "storage_error": self._storage_error,
        }

    async def stop(self) -> None:
        """End; what is not confirmed stays in the outboxes."""
        await end(*self._tasks, *self._waiting.values())

    async def _look(self) -> None:
        """Keep somebody waiting at the outbox of every live actor."""
        while True:
            self._waiting = {n: task for n, task in self._waiting.items() if not task.done()}
            for name in await asyncio.to_thread(runtime.list_names):
                has_outbox = name.startswith((RESOURCE_PREFIX, AGGREGATE_PREFIX, ALARMS))
                if has_outbox and name not in self._waiting:
                    self._waiting[name] = asyncio.create_task(self._wait_at(name))
            await asyncio.sleep(LOOK_S)

    async def _wait_at(self, name: str) -> None:
        """Carry one actor's records until it is not available; it is looked for again then."""
        confirmed = 0
        try:
            handle = await asyncio.to_thread(runtime.find, name)
            while True:
                records: list[OutboxRecord] = await runtime.call(
                    handle,
                    "outbox",
                    BATCH_RECORDS,
                    confirmed,
                    WAIT_S,
                    deadline_s=WAIT_S + _ANSWER_S,
                    actor_id=name,
                )
                if records:
                    stored = asyncio.get_running_loop().create_future()
                    self._arrived.put_nowait((records, stored))
                    await stored
                    confirmed = records[-1].seq
        except (ActorUnavailableError, NotFoundError):
            # It is being restarted; its outbox keeps.
            return
        except Exception:
            logger.exception("recording %s failed", name)

    async def _write(self) -> None:
        """Store what has arrived, from all actors in one transaction."""
        while True:
            batch = [await self._arrived.get()]
            while not self._arrived.empty():
                batch.append(self._arrived.get_nowait())
            try:
                await self._store([record for records, _ in batch for record in records])
            except Exception as error:
                for _, stored in batch:
                    stored.set_exception(error)
            else:
                for _, stored in batch:
                    if not stored.done():
                        stored.set_result(None)

    async def _store(self, records: list[OutboxRecord]) -> None:
        while True:
            try:
                sink = await self._opened()
                await asyncio.to_thread(sink.write, records)
                break
            except StorageUnavailableError as error:
                if not self._storage_error:
                    logger.warning("records wait in their outboxes: %s", error)
                self._storage_error = str(error)
                await asyncio.sleep(STORAGE_RETRY_S)
        if self._storage_error:
            logger.info("the database takes records again")
            self._storage_error = ""
        self._n_stored += len(records)

    async def _prune(self) -> None:
        """Give up what is too old, a little at a time, so that writers get their turn."""
        # A sink of its own, so that records never wait for this.
        sink: RecordSink | None = None
        while True:
            await asyncio.sleep(PRUNE_S)
            with suppress(StorageUnavailableError):
                if sink is None:
                    sink = await asyncio.to_thread(self._open_sink)
                for _ in range(_PRUNE_TURNS):
                    if await asyncio.to_thread(sink.prune) == 0:
                        break

    async def _keep_figures(self) -> None:
        """Store what the aggregates say of themselves, at a bounded rate."""
        while True:
            await asyncio.sleep(self._figures_s)
            names = [name for name in self._waiting if name.startswith(AGGREGATE_PREFIX)]
            answers = await asyncio.gather(*map(_figures, names))
            figures = [answer for answer in answers if answer is not None]
            try:
                if figures:
                    sink = await self._opened()
                    await asyncio.to_thread(sink.write_figures, figures)
            except StorageUnavailableError:
                # Newer ones will come, and whoever waits with records says so.
                continue
            except Exception:
                logger.exception("storing figures failed")

    async def _opened(self) -> RecordSink:
        async with self._opening:
            if self._sink is None:
                self._sink = await asyncio.to_thread(self._open_sink)
        return self._sink


async def _figures(name: str) -> RealtimeFigures | None:
    try:
        handle = await asyncio.to_thread(runtime.find, name)
        state: AggregateState = await runtime.call(handle, "state", actor_id=name)
    except ParkgridError:
        return None
    return figures_of(state)
