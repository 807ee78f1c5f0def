"""Calls of the API, system; written by ``serve_apps.client.generate``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from controllers.ports.operations import AuditEntry
from serve_apps.client.transport import Transport
from serve_apps.system.views import AliveView, AuditPage, ReadyView


class SystemCalls(Transport):
    """Operations of the domain: system."""

    def list_audit(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        principal: str | None = None,
        action: str | None = None,
        subject: str | None = None,
        from_: datetime | None = None,
        to: datetime | None = None,
    ) -> AuditPage:
        """Return audit entries, newest first; each digest covers the one before it."""
        return self.call(
            AuditPage,
            "GET",
            "/api/vpp/audit",
            query={
                "limit": limit,
                "cursor": cursor,
                "principal": principal,
                "action": action,
                "subject": subject,
                "from": from_,
                "to": to,
            },
        )

    def each_audit(
        self,
        *,
        limit: int | None = None,
        principal: str | None = None,
        action: str | None = None,
        subject: str | None = None,
        from_: datetime | None = None,
        to: datetime | None = None,
    ) -> Iterator[AuditEntry]:
        """Yield the items of all pages of ``list_audit``."""
        cursor: str | None = None
        while True:
            page = self.list_audit(
                limit=limit,
                principal=principal,
                action=action,
                subject=subject,
                from_=from_,
                to=to,
                cursor=cursor,
            )
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def export_audit(
        self,
        *,
        principal: str | None = None,
        action: str | None = None,
        subject: str | None = None,
        from_: datetime | None = None,
        to: datetime | None = None,
    ) -> bytes:
        """Return all audit entries."""
        return self.send(
            "GET",
            "/api/vpp/audit/export",
            query={
                "principal": principal,
                "action": action,
                "subject": subject,
                "from": from_,
                "to": to,
            },
        ).content

    def alive(self) -> AliveView:
        """Answer that the process is up; says nothing of the plant."""
        return self.call(AliveView, "GET", "/healthz")

    def ready(self) -> ReadyView:
        """Answer whether the plant can be worked with here, and name what is degraded."""
        return self.call(ReadyView, "GET", "/readyz")

    def get_metrics(self) -> bytes:
        """Return the metrics of this replica in Prometheus' text form."""
        return self.send("GET", "/metrics").content
