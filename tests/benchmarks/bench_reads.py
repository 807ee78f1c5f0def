"""Live reads with a token: requests per second and their latency, demo park alive underneath.

Path: HAProxy, Serve replica, its own snapshot of the state topics. The load is one process with raw
asyncio sockets and keep-alive connections that parses no more of an answer than its length; its own
share of a core is reported, so that one sees whether it was the bottleneck.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from tests.benchmarks.figures import figure, load_average, quantiles, report
from tests.benchmarks.live_park import LivePark, live_park
from tests.benchmarks.plain_http import PlainHttp
from tests.benchmarks.processes import CpuMeter

_PATHS = {
    "resource": "/api/v1/vpp/resources/bess1",
    "aggregation": "/api/v1/vpp/aggregations/vpp-park",
    "live": "/api/v1/vpp/live",
}
_N_CONNECTIONS = 12
_SETTLE_S = 5.0


async def measure(park: LivePark, path: str, token: str, seconds: float) -> dict[str, Any]:
    """Return the figures of one path, read over some connections at once."""
    latencies_ms: list[float] = []

    async def reader(until_s: float) -> None:
        async with PlainHttp(park.port, token) as http:
            request = http.request("GET", path)
            while (begun_s := time.monotonic()) < until_s:
                answer = await http.exchange(request)
                if answer.status != 200:
                    raise RuntimeError(answer.body.decode())
                latencies_ms.append((time.monotonic() - begun_s) * 1000.0)

    meter, own_s, load_before = CpuMeter(park.tree()), time.process_time(), load_average()
    begun_s = time.monotonic()
    await asyncio.gather(*(reader(begun_s + seconds) for _ in range(_N_CONNECTIONS)))
    elapsed_s = time.monotonic() - begun_s
    cores = meter.cores_by_group()
    per_s, ms = len(latencies_ms) / elapsed_s, quantiles(latencies_ms)
    return {
        "load_before": load_before,
        "per_s": figure(per_s, "req/s", must=1000.0, aim=3000.0, better="higher"),
        "p95": figure(ms["p95"], "ms", must=20.0),
        "ms": ms,
        "cores": {name: row["core_frac_all"] for name, row in cores.items()},
        "core_frac_of_load": round((time.process_time() - own_s) / elapsed_s, 3),
        "api_cpu_ms_per_read": round(1000.0 * cores["api replica"]["core_frac_all"] / per_s, 3),
    }


async def main(*, smoke: bool) -> None:
    """Print the figures."""
    figures: dict[str, object] = {"n_connections": _N_CONNECTIONS}
    with live_park(None) as park:
        token = park.token()
        await asyncio.sleep(_SETTLE_S)
        for name, path in _PATHS.items():
            figures[name] = await measure(park, path, token, 1.0 if smoke else 10.0)
    report(figures)


if __name__ == "__main__":
    asyncio.run(main(smoke="--smoke" in sys.argv))
