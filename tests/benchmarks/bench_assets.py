"""Durable changes of the park per second: resources made and updated, each an act of its own."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from cluster.storage.asset_book import SqlAssetBook
from cluster.storage.database import Database
from cluster.storage.engine import migrate, open_engine
from cluster.storage.registry import SqlParkRegistry
from cluster.storage.resources import SqlResources
from controllers.kernel.timebase import SystemClock
from controllers.park import ResourceDefinition
from controllers.ports.acts import Act
from controllers.ports.assets import NewResource, ResourceChange, ResourceFilter
from controllers.ports.pages import PageRequest
from tests.benchmarks.figures import figure, quantiles, report
from tests.support.live_states import make_park

_N_CLIENTS = 16
_N_RESOURCES = 9_000


async def measure(n: int, one: Callable[[int], Awaitable[object]]) -> dict[str, object]:
    """Return rate and latency of ``n`` calls by concurrent clients."""
    latency_ms: list[float] = []

    async def client(lane: int) -> None:
        for i in range(lane, n, _N_CLIENTS):
            begun = time.perf_counter()
            await one(i)
            latency_ms.append((time.perf_counter() - begun) * 1000)

    begun = time.perf_counter()
    await asyncio.gather(*(client(lane) for lane in range(_N_CLIENTS)))
    elapsed_s = time.perf_counter() - begun
    ms = quantiles(latency_ms)
    return {
        "writes_per_s": figure(n / elapsed_s, "writes/s", must=300.0, better="higher"),
        "p95": figure(ms["p95"], "ms", must=200.0),
        "ms": ms,
    }


def _act(subject: str, key: str) -> Act:
    return Act(principal="bench", action="resource.write", subject=subject, data={}, key=key)


async def main(*, smoke: bool) -> None:
    """Print the figures of creating, updating and listing in a park that grows to its limit."""
    n = 200 if smoke else _N_RESOURCES
    # In the working directory: a temporary folder in memory would flatter the disk.
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        url = f"sqlite:///{folder}/parkgrid.sqlite"
        migrate(open_engine(url))
        registry = SqlParkRegistry(url, SystemClock())
        registry.save(make_park())
        book = SqlAssetBook(url)
        database = Database(url, SystemClock())
        store = SqlResources(database, book)

        async def create(i: int) -> object:
            definition = ResourceDefinition(
                id=f"r{i}", name=f"Roof {i}", kind="", parameters={"rated_kw": 50.0}
            )
            new = NewResource(definition=definition, template_id="starter-pv")
            return await store.create(_act(f"r{i}", f"c{i}"), [new], paths=[""])

        async def update(i: int) -> object:
            definition = ResourceDefinition(
                id="", name=f"Renamed {i}", kind="", parameters={"rated_kw": 60.0}
            )
            return await store.update(
                _act(f"r{i}", f"u{i}"), 1, ResourceChange(definition=definition)
            )

        figures = {"create": await measure(n, create), "update": await measure(n, update)}
        listed_ms = []
        request = PageRequest(limit=200, sort="name")
        while True:
            begun = time.perf_counter()
            page = await store.list(ResourceFilter(), request)
            listed_ms.append((time.perf_counter() - begun) * 1000)
            if page.next_cursor is None:
                break
            request = PageRequest(limit=200, sort="name", cursor=page.next_cursor)
        mean_ms = sum(listed_ms) / len(listed_ms)
        figures["page_of_200"] = {"mean": figure(mean_ms, "ms", must=100.0)}
        await asyncio.to_thread(database.close)
        book.close()
        registry.close()
    report(figures)


if __name__ == "__main__":
    asyncio.run(main(smoke="--smoke" in sys.argv))
