"""The AccountStore on SQL."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Connection, RowMapping, insert, select, update

from cluster.storage.database import Database
from cluster.storage.paging import page_of
from cluster.storage.sessions import end_sessions, raise_version
from cluster.storage.tables.accounts import ACCOUNTS_VERSION, API_KEYS, SESSIONS, USERS
from controllers.accounts.rules import check_change, holds_the_keys
from controllers.kernel.errors import ConflictError, NotFoundError, StaleVersionError
from controllers.ports.accounts import (
    Account,
    AccountChange,
    AccountsPicture,
    ApiKey,
    Credentials,
    KeyOnFile,
)
from controllers.ports.acts import Act, Done
from controllers.ports.pages import Page, PageRequest

_ACCOUNT_COLUMNS = [USERS.c[name] for name in Account.__struct_fields__]


def find_account(connection: Connection, username: str) -> Account:
    """Return an account.

    Raises:
        NotFoundError: nobody has that name.
    """
    query = select(*_ACCOUNT_COLUMNS).where(USERS.c.username == username)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise NotFoundError("account", username)
    return Account(**row)


class SqlAccounts:
    """An AccountStore on a migrated database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def credentials(self, username: str) -> Credentials | None:
        """Return what a log-in is checked against."""
        columns = [USERS.c[name] for name in Credentials.__struct_fields__]
        query = select(*columns).where(USERS.c.username == username)

        def read(connection: Connection) -> Credentials | None:
            row = connection.execute(query).mappings().one_or_none()
            return None if row is None else Credentials(**row)

        return await self._database.read(read)

    async def account(self, username: str) -> Account:
        """Return an account."""
        return await self._database.read(lambda connection: find_account(connection, username))

    async def accounts(self, request: PageRequest, *, disabled: bool | None) -> Page[Account]:
        """Return a page of the accounts."""
        query = select(*_ACCOUNT_COLUMNS)
        if disabled is not None:
            query = query.where(USERS.c.disabled == disabled)
        return await self._database.read(
            lambda connection: page_of(
                connection,
                query,
                request,
                sorts={"username": USERS.c.username, "created_at": USERS.c.created_at},
                default_sort="username",
                id_column=USERS.c.username,
                build=lambda row: Account(**row),
            )
        )

    async def add(self, act: Act, account: Account, password_hash: str) -> Done[Account]:
        """Add an account."""

        def work(connection: Connection) -> Account:
            _insert(connection, account, password_hash)
            return account

        return await self._database.act(act, work, Account)

    async def change(
        self, act: Act, username: str, version: int, change: AccountChange
    ) -> Done[Account]:
        """Change roles, scope or state; a disabled account's sessions end."""
        now = self._database.clock.now()

        def work(connection: Connection) -> Account:
            before = find_account(connection, username)
            if before.version != version:
                raise StaleVersionError("the account", before.version)
            wanted = change.applied_to(before)
            check_change(before, wanted, act.principal, _n_other_admins(connection, username))
            after = msgspec.structs.replace(wanted, version=version + 1, changed_at=now)
            values = msgspec.structs.asdict(after)
            connection.execute(update(USERS).where(USERS.c.username == username).values(values))
            if after.disabled:
                end_sessions(connection, username, now, "account disabled")
            raise_version(connection)
            return after

        return await self._database.act(act, work, Account)

    async def set_password(
        self, act: Act, username: str, password_hash: str, *, must_change: bool
    ) -> Done[Account]:
        """Replace a password and end all sessions of the account."""
        now = self._database.clock.now()

        def work(connection: Connection) -> Account:
            before = find_account(connection, username)
            after = msgspec.structs.replace(
                before,
                must_change_password=must_change,
                version=before.version + 1,
                changed_at=now,
            )
            values = {**msgspec.structs.asdict(after), "password_hash": password_hash}
            connection.execute(update(USERS).where(USERS.c.username == username).values(values))
            end_sessions(connection, username, now, "password changed")
            raise_version(connection)
            return after

        return await self._database.act(act, work, Account)

    async def picture(self, sessions_ended_since: datetime) -> AccountsPicture:
        """Return all accounts and usable keys, and the sessions that ended since then."""

        def read(connection: Connection) -> AccountsPicture:
            rows = connection.execute(select(*_ACCOUNT_COLUMNS)).mappings()
            keys = connection.execute(
                select(API_KEYS).where(
                    API_KEYS.c.revoked_at.is_(None),
                    API_KEYS.c.expires_at > self._database.clock.now(),
                )
            )
            ended = select(SESSIONS.c.id).where(SESSIONS.c.ended_at >= sessions_ended_since)
            return AccountsPicture(
                version=_version(connection),
                accounts={row["username"]: Account(**row) for row in rows},
                keys={row["id"]: _key_on_file(row) for row in keys.mappings()},
                ended_sessions=set(connection.execute(ended).scalars()),
            )

        return await self._database.read(read)

    async def version(self) -> int:
        """Return a number that rises with every change that the picture would show."""
        return await self._database.read(_version)


def _version(connection: Connection) -> int:
    return int(connection.execute(select(ACCOUNTS_VERSION.c.version)).scalar_one())


def _insert(connection: Connection, account: Account, password_hash: str) -> None:
    taken = select(USERS.c.username).where(USERS.c.username == account.username)
    if connection.execute(taken).first() is not None:
        raise ConflictError("the name is taken; choose another", current=account.username)
    row = {**msgspec.structs.asdict(account), "password_hash": password_hash}
    connection.execute(insert(USERS), row)
    raise_version(connection)


def _n_other_admins(connection: Connection, username: str) -> int:
    # Locked, so that two administrators cannot disable each other in the same moment.
    query = select(*_ACCOUNT_COLUMNS).where(USERS.c.username != username).with_for_update()
    rows = connection.execute(query).mappings()
    return sum(holds_the_keys(Account(**row)) for row in rows)


def _key_on_file(row: RowMapping) -> KeyOnFile:
    key = ApiKey(**{name: row[name] for name in ApiKey.__struct_fields__})
    return KeyOnFile(key=key, secret_hash=row["secret_hash"])
