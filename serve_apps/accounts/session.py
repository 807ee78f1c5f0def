"""Log in, refresh, change the password, log out, and see one's own sessions."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, cast

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from controllers.accounts.passwords import check_password
from controllers.ports.accounts import Account, Credentials, Session
from controllers.ports.acts import Act
from controllers.ports.pages import PageRequest
from serve_apps.accounts.bodies import LoginBody, PasswordBody, RefreshBody
from serve_apps.accounts.current import CurrentAccounts
from serve_apps.accounts.passwords import PasswordGate
from serve_apps.accounts.secrets import hash_secret, new_refresh_token
from serve_apps.accounts.views import EndedView, SelfView, SessionPage, SessionView
from serve_apps.web.access_tokens import Tokens
from serve_apps.web.answers import answers, respond
from serve_apps.web.deps import ApiDeps, Deps
from serve_apps.web.guard import Caller, GuardedRoute
from serve_apps.web.middleware import PREFIX
from serve_apps.web.permissions import PERSONAL, Operation, permits
from serve_apps.web.principals import unauthenticated
from serve_apps.web.problems import RefusedError
from serve_apps.web.quota import Quotas
from serve_apps.web.refusals import Refusals, where_from

router = APIRouter(prefix=PREFIX, tags=["session"], route_class=GuardedRoute)

_MAX_AGENT_CHARS = 200

PageSize = Annotated[int, Query(ge=1, le=200)]
PageCursor = Annotated[str | None, Query(max_length=2000)]


@router.post("/auth/login", **answers(SessionView, None, 401, 403, 422, 429, 503))
async def log_in(request: Request, body: LoginBody, deps: Deps) -> Response:
    """Log in with name and password.

    After five failures in a row each further one doubles the wait; 429 says how long. A one-time
    password is refused here (403): exchange it with ``POST /auth/password``.
    """
    credentials = await _checked(request, body.username, body.password)
    if credentials.must_change_password:
        raise RefusedError(
            HTTPStatus.FORBIDDEN,
            "password-change-required",
            "this password was given by someone else; replace it with POST /auth/password",
        )
    account = await deps.accounts.account(body.username)
    return await _open(request, deps, account)


@router.post("/auth/password", **answers(SessionView, None, 401, 422, 429, 503))
async def change_password(request: Request, body: PasswordBody, deps: Deps) -> Response:
    """Replace one's own password, a one-time password too; ends all sessions and opens one."""
    await _checked(request, body.username, body.password)
    check_password(body.new_password, body.username)
    passwords = cast(PasswordGate, request.app.state.passwords)
    password_hash = await passwords.hash(body.new_password)
    act = Act(principal=body.username, action="user.password", subject=body.username, data={})
    done = await deps.accounts.set_password(act, body.username, password_hash, must_change=False)
    await cast(CurrentAccounts, request.app.state.accounts).catch_up()
    return await _open(request, deps, done.value)


@router.post("/auth/refresh", **answers(SessionView, None, 401, 422, 429, 503))
async def refresh(request: Request, body: RefreshBody, deps: Deps) -> Response:
    """Exchange a refresh token for a new access token and the next refresh token.

    Each works once. One that is offered again ends the whole session: somebody else may hold it.
    The session ends when it would have ended: after one shift.
    """
    following = new_refresh_token()
    rotated = await deps.sessions.rotate(hash_secret(body.refresh_token), hash_secret(following))
    accounts = cast(CurrentAccounts, request.app.state.accounts)
    if rotated.reused:
        await accounts.catch_up()
    if rotated.session is None or rotated.reused:
        cast(Refusals, request.app.state.refusals).note(
            "anonymous", "refresh.refused", where_from(request)
        )
        raise unauthenticated("the refresh token is not valid; log in again")
    account = await deps.accounts.account(rotated.session.username)
    if account.disabled:
        raise unauthenticated("the account is closed")
    return _session(request, account, rotated.session, following)


@router.post("/auth/logout", **answers(EndedView, Operation.SELF, 503, in_scope=True))
async def log_out(request: Request, deps: Deps, caller: Caller) -> Response:
    """End the session of the token that this request carries, and with it all its tokens."""
    if caller.session_id is None:
        return respond(EndedView(n_ended=0))
    return await end_sessions(request, deps, caller, caller.person, caller.session_id)


