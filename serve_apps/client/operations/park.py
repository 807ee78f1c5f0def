"""Calls of the API, park; written by ``serve_apps.client.generate``."""

from __future__ import annotations

from serve_apps.client.transport import Transport
from serve_apps.operations.views import LivePictureView, ParkView


class ParkCalls(Transport):
    """Operations of the domain: park."""

    def get_park(self) -> ParkView:
        """Return the park as defined."""
        return self.call(ParkView, "GET", "/api/vpp/park")

    def get_live(self) -> LivePictureView:
        """Return the whole live picture; at most 100 ms old, see ``as_of``."""
        return self.call(LivePictureView, "GET", "/api/vpp/live")
