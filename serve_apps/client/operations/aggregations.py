"""Calls of the API, aggregations; written by ``serve_apps.client.generate``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from controllers.aggregation.capacity import Capacity
from controllers.aggregation.conflicts import Conflict
from serve_apps.assets.bodies import (
    AggregationBody,
    AggregationSettings,
    LimitsBody,
    MemberBody,
    MembersBody,
)
from serve_apps.assets.views import (
    AggregateList,
    AggregateView,
    ConflictList,
    ConflictPage,
    RealtimeView,
)
from serve_apps.client.transport import Transport, part


class AggregationsCalls(Transport):
    """Operations of the domain: aggregations."""

    def list_aggregations(
        self,
        *,
        status: str | None = None,
        name: str | None = None,
        member: str | None = None,
        limit: int | None = None,
        sort: str | None = None,
        cursor: str | None = None,
    ) -> AggregateList:
        """Return aggregations; sort by ``position``, ``id``, ``name`` or ``created_at``."""
        return self.call(
            AggregateList,
            "GET",
            "/api/vpp/aggregations",
            query={
                "status": status,
                "name": name,
                "member": member,
                "limit": limit,
                "sort": sort,
                "cursor": cursor,
            },
        )

    def each_aggregations(
        self,
        *,
        status: str | None = None,
        name: str | None = None,
        member: str | None = None,
        limit: int | None = None,
        sort: str | None = None,
    ) -> Iterator[AggregateView]:
        """Yield the items of all pages of ``list_aggregations``."""
        cursor: str | None = None
        while True:
            page = self.list_aggregations(
                status=status, name=name, member=member, limit=limit, sort=sort, cursor=cursor
            )
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def create_aggregation(
        self, body: AggregationBody | Mapping[str, object], *, key: str | None = None
    ) -> AggregateView:
        """Draft an aggregation; nothing runs until it is activated."""
        return self.call(
            AggregateView, "POST", "/api/vpp/aggregations", body=body, key=key, keyed=True
        )

    def get_aggregation(self, aggregation_id: str) -> AggregateView:
        """Return one aggregation: net power, envelope, coverage, target and members."""
        return self.call(AggregateView, "GET", f"/api/vpp/aggregations/{part(aggregation_id)}")

    def update_aggregation(
        self,
        aggregation_id: str,
        body: AggregationSettings | Mapping[str, object],
        *,
        version: int | None = None,
    ) -> AggregateView:
        """Change name, period and tolerances; limits and members have paths of their own."""
        return self.call(
            AggregateView,
            "PUT",
            f"/api/vpp/aggregations/{part(aggregation_id)}",
            body=body,
            version=version,
        )

    def set_limits(
        self,
        aggregation_id: str,
        body: LimitsBody | Mapping[str, object],
        *,
        version: int | None = None,
    ) -> AggregateView:
        """Change the limits of the connection point."""
        return self.call(
            AggregateView,
            "PUT",
            f"/api/vpp/aggregations/{part(aggregation_id)}/limits",
            body=body,
            version=version,
        )

    def retire_aggregation(
        self, aggregation_id: str, *, version: int | None = None
    ) -> AggregateView:
        """Take a draft or an inactive aggregation out for good."""
        return self.call(
            AggregateView,
            "DELETE",
            f"/api/vpp/aggregations/{part(aggregation_id)}",
            version=version,
        )

    def add_member(
        self,
        aggregation_id: str,
        body: MemberBody | Mapping[str, object],
        *,
        key: str | None = None,
        version: int | None = None,
    ) -> AggregateView:
        """Add a resource or another aggregation; an active one takes it in within seconds."""
        return self.call(
            AggregateView,
            "POST",
            f"/api/vpp/aggregations/{part(aggregation_id)}/resources",
            body=body,
            key=key,
            keyed=True,
            version=version,
        )

    def add_members(
        self,
        aggregation_id: str,
        body: MembersBody | Mapping[str, object],
        *,
        key: str | None = None,
        version: int | None = None,
    ) -> AggregateView:
        """Add up to 500 members."""
        return self.call(
            AggregateView,
            "POST",
            f"/api/vpp/aggregations/{part(aggregation_id)}/resources/bulk",
            body=body,
            key=key,
            keyed=True,
            version=version,
        )

    def remove_member(
        self, aggregation_id: str, resource_id: str, *, version: int | None = None
    ) -> AggregateView:
        """Remove a member; an active aggregation lets go of it within seconds."""
        return self.call(
            AggregateView,
            "DELETE",
            f"/api/vpp/aggregations/{part(aggregation_id)}/resources/{part(resource_id)}",
            version=version,
        )

    def activate_aggregation(
        self, aggregation_id: str, *, key: str | None = None, version: int | None = None
    ) -> AggregateView:
        """Put an aggregation to work: its actor starts, sums live and takes dispatches."""
        return self.call(
            AggregateView,
            "POST",
            f"/api/vpp/aggregations/{part(aggregation_id)}/activate",
            key=key,
            keyed=True,
            version=version,
        )

    def deactivate_aggregation(
        self, aggregation_id: str, *, key: str | None = None, version: int | None = None
    ) -> AggregateView:
        """Take an aggregation from work: its actor stops, nobody is commanded."""
        return self.call(
            AggregateView,
            "POST",
            f"/api/vpp/aggregations/{part(aggregation_id)}/deactivate",
            key=key,
            keyed=True,
            version=version,
        )

    def list_conflicts(
        self,
        aggregation_id: str,
        *,
        state: str | None = None,
        limit: int | None = None,
        sort: str | None = None,
        cursor: str | None = None,
    ) -> ConflictPage:
        """Return the conflicts on record."""
        return self.call(
            ConflictPage,
            "GET",
            f"/api/vpp/aggregations/{part(aggregation_id)}/conflicts",
            query={"state": state, "limit": limit, "sort": sort, "cursor": cursor},
        )

    def each_conflicts(
        self,
        aggregation_id: str,
        *,
        state: str | None = None,
        limit: int | None = None,
        sort: str | None = None,
    ) -> Iterator[Conflict]:
        """Yield the items of all pages of ``list_conflicts``."""
        cursor: str | None = None
        while True:
            page = self.list_conflicts(
                aggregation_id, state=state, limit=limit, sort=sort, cursor=cursor
            )
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def detect_conflicts(self, aggregation_id: str, *, key: str | None = None) -> ConflictList:
        """Look for conflicts now and keep what is found; what is not found again is resolved."""
        return self.call(
            ConflictList,
            "POST",
            f"/api/vpp/aggregations/{part(aggregation_id)}/conflicts/detect",
            key=key,
            keyed=True,
        )

    def get_capacity(self, aggregation_id: str, *, horizon_s: float | None = None) -> Capacity:
        """Return what an aggregation can do, now and over a horizon, at work or not."""
        return self.call(
            Capacity,
            "GET",
            f"/api/vpp/aggregations/{part(aggregation_id)}/capacity",
            query={"horizon_s": horizon_s},
        )

    def get_realtime(self, aggregation_id: str) -> RealtimeView:
        """Return whether the real-time engine runs."""
        return self.call(
            RealtimeView, "GET", f"/api/vpp/aggregations/{part(aggregation_id)}/realtime"
        )
