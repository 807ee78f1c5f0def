"""Limits how many requests a principal, and an address that is nobody yet, may make in a minute.

A replica takes a hundredth of the quota at a time from the store and spends it from memory, so that
a request waits for the store once in a hundred at the most.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

from controllers.kernel.timebase import Clock
from controllers.ports.quotas import QuotaStore
from serve_apps.web.problems import RefusedError

_SHARES = 100
_MAX_TRACKED = 10_000


@dataclass(slots=True)
class Spending:
    """What one key may still spend in this window."""

    per_minute: int
    n_in_hand: int
    n_in_store: int
    ends_at: datetime

    def headers(self, now: datetime) -> list[tuple[bytes, bytes]]:
        """Return what the answer says of it."""
        resets_in_s = max(0, round((self.ends_at - now).total_seconds()))
        return [
            (b"ratelimit-limit", b"%d" % self.per_minute),
            (b"ratelimit-remaining", b"%d" % (self.n_in_hand + self.n_in_store)),
            (b"ratelimit-reset", b"%d" % resets_in_s),
        ]


class Quotas:
    """Spends the quotas of this replica's callers."""

    def __init__(self, store: QuotaStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._spendings: OrderedDict[str, Spending] = OrderedDict()

    async def spend(self, key: str, per_minute: int) -> list[tuple[bytes, bytes]]:
        """Count a request; returns the headers that tell what is left.

        Raises:
            RefusedError: nothing is left in this window (429).
        """
        now = self._clock.now()
        spending = self._spendings.get(key)
        if spending is None or spending.n_in_hand == 0 or spending.ends_at <= now:
            spending = await self._take(key, per_minute, now)
        spending.n_in_hand -= 1
        return spending.headers(now)

    async def _take(self, key: str, per_minute: int, now: datetime) -> Spending:
        n = max(1, per_minute // _SHARES)
        quota = await self._store.take(key, per_minute, n)
        if not quota.granted:
            wait_s = max(1, round(quota.resets_in_s))
            raise RefusedError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too-many-requests",
                f"at most {per_minute} requests a minute; wait {wait_s} s",
                headers={"Retry-After": str(wait_s)},
            )
        spending = Spending(
            per_minute=per_minute,
            n_in_hand=n,
            n_in_store=quota.n_left,
            ends_at=now + timedelta(seconds=quota.resets_in_s),
        )
        self._spendings[key] = spending
        self._spendings.move_to_end(key)
        if len(self._spendings) > _MAX_TRACKED:
            self._spendings.popitem(last=False)
        return spending
