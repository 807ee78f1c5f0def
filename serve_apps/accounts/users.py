"""Accounts of others: make, list, change, reset the password, end sessions, revoke keys."""

from __future__ import annotations

from http import HTTPStatus
from typing import cast

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from controllers.accounts.rules import check_username
from controllers.kernel.errors import DomainError
from controllers.park import ParkDefinition
from controllers.ports.accounts import Account, AccountChange, ApiKey
from controllers.ports.acts import Done
from controllers.ports.pages import PageRequest
from serve_apps.accounts.bodies import AccountBody, AccountChangeBody
from serve_apps.accounts.current import CurrentAccounts
from serve_apps.accounts.keys import list_keys, revoke_key
from serve_apps.accounts.passwords import PasswordGate
from serve_apps.accounts.secrets import new_one_time_password
from serve_apps.accounts.session import PageCursor, PageSize, end_sessions, list_sessions
from serve_apps.accounts.views import (
    AccountPage,
    EndedView,
    KeyPage,
    NewPasswordView,
    SessionPage,
)
from serve_apps.web.acts import IdempotencyKey, act_of, answer
from serve_apps.web.answers import answers, respond
from serve_apps.web.deps import Deps
from serve_apps.web.guard import Caller, GuardedRoute
from serve_apps.web.middleware import PREFIX
from serve_apps.web.permissions import Operation
from serve_apps.web.versions import IfMatch, etag, required_version

router = APIRouter(prefix=f"{PREFIX}/users", tags=["accounts"], route_class=GuardedRoute)


