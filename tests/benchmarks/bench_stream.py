"""A thousand WebSocket clients of one replica, each told of changes once a second.

The replica is a plain process with the whole application over a live picture that moves at 1 Hz: 50
resources and 3 aggregates. The load is one process that reads and counts messages. Latency is from
the state's publication to its arrival at a client.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import socket
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from typing import Any

import msgspec
import psutil
import uvicorn
from websockets.asyncio.client import ClientConnection, connect

from serve_apps.web.deps import ApiSettings
from tests.benchmarks.figures import figure, load_average, quantiles, report
from tests.benchmarks.processes import CpuMeter
from tests.support.api_world import open_world
from tests.support.live_states import make_aggregate_state, make_resource_state

_PERIOD_S = 1.0
_N_RESOURCES = 50
_LOG_INS_AT_ONCE = 20


def _replica(listener: socket.socket, told: Connection) -> None:
    asyncio.run(_serve(listener, told))


async def _serve(listener: socket.socket, told: Connection) -> None:
    settings = ApiSettings(jwt_secret="s" * 32)
    async with open_world(settings) as world:
        server = uvicorn.Server(uvicorn.Config(world.app, log_level="error", lifespan="off"))
        told.send(world.token())
        moving = asyncio.create_task(_move(world.live))
        try:
            await server.serve(sockets=[listener])
        finally:
            moving.cancel()


async def _move(live: Any) -> None:
    states = [
        *(make_resource_state(f"r{n}") for n in range(_N_RESOURCES)),
        *(make_aggregate_state(name) for name in ("site", "stores", "vpp")),
    ]
    seq = 1
    while True:
        seq += 1
        now = datetime.now(UTC)  # noqa: TID251 - two processes share the wall clock only
        live.put(*(msgspec.structs.replace(s, seq=seq, published_at=now) for s in states))
        await asyncio.sleep(_PERIOD_S)


class _Tally:
    """What all clients saw together."""

    def __init__(self) -> None:
        self.latencies_ms: list[float] = []
        self.n_deltas = 0
        self.n_states = 0
        self.counting = False


async def _client(
    port: int, token: str, tally: _Tally, slots: asyncio.Semaphore, joined: asyncio.Event
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        # Who is turned away must be counted, not waited for.
        stack.callback(joined.set)
        async with slots:
            address = f"ws://127.0.0.1:{port}/ws/live"
            connection = connect(address, max_size=2**24, compression=None, open_timeout=60.0)
            socket_: ClientConnection = await stack.enter_async_context(connection)
            await socket_.send(json.dumps({"type": "auth", "token": token}))
            await socket_.recv()
        joined.set()
        async for message in socket_:
            if tally.counting:
                _count(message, tally)


def _count(message: str | bytes, tally: _Tally) -> None:
    text = message if isinstance(message, str) else message.decode()
    tally.n_deltas += 1
    tally.n_states += text.count('"published_at"')
    # The first state of a message is as old as the rest; decoding all would measure the decoder.
    _, found, rest = text.partition('"published_at":"')
    if found:
        published_at = datetime.fromisoformat(rest[: rest.index('"')])
        now = datetime.now(UTC)  # noqa: TID251 - as above
        tally.latencies_ms.append((now - published_at).total_seconds() * 1000.0)


@contextlib.contextmanager
def _running() -> Iterator[tuple[int, int, str]]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    heard, told = multiprocessing.Pipe(duplex=False)
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_replica, args=(listener, told), daemon=True)
    process.start()
    try:
        token = heard.recv()
        yield listener.getsockname()[1], process.pid or 0, token
    finally:
        process.terminate()
        process.join(10.0)
        listener.close()


async def measure(n_clients: int, seconds: float) -> dict[str, object]:
    """Return the figures of some clients over some seconds."""
    tally, slots = _Tally(), asyncio.Semaphore(_LOG_INS_AT_ONCE)
    load_before = load_average()
    with _running() as (port, pid, token):
        events = [asyncio.Event() for _ in range(n_clients)]
        clients = [
            asyncio.create_task(_client(port, token, tally, slots, joined)) for joined in events
        ]
        begun_s = time.monotonic()
        await asyncio.gather(*(joined.wait() for joined in events))
        joined_s = time.monotonic() - begun_s
        meter, own_s = CpuMeter([psutil.Process(pid)]), time.process_time()
        tally.counting, begun_s = True, time.monotonic()
        await asyncio.sleep(seconds)
        tally.counting, elapsed_s = False, time.monotonic() - begun_s
        n_lost = sum(client.done() for client in clients)
        cores = meter.cores_by_group()
        own_frac = (time.process_time() - own_s) / elapsed_s
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
    ms = quantiles(tally.latencies_ms)
    told_hz = tally.n_states / (_N_RESOURCES + 3) / n_clients / elapsed_s
    return {
        "load_before": load_before,
        "n_clients": n_clients,
        "joined_s": round(joined_s, 2),
        "n_lost": figure(n_lost, "clients", must=0.0),
        "told_hz": figure(told_hz, "Hz", must=0.95, better="higher"),
        "messages_per_s": figure(tally.n_deltas / elapsed_s, "messages/s", better="higher"),
        "p95": figure(ms.get("p95", float("nan")), "ms", must=1000.0),
        "ms": ms,
        "core_frac_of_load": round(own_frac, 3),
        "cores": cores,
    }


async def main(*, smoke: bool) -> None:
    """Print the figures."""
    report(await measure(20 if smoke else 1000, 2.0 if smoke else 20.0))


if __name__ == "__main__":
    asyncio.run(main(smoke="--smoke" in sys.argv))
