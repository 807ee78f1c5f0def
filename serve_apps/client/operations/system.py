"""Calls of the API, system; written by ``serve_apps.client.generate``."""

from __future__ import annotations

from serve_apps.client.transport import Transport
from serve_apps.system.views import AliveView, AuditPage, ReadyView


class SystemCalls(Transport):
    """Operations of the domain: system."""

    def list_audit(self, *, limit: int | None = None, subject: str | None = None) -> AuditPage:
        """Return the newest audit entries; each digest covers the one before it."""
        return self.call(
            AuditPage, "GET", "/api/vpp/audit", query={"limit": limit, "subject": subject}
        )

    def alive(self) -> AliveView:
        """Answer that the process is up; says nothing of the plant."""
        return self.call(AliveView, "GET", "/healthz")

    def ready(self) -> ReadyView:
        """Answer whether the plant can be worked with here, and name what is degraded."""
        return self.call(ReadyView, "GET", "/readyz")

    def get_metrics(self) -> bytes:
        """Return the metrics of this replica in Prometheus' text form."""
        return self.send("GET", "/metrics").content
