"""The API of a test world on a real port, in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn

from serve_apps.web.deps import ApiSettings
from tests.support.api_world import World, open_world

_START_LIMIT_S = 20.0


@dataclass(frozen=True, kw_only=True)
class Served:
    """A world that answers on loopback."""

    port: int
    world: World
    """Touch only what needs no event loop: clock, tokens, fakes."""

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def served(settings: ApiSettings) -> Iterator[Served]:
    """Serve a world on a free port of loopback until left."""
    listener = socket.create_server(("127.0.0.1", 0))
    up = threading.Event()
    found: list[World] = []
    servers: list[uvicorn.Server] = []

    async def run() -> None:
        async with open_world(settings) as world:
            config = uvicorn.Config(world.app, log_level="warning", lifespan="off")
            server = uvicorn.Server(config)
            found.append(world)
            servers.append(server)
            up.set()
            await server.serve(sockets=[listener])

    failures: list[Exception] = []

    def live() -> None:
        try:
            asyncio.run(run())
        except Exception as error:
            failures.append(error)
            up.set()

    thread = threading.Thread(target=live, daemon=True)
    thread.start()
    if not up.wait(_START_LIMIT_S):
        raise TimeoutError("the API did not start")
    if not found:
        raise failures[0]
    try:
        yield Served(port=listener.getsockname()[1], world=found[0])
    finally:
        servers[0].should_exit = True
        thread.join(_START_LIMIT_S)
        listener.close()
