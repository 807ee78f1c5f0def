"""Keeps the accounts on the embedded broker those of the database, within about a second.

It looks at two version numbers, that of the devices and that of the park, and rewrites the broker's
files when one has changed or an account has run out. While the database does not answer, whoever
had access keeps it.
"""

from __future__ import annotations

import logging
from datetime import datetime

from cluster.broker import RunningBroker
from cluster.storage.device_accounts import SqlDeviceAccounts
from cluster.storage.registry import SqlParkRegistry
from controllers.kernel.errors import StorageUnavailableError
from controllers.kernel.timebase import Clock

_log = logging.getLogger(__name__)


class BrokerAccounts:
    """Follows the database on behalf of one broker; makes known at once what the broker drew."""

    def __init__(
        self,
        broker: RunningBroker,
        accounts: SqlDeviceAccounts,
        registry: SqlParkRegistry,
        clock: Clock,
    ) -> None:
        self._broker = broker
        self._accounts = accounts
        self._registry = registry
        self._clock = clock
        self._seen = (-1, -1)
        self._next_end: datetime | None = None
        self._lost = False
        accounts.adopt(broker.accounts.devices)
        self._follow()

    def follow(self) -> None:
        """Bring the broker up to date; call it about once a second."""
        try:
            self._follow()
        except StorageUnavailableError as error:
            if not self._lost:
                _log.warning("the broker keeps its accounts as they are: %s", error)
            self._lost = True
            return
        if self._lost:
            _log.info("the broker's accounts follow the database again")
        self._lost = False

    def close(self) -> None:
        """Release the database."""
        self._accounts.close()
        self._registry.close()

    def _follow(self) -> None:
        seen = (self._accounts.revision(), self._registry.version())
        over = self._next_end is not None and self._clock.now() >= self._next_end
        if seen == self._seen and not over:
            return
        park = self._registry.load()
        admitted, self._next_end = self._accounts.access(park)
        self._broker.admit(admitted)
        # A password that serves nobody any more must not lie about.
        provisional = set(self._accounts.provisional(park))
        drawn = self._broker.accounts.devices
        if not provisional.issuperset(drawn):
            self._broker.keep_accounts([id_ for id_ in drawn if id_ in provisional])
        self._seen = seen
        _log.info("the broker admits %d accounts of devices", len(admitted))
