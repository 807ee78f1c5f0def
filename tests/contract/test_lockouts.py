"""Failed log-ins are counted for all replicas that share a Redis, and by each without one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from cluster.storage.database import Database
from cluster.storage.lockouts import RedisLockouts
from cluster.storage.redis import SharedRedis, open_redis
from cluster.storage.users import SqlAccounts
from controllers.kernel.timebase import SystemClock
from serve_apps.accounts.passwords import PasswordGate
from serve_apps.web.deps import ApiSettings
from serve_apps.web.problems import RefusedError
from tests.support.accounts import PASSWORD, insert_accounts, make_account
from tests.support.databases import migrated_sqlite
from tests.support.servers import Redis as RedisServer
from tests.support.waiting import eventually

N_FREE = 3
MAX_WAIT_S = 2.5


@pytest.fixture
async def replicas(redis_server: RedisServer) -> AsyncIterator[list[RedisLockouts]]:
    """Two replicas that share a Redis."""
    async with AsyncExitStack() as stack:
        redises = [await stack.enter_async_context(open_redis(redis_server.url)) for _ in range(2)]
        yield [
            RedisLockouts(SharedRedis(redis, rest_s=0.1), n_free=N_FREE, max_wait_s=MAX_WAIT_S)
            for redis in redises
        ]


async def test_failures_at_one_replica_lock_the_name_out_at_the_other(
    replicas: list[RedisLockouts],
) -> None:
    here, there = replicas
    assert [await here.attempt("a") for _ in range(N_FREE)] == [0.0] * N_FREE
    left_s = await there.attempt("a")
    assert left_s is not None
    assert 0.0 < left_s <= 1.0
    assert await there.attempt("b") == 0.0


async def test_each_further_failure_doubles_the_wait_up_to_the_longest(
    replicas: list[RedisLockouts],
) -> None:
    here, there = replicas
    for _ in range(N_FREE):
        await here.attempt("doubling")
    for longest_s in (2.0, MAX_WAIT_S):

        async def is_let_in() -> bool:
            return await here.attempt("doubling") == 0.0

        await eventually(is_let_in, within_s=5.0)
        left_s = await there.attempt("doubling")
        assert left_s is not None
        assert longest_s - 0.5 < left_s <= longest_s


async def test_a_success_is_forgiven_everywhere(replicas: list[RedisLockouts]) -> None:
    here, there = replicas
    for _ in range(N_FREE):
        await here.attempt("forgiven")
    await there.succeeded("forgiven")
    assert await here.attempt("forgiven") == 0.0


async def test_of_attempts_in_parallel_only_the_free_ones_pass(
    replicas: list[RedisLockouts],
) -> None:
    waits_s = await asyncio.gather(*(replicas[n % 2].attempt("burst") for n in range(20)))
    assert sum(wait_s == 0.0 for wait_s in waits_s) == N_FREE


async def test_without_redis_nothing_is_shared_and_nobody_waits_long(
    replicas: list[RedisLockouts], redis_server: RedisServer
) -> None:
    assert await RedisLockouts(None, n_free=1, max_wait_s=1.0).attempt("a") is None
    here, _ = replicas
    redis_server.kill()
    try:
        assert await here.attempt("gone") is None
        await here.succeeded("gone")
    finally:
        redis_server.start()

    async def is_back() -> bool:
        return await here.attempt("back") == 0.0

    await eventually(is_back, within_s=5.0)


async def test_guesses_at_one_replica_keep_even_the_right_password_out_at_the_other(
    replicas: list[RedisLockouts], tmp_path: Path
) -> None:
    clock = SystemClock()
    database = Database(migrated_sqlite(tmp_path / "parkgrid.sqlite"), clock)
    await insert_accounts(database, [make_account("anna", ["operator"], clock.now())])
    here, there = (
        PasswordGate(SqlAccounts(database), shared, clock, ApiSettings(jwt_secret="s" * 32))
        for shared in replicas
    )
    for _ in range(N_FREE):
        with pytest.raises(RefusedError) as refused:
            await here.check("anna", "a wrong guess")
        assert refused.value.status == 401
    with pytest.raises(RefusedError) as refused:
        await there.check("anna", PASSWORD)
    assert refused.value.status == 429

    async def is_let_in() -> bool:
        try:
            return (await there.check("anna", PASSWORD)).username == "anna"
        except RefusedError:
            return False

    await eventually(is_let_in, within_s=5.0)
    await asyncio.to_thread(database.close)
