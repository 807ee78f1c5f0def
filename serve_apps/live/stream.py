"""The live stream: WebSocket ``/ws/live``, a snapshot and then changes, per client bounded.

The first message of the client is ``{"type": "auth", "token": "..."}``; a token in the URL would
end up in logs. Sending it again with a fresh token keeps the stream alive past the first one's end.
The server then sends ``snapshot``, and ``delta`` messages with all states that changed since the
last; an empty delta is the heartbeat. ``alarms`` holds the standing alarms and then those that
changed; one that has ended comes once more, in the state that ended it. A client that reads slowly
misses intermediate states, never the latest one; a client that stops reading is dropped.

Close codes: 4400 bad message, 4401 not (or no longer) authenticated, 4403 not permitted, 4408 too
slow, 1013 too many clients.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated, Literal

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from controllers.alarms.lifecycle import Alarm
from controllers.kernel.errors import DomainError, ParkgridError
from controllers.kernel.states import AggregateState, ResourceState
from controllers.kernel.wire import Wire, decode
from controllers.ports.live import Delta
from serve_apps.live.picture import LivePicture
from serve_apps.web.deps import ApiDeps
from serve_apps.web.gate import Gate, admit
from serve_apps.web.permissions import Operation
from serve_apps.web.principals import Principal
from serve_apps.web.problems import RefusedError

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
        self, deps: ApiDeps, gate: Gate, picture: LivePicture, n_clients: dict[str, int]
    ) -> None:
        self._deps = deps
        self._gate = gate
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
            await _Client(socket, self._deps, self._gate, self._picture).run()
        except ClosedError as closed:
            if socket.client_state is WebSocketState.CONNECTED:
                await _close(socket, closed)
        except WebSocketDisconnect:
            pass
        finally:
            self._n_clients[""] -= 1


class _Client:
    """One client: its token, its pending changes, its three loops."""

    def __init__(self, socket: WebSocket, deps: ApiDeps, gate: Gate, picture: LivePicture) -> None:
        self._socket = socket
        self._deps = deps
        self._settings = deps.settings
        self._gate = gate
        self._picture = picture
        self._token: str
        self._principal: Principal
        self._resources: dict[str, ResourceState] = {}
        self._aggregates: dict[str, AggregateState] = {}
        self._alarms: dict[str, Alarm] = {}
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
            principal = self._admitted(message.token)
        except DomainError as error:
            reason = 'send {"type": "auth", "token": "..."}'
            raise ClosedError(BAD_MESSAGE, reason) from error
        except RefusedError as error:
            raise _closed(error) from error
        self._token, self._principal = message.token, principal

    def _admitted(self, token: str) -> Principal:
        principal = self._gate.identify(token)
        admit(principal, Operation.LIVE_STREAM)
        return principal

    def _look_again(self) -> None:
        # Accounts, sessions and roles may have changed; the answer is in memory.
        try:
            self._principal = self._admitted(self._token)
        except RefusedError as error:
            raise _closed(error) from error

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
            if delta.alarm is not None:
                self._alarms[delta.alarm.id] = delta.alarm
            self._changed.set()

    async def _tell(self) -> None:
        # One turn of the loop, so that the subscription stands before the snapshot is taken and
        # no change can fall between the two.
        await asyncio.sleep(0)
        await self._send(self._picture.snapshot(self._principal.reach))
        while True:
            await asyncio.sleep(self._settings.stream_flush_s)
            try:
                async with asyncio.timeout(self._settings.stream_heartbeat_s):
                    await self._changed.wait()
            except TimeoutError:
                pass  # Nothing changed for a while: the empty delta is the heartbeat.
            self._look_again()
            resources, self._resources = self._resources, {}
            aggregates, self._aggregates = self._aggregates, {}
            alarms, self._alarms = self._alarms, {}
            self._changed.clear()
            changed = (resources.values(), aggregates.values(), alarms.values())
            await self._send(self._picture.delta(self._principal.reach, *changed))

    async def _send(self, message: bytes) -> None:
        try:
            async with asyncio.timeout(self._settings.stream_send_timeout_s):
                await self._socket.send_text(message.decode())
        except TimeoutError as error:
            raise ClosedError(TOO_SLOW, "reading too slowly") from error


def _closed(refusal: RefusedError) -> ClosedError:
    code = UNAUTHENTICATED if refusal.status == HTTPStatus.UNAUTHORIZED else FORBIDDEN
    return ClosedError(code, refusal.detail)


async def _close(socket: WebSocket, closed: ClosedError) -> None:
    # The close frame of a client that does not read cannot be delivered either.
    try:
        async with asyncio.timeout(1.0):
            await socket.close(closed.code, closed.reason)
    except (TimeoutError, RuntimeError):
        pass
