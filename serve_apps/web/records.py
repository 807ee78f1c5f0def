"""Leaves a trace: the audit entry stands before the act, and a refused act adds its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

from controllers.kernel.errors import ParkgridError
from controllers.ports.operations import OperationsStore
from serve_apps.web.permissions import Operation


class Named(Protocol):
    """Whoever lets an act happen."""

    @property
    def username(self) -> str:
        """What the audit log calls them."""
        ...


@asynccontextmanager
async def audited(
    store: OperationsStore,
    caller: Named,
    operation: Operation,
    subject: str,
    data: Mapping[str, object],
) -> AsyncIterator[None]:
    """Write the audit entry, then let the act happen.

    Raises:
        StorageUnavailableError: the entry could not be written, so the act does not happen.
    """
    await store.audit(caller.username, operation.value, subject, data)
    try:
        yield
    except ParkgridError as error:
        refused = {"error": type(error).__name__, "detail": str(error)}
        await store.audit(caller.username, f"{operation.value}.refused", subject, refused)
        raise
