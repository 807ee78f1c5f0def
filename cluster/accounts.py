"""Accounts from beside the API: the first operator, the command line's changes, and tokens.

Whoever can read the data directory can mint a token: they could read the signing key anyway.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from cluster.settings import read_secret
from cluster.storage.database import Database
from cluster.storage.users import SqlAccounts
from controllers.accounts.passwords import check_password
from controllers.accounts.rules import check_username
from controllers.kernel.errors import ConfigError, DomainError, NotFoundError
from controllers.kernel.ids import RandomIds
from controllers.kernel.timebase import SystemClock
from controllers.ports.accounts import Account, AccountChange
from controllers.ports.acts import Act
from controllers.ports.pages import PageRequest
from serve_apps.accounts.passwords import hash_password
from serve_apps.web.access_tokens import Tokens
from serve_apps.web.deps import ApiSettings
from serve_apps.web.permissions import Role

T = TypeVar("T")

OPERATOR = "operator"

_BY = "cli"
_PASSWORD_BYTES = 15


class LocalAccounts:
    """The accounts of a migrated database, for who has the data directory."""

    def __init__(self, url: str) -> None:
        self._clock = SystemClock()
        self._database = Database(url, self._clock)
        self._store = SqlAccounts(self._database)

    def close(self) -> None:
        """Release files."""
        self._database.close()

    def add(self, username: str, password: str, roles: list[str], scope: list[str] | None) -> None:
        """Add an account.

        Raises:
            ConfigError: name, password or roles will not do.
            ConflictError: the name is taken.
        """
        problems = _role_problems(roles)
        checks: list[Callable[[], None]] = [
            lambda: check_username(username),
            lambda: check_password(password, username),
        ]
        for check in checks:
            try:
                check()
            except DomainError as error:
                problems.append(f"{error.field}: {error.rule}")
        if problems:
            raise ConfigError("user", problems)
        now = self._clock.now()
        account = Account(
            username=username,
            roles=sorted(set(roles)),
            scope=scope,
            created_at=now,
            changed_at=now,
        )
        act = self._act("user.add", username, {"roles": account.roles, "scope": scope})
        _run(self._store.add(act, account, hash_password(password)))

    def all(self) -> list[Account]:
        """Return every account, by name."""
        found: list[Account] = []
        cursor = None
        while True:
            request = PageRequest(limit=200, cursor=cursor)
            page = _run(self._store.accounts(request, disabled=None))
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                return found

    def get(self, username: str) -> Account:
        """Return an account.

        Raises:
            NotFoundError: nobody has that name.
        """
        return _run(self._store.account(username))

    def change(self, username: str, change: AccountChange) -> Account:
        """Change roles, scope or state of an account.

        Raises:
            ConfigError: a role is unknown.
            NotFoundError: nobody has that name.
            ConflictError: it is the last administrator.
        """
        if isinstance(change.roles, list) and (problems := _role_problems(change.roles)):
            raise ConfigError("user", problems)
        version = self.get(username).version
        act = self._act("user.change", username, change.given())
        return _run(self._store.change(act, username, version, change)).value

    def set_password(self, username: str, password: str) -> None:
        """Replace a password and end all sessions of the account.

        Raises:
            ConfigError: the password will not do.
            NotFoundError: nobody has that name.
        """
        try:
            check_password(password, username)
        except DomainError as error:
            raise ConfigError("user", [f"{error.field}: {error.rule}"]) from error
        act = self._act("user.password", username, {})
        password_hash = hash_password(password)
        _run(self._store.set_password(act, username, password_hash, must_change=False))

    def _act(self, action: str, username: str, data: dict[str, object]) -> Act:
        return Act(principal=_BY, action=action, subject=username, data=data)


@contextmanager
def local_accounts(url: str) -> Iterator[LocalAccounts]:
    """Open the accounts of a migrated database."""
    accounts = LocalAccounts(url)
    try:
        yield accounts
    finally:
        accounts.close()


def ensure_operator(url: str, say: Callable[[str], None]) -> None:
    """Make the first account, if there is none, and show its password this once."""
    with local_accounts(url) as accounts:
        if accounts.all():
            return
        password = secrets.token_urlsafe(_PASSWORD_BYTES)
        accounts.add(OPERATOR, password, [Role.OPERATOR], None)
    say(f"Log in as {OPERATOR} with password {password}   (shown this once)")


def mint_token(url: str, jwt_secret_file: Path, username: str) -> tuple[str, datetime]:
    """Return a short access token of a local account and the instant it ends.

    Raises:
        NotFoundError: nobody has that name, or the account is closed.
    """
    with local_accounts(url) as accounts:
        account = accounts.get(username)
    if account.disabled:
        raise NotFoundError("account", username)
    clock = SystemClock()
    settings = ApiSettings(jwt_secret=read_secret(jwt_secret_file))
    return Tokens(settings, clock, RandomIds(clock)).issue(username)


def _role_problems(roles: list[str]) -> list[str]:
    if not roles:
        return [f"role: at least one of {', '.join(Role)}"]
    return [
        f"role = {role!r}: must be one of {', '.join(Role)}"
        for role in roles
        if role not in list(Role)
    ]


def _run(answer: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(answer)
