"""The newest entries of the audit log, as a test wants them."""

from __future__ import annotations

from controllers.ports.operations import AuditEntry, AuditFilter, OperationsStore
from controllers.ports.pages import PageRequest


async def newest_entries(
    store: OperationsStore, limit: int = 200, *, subject: str | None = None
) -> list[AuditEntry]:
    """Return up to ``limit`` entries, newest first."""
    page = await store.audit_page(AuditFilter(subject=subject), PageRequest(limit=limit))
    return page.items
