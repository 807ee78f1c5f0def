"""Passwords: argon2 in a thread, as slow for an unknown name as for a known one, with back-off.

Failures are counted by name, known or not, so that neither the answer nor its timing tells which
names exist; together where the replicas share something, else each by itself. What a replica
remembers is bounded; forgetting the oldest only costs an attacker's delay.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import ParamSpec, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from controllers.kernel.timebase import Clock
from controllers.ports.accounts import AccountStore, Credentials
from controllers.ports.quotas import SharedLockouts
from serve_apps.accounts.secrets import hash_secret
from serve_apps.web.deps import ApiSettings
from serve_apps.web.problems import RefusedError

P = ParamSpec("P")
T = TypeVar("T")

_HASHER = PasswordHasher()
_STRANGER_HASH = _HASHER.hash("nobody's password")
_MAX_CONCURRENT = 2
"""Each verification takes 64 MiB and a core for some 50 ms."""
_MAX_WAITING = 32


def hash_password(password: str) -> str:
    """Return the argon2 hash to store; takes some 50 ms of a core."""
    return _HASHER.hash(password)


def verify_password(password_hash: str, password: str) -> bool:
    """Tell whether the password fits; an unreadable hash fits nothing."""
    try:
        return _HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


@dataclass(slots=True)
class _Failures:
    n_failures: int
    locked_until: datetime


class Backoff:
    """Counts failures in a row by name and says how long to wait."""

    def __init__(self, settings: ApiSettings) -> None:
        self._free = settings.login_free_attempts
        self._max_wait_s = settings.login_max_wait_s
        self._max_tracked = settings.login_max_tracked
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def wait_s(self, name: str, now: datetime) -> float:
        """Return the seconds before the next attempt is looked at; 0 means now."""
        known = self._failures.get(name)
        return 0.0 if known is None else max(0.0, (known.locked_until - now).total_seconds())

    def failed(self, name: str, now: datetime) -> None:
        """Count a failure."""
        n_failures = 1
        if name in self._failures:
            n_failures += self._failures.pop(name).n_failures
        n_charged = n_failures - self._free
        wait_s = 0.0 if n_charged < 0 else min(2.0 ** min(n_charged, 30), self._max_wait_s)
        self._failures[name] = _Failures(n_failures, now + timedelta(seconds=wait_s))
        if len(self._failures) > self._max_tracked:
            self._failures.popitem(last=False)

    def succeeded(self, name: str) -> None:
        """Forget the failures of a name."""
        self._failures.pop(name, None)


class PasswordGate:
    """Checks names and passwords against the accounts."""

    def __init__(
        self, store: AccountStore, shared: SharedLockouts, clock: Clock, settings: ApiSettings
    ) -> None:
        self._store = store
        self._shared = shared
        self._clock = clock
        self._backoff = Backoff(settings)
        self._slots = asyncio.Semaphore(_MAX_CONCURRENT)
        self._n_waiting = 0

    async def check(self, username: str, password: str) -> Credentials:
        """Return the account's credentials.

        Raises:
            RefusedError: wrong name or password (401), too many failures (429) or too many at
                once (503).
        """
        user = await self._store.credentials(username)
        # Counted before the slow part: attempts sent in parallel must not all be free.
        wait_s = await self._attempt(username)
        if wait_s > 0.0:
            raise RefusedError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "locked-out",
                f"too many failed log-ins for this name; wait {wait_s:.0f} s",
                headers={"Retry-After": str(max(1, round(wait_s)))},
            )
        usable = user is not None and not user.disabled
        password_hash = user.password_hash if user is not None else _STRANGER_HASH
        if not await self._verify(password_hash, password) or user is None or not usable:
            raise RefusedError(
                HTTPStatus.UNAUTHORIZED,
                "unauthenticated",
                "name or password is wrong",
                headers={"WWW-Authenticate": "Bearer"},
            )
        self._backoff.succeeded(username)
        await self._shared.succeeded(hash_secret(username))
        return user

    async def hash(self, password: str) -> str:
        """Return the hash of a new password.

        Raises:
            RefusedError: too many at once (503).
        """
        return await self._in_turn(hash_password, password)

    async def _attempt(self, username: str) -> float:
        # By hash, because what was typed as a name may be a password.
        shared_s = await self._shared.attempt(hash_secret(username))
        if shared_s is not None:
            return shared_s
        now = self._clock.now()
        wait_s = self._backoff.wait_s(username, now)
        if wait_s == 0.0:
            self._backoff.failed(username, now)
        return wait_s

    async def _verify(self, password_hash: str, password: str) -> bool:
        return await self._in_turn(verify_password, password_hash, password)

    async def _in_turn(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._n_waiting >= _MAX_WAITING:
            raise RefusedError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "unavailable",
                "too many log-ins at once",
                headers={"Retry-After": "2"},
            )
        self._n_waiting += 1
        try:
            async with self._slots:
                return await asyncio.to_thread(work, *args, **kwargs)
        finally:
            self._n_waiting -= 1
