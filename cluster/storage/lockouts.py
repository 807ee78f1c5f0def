"""The SharedLockouts in Redis: one script looks and counts, so that parallel attempts cannot pass.

Redis keeps the time of the waits, whatever the clocks of the replicas say.
"""

from __future__ import annotations

from cluster.storage.redis import SharedRedis

_KEPT_S = 86_400
"""How long a failure is remembered after which nobody came back."""

# A name's key of the wait is there for as long as the wait lasts.
_ATTEMPT = """
local left_ms = redis.call('PTTL', KEYS[2])
if left_ms > 0 then return left_ms end
local n = redis.call('INCR', KEYS[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
local charged = n - tonumber(ARGV[1])
if charged >= 0 then
  local wait_ms = math.min(1000 * 2 ^ math.min(charged, 30), tonumber(ARGV[2]))
  redis.call('SET', KEYS[2], 1, 'PX', string.format('%d', wait_ms))
end
return 0
"""


class RedisLockouts:
    """A SharedLockouts.

    Args:
        shared: what the replicas count in; None shares nothing.
        n_free: failures in a row before each further one doubles the wait.
        max_wait_s: the longest wait.
    """

    def __init__(self, shared: SharedRedis | None, *, n_free: int, max_wait_s: float) -> None:
        self._shared = shared
        self._script = None if shared is None else shared.redis.register_script(_ATTEMPT)
        self._rules = [n_free, round(1000 * max_wait_s), _KEPT_S]

    async def attempt(self, name: str) -> float | None:
        """Count a failure in advance, before the password is looked at."""
        if self._shared is None or self._script is None:
            return None
        script = self._script
        left_ms = await self._shared.ask(lambda: script(_keys(name), self._rules))
        return None if left_ms is None else float(left_ms) / 1000.0

    async def succeeded(self, name: str) -> None:
        """Forget the failures of a name."""
        if self._shared is not None:
            redis = self._shared.redis
            await self._shared.ask(lambda: redis.delete(*_keys(name)))


def _keys(name: str) -> list[str]:
    return [f"parkgrid:failures:{name}", f"parkgrid:wait:{name}"]
