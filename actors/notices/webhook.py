"""Tells a webhook: one signed POST to an address that was checked, redirects not followed.

Signed as Standard Webhooks says (https://www.standardwebhooks.com): ``webhook-signature`` is
``v1,`` and the base64 of HMAC-SHA256 over ``{webhook-id}.{webhook-timestamp}.{body}``, keyed with
what follows ``whsec_`` in the secret. The id stays the same when a notice is repeated.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import re
import ssl
from http import HTTPStatus

import httpx

from actors.notices.guard import AddressGuard
from actors.notices.sending import RefusedForGoodError, TryAgainError
from controllers.alarms.channels import WebhookEndpoint
from controllers.kernel.errors import DomainError
from controllers.kernel.timebase import Clock

SECRET_PREFIX = "whsec_"  # noqa: S105 - the mark of a secret, not one
MIN_KEY_BYTES = 24
MAX_KEY_BYTES = 64
ATTEMPT_DEADLINE_S = 4.0

_AGAIN = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_HOST = re.compile(r"[A-Za-z0-9._:-]{1,253}")
_MAX_PORT = 65_535
PORTS = {"http": 80, "https": 443}


def check_url(url: str) -> httpx.URL:
    """Return a webhook's address.

    Raises:
        DomainError: not one that can be used, whatever it resolves to.
    """
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise DomainError("url", "(not shown)", "must be an absolute http(s) URL") from error
    if parsed.scheme not in PORTS or not _HOST.fullmatch(parsed.raw_host.decode("ascii")):
        raise DomainError("url", "(not shown)", "must be an absolute http(s) URL")
    if parsed.port is not None and not 0 < parsed.port <= _MAX_PORT:
        raise DomainError("url", "(not shown)", f"must name a port up to {_MAX_PORT}")
    if parsed.userinfo or parsed.fragment:
        raise DomainError("url", "(not shown)", "must hold neither a password nor a fragment")
    return parsed


def key_of(secret: str) -> bytes:
    """Return the signing key in a secret.

    Raises:
        DomainError: not in the form ``whsec_`` and base64 of 24 to 64 bytes.
    """
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(SECRET_PREFIX) or not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        rule = f"must be {SECRET_PREFIX} and base64 of {MIN_KEY_BYTES} to {MAX_KEY_BYTES} bytes"
        raise DomainError("secret", "(not shown)", rule)
    return key


def signature(secret: str, notice_id: str, timestamp_s: int, body: bytes) -> str:
    """Return the value of ``webhook-signature``."""
    signed = f"{notice_id}.{timestamp_s}.".encode() + body
    digest = hmac.new(key_of(secret), signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


async def post(
    endpoint: WebhookEndpoint,
    secret: str | None,
    notice_id: str,
    body: bytes,
    *,
    guard: AddressGuard,
    clock: Clock,
) -> str:
    """Send one notice; return what to note of it.

    Raises:
        TryAgainError: it may work later.
        RefusedForGoodError: it will not.
        DomainError: the address must not be sent to.
        UnresolvedError: it has no address now.
    """
    url = check_url(endpoint.url)
    port = url.port or PORTS[url.scheme]
    address = await guard.address_of(url.host, port, encrypted=url.scheme == "https", field="url")
    timestamp_s = int(clock.now().timestamp())
    headers = {
        "Host": url.netloc.decode("ascii"),
        "Content-Type": "application/json",
        "User-Agent": "parkgrid",
        "webhook-id": notice_id,
        "webhook-timestamp": str(timestamp_s),
    }
    if secret is not None:
        headers["webhook-signature"] = signature(secret, notice_id, timestamp_s, body)
    # Neither proxies of the environment nor redirects: both would lead past the guard.
    client = httpx.AsyncClient(
        timeout=ATTEMPT_DEADLINE_S,
        trust_env=False,
        follow_redirects=False,
        # The machine's own certificates, to which an operator can add.
        verify=ssl.create_default_context(),
    )
    try:
        async with client, asyncio.timeout(ATTEMPT_DEADLINE_S):
            request = client.build_request(
                "POST",
                url.copy_with(host=address),
                headers=headers,
                content=body,
                # The certificate must be that of the name, although an address is dialled.
                extensions={"sni_hostname": url.host},
            )
            # What it answers is of no interest, however long it is.
            response = await client.send(request, stream=True)
            await response.aclose()
    except (httpx.HTTPError, TimeoutError) as error:
        raise TryAgainError(type(error).__name__) from error
    return _judged(response.status_code)


def _judged(status: int) -> str:
    detail = f"status {status}"
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return detail
    if status in _AGAIN or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise TryAgainError(detail)
    raise RefusedForGoodError(detail)
