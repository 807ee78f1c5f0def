"""How much of a limited number of requests is left, shared between replicas where possible."""

from __future__ import annotations

from typing import Protocol

from controllers.kernel.wire import Wire


class Quota(Wire):
    """What became of a wish to take some."""

    granted: bool
    n_left: int
    """In this window, for everybody who shares the key."""
    resets_in_s: float
    """Until the window ends and all is there again."""


class QuotaStore(Protocol):
    """Counts requests by key in windows of a minute; never fails and never waits long."""

    async def take(self, key: str, per_minute: int, n: int) -> Quota:
        """Take ``n`` of ``per_minute``, all or none."""
        ...
