"""Refused log-ins and denied operations, gathered for the audit log so that nobody can fill it.

Within one interval like refusals become one entry with their number; beyond so many different ones
the rest become a single entry. Written every ten seconds: a crash loses that much of them.
"""

from __future__ import annotations

import asyncio
import logging
from typing import cast

from starlette.requests import HTTPConnection

from controllers.kernel.errors import StorageUnavailableError
from controllers.ports.operations import OperationsStore
from serve_apps.web.deps import ApiDeps

_FLUSH_S = 10.0
_MAX_DIFFERENT = 20
_OTHERS = ("anonymous", "access.refused", "others")

_log = logging.getLogger(__name__)


class Refusals:
    """Counts refusals and writes them down now and then."""

    def __init__(self, store: OperationsStore) -> None:
        self._store = store
        self._counts: dict[tuple[str, str, str], int] = {}

    def note(self, principal: str, action: str, subject: str) -> None:
        """Count a refusal.

        Args:
            principal: who was refused; ``anonymous`` where that is not known.
            action: ``login.refused``, ``access.refused`` or ``access.denied``.
            subject: name tried, address, or operation.
        """
        fact = (principal, action, subject)
        if fact not in self._counts and len(self._counts) >= _MAX_DIFFERENT:
            fact = _OTHERS
        self._counts[fact] = self._counts.get(fact, 0) + 1

    async def write(self) -> None:
        """Write down what was counted; keeps it while the database does not answer."""
        counts, self._counts = self._counts, {}
        for done, ((principal, action, subject), n_times) in enumerate(counts.items()):
            try:
                await self._store.audit(principal, action, subject, {"n_times": n_times})
            except StorageUnavailableError:
                for fact in list(counts)[done:]:
                    self._counts[fact] = self._counts.get(fact, 0) + counts[fact]
                return

    async def keep_writing(self) -> None:
        """Write down every few seconds until cancelled."""
        while True:
            await asyncio.sleep(_FLUSH_S)
            try:
                await self.write()
            except Exception:
                _log.exception("refusals could not be written to the audit log")


def where_from(connection: HTTPConnection) -> str:
    """Return the address a connection comes from; behind our ingress, the ingress's caller.

    ``X-Forwarded-For`` is not looked at, since anybody may send it.
    """
    header = cast(ApiDeps, connection.app.state.deps).settings.ingress_peer_header
    caller = None if header is None else connection.headers.get(header)
    if caller is not None:
        return caller
    return "unknown" if connection.client is None else connection.client.host[:64]
