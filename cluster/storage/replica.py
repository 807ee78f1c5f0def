"""A read replica: takes lists and history off the primary, and steps aside when it fails.

What it shows may be some seconds old. A replica that failed is left alone for a while, so that one
that hangs costs a few reads some time and not every one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection, exc, select

from cluster.storage.engine import open_engine, reading
from cluster.storage.tables.operations import AUDIT_HEAD
from controllers.kernel.errors import StorageUnavailableError

T = TypeVar("T")

ANSWER_WITHIN_S = 1.0
REST_S = 10.0
"""How long one that failed is not asked."""

_N_READERS = 2

_log = logging.getLogger(__name__)


class Replica:
    """One read replica.

    Args:
        url: of the replica of a migrated database.
        rest_s: see ``REST_S``.
    """

    def __init__(self, url: str, *, rest_s: float = REST_S) -> None:
        self._engine = open_engine(url, lock_wait_s=ANSWER_WITHIN_S, statement_s=ANSWER_WITHIN_S)
        self._readers = ThreadPoolExecutor(_N_READERS, thread_name_prefix="sql-replica")
        self._rest_s = rest_s
        self._rests_until_s = 0.0

    @property
    def rests(self) -> bool:
        """Whether it failed a moment ago."""
        return time.monotonic() < self._rests_until_s

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run a read in a transaction of its own: one consistent picture, perhaps an old one.

        Raises:
            StorageUnavailableError: it did not answer, or not as the primary would; ask that.
        """

        def run() -> T:
            try:
                with reading(self._engine) as connection:
                    return work(connection)
            except exc.DBAPIError as error:
                # For example a table that has not reached it yet.
                raise StorageUnavailableError("the read replica is not like its primary") from error

        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                value = await asyncio.wrap_future(self._readers.submit(run))
        except (StorageUnavailableError, TimeoutError) as error:
            if not self._rests_until_s:
                _log.warning("the read replica does not answer; the primary does instead")
            self._rests_until_s = time.monotonic() + self._rest_s
            raise StorageUnavailableError("the read replica does not answer") from error
        if self._rests_until_s:
            _log.info("the read replica answers again")
            self._rests_until_s = 0.0
        return value

    async def ping(self) -> None:
        """Read something.

        Raises:
            StorageUnavailableError: it does not answer.
        """
        await self.read(lambda connection: connection.execute(select(AUDIT_HEAD.c.seq)).all())

    def close(self) -> None:
        """Release what is held."""
        self._readers.shutdown()
        self._engine.dispose()
