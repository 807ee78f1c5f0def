"""Dispatches as recorded: those of years, and of aggregations that work no more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from controllers.aggregation.instruction import DeliveryReport, Instruction, InstructionState
from controllers.kernel.wire import Wire
from controllers.ports.actors import OutboxRecord
from controllers.ports.pages import Page, PageRequest


class DispatchFilter(Wire):
    """Which dispatches are wanted; None takes all."""

    aggregation_id: str | None = None
    state: InstructionState | None = None
    issued_by: str | None = None
    from_at: datetime | None = None
    """Earliest start of the window."""
    to_at: datetime | None = None
    """Not included."""
    within: list[str] | None = None
    """Ids of the aggregations that the caller reaches."""

    def takes(self, one: Instruction) -> bool:
        """Tell whether a dispatch is wanted."""
        return (
            self.aggregation_id in (None, one.aggregate_id)
            and self.state in (None, one.state)
            and self.issued_by in (None, one.issued_by)
            and (self.from_at is None or one.start_at >= self.from_at)
            and (self.to_at is None or one.start_at < self.to_at)
            and (self.within is None or one.aggregate_id in self.within)
        )


class DispatchStore(Protocol):
    """What the recorder stored of dispatches; some seconds behind their aggregates."""

    async def page(
        self, wanted: DispatchFilter, request: PageRequest, live: Sequence[Instruction]
    ) -> Page[Instruction]:
        """Return a page of dispatches; by ``issued_at`` or ``start_at``, the last issued first.

        Args:
            wanted: filters.
            request: which part.
            live: dispatches as they stand and may not be stored yet; they win over the stored.

        Raises:
            DomainError: unknown sort field, or a cursor that is not of this list.
            StorageUnavailableError: the database does not answer.
        """
        ...

    async def record(self, records: Sequence[OutboxRecord]) -> None:
        """Store what an aggregate has on record, before it is no more.

        The recorder may store the same; it counts once.

        Raises:
            StorageUnavailableError: nothing was stored.
        """
        ...

    async def report(self, dispatch_id: str) -> DeliveryReport:
        """Return the final report of a dispatch that ended.

        Raises:
            NotFoundError: none is stored.
            StorageUnavailableError: the database does not answer.
        """
        ...
