"""The QuotaStore over the library ``limits``: in Redis for all replicas, else in this process.

While Redis does not answer each replica counts for itself: a limit must not take the plant down.
After some failures in a row a circuit breaker leaves Redis alone, so that requests do not wait for
it one by one.
"""

from __future__ import annotations

import asyncio
import logging

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.strategies import FixedWindowRateLimiter
from limits.errors import StorageError
from redis.asyncio import Redis

from cluster.storage.redis import ANSWER_WITHIN_S
from controllers.kernel.breaker import Breaker
from controllers.kernel.timebase import Clock
from controllers.ports.quotas import Quota

REST_S = 10.0
"""How long Redis is left alone after it failed some times in a row, and between two trials."""
TAKEN_WITHIN_S = 2 * ANSWER_WITHIN_S
"""How long a request waits for Redis at most: one answer, and once more over a new connection."""

_log = logging.getLogger(__name__)


class LimitsQuotas:
    """A QuotaStore.

    Args:
        redis: that the replicas share; None counts in this process.
        clock: tells how much of a window is over.
        rest_s: between two trials of a Redis that keeps failing.
    """

    def __init__(self, redis: Redis | None, clock: Clock, *, rest_s: float = REST_S) -> None:
        self._clock = clock
        self._own = FixedWindowRateLimiter(MemoryStorage())
        self._shared = None if redis is None else FixedWindowRateLimiter(_over(redis))
        self._breaker = Breaker(rest_s=rest_s)

    def n_breakers_open(self) -> int:
        """Return 1 while Redis is left alone for having failed."""
        return int(self._breaker.is_open)

    async def take(self, key: str, per_minute: int, n: int) -> Quota:
        """Take ``n`` of ``per_minute``, all or none."""
        loop = asyncio.get_running_loop()
        if self._shared is not None and self._breaker.admits(loop.time()):
            try:
                async with asyncio.timeout(TAKEN_WITHIN_S):
                    quota = await self._take(self._shared, key, per_minute, n)
            except (StorageError, TimeoutError):
                was_open = self._breaker.is_open
                self._breaker.failed(loop.time())
                if self._breaker.is_open and not was_open:
                    _log.warning("Redis does not answer; each replica limits for itself")
            else:
                if self._breaker.is_open:
                    _log.info("Redis answers again; replicas share their limits")
                self._breaker.succeeded()
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
