"""What every request passes first and last: its id, its size, its form, and the last resort.

Plain ASGI, because the per-request cost of a wrapped response shows at a thousand reads a second.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from actors.logs import REQUEST_ID
from serve_apps.web.deps import ApiDeps, ApiSettings
from serve_apps.web.meter import RequestMeter
from serve_apps.web.paths import API_ROOT
from serve_apps.web.problems import RefusedError, internal_error, problem_response

logger = logging.getLogger(__name__)

PREFIX = "/api/vpp"
VERSIONED_PREFIX = "/api/v1/vpp"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_JSON = re.compile(r"application/json\s*(;|$)", re.IGNORECASE)
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})

_COMMON_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
_API_HEADERS = [
    *_COMMON_HEADERS,
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]
_PAGE_HEADERS = [
    *_COMMON_HEADERS,
    (b"cache-control", b"no-cache"),
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        b"connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
]


class Envelope:
    """Gives each HTTP request an id, refuses what is too big or not JSON, and catches the rest.

    ``/api/v1/vpp`` is rewritten to ``/api/vpp``: both are the same, and one table of routes is
    searched faster than two.
    """

    def __init__(self, app: ASGIApp, *, deps: ApiDeps, meter: RequestMeter) -> None:
        self._app = app
        self._deps = deps
        self._meter = meter
        self._max_bytes = deps.settings.max_body_bytes
        self._ingress_sends_id = deps.settings.ingress_sends_request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        path: str = scope.get("path", "")
        if path.startswith(VERSIONED_PREFIX):
            scope["path"] = PREFIX + path.removeprefix(VERSIONED_PREFIX)
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun_s = time.perf_counter()
        headers = Headers(scope=scope)
        request_id = headers.get("x-request-id", "")
        if not _REQUEST_ID.fullmatch(request_id):
            request_id = self._deps.ids.new("req")
        scope.setdefault("state", {})["request_id"] = request_id
        REQUEST_ID.set(request_id)
        started = False

        async def send_dressed(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self._meter.observe(scope, message["status"], time.perf_counter() - begun_s)
                _dress(message, scope, None if self._ingress_sends_id else request_id)
            await send(message)

        refusal = self._refusal(scope["method"], headers)
        try:
            if refusal is not None:
                await problem_response(scope, refusal)(scope, receive, send_dressed)
            else:
                await self._app(scope, _Bounded(receive, self._deps.settings).receive, send_dressed)
        except Exception:
            logger.exception("Request %s failed: %s", request_id, scope["path"])
            # A half-sent answer can only be cut off, which the server does on an exception.
            if started:
                raise
            response = problem_response(scope, internal_error())
            await response(scope, receive, send_dressed)

    def _refusal(self, method: str, headers: Headers) -> RefusedError | None:
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:20]) > self._max_bytes:
            return RefusedError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                "too-large",
                f"the body must be at most {self._max_bytes} bytes",
                # The unread rest of the body would be taken for the next request.
                headers={"Connection": "close"},
            )
        has_body = length != "0" or "transfer-encoding" in headers
        content_type = headers.get("content-type", "")
        if method in _WITH_BODY and has_body and not _JSON.match(content_type):
            return RefusedError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "send the body as content-type application/json",
                headers={"Accept": "application/json"},
            )
        return None


class _Bounded:
    """Bounds a body in size and time as it arrives, whether or not its length was announced."""

    def __init__(self, receive: Receive, settings: ApiSettings) -> None:
        self._receive = receive
        self._max_bytes = settings.max_body_bytes
        self._within_s = settings.body_within_s
        self._ends_at_s = math.inf
        self._whole = False
        self._n_bytes = 0

    async def receive(self) -> Message:
        message = await self._next()
        if message["type"] == "http.request":
            self._whole = not message.get("more_body", False)
            self._n_bytes += len(message.get("body", b""))
            if self._n_bytes > self._max_bytes:
                # The one exception that the framework lets through while it reads a body.
                raise HTTPException(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                    f"the body must be at most {self._max_bytes} bytes",
                    {"Connection": "close"},
                )
        return message

    async def _next(self) -> Message:
        if self._whole:
            # What follows the body is the end of the connection, which may take its time.
            return await self._receive()
        now_s = asyncio.get_running_loop().time()
        self._ends_at_s = min(self._ends_at_s, now_s + self._within_s)
        try:
            async with asyncio.timeout_at(self._ends_at_s):
                return await self._receive()
        except TimeoutError as error:
            raise HTTPException(
                HTTPStatus.REQUEST_TIMEOUT,
                f"the body must be complete within {self._within_s:g} s",
                {"Connection": "close"},
            ) from error


def _dress(message: Message, scope: Scope, request_id: str | None) -> None:
    ours = _API_HEADERS if scope["path"].startswith(API_ROOT) else _PAGE_HEADERS
    # A new list: the message shares its own with a response that may be sent again.
    headers = [*message["headers"], *ours, *scope["state"].get("quota", ())]
    if request_id is not None:
        headers.append((b"x-request-id", request_id.encode()))
    message["headers"] = headers
