"""All accounts as this replica last saw them, so that admitting a request waits for no storage.

Looked at anew once a second, and at once after a change that this replica made itself. While the
database does not answer the last picture stands: control must go on, and access tokens are short.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import datetime, timedelta

from controllers.kernel.errors import StorageUnavailableError
from controllers.kernel.timebase import Clock
from controllers.ports.accounts import AccountsPicture, AccountStore, KeyStore

_REFRESH_S = 1.0
_NOTE_USE_EVERY = timedelta(minutes=1)

_log = logging.getLogger(__name__)


class CurrentAccounts:
    """The accounts of this moment.

    Args:
        store: the accounts.
        keys: where the last use of API keys is noted.
        clock: says which ended sessions may still have living access tokens.
        access_lifetime_s: of access tokens.
    """

    def __init__(
        self, store: AccountStore, keys: KeyStore, clock: Clock, access_lifetime_s: float
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._lifetime = timedelta(seconds=access_lifetime_s)
        # Until it is loaded nobody is known.
        self.picture = AccountsPicture(version=0, accounts={}, keys={}, ended_sessions=set())
        self._used_at: dict[str, datetime] = {}
        self._noted_at = clock.now()

    async def load(self) -> None:
        """Look anew.

        Raises:
            StorageUnavailableError: the last picture stands.
        """
        self.picture = await self._store.picture(self._clock.now() - self._lifetime)

    async def catch_up(self) -> None:
        """Look anew after a change of our own; without database the next look will do."""
        with suppress(StorageUnavailableError):
            await self.load()

    def used(self, key_id: str) -> None:
        """Note that an API key was used."""
        self._used_at[key_id] = self._clock.now()

    async def follow(self) -> None:
        """Keep up with changes until cancelled."""
        while True:
            await asyncio.sleep(_REFRESH_S)
            try:
                if await self._store.version() != self.picture.version:
                    await self.load()
                if self._used_at and self._clock.now() - self._noted_at >= _NOTE_USE_EVERY:
                    await self.note_use()
            except StorageUnavailableError:
                continue
            except Exception:
                _log.exception("the accounts could not be looked at")

    async def note_use(self) -> None:
        """Store when which keys were last used."""
        used_at, self._used_at = self._used_at, {}
        self._noted_at = self._clock.now()
        await self._keys.note_use(used_at)
