"""Log in and refresh."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from fastapi import APIRouter, Request
from starlette.responses import Response

from controllers.ports.operations import User
from serve_apps.accounts.bodies import LoginBody, RefreshBody
from serve_apps.accounts.passwords import PasswordGate
from serve_apps.accounts.views import SessionView
from serve_apps.web.answers import answers, respond
from serve_apps.web.deps import Deps
from serve_apps.web.middleware import PREFIX
from serve_apps.web.tokens import GuardedRoute, Tokens, unauthenticated

router = APIRouter(prefix=f"{PREFIX}/auth", tags=["session"], route_class=GuardedRoute)


@router.post("/login", **answers(SessionView, None, 401, 422, 429, 503))
async def log_in(request: Request, body: LoginBody, deps: Deps) -> Response:
    """Log in with name and password.

    After five failures in a row each further one doubles the wait; 429 says how long.
    """
    gate = cast(PasswordGate, request.app.state.passwords)
    user = await gate.check(body.username, body.password)
    await deps.store.audit(user.username, "session.login", user.username, {})
    tokens = cast(Tokens, request.app.state.tokens)
    refresh_token, refresh_expires_at = tokens.issue("refresh", user.username, [])
    return _session(tokens, user, refresh_token, refresh_expires_at)


@router.post("/refresh", **answers(SessionView, None, 401, 422, 503))
async def refresh(request: Request, body: RefreshBody, deps: Deps) -> Response:
    """Exchange a refresh token for a new access token; account and roles are read anew.

    The refresh token stays the same and ends when it would have ended: after one shift.
    """
    tokens = cast(Tokens, request.app.state.tokens)
    principal = tokens.verify("refresh", body.refresh_token)
    user = await deps.store.user(principal.username)
    if user is None or user.disabled:
        raise unauthenticated("the account is closed")
    return _session(tokens, user, body.refresh_token, principal.expires_at)


def _session(
    tokens: Tokens, user: User, refresh_token: str, refresh_expires_at: datetime
) -> Response:
    access_token, expires_at = tokens.issue("access", user.username, user.roles)
    return respond(
        SessionView(
            access_token=access_token,
            expires_at=expires_at,
            refresh_token=refresh_token,
            refresh_expires_at=refresh_expires_at,
            username=user.username,
            roles=user.roles,
        )
    )
