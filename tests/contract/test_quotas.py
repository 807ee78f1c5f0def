"""Quotas are counted in one process and, with Redis, for all; without it they go on alone."""

from __future__ import annotations

import time

from cluster.storage.quotas import LimitsQuotas
from cluster.storage.redis import ASKED_WITHIN_S, SharedRedis, open_redis
from controllers.kernel.timebase import SystemClock
from tests.support.servers import Redis as RedisServer
from tests.support.waiting import eventually


async def test_what_is_left_is_told_and_what_is_too_much_refused() -> None:
    quotas = LimitsQuotas(None, SystemClock())
    first = await quotas.take("a", 10, 6)
    assert (first.granted, first.n_left) == (True, 4)
    assert 0.0 < first.resets_in_s <= 60.0
    assert not (await quotas.take("a", 10, 6)).granted
    assert (await quotas.take("b", 10, 6)).granted


async def test_replicas_share_a_quota_through_redis(redis_server: RedisServer) -> None:
    async with open_redis(redis_server.url) as first, open_redis(redis_server.url) as second:
        here = LimitsQuotas(SharedRedis(first), SystemClock())
        there = LimitsQuotas(SharedRedis(second), SystemClock())
        assert (await here.take("shared", 10, 6)).granted
        assert (await there.take("shared", 10, 4)).granted
        assert not (await there.take("shared", 10, 1)).granted
        assert not (await here.take("shared", 10, 1)).granted


async def test_without_redis_each_counts_for_itself() -> None:
    async with open_redis("redis://127.0.0.1:1/0") as gone:
        for _ in range(2):
            quotas = LimitsQuotas(SharedRedis(gone), SystemClock())
            assert (await quotas.take("a", 10, 10)).granted
            assert not (await quotas.take("a", 10, 1)).granted


async def test_a_redis_that_hangs_costs_three_requests_some_time_and_the_others_none(
    redis_server: RedisServer,
) -> None:
    async with open_redis(redis_server.url) as redis:
        shared = SharedRedis(redis)
        quotas = LimitsQuotas(shared, SystemClock())
        assert (await quotas.take("hang", 100, 1)).granted
        redis_server.freeze()
        try:
            for _ in range(3):
                begun_s = time.monotonic()
                assert (await quotas.take("hang", 100, 1)).granted
                assert time.monotonic() - begun_s < 2 * ASKED_WITHIN_S
            assert shared.n_breakers_open() == 1
            begun_s = time.monotonic()
            for _ in range(20):
                assert (await quotas.take("hang", 100, 1)).granted
            assert time.monotonic() - begun_s < ASKED_WITHIN_S / 2
        finally:
            redis_server.thaw()


async def test_a_redis_that_was_killed_is_shared_again_after_its_return(
    redis_server: RedisServer,
) -> None:
    async with open_redis(redis_server.url) as first, open_redis(redis_server.url) as second:
        ours, theirs = SharedRedis(first, rest_s=0.1), SharedRedis(second, rest_s=0.1)
        here, there = LimitsQuotas(ours, SystemClock()), LimitsQuotas(theirs, SystemClock())
        redis_server.kill()
        try:
            for _ in range(4):
                assert (await here.take("killed", 1000, 1)).granted
                assert (await there.take("killed", 1000, 1)).granted
            assert (ours.n_breakers_open(), theirs.n_breakers_open()) == (1, 1)
        finally:
            redis_server.start()

        async def closed() -> bool:
            await here.take("killed", 1000, 1)
            await there.take("killed", 1000, 1)
            return not ours.n_breakers_open() and not theirs.n_breakers_open()

        await eventually(closed, within_s=10.0)
        before = await here.take("killed", 1000, 1)
        after = await there.take("killed", 1000, 1)
        assert after.n_left < before.n_left
