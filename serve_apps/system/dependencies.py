"""What this replica depends on, since when it is missing, and what goes on without it.

Readiness asks whether this replica can show the plant: without its live feed it cannot, and another
replica may. Everything else is shared by all replicas; if its loss made them unready, nothing could
be stopped any more, so it only degrades.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

from controllers.kernel.errors import TemporaryError
from controllers.ports.health import NOTICE_SERVERS, SMTP, WEBHOOK, n_breakers_open
from serve_apps.web.deps import ApiDeps
from serve_apps.web.problems import CheckView

LIVE, STORE, ACTORS = "live", "store", "actors"
NEEDED = frozenset({LIVE})
"""Without one of these the replica is not ready."""

DEGRADED_MODES = {
    LIVE: "the picture is ageing and readiness is refused; dispatch and stop reach the actors",
    STORE: "live control, reading and stopping go on; other changes are refused until it is back",
    ACTORS: "devices keep their last command for its lifetime; commands for a missing actor are "
    "refused until it is back",
    "read-replica": "the primary database answers its reads",
    "history": "live control goes on; the newest samples wait in memory, older ones are lost",
    "redis": "limits are counted by each replica for itself",
    WEBHOOK: "alarms are raised and shown all the same; notices for the channels concerned wait",
    SMTP: "alarms are raised and shown all the same; e-mails for the channels concerned wait",
}
_ELSE = "everything else goes on"


class DependencyBoard:
    """Asks every dependency at most once per ``check_fresh_s``, however many want to know."""

    def __init__(self, deps: ApiDeps) -> None:
        self._deps = deps
        self._asked_at_s = float("-inf")
        self._checks: list[CheckView] = []
        self._missing_since: dict[str, datetime] = {}
        self._one_at_a_time = asyncio.Lock()

    async def checks(self) -> list[CheckView]:
        """Return how each dependency is."""
        async with self._one_at_a_time:
            now_s = asyncio.get_running_loop().time()
            if now_s - self._asked_at_s > self._deps.settings.check_fresh_s:
                self._checks = await self._ask()
                self._asked_at_s = now_s
            return self._checks

    async def _ask(self) -> list[CheckView]:
        pings: dict[str, Callable[[], Awaitable[str | None]]] = {
            STORE: self._deps.store.ping,
            ACTORS: self._actors,
            **self._deps.helpers,
        }
        asked = [self._check(name, ping) for name, ping in pings.items()]
        answered = await asyncio.gather(*asked)
        return [self._told(*self._live()), *answered, *await self._notices()]

    async def _check(self, name: str, ping: Callable[[], Awaitable[str | None]]) -> CheckView:
        try:
            async with asyncio.timeout(self._deps.settings.store_timeout_s):
                detail = await ping()
        except (TemporaryError, TimeoutError):
            return self._told(name, False, "does not answer")
        return self._told(name, detail is None, detail or "answers")

    def _live(self) -> tuple[str, bool, str]:
        live = self._deps.live
        if not live.connected:
            return LIVE, False, "the live feed is down"
        # A park of several thousand resources takes a moment to speak after a start.
        wanted = [aggregate.id for aggregate in self._deps.park().aggregates]
        n_known = sum(id_ in live.aggregates for id_ in wanted)
        return LIVE, n_known == len(wanted), f"{n_known} of {len(wanted)} aggregates have spoken"

    async def _actors(self) -> str | None:
        healths = await self._deps.actors.healths()
        missing = sorted(
            name for name, health in healths.items() if not (health and health.get("ready", True))
        )
        if not missing:
            return None
        named = ", ".join(missing[:3])
        return f"{len(missing)} of {len(healths)} actors do not answer or are not ready: {named}"

    async def _notices(self) -> list[CheckView]:
        """Return how the servers outside are; nothing while nobody tells, as ``actors`` says."""
        try:
            async with asyncio.timeout(self._deps.settings.store_timeout_s):
                healths = await self._deps.actors.healths()
        except (TemporaryError, TimeoutError):
            return []
        checks = []
        for name in NOTICE_SERVERS:
            n_resting = n_breakers_open(healths, name)
            if n_resting is not None:
                detail = f"channels that failed at their last attempts: {n_resting}"
                checks.append(self._told(name, not n_resting, detail if n_resting else "answers"))
        return checks

    def _told(self, name: str, ok: bool, detail: str) -> CheckView:
        if ok:
            self._missing_since.pop(name, None)
            return CheckView(name=name, ok=True, detail=detail)
        since = self._missing_since.setdefault(name, self._deps.clock.now())
        return CheckView(
            name=name,
            ok=False,
            detail=detail,
            since=since,
            degraded_mode=DEGRADED_MODES.get(name, _ELSE),
        )


def is_ready(checks: list[CheckView]) -> bool:
    """Tell whether everything needed is there."""
    return all(check.ok or check.name not in NEEDED for check in checks)
