"""Answers about sessions."""

from __future__ import annotations

from datetime import datetime

from controllers.kernel.wire import Wire


class SessionView(Wire):
    """An access token and what renews it."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105  # the name of the scheme, not a secret
    expires_at: datetime
    refresh_token: str
    refresh_expires_at: datetime
    username: str
    roles: list[str]
