"""What is counted of callers, shared between replicas where possible: requests, failed log-ins."""

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


class SharedLockouts(Protocol):
    """Counts failed log-ins in a row for all replicas; never fails and never waits long."""

    async def attempt(self, name: str) -> float | None:
        """Count a failure in advance, before the password is looked at.

        Returns:
            0, or the seconds to wait instead, which is not counted; None while the replicas share
            nothing.
        """
        ...

    async def succeeded(self, name: str) -> None:
        """Forget the failures of a name."""
        ...
