"""API keys for machines: one's own, no more than one may oneself."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import cast

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from controllers.kernel.errors import DomainError
from controllers.ports.accounts import ApiKey
from controllers.ports.acts import Done
from controllers.ports.pages import PageRequest
from serve_apps.accounts.bodies import KeyBody
from serve_apps.accounts.current import CurrentAccounts
from serve_apps.accounts.secrets import hash_secret, new_api_key
from serve_apps.accounts.session import PageCursor, PageSize
from serve_apps.accounts.views import KeyPage, NewKeyView
from serve_apps.web.acts import IdempotencyKey, act_of, answer
from serve_apps.web.answers import answers, respond
from serve_apps.web.deps import ApiDeps, Deps
from serve_apps.web.guard import Caller, GuardedRoute, Principal
from serve_apps.web.middleware import PREFIX
from serve_apps.web.permissions import Operation

router = APIRouter(prefix=f"{PREFIX}/keys", tags=["accounts"], route_class=GuardedRoute)


@router.post(
    "",
    **answers(
        NewKeyView,
        Operation.KEY_MAKE,
        400,
        404,
        409,
        413,
        415,
        422,
        503,
        status=201,
        in_scope=True,
    ),
)
async def make_key(
    *,
    request: Request,
    body: KeyBody,
    deps: Deps,
    caller: Caller,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Make an API key with some of one's own roles; the answer holds the key, shown this once."""
    surplus = sorted(role for role in body.roles if role not in caller.roles)
    if surplus:
        raise DomainError("roles", surplus, "must be among your own roles")
    for aggregate_id in body.scope or ():
        caller.require_aggregate(aggregate_id)
        if deps.park().aggregate(aggregate_id) is None:
            raise DomainError("scope", aggregate_id, "must be the id of an aggregation")
    now = deps.clock.now()
    key = ApiKey(
        id=deps.ids.new("key"),
        name=body.name,
        owner=caller.person,
        roles=sorted(set(body.roles)),
        scope=None if body.scope is None else sorted(set(body.scope)),
        created_at=now,
        expires_at=now + timedelta(days=body.lifetime_days),
    )
    api_key, secret = new_api_key(key.id)
    act = act_of(
        caller, Operation.KEY_MAKE, key.id, body, key=idempotency_key, path=f"{PREFIX}/keys"
    )
    done = await deps.keys.add(act, key, hash_secret(secret))
    await cast(CurrentAccounts, request.app.state.accounts).catch_up()
    # A repeat finds the key's record but not the key, which was never stored.
    view = NewKeyView(key=done.value, api_key=None if done.replayed else api_key)
    return answer(Done(value=view, replayed=done.replayed), HTTPStatus.CREATED)


@router.get("", **answers(KeyPage, Operation.SELF, 422, 503, in_scope=True))
async def list_own_keys(
    deps: Deps, caller: Caller, limit: PageSize = 50, cursor: PageCursor = None
) -> Response:
    """Return one's own API keys, newest first, revoked ones included."""
    return await list_keys(deps, caller.person, limit, cursor)


@router.delete("/{key_id}", **answers(ApiKey, Operation.SELF, 404, 503, in_scope=True))
async def revoke_own_key(key_id: str, request: Request, deps: Deps, caller: Caller) -> Response:
    """Revoke one of one's own API keys; repeating it succeeds."""
    return await revoke_key(request, deps, caller, caller.person, key_id)


async def list_keys(deps: ApiDeps, owner: str, limit: int, cursor: str | None) -> Response:
    """Return a page of an account's API keys."""
    page = await deps.keys.keys(owner, PageRequest(limit=limit, cursor=cursor))
    return respond(KeyPage(items=page.items, next_cursor=page.next_cursor))


async def revoke_key(
    request: Request, deps: ApiDeps, caller: Principal, owner: str, key_id: str
) -> Response:
    """Revoke an API key; holds at once on this replica.

    Raises:
        NotFoundError: the owner has none of that id.
    """
    act = act_of(caller, Operation.SELF, key_id, data={"owner": owner})
    act = msgspec.structs.replace(act, action="key.revoke")
    done = await deps.keys.revoke(act, owner, key_id)
    await cast(CurrentAccounts, request.app.state.accounts).catch_up()
    return answer(done)