@router.get("/auth/self", **answers(SelfView, Operation.SELF, in_scope=True))
async def get_self(caller: Caller) -> Response:
    """Return who the caller is, what they may do and which part of the park exists for them."""
    permitted = [
        operation.value
        for operation in Operation
        if permits(caller.roles, operation)
        and not (caller.key_id is not None and operation in PERSONAL)
    ]
    return respond(
        SelfView(
            username=caller.username,
            roles=list(caller.roles),
            aggregates=None if caller.reach is None else sorted(caller.reach.aggregates),
            operations=permitted,
        )
    )


@router.get("/sessions", **answers(SessionPage, Operation.SELF, 422, 503, in_scope=True))
async def list_own_sessions(
    deps: Deps, caller: Caller, limit: PageSize = 50, cursor: PageCursor = None
) -> Response:
    """Return one's own sessions, newest first, ended ones included."""
    return await list_sessions(deps, caller.person, limit, cursor)


@router.delete("/sessions", **answers(EndedView, Operation.SELF, 503, in_scope=True))
async def end_own_sessions(request: Request, deps: Deps, caller: Caller) -> Response:
    """End all of one's own sessions, this one too."""
    return await end_sessions(request, deps, caller, caller.person, None)


@router.delete(
    "/sessions/{session_id}", **answers(EndedView, Operation.SELF, 404, 503, in_scope=True)
)
async def end_own_session(
    session_id: str, request: Request, deps: Deps, caller: Caller
) -> Response:
    """End one of one's own sessions; repeating it succeeds."""
    return await end_sessions(request, deps, caller, caller.person, session_id)


async def list_sessions(deps: ApiDeps, username: str, limit: int, cursor: str | None) -> Response:
    """Return a page of an account's sessions."""
    page = await deps.sessions.sessions(username, PageRequest(limit=limit, cursor=cursor))
    return respond(SessionPage(items=page.items, next_cursor=page.next_cursor))


async def end_sessions(
    request: Request, deps: ApiDeps, caller: Caller, username: str, session_id: str | None
) -> Response:
    """End one session of an account, or all; holds at once on this replica.

    Raises:
        NotFoundError: the account has no session of that id.
    """
    act = Act(
        principal=caller.username,
        action="session.end",
        subject=session_id or username,
        data={"username": username},
    )
    done = await deps.sessions.end(act, username, session_id)
    await cast(CurrentAccounts, request.app.state.accounts).catch_up()
    return respond(EndedView(n_ended=done.value))


async def _checked(request: Request, username: str, password: str) -> Credentials:
    state = request.app.state
    settings = cast(ApiDeps, state.deps).settings
    # By hash, because what was typed as a name may be a password.
    key = f"login {hash_secret(username)}"
    await cast(Quotas, state.quotas).spend(key, settings.logins_per_min)
    try:
        return await cast(PasswordGate, state.passwords).check(username, password)
    except RefusedError as refusal:
        if refusal.status != HTTPStatus.SERVICE_UNAVAILABLE:
            # What was typed as a name may be a password; only names of accounts are written down.
            known = username in cast(CurrentAccounts, state.accounts).picture.accounts
            subject = username if known else where_from(request)
            cast(Refusals, state.refusals).note("anonymous", "login.refused", subject)
        raise


async def _open(request: Request, deps: ApiDeps, account: Account) -> Response:
    now = deps.clock.now()
    session = Session(
        id=deps.ids.new("session"),
        username=account.username,
        created_at=now,
        last_used_at=now,
        expires_at=now + timedelta(seconds=deps.settings.refresh_lifetime_s),
        address=where_from(request),
        user_agent=request.headers.get("user-agent", "")[:_MAX_AGENT_CHARS],
    )
    refresh_token = new_refresh_token()
    act = Act(
        principal=account.username,
        action="session.login",
        subject=account.username,
        data={"session": session.id, "address": session.address},
    )
    await deps.sessions.open(act, session, hash_secret(refresh_token))
    return _session(request, account, session, refresh_token)


def _session(request: Request, account: Account, session: Session, refresh_token: str) -> Response:
    tokens = cast(Tokens, request.app.state.tokens)
    access_token, expires_at = tokens.issue(
        account.username, session.id, not_after=session.expires_at
    )
    return respond(
        SessionView(
            access_token=access_token,
            expires_at=expires_at,
            refresh_token=refresh_token,
            refresh_expires_at=session.expires_at,
            username=account.username,
            roles=account.roles,
            scope=account.scope,
        )
    )
