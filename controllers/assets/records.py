"""The state in which the park's owners keep a resource or an aggregation.

A definition (``controllers.park``) says how a thing is run; a record says besides whether it is to
run at all, where it comes from, where it lies, and how often it was changed.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from controllers.assets.geometry import Site
from controllers.assets.templates import TemplateRef
from controllers.kernel.fsm import Machine
from controllers.kernel.wire import Wire
from controllers.park import AggregateDefinition, ResourceDefinition


class ResourceStatus(StrEnum):
    """Whether a resource is part of the park."""

    ACTIVE = "active"
    RETIRED = "retired"
    """Taken out for good; history, commands and reports stay, and so does the id."""


class AggregateStatus(StrEnum):
    """Whether an aggregation is at work."""

    DRAFT = "draft"
    """Being put together; never was active."""
    ACTIVE = "active"
    """Its actor sums, takes instructions and commands."""
    INACTIVE = "inactive"
    """Has no actor, counts and commands nobody."""
    RETIRED = "retired"


class AggregateTrigger(StrEnum):
    """What moves an aggregation."""

    ACTIVATE = "activate"
    DEACTIVATE = "deactivate"
    RETIRE = "retire"


_S, _T = AggregateStatus, AggregateTrigger
AGGREGATE_MACHINE: Machine[AggregateStatus, AggregateTrigger] = Machine(
    "aggregation",
    {
        (_S.DRAFT, _T.ACTIVATE): _S.ACTIVE,
        (_S.DRAFT, _T.RETIRE): _S.RETIRED,
        (_S.ACTIVE, _T.DEACTIVATE): _S.INACTIVE,
        (_S.INACTIVE, _T.ACTIVATE): _S.ACTIVE,
        (_S.INACTIVE, _T.RETIRE): _S.RETIRED,
    },
)


class ResourceRecord(Wire):
    """A resource as kept."""

    definition: ResourceDefinition
    status: ResourceStatus
    version: int
    """Rises with every change; what ``If-Match`` takes."""
    template: TemplateRef | None = None
    """What it was made of; None for one that a park file brought or changed."""
    site: Site = Site()
    created_at: datetime
    changed_at: datetime
    retired_at: datetime | None = None


class AggregateRecord(Wire):
    """An aggregation as kept; the members of its definition are all it lists, at work or not."""

    definition: AggregateDefinition
    status: AggregateStatus
    version: int
    created_at: datetime
    changed_at: datetime
    retired_at: datetime | None = None
