"""Durable writes per second: idempotency record and audit entry in one flushed transaction."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from cluster.storage.engine import migrate, open_engine
from cluster.storage.operations import SqlOperations
from controllers.kernel.timebase import SystemClock
from controllers.ports import IdempotencyRecord

_N_WRITES = 10_000


async def measure(store: SqlOperations, n_clients: int) -> dict[str, float]:
    """Return the rate and the latency seen by so many concurrent clients."""
    latency_ms: list[float] = []
    n_each = _N_WRITES // n_clients if n_clients > 1 else _N_WRITES // 20

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
    p50, p95, p99 = np.percentile(latency_ms, [50, 95, 99])
    return {
        "writes_per_s": round(len(latency_ms) / elapsed_s),
        "p50_ms": round(float(p50), 2),
        "p95_ms": round(float(p95), 2),
        "p99_ms": round(float(p99), 2),
    }


async def main() -> None:
    """Print the figures of 1, 16 and 128 clients."""
    # In the working directory: a temporary folder in memory would flatter the disk.
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        url = f"sqlite:///{folder}/parkgrid.sqlite"
        migrate(open_engine(url))
        store = SqlOperations(url, SystemClock())
        figures = {f"{n}_clients": await measure(store, n) for n in (1, 16, 128)}
        await asyncio.to_thread(store.close)
    print(json.dumps(figures))


if __name__ == "__main__":
    asyncio.run(main())
