"""Answers about the system itself: is it up, is it ready, who did what."""

from __future__ import annotations

from controllers.kernel.wire import Wire
from controllers.ports.operations import AuditEntry
from serve_apps.web.problems import CheckView


class AuditPage(Wire):
    """Audit entries, newest first."""

    items: list[AuditEntry]
    next_cursor: str | None


class ReadyView(Wire):
    """Whether the system can be worked with."""

    status: str
    """``ready`` or ``degraded``."""
    checks: list[CheckView]


class AliveView(Wire):
    """The process is up."""

    status: str = "ok"
