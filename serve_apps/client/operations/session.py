"""Calls of the API, session; written by ``serve_apps.client.generate``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from controllers.ports.accounts import Session
from serve_apps.accounts.bodies import LoginBody, PasswordBody, RefreshBody
from serve_apps.accounts.views import EndedView, SelfView, SessionPage, SessionView
from serve_apps.client.transport import Transport, part


class SessionCalls(Transport):
    """Operations of the domain: session."""

    def log_in(self, body: LoginBody | Mapping[str, object]) -> SessionView:
        """Log in with name and password."""
        return self.call(SessionView, "POST", "/api/vpp/auth/login", body=body)

    def change_password(self, body: PasswordBody | Mapping[str, object]) -> SessionView:
        """Replace one's own password."""
        return self.call(SessionView, "POST", "/api/vpp/auth/password", body=body)

    def refresh(self, body: RefreshBody | Mapping[str, object]) -> SessionView:
        """Exchange a refresh token for a new access token and the next refresh token."""
        return self.call(SessionView, "POST", "/api/vpp/auth/refresh", body=body)

    def log_out(self) -> EndedView:
        """End the session of the token that this request carries, and with it all its tokens."""
        return self.call(EndedView, "POST", "/api/vpp/auth/logout")

    def get_self(self) -> SelfView:
        """Return who the caller is."""
        return self.call(SelfView, "GET", "/api/vpp/auth/self")

    def list_own_sessions(
        self, *, limit: int | None = None, cursor: str | None = None
    ) -> SessionPage:
        """Return one's own sessions, newest first, ended ones included."""
        return self.call(
            SessionPage, "GET", "/api/vpp/sessions", query={"limit": limit, "cursor": cursor}
        )

    def each_own_sessions(self, *, limit: int | None = None) -> Iterator[Session]:
        """Yield the items of all pages of ``list_own_sessions``."""
        cursor: str | None = None
        while True:
            page = self.list_own_sessions(limit=limit, cursor=cursor)
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def end_own_sessions(self) -> EndedView:
        """End all of one's own sessions, this one too."""
        return self.call(EndedView, "DELETE", "/api/vpp/sessions")

    def end_own_session(self, session_id: str) -> EndedView:
        """End one of one's own sessions; repeating it succeeds."""
        return self.call(EndedView, "DELETE", f"/api/vpp/sessions/{part(session_id)}")
