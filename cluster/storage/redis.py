"""Redis as Parkgrid uses it: what replicas share and may lose, with bounded waits.

Nothing durable lives there: whoever uses it says what happens without it. A connection that broke
is made anew at the next use; an address with a password never gets into an error or a log.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from controllers.kernel.breaker import Breaker
from controllers.kernel.errors import StorageUnavailableError

T = TypeVar("T")

REST_S = 10.0
"""How long Redis is left alone after it failed some times in a row, and between two trials."""
ANSWER_WITHIN_S = 0.25
"""How long Redis may take to accept a connection, and for one answer."""
ASKED_WITHIN_S = 2 * ANSWER_WITHIN_S
"""How long a request waits for Redis at most: one answer, and once more over a new connection."""

_MAX_CONNECTIONS = 32

_log = logging.getLogger(__name__)


class SharedRedis:
    """What all replicas count in, behind one circuit breaker: requests do not wait one by one.

    Args:
        redis: the client.
        rest_s: between two trials of a Redis that keeps failing.
    """

    def __init__(self, redis: Redis, *, rest_s: float = REST_S) -> None:
        self.redis = redis
        self._breaker = Breaker(rest_s=rest_s)

    def n_breakers_open(self) -> int:
        """Return 1 while Redis is left alone for having failed."""
        return int(self._breaker.is_open)

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T | None:
        """Return what Redis answers; None while it does not."""
        loop = asyncio.get_running_loop()
        if not self._breaker.admits(loop.time()):
            return None
        was_open = self._breaker.is_open
        try:
            async with asyncio.timeout(ASKED_WITHIN_S):
                answer = await question()
        except (RedisError, OSError, TimeoutError):
            self._breaker.failed(loop.time())
            if self._breaker.is_open and not was_open:
                _log.warning("Redis does not answer; each replica counts for itself")
            return None
        if was_open:
            _log.info("Redis answers again; replicas count together")
        self._breaker.succeeded()
        return answer


def open_redis(url: str) -> Redis:
    """Return a client; connects at the first use and after a loss again.

    Args:
        url: ``redis://`` or, with TLS, ``rediss://``.

    Raises:
        StorageUnavailableError: the URL names no Redis.
    """
    try:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_MAX_CONNECTIONS,
            timeout=ANSWER_WITHIN_S,
            socket_timeout=ANSWER_WITHIN_S,
            socket_connect_timeout=ANSWER_WITHIN_S,
            # At once, for a connection that broke while nobody used it.
            retry=Retry(NoBackoff(), 1),
            client_name="parkgrid",
        )
    except (ValueError, RedisError):
        # Without the cause, which may quote the URL.
        raise StorageUnavailableError("the Redis URL cannot be used") from None
    return Redis.from_pool(pool)


async def ping(redis: Redis) -> None:
    """Ask for a sign of life.

    Raises:
        StorageUnavailableError: Redis does not answer.
    """
    try:
        await redis.ping()
    except (RedisError, OSError, TimeoutError):
        raise StorageUnavailableError("Redis does not answer") from None
