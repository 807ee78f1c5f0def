"""The QuotaStore over the library ``limits``: in Redis for all replicas, else in this process.

While Redis does not answer each replica counts for itself: a limit must not take the plant down.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.strategies import FixedWindowRateLimiter
from limits.errors import StorageError
from redis.asyncio import Redis

from controllers.kernel.timebase import Clock
from controllers.ports.quotas import Quota

_REST = timedelta(seconds=10)
"""How long Redis is left alone after it did not answer."""

_log = logging.getLogger(__name__)


class LimitsQuotas:
    """A QuotaStore.

    Args:
        redis: that the replicas share; None counts in this process.
        clock: tells when Redis is asked again.
    """

    def __init__(self, redis: Redis | None, clock: Clock) -> None:
        self._clock = clock
        self._own = FixedWindowRateLimiter(MemoryStorage())
        self._shared = None if redis is None else FixedWindowRateLimiter(_over(redis))
        self._rests_until: datetime | None = None

    async def take(self, key: str, per_minute: int, n: int) -> Quota:
        """Take ``n`` of ``per_minute``, all or none."""
        now = self._clock.now()
        rests = self._rests_until is not None and now < self._rests_until
        if self._shared is not None and not rests:
            try:
                quota = await self._take(self._shared, key, per_minute, n)
            except StorageError:
                if self._rests_until is None:
                    _log.warning("Redis does not answer; each replica limits for itself")
                self._rests_until = now + _REST
            else:
                self._rests_until = None
                return quota
        return await self._take(self._own, key, per_minute, n)

    async def _take(
        self, limiter: FixedWindowRateLimiter, key: str, per_minute: int, n: int
    ) -> Quota:
        item = RateLimitItemPerMinute(per_minute, namespace="parkgrid")
        granted = await limiter.hit(item, key, cost=n)
        stats = await limiter.get_window_stats(item, key)
        resets_in_s = stats.reset_time - self._clock.now().timestamp()
        return Quota(
            granted=granted,
            n_left=stats.remaining,
            resets_in_s=min(max(resets_in_s, 0.0), float(item.get_expiry())),
        )


def _over(redis: Redis) -> Storage:
    return RedisStorage(
        "async+redis://",
        implementation="redispy",
        wrap_exceptions=True,
        # The library hands it on; its annotation knows of plain options only.
        connection_pool=redis.connection_pool,  # type: ignore[arg-type]
    )
