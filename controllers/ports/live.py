"""A process's own picture of the live park."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Protocol

from controllers.alarms.lifecycle import Alarm
from controllers.kernel.states import AggregateState, ResourceState
from controllers.kernel.wire import Wire


class Delta(Wire):
    """One change of the live picture."""

    resource: ResourceState | None = None
    aggregate: AggregateState | None = None
    alarm: Alarm | None = None
    """As it stands now; ended ones come once, in the state that ended them."""


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

    @property
    def alarms(self) -> Mapping[str, Alarm]:
        """Standing alarms by id."""
        ...

    def subscribe(self, max_pending: int) -> AsyncIterator[Delta]:
        """Yield changes from now on.

        At most ``max_pending`` subjects wait per subscriber; a newer state of a waiting subject
        replaces the older one, so a slow reader loses intermediate states, never the latest.
        """
        ...
