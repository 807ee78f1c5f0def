"""Answers about resources and aggregations: as kept, as they live, and who commands them.

Power in kW, injection positive; energy in kWh; ages in seconds.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from controllers.aggregation.conflicts import Conflict
from controllers.aggregation.realtime import RealtimeFigures
from controllers.assets.geometry import Geometry, Site
from controllers.assets.records import AggregateStatus, ResourceStatus
from controllers.assets.templates import TemplateRef
from controllers.kernel.states import AggregateState, Contender, ResourceState
from controllers.kernel.wire import Wire
from controllers.park import AggregateDefinition, ResourceDefinition


class ControlView(Wire):
    """Who commands a resource now: who won the last arbitration, why and until when."""

    winner: str | None
    reason: str
    until: datetime | None
    contenders: list[Contender]


class ResourceView(Wire):
    """One resource: as kept, as it lives, and who commands it."""

    definition: ResourceDefinition
    status: ResourceStatus
    version: int
    """What ``If-Match`` takes."""
    template: TemplateRef | None
    site: Site
    created_at: datetime
    changed_at: datetime
    retired_at: datetime | None
    aggregates: list[str]
    """Aggregations that list it; the first active one is its home."""
    age_s: float | None
    """Since the meter was read; None when it never was."""
    state: ResourceState | None
    """Live; None until its actor has spoken, and once it is retired."""
    control: ControlView | None


class AggregateView(Wire):
    """One aggregation: as kept and as it lives."""

    definition: AggregateDefinition
    status: AggregateStatus
    version: int
    """What ``If-Match`` takes."""
    created_at: datetime
    changed_at: datetime
    retired_at: datetime | None
    parents: list[str]
    age_s: float | None
    """Since its state was published."""
    state: AggregateState | None
    """Live; None unless it is active and has spoken."""


class ResourceList(Wire):
    """Resources."""

    items: list[ResourceView]
    next_cursor: str | None


class AggregateList(Wire):
    """Aggregations."""

    items: list[AggregateView]
    next_cursor: str | None


class CreatedResources(Wire):
    """Resources that were made together."""

    items: list[ResourceView]


class ConflictList(Wire):
    """The open conflicts of an aggregation, as just found; blocking ones first."""

    aggregation_id: str
    n_blocking: int
    items: list[Conflict]


class ConflictPage(Wire):
    """Conflicts on record."""

    items: list[Conflict]
    next_cursor: str | None


class RealtimeView(Wire):
    """The real-time engine of an aggregation and its figures."""

    aggregation_id: str
    running: bool
    """Whether its actor computes live sums: it does while the aggregation is active."""
    live: RealtimeFigures | None
    """As this process last heard them."""
    age_s: float | None
    """Since the live figures were published."""
    recorded: RealtimeFigures | None
    """As last written to the database, at most every few seconds."""


class AssetProperties(Wire):
    """What a map shows of a resource."""

    name: str
    kind: str
    height_m: float | None
    base_m: float | None
    label_at: list[float] | None
    """Longitude and latitude to put the name at."""
    aggregates: list[str]


class Feature(Wire):
    """One resource on the map."""

    type: Literal["Feature"] = "Feature"
    id: str
    geometry: Geometry | None
    properties: AssetProperties


class ParkMap(Wire):
    """All resources in operation as a GeoJSON FeatureCollection."""

    type: Literal["FeatureCollection"] = "FeatureCollection"
    features: list[Feature]
