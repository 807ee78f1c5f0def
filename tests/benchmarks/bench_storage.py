"""Durable writes per second: idempotency record and audit entry in one flushed transaction."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from cluster.storage.database import open_database
from cluster.storage.engine import migrate, open_engine
from cluster.storage.operations import SqlOperations
from controllers.ports.operations import IdempotencyRecord
from tests.benchmarks.figures import figure, quantiles, report

_N_WRITES = 10_000


async def measure(store: SqlOperations, n_clients: int, n_writes: int) -> dict[str, object]:
    """Return the rate and the latency seen by so many concurrent clients."""
    latency_ms: list[float] = []
    n_each = n_writes // n_clients if n_clients > 1 else n_writes // 20

    async def client(lane: int) -> None:
        for n in range(n_each):
            key = f"{n_clients}-{lane}-{n}"
            record = IdempotencyRecord(
                key=key, principal="bench", fingerprint="f" * 64, subject_id=key
            )
            begun = time.perf_counter()
            await store.begin(record, "dispatch.submit", "vpp", {"target_kw": 500.0, "n": n})
            latency_ms.append((time.perf_counter() - begun) * 1000)

    begun = time.perf_counter()
    await asyncio.gather(*(client(lane) for lane in range(n_clients)))
    elapsed_s = time.perf_counter() - begun
    ms = quantiles(latency_ms)
    return {
        "writes_per_s": figure(
            len(latency_ms) / elapsed_s, "writes/s", must=1000.0, aim=2000.0, better="higher"
        ),
        "p95": figure(ms["p95"], "ms", must=200.0, aim=50.0),
        "ms": ms,
    }


async def main(*, smoke: bool) -> None:
    """Print the figures of 16 and 128 clients, and of a lone one for information."""
    n_writes = 500 if smoke else _N_WRITES
    # In the working directory: a temporary folder in memory would flatter the disk.
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        url = f"sqlite:///{folder}/parkgrid.sqlite"
        migrate(open_engine(url))
        database = open_database(url)
        store = SqlOperations(database)
        figures: dict[str, object] = {
            f"{n}_clients": await measure(store, n, n_writes) for n in (16, 128)
        }
        figures["1_client_ms"] = (await measure(store, 1, n_writes))["ms"]
        await asyncio.to_thread(database.close)
    report(figures)


if __name__ == "__main__":
    asyncio.run(main(smoke="--smoke" in sys.argv))
