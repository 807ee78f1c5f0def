"""Accounts, sessions and API keys: what is stored of them, and the store's promises.

Passwords, refresh tokens and API keys are kept as hashes; nothing here ever holds one in clear.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

import msgspec
from msgspec import UNSET, UnsetType

from controllers.kernel.wire import Wire
from controllers.ports.acts import Act, Done
from controllers.ports.pages import Page, PageRequest


class Account(Wire):
    """An account of a person."""

    username: str
    roles: list[str]
    scope: list[str] | None = None
    """Aggregates it is confined to, with everything below them; None is the whole park."""
    disabled: bool = False
    must_change_password: bool = False
    """Its password was given by someone else and opens nothing but its own change."""
    version: int = 1
    created_at: datetime
    changed_at: datetime


class Credentials(Wire):
    """What a log-in is checked against."""

    username: str
    password_hash: str
    disabled: bool
    must_change_password: bool


class AccountChange(Wire):
    """What to change of an account; what is not set stays."""

    roles: list[str] | UnsetType = UNSET
    scope: list[str] | UnsetType | None = UNSET
    disabled: bool | UnsetType = UNSET

    def given(self) -> dict[str, object]:
        """Return what is set, by name."""
        return {k: v for k, v in msgspec.structs.asdict(self).items() if v is not UNSET}

    def applied_to(self, account: Account) -> Account:
        """Return the account as it would be."""
        return msgspec.structs.replace(account, **self.given())


class Session(Wire):
    """One log-in and what followed from it."""

    id: str
    username: str
    created_at: datetime
    last_used_at: datetime
    """When it was last refreshed."""
    expires_at: datetime
    address: str
    """Where the log-in came from."""
    user_agent: str
    ended_at: datetime | None = None
    ended_why: str | None = None


class ApiKey(Wire):
    """A key for a machine; acts as its owner with some of their roles."""

    id: str
    """Also the visible middle part of the key."""
    name: str
    owner: str
    roles: list[str]
    scope: list[str] | None
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None = None
    """To the minute or so."""
    revoked_at: datetime | None = None


class KeyOnFile(Wire):
    """An API key with what recognises it."""

    key: ApiKey
    secret_hash: str


class AccountsPicture(Wire):
    """What the gate needs to know of all accounts at once."""

    version: int
    accounts: dict[str, Account]
    keys: dict[str, KeyOnFile]
    """Not revoked, by id."""
    ended_sessions: set[str]
    """Those that ended lately; an older one's access tokens have ended by themselves."""


class AccountStore(Protocol):
    """Accounts; every change durable on return, with its audit entry."""

    async def credentials(self, username: str) -> Credentials | None:
        """Return what a log-in is checked against."""
        ...

    async def account(self, username: str) -> Account:
        """Return an account.

        Raises:
            NotFoundError: nobody has that name.
        """
        ...

    async def accounts(self, request: PageRequest, *, disabled: bool | None) -> Page[Account]:
        """Return a page of the accounts, by name; ``disabled`` filters."""
        ...

    async def add(self, act: Act, account: Account, password_hash: str) -> Done[Account]:
        """Add an account.

        Raises:
            ConflictError: the name is taken.
        """
        ...

    async def change(
        self, act: Act, username: str, version: int, change: AccountChange
    ) -> Done[Account]:
        """Change roles, scope or state; a disabled account's sessions end.

        Raises:
            NotFoundError: nobody has that name.
            StaleVersionError: somebody changed it meanwhile.
            ConflictError: one's own, or the last administrator.
        """
        ...

    async def set_password(
        self, act: Act, username: str, password_hash: str, *, must_change: bool
    ) -> Done[Account]:
        """Replace a password and end all sessions of the account.

        Raises:
            NotFoundError: nobody has that name.
        """
        ...

    async def picture(self, sessions_ended_since: datetime) -> AccountsPicture:
        """Return all accounts and usable keys, and the sessions that ended since then."""
        ...

    async def version(self) -> int:
        """Return a number that rises with every change that the picture would show."""
        ...


class Rotated(Wire):
    """What became of a refresh token that was offered."""

    session: Session | None
    """None: no token of ours."""
    reused: bool = False
    """It had been used before; the session was ended."""


class SessionStore(Protocol):
    """Sessions and their refresh tokens."""

    async def open(self, act: Act, session: Session, token_hash: str) -> None:
        """Store a new session with its first refresh token; the oldest beyond a few ends."""
        ...

    async def rotate(self, token_hash: str, next_hash: str) -> Rotated:
        """Replace a refresh token by the next one, once.

        A token offered a second time ends its session, whoever holds the newer one.
        """
        ...

    async def end(self, act: Act, username: str, session_id: str | None) -> Done[int]:
        """End one session of an account, or all; returns how many were open.

        Raises:
            NotFoundError: the account has no session of that id.
        """
        ...

    async def sessions(self, username: str, request: PageRequest) -> Page[Session]:
        """Return the sessions of an account, newest first, ended ones included."""
        ...


class KeyStore(Protocol):
    """API keys."""

    async def add(self, act: Act, key: ApiKey, secret_hash: str) -> Done[ApiKey]:
        """Store a new key.

        Raises:
            ConflictError: the owner has too many, or one of that name.
        """
        ...

    async def revoke(self, act: Act, owner: str, key_id: str) -> Done[ApiKey]:
        """Revoke a key; repeating it succeeds.

        Raises:
            NotFoundError: the owner has none of that id.
        """
        ...

    async def keys(self, owner: str, request: PageRequest) -> Page[ApiKey]:
        """Return the keys of an account, newest first, revoked ones included."""
        ...

    async def note_use(self, used_at: Mapping[str, datetime]) -> None:
        """Note when keys were last used."""
        ...
