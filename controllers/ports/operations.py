"""Idempotency, audit and wanted kills, as the API needs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from controllers.kernel.wire import Wire
from controllers.ports.pages import Page, PageRequest


class IdempotencyRecord(Wire):
    """The first use of an idempotency key by a principal."""

    key: str
    principal: str
    fingerprint: str
    """Hash of method, path and body."""
    subject_id: str
    """Id the first use created; a repeat re-drives the same one."""
    status: int | None = None
    response: str | None = None
    """Stored answer, once there is one."""


class AuditEntry(Wire):
    """One link of the audit chain."""

    seq: int
    at: datetime
    principal: str
    action: str
    subject: str
    data: dict[str, object]
    digest: str
    """SHA-256 over the previous digest and this entry."""


class AuditFilter(Wire):
    """Which audit entries are wanted; None takes all."""

    principal: str | None = None
    action: str | None = None
    subject: str | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None
    """Not included."""


class OperationsStore(Protocol):
    """Idempotency, audit and wanted kills; every write durable on return."""

    async def begin(
        self, record: IdempotencyRecord, action: str, subject: str, data: Mapping[str, object]
    ) -> IdempotencyRecord:
        """Insert an idempotency record with its audit entry, or return the one that stands."""
        ...

    async def finish(self, principal: str, key: str, status: int, response: str) -> None:
        """Store the answer of an idempotent request."""
        ...

    async def audit(
        self, principal: str, action: str, subject: str, data: Mapping[str, object]
    ) -> None:
        """Append an audit entry (hash-chained)."""
        ...

    async def audit_page(self, wanted: AuditFilter, request: PageRequest) -> Page[AuditEntry]:
        """Return a page of entries; by ``seq``, with bounds in time by ``at``; newest first."""
        ...

    async def want_kill(self, resource_ids: Sequence[str], on: bool, principal: str) -> None:
        """Note which kill switches are wanted on or off, before the actors are asked."""
        ...

    async def killed_since(self, resource_ids: Sequence[str], instant: datetime) -> list[str]:
        """Return those resources whose kill switch was wanted on after an instant, and still is."""
        ...

    async def ping(self) -> None:
        """Answer, or raise StorageUnavailableError."""
        ...
