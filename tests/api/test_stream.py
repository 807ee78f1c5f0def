"""The WebSocket: log in first, snapshot then changes, bounded, and who does not read is dropped."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from controllers.ports.accounts import AccountChange
from controllers.ports.acts import Act
from serve_apps.web.deps import ApiSettings
from serve_apps.web.permissions import PERMISSIONS, Operation
from tests.support.api_world import PASSWORD, World, open_world
from tests.support.live_states import make_aggregate_state, make_resource_state
from tests.support.waiting import eventually

_FAST = ApiSettings(
    jwt_secret="s" * 32,
    stream_flush_s=0.01,
    stream_heartbeat_s=0.05,
    stream_auth_timeout_s=0.2,
    stream_send_timeout_s=0.1,
    stream_max_clients=2,
)


@pytest.fixture
def settings() -> ApiSettings:
    return _FAST


class Socket:
    """The client's side of one WebSocket, driven straight over ASGI."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.outbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.reading = asyncio.Event()
        self.reading.set()

    async def send(self, message: dict[str, Any]) -> None:
        """Take what the server sends, unless the client is not reading."""
        await self.reading.wait()
        self.outbox.put_nowait(message)

    def say(self, message: object) -> None:
        """Send a message."""
        text = message if isinstance(message, str) else json.dumps(message)
        self.inbox.put_nowait({"type": "websocket.receive", "text": text})

    def authenticate(self, token: str) -> None:
        """Send the auth message."""
        self.say({"type": "auth", "token": token})

    async def hear(self) -> dict[str, Any]:
        """Return the next message, or the close frame."""
        async with asyncio.timeout(5):
            message = await self.outbox.get()
        if message["type"] == "websocket.send":
            heard: dict[str, Any] = json.loads(message["text"])
            return heard
        return message

    async def hear_change(self) -> dict[str, Any]:
        """Return the next message that is not an empty heartbeat."""
        while True:
            heard = await self.hear()
            if heard["type"] != "delta" or heard["resources"] or heard["aggregates"]:
                return heard


@asynccontextmanager
async def connect(world: World, path: str = "/ws/live") -> AsyncIterator[Socket]:
    """Open a WebSocket and wait until it is accepted."""
    socket = Socket()
    scope = {
        "type": "websocket",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
        "subprotocols": [],
        "scheme": "ws",
        "server": ("park", 80),
        "client": ("127.0.0.1", 1),
    }
    socket.inbox.put_nowait({"type": "websocket.connect"})
    task = asyncio.create_task(world.app(scope, socket.inbox.get, socket.send))  # type: ignore[arg-type]
    try:
        assert (await socket.hear())["type"] == "websocket.accept"
        yield socket
    finally:
        socket.reading.set()
        socket.inbox.put_nowait({"type": "websocket.disconnect", "code": 1000})
        async with asyncio.timeout(5):
            await task


@pytest.mark.parametrize("path", ["/ws/live", "/api/vpp/ws/live", "/api/v1/vpp/ws/live"])
async def test_snapshot_then_only_what_changed(world: World, path: str) -> None:
    async with connect(world, path) as socket:
        socket.authenticate(world.token())
        snapshot = await socket.hear()
        assert snapshot["type"] == "snapshot"
        assert [r["id"] for r in snapshot["resources"]] == ["bess1", "pv1"]
        assert [a["id"] for a in snapshot["aggregates"]] == ["site", "stores"]
        world.live.put(make_resource_state("pv1", power_kw=99.0, seq=2))
        delta = await socket.hear_change()
        assert [(r["id"], r["power_kw"]) for r in delta["resources"]] == [("pv1", 99.0)]
        assert delta["aggregates"] == []


async def test_subscription_ends_with_the_client(world: World) -> None:
    async with connect(world) as socket:
        socket.authenticate(world.token())
        await socket.hear()
        assert len(world.live.subscribers) == 1
    await eventually(lambda: not world.live.subscribers, within_s=2)


async def test_quiet_feed_still_beats_and_tells_that_it_is_down(world: World) -> None:
    async with connect(world) as socket:
        socket.authenticate(world.token())
        await socket.hear()
        world.live.connected = False
        beat = await socket.hear()
        assert (beat["type"], beat["resources"], beat["connected"]) == ("delta", [], False)


async def test_slow_reader_misses_states_but_never_the_latest(world: World) -> None:
    async with connect(world) as socket:
        socket.authenticate(world.token())
        await socket.hear()
        for seq in range(1, 1001):
            world.live.put(make_aggregate_state("site", seq=seq, power_kw=float(seq)))
        heard: list[float] = []
        while not heard or heard[-1] != 1000.0:
            delta = await socket.hear_change()
            heard += [a["power_kw"] for a in delta["aggregates"]]
        assert len(heard) < 20


