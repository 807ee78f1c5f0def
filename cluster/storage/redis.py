"""Redis as Parkgrid uses it: what replicas share and may lose, with bounded waits.

Nothing durable lives there: whoever uses it says what happens without it. A connection that broke
is made anew at the next use; an address with a password never gets into an error or a log.
"""

from __future__ import annotations

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from controllers.kernel.errors import StorageUnavailableError

ANSWER_WITHIN_S = 0.25
"""How long Redis may take to accept a connection, and for one answer."""

_MAX_CONNECTIONS = 32


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
