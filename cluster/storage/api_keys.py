"""The KeyStore on SQL: API keys by owner, revoked rather than removed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec
from sqlalchemy import Connection, insert, select, update

from cluster.storage.database import Database, Group
from cluster.storage.paging import page_of
from cluster.storage.sessions import raise_version
from cluster.storage.tables.accounts import API_KEYS
from controllers.kernel.errors import ConflictError, NotFoundError
from controllers.ports.accounts import ApiKey
from controllers.ports.acts import Act, Done
from controllers.ports.pages import Page, PageRequest

_MAX_KEYS = 50
"""Usable keys per owner."""
_K = API_KEYS.c
_KEY_COLUMNS = [_K[name] for name in ApiKey.__struct_fields__]


class SqlApiKeys:
    """A KeyStore on a migrated database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, act: Act, key: ApiKey, secret_hash: str) -> Done[ApiKey]:
        """Store a new key."""
        now = self._database.clock.now()

        def work(connection: Connection) -> ApiKey:
            usable = select(_K.name).where(
                _K.owner == key.owner, _K.revoked_at.is_(None), _K.expires_at > now
            )
            names = list(connection.execute(usable).scalars())
            if key.name in names:
                raise ConflictError("a usable key has that name; choose another", current=key.name)
            if len(names) >= _MAX_KEYS:
                message = f"an account has at most {_MAX_KEYS} usable keys; revoke one"
                raise ConflictError(message, current=str(len(names)))
            row = {**msgspec.structs.asdict(key), "secret_hash": secret_hash}
            connection.execute(insert(API_KEYS), row)
            raise_version(connection)
            return key

        return await self._database.act(act, work, ApiKey)

    async def revoke(self, act: Act, owner: str, key_id: str) -> Done[ApiKey]:
        """Revoke a key; repeating it succeeds."""
        now = self._database.clock.now()
        one = (_K.id == key_id, _K.owner == owner)

        def work(connection: Connection) -> ApiKey:
            row = connection.execute(select(*_KEY_COLUMNS).where(*one)).mappings().one_or_none()
            if row is None:
                raise NotFoundError("API key", key_id)
            key = ApiKey(**row)
            if key.revoked_at is None:
                key = msgspec.structs.replace(key, revoked_at=now)
                connection.execute(update(API_KEYS).where(*one).values(revoked_at=now))
                raise_version(connection)
            return key

        return await self._database.act(act, work, ApiKey)

    async def keys(self, owner: str, request: PageRequest) -> Page[ApiKey]:
        """Return the keys of an account, newest first, revoked ones included."""
        return await self._database.read(
            lambda connection: page_of(
                connection,
                select(*_KEY_COLUMNS).where(_K.owner == owner),
                request,
                sorts={"created_at": _K.created_at},
                default_sort="-created_at",
                id_column=_K.id,
                build=lambda row: ApiKey(**row),
            )
        )

    async def note_use(self, used_at: Mapping[str, datetime]) -> None:
        """Note when keys were last used."""

        def write(group: Group) -> None:
            for key_id, at in used_at.items():
                change = update(API_KEYS).where(_K.id == key_id).values(last_used_at=at)
                group.connection.execute(change)

        await self._database.write(write)
