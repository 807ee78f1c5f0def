"""Calls of the API, by hand; written by ``serve_apps.client.generate``."""

from __future__ import annotations

from collections.abc import Mapping

from serve_apps.client.transport import Transport, part
from serve_apps.operations.bodies import OverrideBody
from serve_apps.operations.views import KillView, OverrideView
from serve_apps.web.bodies import ReasonBody


class ByHandCalls(Transport):
    """Operations of the domain: by hand."""

    def set_override(
        self, resource_id: str, body: OverrideBody | Mapping[str, object]
    ) -> OverrideView:
        """Hold one resource at one power until an instant, whatever markets and plans say."""
        return self.call(
            OverrideView, "PUT", f"/api/vpp/resources/{part(resource_id)}/override", body=body
        )

    def clear_override(self, resource_id: str) -> bytes:
        """Let go of a resource; repeating it succeeds."""
        return self.send("DELETE", f"/api/vpp/resources/{part(resource_id)}/override").content

    def kill_resource(self, resource_id: str, body: ReasonBody | Mapping[str, object]) -> KillView:
        """Stop a resource: power to zero until released. 202 says it is not yet durable."""
        return self.call(KillView, "PUT", f"/api/vpp/resources/{part(resource_id)}/kill", body=body)

    def kill_aggregation(
        self, aggregation_id: str, body: ReasonBody | Mapping[str, object]
    ) -> KillView:
        """Stop every resource below an aggregate."""
        return self.call(
            KillView, "PUT", f"/api/vpp/aggregations/{part(aggregation_id)}/kill", body=body
        )

    def kill_park(self, body: ReasonBody | Mapping[str, object]) -> KillView:
        """Stop every resource of the park."""
        return self.call(KillView, "PUT", "/api/vpp/park/kill", body=body)

    def release_resource(self, resource_id: str, *, reason: str) -> KillView:
        """Lift the kill switch of a resource; it moves again on a fresh command only."""
        return self.call(
            KillView,
            "DELETE",
            f"/api/vpp/resources/{part(resource_id)}/kill",
            query={"reason": reason},
        )

    def release_aggregation(self, aggregation_id: str, *, reason: str) -> KillView:
        """Lift the kill switch of every resource below an aggregate."""
        return self.call(
            KillView,
            "DELETE",
            f"/api/vpp/aggregations/{part(aggregation_id)}/kill",
            query={"reason": reason},
        )

    def release_park(self, *, reason: str) -> KillView:
        """Lift the kill switch of every resource of the park."""
        return self.call(KillView, "DELETE", "/api/vpp/park/kill", query={"reason": reason})