@router.post(
    "",
    **answers(NewPasswordView, Operation.USER_CHANGE, 400, 409, 413, 415, 422, 503, status=201),
)
async def add_user(
    *,
    request: Request,
    body: AccountBody,
    deps: Deps,
    caller: Caller,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Make an account; the answer holds its one-time password, shown this once."""
    check_username(body.username)
    _check_scope(deps.park(), body.scope)
    now = deps.clock.now()
    account = Account(
        username=body.username,
        roles=sorted(set(body.roles)),
        scope=None if body.scope is None else sorted(set(body.scope)),
        must_change_password=True,
        created_at=now,
        changed_at=now,
    )
    password, password_hash = await _one_time(request)
    act = act_of(
        caller,
        Operation.USER_CHANGE,
        body.username,
        body,
        key=idempotency_key,
        path=f"{PREFIX}/users",
    )
    act = msgspec.structs.replace(act, action="user.add")
    done = await deps.accounts.add(act, account, password_hash)
    await _accounts(request).catch_up()
    headers = {"Location": f"{PREFIX}/users/{body.username}", **etag(done.value.version)}
    return _with_password(done, password, HTTPStatus.CREATED, headers)


@router.get("", **answers(AccountPage, Operation.USER_READ, 422, 503))
async def list_users(
    deps: Deps,
    disabled: bool | None = None,
    sort: str = "username",
    limit: PageSize = 50,
    cursor: PageCursor = None,
) -> Response:
    """Return accounts; ``sort`` by ``username`` or ``created_at``, ``-`` before it descends."""
    request = PageRequest(limit=limit, sort=sort, cursor=cursor)
    page = await deps.accounts.accounts(request, disabled=disabled)
    return respond(AccountPage(items=page.items, next_cursor=page.next_cursor))


@router.get("/{username}", **answers(Account, Operation.USER_READ, 404, 503))
async def get_user(username: str, deps: Deps) -> Response:
    """Return one account."""
    account = await deps.accounts.account(username)
    return respond(account, headers=etag(account.version))


@router.patch(
    "/{username}",
    **answers(Account, Operation.USER_CHANGE, 400, 404, 409, 412, 413, 415, 422, 428, 503),
)
async def change_user(
    *,
    request: Request,
    username: str,
    body: AccountChangeBody,
    deps: Deps,
    caller: Caller,
    if_match: IfMatch = None,
) -> Response:
    """Change roles, scope or state of somebody else's account; holds within a second everywhere.

    Disabling ends its sessions. The last administrator stays one.
    """
    version = required_version(if_match)
    _check_scope(deps.park(), body.scope)
    given = body.model_dump(mode="json", exclude_unset=True)
    for name in ("roles", "scope"):
        if given.get(name) is not None:
            given[name] = sorted(set(given[name]))
    act = act_of(caller, Operation.USER_CHANGE, username, body, data=given)
    done = await deps.accounts.change(act, username, version, AccountChange(**given))
    await _accounts(request).catch_up()
    return answer(done, headers=etag(done.value.version))


@router.post(
    "/{username}/password-reset",
    **answers(NewPasswordView, Operation.USER_CHANGE, 404, 422, 503),
)
async def reset_password(
    *,
    request: Request,
    username: str,
    deps: Deps,
    caller: Caller,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Replace a password by a one-time password, shown this once; ends the account's sessions."""
    password, password_hash = await _one_time(request)
    act = act_of(
        caller,
        Operation.USER_CHANGE,
        username,
        key=idempotency_key,
        path=f"{PREFIX}/users/{username}/password-reset",
    )
    act = msgspec.structs.replace(act, action="user.password-reset")
    done = await deps.accounts.set_password(act, username, password_hash, must_change=True)
    await _accounts(request).catch_up()
    return _with_password(done, password, HTTPStatus.OK, etag(done.value.version))


@router.get("/{username}/sessions", **answers(SessionPage, Operation.USER_READ, 404, 422, 503))
async def list_user_sessions(
    username: str, deps: Deps, limit: PageSize = 50, cursor: PageCursor = None
) -> Response:
    """Return the sessions of an account, newest first, ended ones included."""
    await deps.accounts.account(username)
    return await list_sessions(deps, username, limit, cursor)


@router.delete("/{username}/sessions", **answers(EndedView, Operation.USER_CHANGE, 404, 503))
async def end_user_sessions(
    request: Request, username: str, deps: Deps, caller: Caller
) -> Response:
    """End all sessions of an account."""
    await deps.accounts.account(username)
    return await end_sessions(request, deps, caller, username, None)


@router.get("/{username}/keys", **answers(KeyPage, Operation.USER_READ, 404, 422, 503))
async def list_user_keys(
    username: str, deps: Deps, limit: PageSize = 50, cursor: PageCursor = None
) -> Response:
    """Return the API keys of an account, newest first, revoked ones included."""
    await deps.accounts.account(username)
    return await list_keys(deps, username, limit, cursor)


@router.delete("/{username}/keys/{key_id}", **answers(ApiKey, Operation.USER_CHANGE, 404, 503))
async def revoke_user_key(
    request: Request, username: str, key_id: str, deps: Deps, caller: Caller
) -> Response:
    """Revoke somebody's API key; repeating it succeeds."""
    return await revoke_key(request, deps, caller, username, key_id)


def _accounts(request: Request) -> CurrentAccounts:
    return cast(CurrentAccounts, request.app.state.accounts)


async def _one_time(request: Request) -> tuple[str, str]:
    password = new_one_time_password()
    return password, await cast(PasswordGate, request.app.state.passwords).hash(password)


def _with_password(
    done: Done[Account], password: str, status: HTTPStatus, headers: dict[str, str]
) -> Response:
    # A repeat finds the account but not the password, which was never stored.
    view = NewPasswordView(
        account=done.value, one_time_password=None if done.replayed else password
    )
    return answer(Done(value=view, replayed=done.replayed), status, headers)


def _check_scope(park: ParkDefinition, scope: list[str] | None) -> None:
    for aggregate_id in scope or ():
        if park.aggregate(aggregate_id) is None:
            raise DomainError("scope", aggregate_id, "must be the id of an aggregation")
