"""From a record to the view of it: with its live state where it is at work."""

from __future__ import annotations

from datetime import datetime

from controllers.assets.geometry import Point, position_of
from controllers.assets.records import (
    AggregateRecord,
    AggregateStatus,
    ResourceRecord,
    ResourceStatus,
)
from controllers.kernel.states import ResourceState
from serve_apps.assets.views import (
    AggregateView,
    AssetProperties,
    ControlView,
    Feature,
    ResourceView,
)
from serve_apps.web.deps import ApiDeps
from serve_apps.web.principals import Principal


def resource_view(deps: ApiDeps, caller: Principal, record: ResourceRecord) -> ResourceView:
    """Return the view of a resource."""
    id_ = record.definition.id
    state = deps.live.resources.get(id_) if record.status is ResourceStatus.ACTIVE else None
    return ResourceView(
        definition=record.definition,
        status=record.status,
        version=record.version,
        template=record.template,
        site=record.site,
        created_at=record.created_at,
        changed_at=record.changed_at,
        retired_at=record.retired_at,
        aggregates=_parents(deps, caller, id_),
        age_s=_age_s(deps, state.measured_at if state else None),
        state=state,
        control=_control(state) if state else None,
    )


def aggregate_view(deps: ApiDeps, caller: Principal, record: AggregateRecord) -> AggregateView:
    """Return the view of an aggregation."""
    id_ = record.definition.id
    state = deps.live.aggregates.get(id_) if record.status is AggregateStatus.ACTIVE else None
    return AggregateView(
        definition=record.definition,
        status=record.status,
        version=record.version,
        created_at=record.created_at,
        changed_at=record.changed_at,
        retired_at=record.retired_at,
        parents=_parents(deps, caller, id_),
        age_s=_age_s(deps, state.published_at if state else None),
        state=state,
    )


def feature(deps: ApiDeps, caller: Principal, record: ResourceRecord) -> Feature:
    """Return a resource as the map shows it."""
    definition, site = record.definition, record.site
    label_at = position_of(site.geometry, definition.latitude_deg, definition.longitude_deg)
    shape = site.geometry
    if shape is None and label_at is not None:
        shape = Point(coordinates=(label_at[0], label_at[1]))
    return Feature(
        id=definition.id,
        geometry=shape,
        properties=AssetProperties(
            name=definition.name,
            kind=definition.kind,
            height_m=site.height_m,
            base_m=site.base_m,
            label_at=list(label_at) if label_at else None,
            aggregates=_parents(deps, caller, definition.id),
        ),
    )


def _parents(deps: ApiDeps, caller: Principal, id_: str) -> list[str]:
    return [parent for parent in deps.assets.parents_of(id_) if caller.sees_aggregate(parent)]


def _control(state: ResourceState) -> ControlView:
    winner = next((c for c in state.contenders if c.outcome == "won"), None)
    return ControlView(
        winner=winner.source_id if winner else None,
        reason=winner.reason if winner else "no live proposal",
        until=winner.until if winner else None,
        contenders=state.contenders,
    )


def _age_s(deps: ApiDeps, instant: datetime | None) -> float | None:
    return None if instant is None else round((deps.clock.now() - instant).total_seconds(), 3)
