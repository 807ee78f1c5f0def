"""Group commit: writes that arrive together share one transaction and one flush to disk.

A single thread owns the writing connection. It takes what is waiting, up to a limit, runs it in one
transaction and answers only after the commit; while it waits for the disk, the next group gathers.
If one write of a group fails on its own account, the group is rolled back and each is tried alone,
so that nobody suffers for a neighbour. The queue is bounded; a full one refuses at once.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine

from cluster.storage.engine import writing
from controllers.kernel.errors import StorageUnavailableError

T = TypeVar("T")
GroupT = TypeVar("GroupT")

MAX_PENDING = 10_000
MAX_GROUP = 256

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Write(Generic[GroupT]):
    work: Callable[[GroupT], Any]
    answer: Future[Any]


class GroupWriter(Generic[GroupT]):
    """Runs writes in groups on its own thread.

    Args:
        engine: the database.
        open_group: makes what each write of a group is given from the connection.
        close_group: called once before the commit, e.g. to insert what the group gathered.
    """

    def __init__(
        self,
        engine: Engine,
        open_group: Callable[[Connection], GroupT],
        close_group: Callable[[GroupT], None],
    ) -> None:
        self._engine = engine
        self._open_group = open_group
        self._close_group = close_group
        self._queue: queue.Queue[_Write[GroupT] | None] = queue.Queue(MAX_PENDING)
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="sql-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[GroupT], T]) -> Future[T]:
        """Queue a write; its future is done only when the write is durable.

        Cancelling the future of a write that has not begun takes it out.

        Raises:
            StorageUnavailableError: too many writes are waiting.
        """
        answer: Future[T] = Future()
        try:
            self._queue.put_nowait(_Write(work, answer))
        except queue.Full:
            raise StorageUnavailableError(f"database: {MAX_PENDING} writes are waiting") from None
        return answer

    def n_waiting(self) -> int:
        """Return how many writes wait for a transaction."""
        return self._queue.qsize()

    def close(self) -> None:
        """Finish what is queued and end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            first = self._queue.get()
            if first is None:
                return
            group, ended = self._gather(first)
            begun = [write for write in group if write.answer.set_running_or_notify_cancel()]
            if begun:
                self._write(begun)
            if ended:
                return

    def _gather(self, first: _Write[GroupT]) -> tuple[list[_Write[GroupT]], bool]:
        group = [first]
        while len(group) < MAX_GROUP:
            try:
                following = self._queue.get_nowait()
            except queue.Empty:
                break
            if following is None:
                return group, True
            group.append(following)
        return group, False

    def _write(self, group: list[_Write[GroupT]]) -> None:
        try:
            results = self._commit(group)
        except Exception as error:
            self._note(error)
            if len(group) == 1 or isinstance(error, StorageUnavailableError):
                for write in group:
                    write.answer.set_exception(error)
            else:
                for write in group:
                    self._write([write])
            return
        self._note(None)
        for write, result in zip(group, results, strict=True):
            write.answer.set_result(result)

    def _commit(self, group: list[_Write[GroupT]]) -> list[Any]:
        with writing(self._engine) as connection:
            opened = self._open_group(connection)
            results = [write.work(opened) for write in group]
            self._close_group(opened)
        return results

    def _note(self, error: Exception | None) -> None:
        # A database that breaks is logged once, and so is its recovery.
        failing = isinstance(error, StorageUnavailableError)
        if failing and not self._failing:
            _log.warning("the database takes no writes: %s", error)
        elif self._failing and not failing:
            _log.info("the database takes writes again")
        self._failing = failing
