"""Calls of the API, accounts; written by ``serve_apps.client.generate``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from controllers.ports.accounts import Account, ApiKey, Session
from serve_apps.accounts.bodies import AccountBody, AccountChangeBody, KeyBody
from serve_apps.accounts.views import (
    AccountPage,
    EndedView,
    KeyPage,
    NewKeyView,
    NewPasswordView,
    SessionPage,
)
from serve_apps.client.transport import Transport, part


class AccountsCalls(Transport):
    """Operations of the domain: accounts."""

    def add_user(
        self, body: AccountBody | Mapping[str, object], *, key: str | None = None
    ) -> NewPasswordView:
        """Make an account; the answer holds its one-time password, shown this once."""
        return self.call(NewPasswordView, "POST", "/api/vpp/users", body=body, key=key, keyed=True)

    def list_users(
        self,
        *,
        disabled: bool | None = None,
        sort: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> AccountPage:
        """Return accounts."""
        return self.call(
            AccountPage,
            "GET",
            "/api/vpp/users",
            query={"disabled": disabled, "sort": sort, "limit": limit, "cursor": cursor},
        )

    def each_users(
        self, *, disabled: bool | None = None, sort: str | None = None, limit: int | None = None
    ) -> Iterator[Account]:
        """Yield the items of all pages of ``list_users``."""
        cursor: str | None = None
        while True:
            page = self.list_users(disabled=disabled, sort=sort, limit=limit, cursor=cursor)
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def get_user(self, username: str) -> Account:
        """Return one account."""
        return self.call(Account, "GET", f"/api/vpp/users/{part(username)}")

    def change_user(
        self,
        username: str,
        body: AccountChangeBody | Mapping[str, object],
        *,
        version: int | None = None,
    ) -> Account:
        """Change roles."""
        return self.call(
            Account, "PATCH", f"/api/vpp/users/{part(username)}", body=body, version=version
        )

    def reset_password(self, username: str, *, key: str | None = None) -> NewPasswordView:
        """Replace a password by a one-time password."""
        return self.call(
            NewPasswordView,
            "POST",
            f"/api/vpp/users/{part(username)}/password-reset",
            key=key,
            keyed=True,
        )

    def list_user_sessions(
        self, username: str, *, limit: int | None = None, cursor: str | None = None
    ) -> SessionPage:
        """Return the sessions of an account, newest first, ended ones included."""
        return self.call(
            SessionPage,
            "GET",
            f"/api/vpp/users/{part(username)}/sessions",
            query={"limit": limit, "cursor": cursor},
        )

    def each_user_sessions(self, username: str, *, limit: int | None = None) -> Iterator[Session]:
        """Yield the items of all pages of ``list_user_sessions``."""
        cursor: str | None = None
        while True:
            page = self.list_user_sessions(username, limit=limit, cursor=cursor)
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def end_user_sessions(self, username: str) -> EndedView:
        """End all sessions of an account."""
        return self.call(EndedView, "DELETE", f"/api/vpp/users/{part(username)}/sessions")

    def list_user_keys(
        self, username: str, *, limit: int | None = None, cursor: str | None = None
    ) -> KeyPage:
        """Return the API keys of an account, newest first, revoked ones included."""
        return self.call(
            KeyPage,
            "GET",
            f"/api/vpp/users/{part(username)}/keys",
            query={"limit": limit, "cursor": cursor},
        )

    def each_user_keys(self, username: str, *, limit: int | None = None) -> Iterator[ApiKey]:
        """Yield the items of all pages of ``list_user_keys``."""
        cursor: str | None = None
        while True:
            page = self.list_user_keys(username, limit=limit, cursor=cursor)
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def revoke_user_key(self, username: str, key_id: str) -> ApiKey:
        """Revoke somebody's API key; repeating it succeeds."""
        return self.call(ApiKey, "DELETE", f"/api/vpp/users/{part(username)}/keys/{part(key_id)}")

    def make_key(
        self, body: KeyBody | Mapping[str, object], *, key: str | None = None
    ) -> NewKeyView:
        """Make an API key with some of one's own roles."""
        return self.call(NewKeyView, "POST", "/api/vpp/keys", body=body, key=key, keyed=True)

    def list_own_keys(self, *, limit: int | None = None, cursor: str | None = None) -> KeyPage:
        """Return one's own API keys, newest first, revoked ones included."""
        return self.call(KeyPage, "GET", "/api/vpp/keys", query={"limit": limit, "cursor": cursor})

    def each_own_keys(self, *, limit: int | None = None) -> Iterator[ApiKey]:
        """Yield the items of all pages of ``list_own_keys``."""
        cursor: str | None = None
        while True:
            page = self.list_own_keys(limit=limit, cursor=cursor)
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def revoke_own_key(self, key_id: str) -> ApiKey:
        """Revoke one of one's own API keys; repeating it succeeds."""
        return self.call(ApiKey, "DELETE", f"/api/vpp/keys/{part(key_id)}")
