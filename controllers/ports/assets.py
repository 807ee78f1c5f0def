"""Resources and aggregations as their owners keep them: a picture to read, stores to change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from controllers.aggregation.conflicts import Conflict, ConflictState, FoundConflict
from controllers.aggregation.realtime import RealtimeFigures
from controllers.assets.geometry import Site
from controllers.assets.records import (
    AggregateRecord,
    AggregateStatus,
    ResourceRecord,
    ResourceStatus,
)
from controllers.kernel.wire import Wire
from controllers.park import AggregateDefinition, ParkDefinition, ResourceDefinition
from controllers.ports.acts import Act, Done
from controllers.ports.pages import Page, PageRequest


class NewResource(Wire):
    """A resource to be made."""

    definition: ResourceDefinition
    """With the parameters that are its own; ``kind`` is empty where a template tells it."""
    template_id: str | None = None
    template_version: int | None = None
    """None is the newest."""
    site: Site = Site()


class ResourceChange(Wire):
    """A resource as it shall be; id, kind and template stay."""

    definition: ResourceDefinition
    """With the parameters that are its own."""
    template_version: int | None = None
    """None keeps the version it was made of."""
    site: Site = Site()


class ResourceBatch(Wire):
    """Resources that were made together."""

    items: list[ResourceRecord]


class AggregateChange(Wire):
    """What may be changed of an aggregation without anybody's approval."""

    name: str
    period_s: float
    tolerance_frac: float
    tolerance_kw: float


class ConnectionLimits(Wire):
    """Limits of the connection point an aggregation sits behind; magnitudes in kW, None is none."""

    max_import_kw: float | None
    max_export_kw: float | None


class ConflictBatch(Wire):
    """The open conflicts of an aggregation."""

    items: list[Conflict]


class ResourceFilter(Wire):
    """Which resources are wanted; None is any."""

    status: ResourceStatus | None = None
    kind: str | None = None
    name: str | None = None
    aggregation: str | None = None
    template: str | None = None
    within: list[str] | None = None
    """Only these."""


class AggregateFilter(Wire):
    """Which aggregations are wanted; None is any but, without a status, no retired one."""

    status: AggregateStatus | None = None
    name: str | None = None
    member: str | None = None
    within: list[str] | None = None
    """Only these."""


class AssetBook(Protocol):
    """This process's picture of all assets, retired ones included; reading costs nothing.

    What this process changes shows at once, what others change within a second.
    """

    def park(self) -> ParkDefinition:
        """Return the park as it is to run."""
        ...

    @property
    def resources(self) -> Mapping[str, ResourceRecord]:
        """All resources by id."""
        ...

    @property
    def aggregates(self) -> Mapping[str, AggregateRecord]:
        """All aggregations by id."""
        ...

    def parents_of(self, member_id: str) -> list[str]:
        """Return the aggregations that list a member and are not retired."""
        ...


class ResourceStore(Protocol):
    """Resources of the wanted park; every act is durable on return and raises its version.

    Every method raises StorageUnavailableError when the database does not answer.
    """

    async def create(
        self, act: Act, items: Sequence[NewResource], *, paths: Sequence[str]
    ) -> Done[ResourceBatch]:
        """Make resources, all or none.

        Args:
            act: who.
            items: what.
            paths: prefix of the fields in problems, by item.

        Raises:
            RulesBrokenError: some break rules; every problem is told.
            ConflictError: ids are taken, or the park is full.
        """
        ...

    async def update(
        self, act: Act, seen_version: int, change: ResourceChange
    ) -> Done[ResourceRecord]:
        """Change ``act.subject``.

        Raises:
            NotFoundError: there is none.
            StaleVersionError: ``seen_version`` is not the newest.
            ConflictError: it is retired.
            RulesBrokenError: it breaks rules.
        """
        ...

    async def foresee(
        self, resource_id: str, seen_version: int, change: ResourceChange
    ) -> tuple[ResourceRecord, ResourceRecord]:
        """Return a resource as it stands and as a change would leave it; nothing is changed.

        Raises:
            ParkgridError: as ``update`` would.
        """
        ...

    async def retire(self, act: Act, seen_version: int) -> Done[ResourceRecord]:
        """Take ``act.subject`` out for good.

        Raises:
            NotFoundError: there is none.
            StaleVersionError: ``seen_version`` is not the newest.
            ConflictError: it is retired, a member somewhere, or the park's last.
        """
        ...

    async def list(self, wanted: ResourceFilter, request: PageRequest) -> Page[ResourceRecord]:
        """Return resources; sortable by ``position``, ``id``, ``name``, ``kind``, ``created_at``.

        Raises:
            DomainError: unknown order or foreign cursor.
        """
        ...


