"""A process's own picture of the live park."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Protocol

from controllers.kernel.states import AggregateState, ResourceState
from controllers.kernel.wire import Wire


class Delta(Wire):
    """One change of the live picture."""

    resource: ResourceState | None = None
    aggregate: AggregateState | None = None


class LiveView(Protocol):
    """A process's own, continuously fed picture of the park."""

    @property
    def connected(self) -> bool:
        """Whether the feed is up; when False the picture is ageing."""
        ...

    @property
    def resources(self) -> Mapping[str, ResourceState]:
        """Latest state by resource id."""
        ...

    @property
    def aggregates(self) -> Mapping[str, AggregateState]:
        """Latest state by aggregate id."""
        ...

    def subscribe(self, max_pending: int) -> AsyncIterator[Delta]:
        """Yield changes from now on.

        At most ``max_pending`` subjects wait per subscriber; a newer state of a waiting subject
        replaces the older one, so a slow reader loses intermediate states, never the latest.
        """
        ...
