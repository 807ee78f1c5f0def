"""Telemetry to aggregate: 50 and 100 resource actors at 10 Hz each under one aggregate actor.

Path: device, broker, ResourceActor, state topic, AggregateActor, state topic. The lag of a sample
runs from its publication by the device to the arrival, at an outside subscriber, of the first sums
that hold it or a later sample of its device; that is one hop more than the aggregate's own figure.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import Any

import msgspec

from controllers.supervision import aggregate_actor
from tests.benchmarks.devices import Battery, connect, connected, report_for_ever
from tests.benchmarks.figures import figure, load_average, note, quantiles, report
from tests.benchmarks.live_park import AGGREGATE, LivePark, batteries, live_park, wait_until_fresh
from tests.benchmarks.plain_mqtt import PlainMqtt
from tests.benchmarks.processes import CpuMeter

_RATE_HZ = 10.0
_BUDGET_MS = {50: (50.0, 10.0), 100: (50.0, 20.0)}
_SETTLE_S = 10.0


class _Share(msgspec.Struct):
    id: str
    power_kw: float


class _Sums(msgspec.Struct):
    members: list[_Share]


class Onlooker:
    """Follows the sums from outside and tells when each sample first showed in them."""

    def __init__(self, devices: list[Battery]) -> None:
        self.lags_ms: list[float] = []
        self.n_sums = 0
        self._devices = {device.id: device for device in devices}
        self._decoder = msgspec.json.Decoder(_Sums)

    def take(self, _topic: str, payload: bytes) -> None:
        """Take in one message with the sums."""
        now_s = time.monotonic()
        self.n_sums += 1
        for share in self._decoder.decode(payload).members:
            sent_at_s = self._devices[share.id].sent_at_s
            if share.power_kw not in sent_at_s:
                continue
            # What the device sent before this sample is superseded by it and counts as seen.
            while True:
                oldest = next(iter(sent_at_s))
                self.lags_ms.append((now_s - sent_at_s.pop(oldest)) * 1000.0)
                if oldest == share.power_kw:
                    break


async def measure(park: LivePark, n: int, seconds: float) -> dict[str, Any]:
    """Return the figures of ``n`` devices that report for some seconds."""
    devices = await connected(park, [f"bess{i:03d}" for i in range(n)])
    reporting = asyncio.create_task(report_for_ever(devices, _RATE_HZ))
    onlooker = Onlooker(devices)
    client = PlainMqtt(onlooker.take)
    await connect(client, park.broker_port, park.inner, "bench-onlooker")
    await asyncio.to_thread(wait_until_fresh, park)
    await asyncio.sleep(_SETTLE_S)
    await client.subscribe(f"parkgrid/int/v1/state/aggregate/{AGGREGATE}")
    await asyncio.sleep(1.0)
    onlooker.lags_ms.clear()
    onlooker.n_sums = 0
    meter = CpuMeter(park.tree())
    own_s, begun_s, load_before = time.process_time(), time.monotonic(), load_average()
    await asyncio.sleep(seconds)
    elapsed_s = time.monotonic() - begun_s
    cores = meter.cores_by_group()
    own_frac = (time.process_time() - own_s) / elapsed_s
    lags_ms = list(onlooker.lags_ms)
    reporting.cancel()
    for device in devices:
        device.close()
    client.close()
    must_ms, aim_ms = _BUDGET_MS.get(n, (50.0, 20.0))
    lags = quantiles(lags_ms)
    return {
        "load_before": load_before,
        "lag_p99": figure(lags.get("p99", float("inf")), "ms", must=must_ms, aim=aim_ms),
        "lag_ms": lags,
        "samples_per_s": round(len(lags_ms) / elapsed_s, 1),
        "sums_per_s": round(onlooker.n_sums / elapsed_s, 1),
        "cores": cores,
        "core_frac_of_load": round(own_frac, 3),
    }


async def as_the_actor_says(park: LivePark) -> dict[str, float]:
    """Return the lag that the aggregate actor reports of itself, over its last 20,000 samples."""
    # Ray reads it when it is first imported.
    os.environ["RAY_AUTH_MODE"] = "token"
    from actors import runtime  # noqa: PLC0415

    runtime.connect(park.ray_address())
    handle = runtime.find(aggregate_actor(AGGREGATE))
    health = await runtime.call(handle, "health", deadline_s=30.0)
    runtime.disconnect()
    return {name: round(health[name], 2) for name in ("lag_p50_ms", "lag_p99_ms", "n_lags")}


def main(*, smoke: bool) -> None:
    """Print the figures."""
    figures: dict[str, object] = {}
    for n in (3,) if smoke else (50, 100):
        with live_park(batteries(n)) as park:
            figures[f"{n}_resources"] = row = asyncio.run(measure(park, n, 3.0 if smoke else 30.0))
            row["as_the_actor_says"] = asyncio.run(as_the_actor_says(park))
        note(f"{n}_resources", row)
    report(figures)


if __name__ == "__main__":
    main(smoke="--smoke" in sys.argv)