async def test_client_that_stops_reading_is_dropped(world: World) -> None:
    async with connect(world) as socket:
        socket.authenticate(world.token())
        await socket.hear()
        socket.reading.clear()
        world.live.put(make_aggregate_state("site", seq=2))
        await eventually(lambda: not world.live.subscribers, within_s=3)
        socket.reading.set()


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("not json", 4400),
        ({"type": "auth"}, 4400),
        ({"type": "auth", "token": "x", "more": 1}, 4400),
        ({"type": "auth", "token": "x" * 10_000}, 4400),
        ({"type": "auth", "token": "a.b.c"}, 4401),
    ],
)
async def test_bad_first_message_is_told_why_and_closed(
    world: World, message: object, code: int
) -> None:
    async with connect(world) as socket:
        socket.say(message)
        closed = await socket.hear()
        assert (closed["type"], closed["code"]) == ("websocket.close", code)
        assert closed["reason"]


async def test_binary_message_is_closed_not_crashed(world: World) -> None:
    async with connect(world) as socket:
        socket.inbox.put_nowait({"type": "websocket.receive", "bytes": b"\x00"})
        assert (await socket.hear())["code"] == 4400


async def test_silent_client_is_closed(world: World) -> None:
    async with connect(world) as socket:
        assert (await socket.hear())["code"] == 4401


async def test_role_without_permission_is_closed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PERMISSIONS, Operation.LIVE_STREAM, frozenset())
    async with connect(world) as socket:
        socket.authenticate(world.token())
        assert (await socket.hear())["code"] == 4403


async def test_stream_ends_with_its_token_unless_renewed(world: World) -> None:
    async with connect(world) as renewing, connect(world) as forgetful:
        for socket in (renewing, forgetful):
            socket.authenticate(world.token())
            assert (await socket.hear())["type"] == "snapshot"
        world.clock.advance(timedelta(minutes=10))
        renewing.authenticate(world.token())
        await eventually(renewing.inbox.empty, within_s=2)
        world.clock.advance(timedelta(minutes=6))
        while (closed := await forgetful.hear())["type"] == "delta":
            pass
        assert closed["code"] == 4401
        world.live.put(make_resource_state("pv1", seq=5))
        assert (await renewing.hear_change())["resources"][0]["seq"] == 5


async def test_one_client_too_many_is_asked_to_come_back(world: World) -> None:
    async with connect(world) as first, connect(world):
        async with connect(world) as third:
            assert (await third.hear())["code"] == 1013
        first.authenticate(world.token())
        assert (await first.hear())["type"] == "snapshot"


async def test_a_place_is_free_again_after_a_client_left() -> None:
    async with open_world(replace(_FAST, stream_max_clients=1)) as world:
        for _ in range(3):
            async with connect(world) as socket:
                socket.authenticate(world.token())
                assert (await socket.hear())["type"] == "snapshot"


async def test_who_reaches_a_part_hears_of_that_part_only(world: World) -> None:
    async with connect(world) as socket:
        socket.authenticate(world.token("part"))
        snapshot = await socket.hear()
        assert [r["id"] for r in snapshot["resources"]] == ["bess1"]
        assert [a["id"] for a in snapshot["aggregates"]] == ["stores"]
        world.live.put(make_resource_state("pv1", seq=9), make_aggregate_state("site", seq=9))
        world.live.put(make_resource_state("bess1", seq=9))
        delta = await socket.hear_change()
        assert [r["id"] for r in delta["resources"]] == ["bess1"]
        assert delta["aggregates"] == []


@pytest.mark.parametrize("body", [{"disabled": True}, {"roles": []}], ids=["closed", "no role"])
async def test_a_stream_ends_when_its_account_loses_it(world: World, body: dict[str, Any]) -> None:
    async with connect(world) as socket:
        socket.authenticate(world.token("trader"))
        await socket.hear()
        await world.app.state.deps.accounts.change(
            Act(principal="admin", action="user.change", subject="trader", data={}),
            "trader",
            1,
            AccountChange(**body),
        )
        await world.app.state.accounts.load()
        closed = await _closing(socket)
        assert closed["code"] == (4401 if "disabled" in body else 4403)


async def test_a_stream_ends_with_its_session(world: World) -> None:
    body = {"username": "operator", "password": PASSWORD}
    session = (await world.client.post("/api/vpp/auth/login", json=body)).json()
    async with connect(world) as socket:
        socket.authenticate(session["access_token"])
        await socket.hear()
        headers = {"Authorization": f"Bearer {session['access_token']}"}
        await world.client.post("/api/vpp/auth/logout", headers=headers)
        assert (await _closing(socket))["code"] == 4401


async def _closing(socket: Socket) -> dict[str, Any]:
    while True:
        heard = await socket.hear()
        if heard["type"] == "websocket.close":
            return heard
