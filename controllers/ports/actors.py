"""What actors need from outside: durable state of their own, and a sink for their records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from controllers.aggregation.realtime import RealtimeFigures
from controllers.kernel.wire import Wire


class OutboxRecord(Wire):
    """A fact waiting to be written to the database, in order, at least once."""

    actor_id: str
    seq: int
    kind: str
    at: datetime
    data: dict[str, object]


class ActorStore(Protocol):
    """Durable state of one actor; every write is fenced by epoch and durable on return.

    A writer whose epoch is no longer the greatest acquired gets FencedError and nothing is written.
    """

    def acquire(self) -> int:
        """Take a new epoch, greater than any before; fences off all predecessors."""
        ...

    def load(self) -> bytes | None:
        """Return the last checkpoint."""
        ...

    def commit(
        self,
        epoch: int,
        checkpoint: bytes | None,
        records: Sequence[tuple[str, datetime, bytes]],
        *,
        flush: bool = True,
    ) -> None:
        """Write a checkpoint (None keeps the last) and append records to the outbox, atomically.

        Args:
            epoch: the writer's epoch.
            checkpoint: the actor's whole durable state.
            records: kind, instant and JSON object of each fact.
            flush: whether it must survive the loss of power, too, and not of the process alone.
        """
        ...

    def put_document(self, epoch: int, kind: str, id_: str, at: datetime, body: bytes) -> None:
        """Keep a document, e.g. a finished delivery report; the last of an id wins.

        A store may give up documents that are older than it was told to keep.
        """
        ...

    def document(self, kind: str, id_: str) -> bytes | None:
        """Return a kept document."""
        ...

    def documents(self, kind: str, limit: int) -> list[bytes]:
        """Return the newest documents of a kind, newest first."""
        ...

    def pending(self, limit: int) -> list[OutboxRecord]:
        """Return the oldest records not yet confirmed; fewer where they are large."""
        ...

    def confirm(self, up_to_seq: int) -> None:
        """Forget records up to and including a sequence number."""
        ...

    def close(self) -> None:
        """Release files."""
        ...


ActorStoreFactory = Callable[[str], ActorStore]
"""From actor id to its store; picklable."""


class RecordSink(Protocol):
    """Takes outbox records into the database; idempotent by ``(actor_id, seq)``."""

    def write(self, records: Sequence[OutboxRecord]) -> None:
        """Store a batch.

        Raises:
            StorageUnavailableError: nothing was stored; offer the batch again.
        """
        ...

    def prune(self) -> int:
        """Give up some of what is older than it must be kept; returns how much, 0 at the end.

        Raises:
            StorageUnavailableError: nothing was given up.
        """
        ...

    def write_figures(self, figures: Sequence[RealtimeFigures]) -> None:
        """Store the last figures of aggregates, in place of those before.

        Raises:
            StorageUnavailableError: nothing was stored; newer ones will come.
        """
        ...
