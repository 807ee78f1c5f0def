"""Calls of the API, history; written by ``serve_apps.client.generate``."""

from __future__ import annotations

from datetime import datetime

from serve_apps.client.transport import Transport, part
from serve_apps.history.views import EnergyView, HistoryView


class HistoryCalls(Transport):
    """Operations of the domain: history."""

    def get_resource_history(
        self,
        resource_id: str,
        *,
        from_: datetime | None = None,
        to: datetime | None = None,
        resolution: str | None = None,
        signals: str | None = None,
        format: str | None = None,
    ) -> HistoryView:
        """Return what a resource did, resampled exactly; a retired one is remembered."""
        return self.call(
            HistoryView,
            "GET",
            f"/api/vpp/history/resources/{part(resource_id)}",
            query={
                "from": from_,
                "to": to,
                "resolution": resolution,
                "signals": signals,
                "format": format,
            },
        )

    def get_aggregation_history(
        self,
        aggregation_id: str,
        *,
        from_: datetime | None = None,
        to: datetime | None = None,
        resolution: str | None = None,
        signals: str | None = None,
        format: str | None = None,
    ) -> HistoryView:
        """Return what an aggregation did, resampled exactly; a retired one is remembered."""
        return self.call(
            HistoryView,
            "GET",
            f"/api/vpp/history/aggregations/{part(aggregation_id)}",
            query={
                "from": from_,
                "to": to,
                "resolution": resolution,
                "signals": signals,
                "format": format,
            },
        )

    def get_energy(
        self,
        aggregation_id: str,
        *,
        from_: datetime | None = None,
        to: datetime | None = None,
        resolution: str | None = None,
    ) -> EnergyView:
        """Return where an aggregation's energy came from and went, with peaks and carbon."""
        return self.call(
            EnergyView,
            "GET",
            f"/api/vpp/energy/{part(aggregation_id)}",
            query={"from": from_, "to": to, "resolution": resolution},
        )
