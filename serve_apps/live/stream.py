"""The live stream: WebSocket ``/ws/live``, a snapshot and then changes, per client bounded.

The first message of the client is ``{"type": "auth", "token": "..."}``; a token in the URL would
end up in logs. Sending it again with a fresh token keeps the stream alive past the first one's end.
The server then sends ``snapshot``, and ``delta`` messages with all states that changed since the
last; an empty delta is the heartbeat. A client that reads slowly misses intermediate states, never
the latest one; a client that stops reading is dropped.

Close codes: 4400 bad message, 4401 not (or no longer) authenticated, 4403 not permitted, 4408 too
slow, 1013 too many clients.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Literal

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from controllers.kernel.errors import DomainError, ParkgridError
from controllers.kernel.states import AggregateState, ResourceState
from controllers.kernel.wire import Wire, decode
from controllers.ports.live import Delta
from serve_apps.live.picture import LivePicture
from serve_apps.web.deps import ApiDeps
from serve_apps.web.permissions import Operation
from serve_apps.web.problems import RefusedError
from serve_apps.web.tokens import Tokens, admit

BAD_MESSAGE = 4400
UNAUTHENTICATED = 4401
FORBIDDEN = 4403
TOO_SLOW = 4408
TRY_AGAIN_LATER = 1013
_MAX_MESSAGE_BYTES = 8192


class AuthMessage(Wire):
    """What a client sends: at first, and again to renew."""

    type: Literal["auth"]
    token: Annotated[str, msgspec.Meta(max_length=4096)]


class ClosedError(ParkgridError):
    """The stream ends, for a reason the client is told."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class LiveStream:
    """Serves all WebSocket clients of one process."""

    def __init__(
        self, deps: ApiDeps, tokens: Tokens, picture: LivePicture, n_clients: dict[str, int]
    ) -> None:
        self._deps = deps
        self._tokens = tokens
        self._picture = picture
        # Under the empty key; metrics read it too.
        self._n_clients = n_clients

    async def serve(self, socket: WebSocket) -> None:
        """Serve one client until it leaves or is dropped."""
        await socket.accept()
        if self._n_clients[""] >= self._deps.settings.stream_max_clients:
            await socket.close(TRY_AGAIN_LATER, "too many clients; try again later")
            return
        self._n_clients[""] += 1
        try:
            await _Client(socket, self._deps, self._tokens, self._picture).run()
        except ClosedError as closed:
            if socket.client_state is WebSocketState.CONNECTED:
                await _close(socket, closed)
        except WebSocketDisconnect:
            pass
        finally:
            self._n_clients[""] -= 1


class _Client:
    """One client: its token, its pending changes, its three loops."""

    def __init__(
        self, socket: WebSocket, deps: ApiDeps, tokens: Tokens, picture: LivePicture
    ) -> None:
        self._socket = socket
        self._deps = deps
        self._settings = deps.settings
        self._tokens = tokens
        self._picture = picture
        self._authenticated_until: datetime
        self._resources: dict[str, ResourceState] = {}
        self._aggregates: dict[str, AggregateState] = {}
        self._changed = asyncio.Event()

    async def run(self) -> None:
        try:
            async with asyncio.timeout(self._settings.stream_auth_timeout_s):
                await self._authenticate()
        except TimeoutError as error:
            raise ClosedError(UNAUTHENTICATED, "no auth message came in time") from error
        deltas = self._deps.live.subscribe(self._settings.stream_max_pending)
        loops = [self._collect(deltas), self._listen(), self._tell()]
        tasks = [asyncio.create_task(loop) for loop in loops]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _authenticate(self) -> None:
        received = await self._socket.receive()
        if received["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(received.get("code", 1005))
        text = received.get("text") or ""
        try:
            message = decode(text.encode(), AuthMessage, max_bytes=_MAX_MESSAGE_BYTES)
            principal = self._tokens.verify("access", message.token)
            admit(principal, Operation.LIVE_STREAM)
        except DomainError as error:
            reason = 'send {"type": "auth", "token": "..."}'
            raise ClosedError(BAD_MESSAGE, reason) from error
        except RefusedError as error:
            code = UNAUTHENTICATED if error.status == HTTPStatus.UNAUTHORIZED else FORBIDDEN
            raise ClosedError(code, error.detail) from error
        self._authenticated_until = principal.expires_at

    async def _listen(self) -> None:
        while True:
            await self._authenticate()

    async def _collect(self, deltas: AsyncIterator[Delta]) -> None:
        # Latest wins: a newer state of a waiting subject replaces the older one.
        async for delta in deltas:
            if delta.resource is not None:
                self._resources[delta.resource.id] = delta.resource
            if delta.aggregate is not None:
                self._aggregates[delta.aggregate.id] = delta.aggregate
            self._changed.set()

    async def _tell(self) -> None:
        # One turn of the loop, so that the subscription stands before the snapshot is taken and
        # no change can fall between the two.
        await asyncio.sleep(0)
        await self._send(self._picture.snapshot())
        while True:
            await asyncio.sleep(self._settings.stream_flush_s)
            try:
                async with asyncio.timeout(self._settings.stream_heartbeat_s):
                    await self._changed.wait()
            except TimeoutError:
                pass  # Nothing changed for a while: the empty delta is the heartbeat.
            if self._authenticated_until <= self._deps.clock.now():
                raise ClosedError(UNAUTHENTICATED, "the token has ended; log in again")
            resources, self._resources = self._resources, {}
            aggregates, self._aggregates = self._aggregates, {}
            self._changed.clear()
            await self._send(self._picture.delta(resources.values(), aggregates.values()))

    async def _send(self, message: bytes) -> None:
        try:
            async with asyncio.timeout(self._settings.stream_send_timeout_s):
                await self._socket.send_text(message.decode())
        except TimeoutError as error:
            raise ClosedError(TOO_SLOW, "reading too slowly") from error


async def _close(socket: WebSocket, closed: ClosedError) -> None:
    # The close frame of a client that does not read cannot be delivered either.
    try:
        async with asyncio.timeout(1.0):
            await socket.close(closed.code, closed.reason)
    except (TimeoutError, RuntimeError):
        pass
