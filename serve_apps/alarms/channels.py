"""Alarm channels over the API: create, list, replace, delete, try; secrets go in and never out.

Where a channel leads is checked here and again at every connection. Here a name that has no address
yet is let through: what counts is what it resolves to when it is used.
"""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus

from fastapi import APIRouter
from starlette.responses import Response

from actors.notices.guard import AddressGuard, UnresolvedError
from actors.notices.webhook import PORTS, check_url, key_of
from controllers.alarms.channels import (
    Channel,
    Delivery,
    MailEndpoint,
    MailSecurity,
    WebhookEndpoint,
)
from controllers.kernel.errors import DomainError
from controllers.ports.alarms import StoredChannel
from serve_apps.alarms.bodies import ChannelBody, CreateChannelBody
from serve_apps.alarms.views import AlarmChannelPage
from serve_apps.web.acts import IdempotencyKey, act_of, answer
from serve_apps.web.answers import answers, respond
from serve_apps.web.deps import Deps
from serve_apps.web.guard import Caller, GuardedRoute
from serve_apps.web.middleware import PREFIX
from serve_apps.web.paths import Cursor, Limit, PathId, Sort, page_request
from serve_apps.web.permissions import Operation
from serve_apps.web.records import audited
from serve_apps.web.versions import IfMatch, etag, required_version

_ROOT = f"{PREFIX}/alarm-channels"
_WRITE = Operation.ALARM_CHANNEL_WRITE

router = APIRouter(prefix=_ROOT, tags=["alarms"], route_class=GuardedRoute)


@router.get("", **answers(AlarmChannelPage, Operation.ALARM_CHANNEL_READ, 422, 503))
async def list_alarm_channels(
    deps: Deps, limit: Limit = 50, sort: Sort = "id", cursor: Cursor = None
) -> Response:
    """Return channels; sort by ``id``, ``name`` or ``changed_at``."""
    page = await deps.alarms.channels(page_request(limit, sort, cursor))
    return respond(AlarmChannelPage(items=page.items, next_cursor=page.next_cursor))


@router.post("", **answers(StoredChannel, _WRITE, 400, 409, 413, 415, 422, 503, status=201))
async def create_alarm_channel(
    body: CreateChannelBody, deps: Deps, caller: Caller, idempotency_key: IdempotencyKey = None
) -> Response:
    """Create a channel; name it in rules to use it."""
    channel, secret = body.channel(body.id or deps.ids.new("channel")), body.open_secret()
    if isinstance(channel.endpoint, WebhookEndpoint) and secret is None:
        raise DomainError("secret", None, "must be given, since every webhook is signed")
    await _check(channel, secret, deps.guard)
    act = act_of(caller, _WRITE, channel.id, body, key=idempotency_key, path=_ROOT)
    done = await deps.alarms.create_channel(act, channel, secret)
    headers = {"Location": f"{_ROOT}/{done.value.channel.id}", **etag(done.value.version)}
    return answer(done, HTTPStatus.CREATED, headers)


@router.get("/{channel_id}", **answers(StoredChannel, Operation.ALARM_CHANNEL_READ, 404, 422, 503))
async def get_alarm_channel(channel_id: PathId, deps: Deps) -> Response:
    """Return a channel, without its secret."""
    stored = await deps.alarms.channel(channel_id)
    return respond(stored, headers=etag(stored.version))


@router.put(
    "/{channel_id}",
    **answers(StoredChannel, _WRITE, 400, 404, 409, 412, 413, 415, 422, 428, 503),
)
async def replace_alarm_channel(
    channel_id: PathId, body: ChannelBody, deps: Deps, caller: Caller, if_match: IfMatch = None
) -> Response:
    """Replace a channel; without a secret the old one stays, if the endpoint does."""
    version = required_version(if_match)
    channel, secret = body.channel(channel_id), body.open_secret()
    await _check(channel, secret, deps.guard)
    act = act_of(caller, _WRITE, channel_id, body)
    done = await deps.alarms.replace_channel(act, channel, secret, version)
    return answer(done, headers=etag(done.value.version))


@router.delete("/{channel_id}", **answers(None, _WRITE, 404, 412, 422, 428, 503, status=204))
async def delete_alarm_channel(
    channel_id: PathId, deps: Deps, caller: Caller, if_match: IfMatch = None
) -> Response:
    """Delete a channel; rules that name it tell the others."""
    act = act_of(caller, _WRITE, channel_id)
    await deps.alarms.delete_channel(act, required_version(if_match))
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.post("/{channel_id}/test", **answers(Delivery, Operation.ALARM_CHANNEL_TEST, 404, 422, 503))
async def try_alarm_channel(channel_id: PathId, deps: Deps, caller: Caller) -> Response:
    """Send one notice, now and once, and tell how it went; repeating it sends another."""
    await deps.alarms.channel(channel_id)
    async with audited(deps.store, caller, Operation.ALARM_CHANNEL_TEST, channel_id, {}):
        delivery = await deps.alarm_desk.test(channel_id, caller.username)
    return respond(delivery)


async def _check(channel: Channel, secret: str | None, guard: AddressGuard) -> None:
    endpoint = channel.endpoint
    match endpoint:
        case WebhookEndpoint(url=text):
            url = check_url(text)
            if secret is not None:
                key_of(secret)
            host, port = url.host, url.port or PORTS[url.scheme]
            encrypted, field = url.scheme == "https", "endpoint.url"
        case MailEndpoint():
            if secret is not None and endpoint.security is MailSecurity.NONE:
                rule = "must not be given: nothing secret goes over an unprotected connection"
                raise DomainError("secret", "(not shown)", rule)
            host, port = endpoint.host, endpoint.port
            encrypted, field = endpoint.security is not MailSecurity.NONE, "endpoint.host"
        case _:
            if secret is not None:
                raise DomainError("secret", "(not shown)", "must not be given for this kind")
            return
    with suppress(UnresolvedError):
        await guard.address_of(host, port, encrypted=encrypted, field=field)
