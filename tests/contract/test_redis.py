"""Redis may go and come back: whoever asks it is refused in time, and no password is told."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis as Client

from cluster.storage.redis import ANSWER_WITHIN_S, open_redis, ping
from controllers.kernel.errors import StorageUnavailableError
from tests.support.broker import free_port
from tests.support.servers import Redis
from tests.support.waiting import eventually


@pytest.fixture
async def client(redis_server: Redis) -> AsyncIterator[Client]:
    client = open_redis(redis_server.url)
    yield client
    await client.aclose()


async def answers(client: Client) -> bool:
    try:
        await ping(client)
    except StorageUnavailableError:
        return False
    return True


async def test_what_was_stored_survives_a_kill_and_the_client_finds_it_again(
    client: Client, redis_server: Redis
) -> None:
    await client.set("budget", 7)
    redis_server.kill()
    begun_s = time.monotonic()
    assert not await answers(client)
    assert time.monotonic() - begun_s < 10 * ANSWER_WITHIN_S
    redis_server.start()
    await eventually(lambda: answers(client), within_s=5.0)
    assert await client.get("budget") == b"7"


async def test_a_redis_that_hangs_is_given_up_in_time(client: Client, redis_server: Redis) -> None:
    await ping(client)
    redis_server.freeze()
    try:
        begun_s = time.monotonic()
        assert not await answers(client)
        assert time.monotonic() - begun_s < 10 * ANSWER_WITHIN_S
    finally:
        redis_server.thaw()
    await eventually(lambda: answers(client), within_s=5.0)


async def test_a_wrong_password_is_refused_and_not_told(redis_server: Redis) -> None:
    client = open_redis(f"redis://:hunter2@127.0.0.1:{redis_server.port}/0")
    with pytest.raises(StorageUnavailableError) as caught:
        await ping(client)
    assert "hunter2" not in repr(caught.value)
    assert caught.value.__cause__ is None
    await client.aclose()


@pytest.mark.parametrize("url", ["", "http://:hunter2@h/", "redis://:hunter2@h:port/0"])
def test_a_url_that_names_no_redis_is_refused_and_not_told(url: str) -> None:
    with pytest.raises(StorageUnavailableError) as caught:
        open_redis(url)
    assert "hunter2" not in repr(caught.value)


async def test_nobody_listening_is_unavailable() -> None:
    client = open_redis(f"redis://127.0.0.1:{free_port()}/0")
    assert not await answers(client)
    await client.aclose()
