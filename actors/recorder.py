"""The RecorderActor: carries facts from the actors' outboxes into the database.

It asks each actor for its oldest unconfirmed records, stores the batch, and only then confirms it;
a crash in between stores the batch again, and the sink takes a record once. While the database does
not take writes the records wait in their outboxes and control is not touched.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from actors import runtime
from controllers.kernel.errors import ActorUnavailableError, NotFoundError, StorageUnavailableError
from controllers.ports.actors import OutboxRecord, RecordSink
from controllers.supervision import AGGREGATE_PREFIX, RESOURCE_PREFIX

logger = logging.getLogger(__name__)

BATCH_RECORDS = 500
POLL_S = 1.0
STORAGE_RETRY_S = 2.0


class RecorderActor:
    """Pulls from every resource and aggregate actor, one after the other.

    Args:
        open_sink: opens the database; called in a thread.
        poll_s: pause between two rounds.
    """

    def __init__(self, open_sink: Callable[[], RecordSink], poll_s: float = POLL_S) -> None:
        self._open_sink = open_sink
        self._poll_s = poll_s
        self._sink: RecordSink | None = None
        self._n_stored = 0
        self._storage_error = ""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def health(self) -> dict[str, int | float | str | bool]:
        """Return counters and the last storage error, empty when all is well."""
        return {
            "ready": self._sink is not None,
            "stored": self._n_stored,
            "storage_error": self._storage_error,
        }

    async def stop(self) -> None:
        """End the rounds."""
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            try:
                await self._round()
            except StorageUnavailableError as error:
                if not self._storage_error:
                    logger.warning("records wait in their outboxes: %s", error)
                self._storage_error = str(error)
                await asyncio.sleep(STORAGE_RETRY_S)
                continue
            except Exception:
                logger.exception("a round of the recorder failed")
            if self._storage_error:
                logger.info("the database takes records again")
                self._storage_error = ""
            await asyncio.sleep(self._poll_s)

    async def _round(self) -> None:
        if self._sink is None:
            self._sink = await asyncio.to_thread(self._open_sink)
        for name in await asyncio.to_thread(runtime.list_names):
            if name.startswith((RESOURCE_PREFIX, AGGREGATE_PREFIX)):
                await self._empty(name, self._sink)

    async def _empty(self, name: str, sink: RecordSink) -> None:
        try:
            handle = await asyncio.to_thread(runtime.find, name)
            while records := await self._pending(handle, name):
                await asyncio.to_thread(sink.write, records)
                self._n_stored += len(records)
                await runtime.call(handle, "confirm", records[-1].seq, actor_id=name)
                if len(records) < BATCH_RECORDS:
                    return
        except (ActorUnavailableError, NotFoundError):
            # It is being restarted; its outbox keeps.
            return

    async def _pending(self, handle: runtime.ActorHandle, name: str) -> list[OutboxRecord]:
        records: list[OutboxRecord] = await runtime.call(
            handle, "outbox", BATCH_RECORDS, actor_id=name
        )
        return records
