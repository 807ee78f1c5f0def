"""Local accounts: the operator of the first start, further users, and tokens for who holds the key.

Whoever can read the data directory can mint a token: they could read the signing key anyway.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine

from cluster.settings import read_secret
from cluster.storage.engine import reading
from cluster.storage.users import add_user, find_user, n_users
from controllers.kernel.errors import ConfigError, NotFoundError
from controllers.kernel.ids import RandomIds
from controllers.kernel.timebase import SystemClock
from controllers.ports.operations import User
from serve_apps.accounts.passwords import hash_password
from serve_apps.web.deps import ApiSettings
from serve_apps.web.permissions import Role
from serve_apps.web.tokens import Tokens

OPERATOR = "operator"
MIN_PASSWORD_CHARS = 12

_BY = "cli"
_PASSWORD_BYTES = 15


def ensure_operator(engine: Engine, say: Callable[[str], None]) -> None:
    """Make the first account, if there is none, and show its password this once."""
    if n_users(engine) > 0:
        return
    password = secrets.token_urlsafe(_PASSWORD_BYTES)
    create_user(engine, OPERATOR, password, [Role.OPERATOR])
    say(f"Log in as {OPERATOR} with password {password}   (shown this once)")


def create_user(engine: Engine, username: str, password: str, roles: list[str]) -> None:
    """Add an account.

    Raises:
        ConfigError: a role is unknown, or the password is too short.
        ConflictError: the name is taken.
    """
    problems = [
        f"role = {role!r}: must be one of {', '.join(Role)}"
        for role in roles
        if role not in list(Role)
    ]
    if not roles:
        problems.append(f"role: at least one of {', '.join(Role)}")
    if len(password) < MIN_PASSWORD_CHARS:
        problems.append(f"password: must be at least {MIN_PASSWORD_CHARS} characters")
    if problems:
        raise ConfigError("user", problems)
    user = User(username=username, password_hash=hash_password(password), roles=[*map(str, roles)])
    add_user(engine, user, by=_BY, clock=SystemClock())


def mint_token(engine: Engine, jwt_secret_file: Path, username: str) -> tuple[str, datetime]:
    """Return a short access token of a local user and the instant it ends.

    Raises:
        NotFoundError: nobody has that name, or the account is closed.
    """
    with reading(engine) as connection:
        user = find_user(connection, username)
    if user is None or user.disabled:
        raise NotFoundError("user", username)
    clock = SystemClock()
    settings = ApiSettings(jwt_secret=read_secret(jwt_secret_file))
    return Tokens(settings, clock, RandomIds(clock)).issue("access", username, user.roles)