class AggregationStore(Protocol):
    """Aggregations of the wanted park; every act is durable on return and raises its version.

    Every method raises StorageUnavailableError when the database does not answer; acts on one
    raise NotFoundError when there is none, StaleVersionError when a version is given that is not
    the newest, and ConflictError when it is retired.
    """

    async def create(self, act: Act, definition: AggregateDefinition) -> Done[AggregateRecord]:
        """Make a draft.

        Raises:
            RulesBrokenError: members are unknown, named twice, or go round in a circle.
            ConflictError: the id is taken, or the park is full.
        """
        ...

    async def update(
        self, act: Act, seen_version: int, change: AggregateChange
    ) -> Done[AggregateRecord]:
        """Change name, period and tolerances."""
        ...

    async def set_limits(
        self, act: Act, seen_version: int, limits: ConnectionLimits
    ) -> Done[AggregateRecord]:
        """Change the connection's limits; the one way to do that."""
        ...

    async def add_members(
        self, act: Act, member_ids: Sequence[str], seen_version: int | None
    ) -> Done[AggregateRecord]:
        """Add members, all or none.

        Raises:
            RulesBrokenError: members are unknown, listed already, or go round in a circle.
        """
        ...

    async def check_members(
        self, aggregation_id: str, member_ids: Sequence[str], seen_version: int | None
    ) -> None:
        """Check that members could be added.

        Raises:
            ParkgridError: as ``add_members``.
        """
        ...

    async def remove_member(
        self, act: Act, member_id: str, seen_version: int | None
    ) -> Done[AggregateRecord]:
        """Remove a member.

        Raises:
            NotFoundError: it is no member.
            ConflictError: it is the last at work of an active aggregation.
        """
        ...

    async def activate(self, act: Act, seen_version: int | None) -> Done[AggregateRecord]:
        """Put it to work.

        Raises:
            InvalidTransitionError: it is active or retired.
            ConflictError: none of its members is at work.
        """
        ...

    async def deactivate(self, act: Act, seen_version: int | None) -> Done[AggregateRecord]:
        """Take it from work.

        Raises:
            InvalidTransitionError: it is not active.
            ConflictError: an active aggregation would be left without a member at work.
        """
        ...

    async def retire(self, act: Act, seen_version: int) -> Done[AggregateRecord]:
        """Take it out for good.

        Raises:
            InvalidTransitionError: it is active or retired.
            ConflictError: it is a member somewhere.
        """
        ...

    async def list(self, wanted: AggregateFilter, request: PageRequest) -> Page[AggregateRecord]:
        """Return aggregations; sortable by ``position``, ``id``, ``name``, ``created_at``."""
        ...


class AggregationFindings(Protocol):
    """What was found about aggregations: conflicts on record, last figures.

    Every method raises StorageUnavailableError when the database does not answer.
    """

    async def record_conflicts(
        self, act: Act, found: Sequence[FoundConflict]
    ) -> Done[ConflictBatch]:
        """Keep what was found in ``act.subject``; open ones not found again are resolved."""
        ...

    async def conflicts(
        self, aggregation_id: str, state: ConflictState | None, request: PageRequest
    ) -> Page[Conflict]:
        """Return the conflicts of an aggregation, newest first."""
        ...

    async def realtime(self, aggregation_id: str) -> RealtimeFigures | None:
        """Return the last figures on record."""
        ...
