"""Quotas are counted in one process and, with Redis, for all; without it they go on alone."""

from __future__ import annotations

from cluster.storage.quotas import LimitsQuotas
from cluster.storage.redis import open_redis
from controllers.kernel.timebase import SystemClock
from tests.support.servers import Redis as RedisServer


async def test_what_is_left_is_told_and_what_is_too_much_refused() -> None:
    quotas = LimitsQuotas(None, SystemClock())
    first = await quotas.take("a", 10, 6)
    assert (first.granted, first.n_left) == (True, 4)
    assert 0.0 < first.resets_in_s <= 60.0
    assert not (await quotas.take("a", 10, 6)).granted
    assert (await quotas.take("b", 10, 6)).granted


async def test_replicas_share_a_quota_through_redis(redis_server: RedisServer) -> None:
    async with open_redis(redis_server.url) as first, open_redis(redis_server.url) as second:
        here, there = LimitsQuotas(first, SystemClock()), LimitsQuotas(second, SystemClock())
        assert (await here.take("shared", 10, 6)).granted
        assert (await there.take("shared", 10, 4)).granted
        assert not (await there.take("shared", 10, 1)).granted
        assert not (await here.take("shared", 10, 1)).granted


async def test_without_redis_each_counts_for_itself() -> None:
    async with open_redis("redis://127.0.0.1:1/0") as gone:
        for quotas in (LimitsQuotas(gone, SystemClock()), LimitsQuotas(gone, SystemClock())):
            assert (await quotas.take("a", 10, 10)).granted
            assert not (await quotas.take("a", 10, 1)).granted
