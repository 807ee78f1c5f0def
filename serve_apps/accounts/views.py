"""Answers about sessions, accounts and API keys."""

from __future__ import annotations

from datetime import datetime

from controllers.kernel.wire import Wire
from controllers.ports.accounts import Account, ApiKey, Session


class SessionView(Wire):
    """An access token and what renews it."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105  # the name of the scheme, not a secret
    expires_at: datetime
    refresh_token: str
    """Good for one use; the answer to it holds the next."""
    refresh_expires_at: datetime
    username: str
    roles: list[str]
    scope: list[str] | None
    """Aggregates the account is confined to; null is the whole park."""


class SelfView(Wire):
    """Who the caller is to this API."""

    username: str
    roles: list[str]
    aggregates: list[str] | None
    """Aggregates that exist for the caller; null is all of them."""
    operations: list[str]
    """What the caller may do."""


class SessionPage(Wire):
    """Sessions, newest first."""

    items: list[Session]
    next_cursor: str | None


class EndedView(Wire):
    """How many sessions were ended."""

    n_ended: int


class AccountPage(Wire):
    """Accounts."""

    items: list[Account]
    next_cursor: str | None


class NewPasswordView(Wire):
    """An account, and its one-time password."""

    account: Account
    one_time_password: str | None
    """Shown this once; null where a request was repeated. It opens ``POST /auth/password`` only."""


class KeyPage(Wire):
    """API keys, newest first."""

    items: list[ApiKey]
    next_cursor: str | None


class NewKeyView(Wire):
    """An API key, and the key itself."""

    key: ApiKey
    api_key: str | None
    """Shown this once; null where a request was repeated. Send as ``Authorization: Bearer``."""
