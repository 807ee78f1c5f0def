"""The QuotaStore over the library ``limits``: in Redis for all replicas, else in this process.

While Redis does not answer each replica counts for itself: a limit must not take the plant down.
"""

from __future__ import annotations

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.strategies import FixedWindowRateLimiter
from redis.asyncio import Redis

from cluster.storage.redis import SharedRedis
from controllers.kernel.timebase import Clock
from controllers.ports.quotas import Quota


class LimitsQuotas:
    """A QuotaStore.

    Args:
        shared: what the replicas count in; None counts in this process.
        clock: tells how much of a window is over.
    """

    def __init__(self, shared: SharedRedis | None, clock: Clock) -> None:
        self._clock = clock
        self._own = FixedWindowRateLimiter(MemoryStorage())
        self._shared = shared
        self._together = None if shared is None else FixedWindowRateLimiter(_over(shared.redis))

    async def take(self, key: str, per_minute: int, n: int) -> Quota:
        """Take ``n`` of ``per_minute``, all or none."""
        if self._shared is not None and self._together is not None:
            together = self._together
            quota = await self._shared.ask(lambda: self._take(together, key, per_minute, n))
            if quota is not None:
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
        # The library hands it on; its annotation knows of plain options only.
        connection_pool=redis.connection_pool,  # type: ignore[arg-type]
    )
