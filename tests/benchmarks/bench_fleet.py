"""A fleet of 100,000 devices, one sample each per second, behind one fleet actor.

Path: gateway, broker, FleetActor (columns, sums, twin), state topic. It keeps up when the state
arrives with the power of the last sweep within a second, and nothing is dropped on the way.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from tests.benchmarks.devices import connect, now_text
from tests.benchmarks.figures import figure, load_average, quantiles, report
from tests.benchmarks.live_park import SITE, LivePark, live_park, park_of
from tests.benchmarks.plain_mqtt import PlainMqtt
from tests.benchmarks.processes import CpuMeter

_FLEET = "homes"
_CHUNK = 5_000
_SETTLE_SWEEPS = 5


def fleet_park(n: int) -> dict[str, Any]:
    """Return a park with one fleet of ``n`` heat pumps."""
    parameters = {
        "device_kind": "heat_pump",
        "n_devices": n,
        "device_kw": 2.0,
        "store_kwh": 8.0,
        "efficiency": 3.0,
    }
    return park_of([{"id": _FLEET, "name": _FLEET, "kind": "fleet", "parameters": parameters}])


class Gateway:
    """Reports all devices once a second, chunk by chunk, each sweep with a power of its own."""

    def __init__(self, client: PlainMqtt, n: int) -> None:
        self._client = client
        self._n = n
        self._seq = 0
        chunk = min(_CHUNK, n)
        # Made beforehand but for stamp and power, so that the load does not weigh on the machine.
        self._tail = json.dumps({"signals": {"store_frac": [0.5] * chunk}})[1:]
        self._chunk = chunk

    async def sweep(self, sweep: int) -> float:
        """Send one sample of every device over a second; return the total power in kW."""
        power_kw = -1.0 - sweep % 100 * 1e-3
        powers = ",".join([f"{power_kw:.3f}"] * self._chunk)
        n_chunks = self._n // self._chunk
        due_s = time.monotonic()
        for index in range(n_chunks):
            self._seq += 1
            head = (
                f'{{"seq":{self._seq},"measured_at":"{now_text()}",'
                f'"first":{index * self._chunk},"power_kw":[{powers}],'
            )
            self._client.publish(
                f"parkgrid/v1/{SITE}/{_FLEET}/telemetry", (head + self._tail).encode()
            )
            due_s += 1.0 / n_chunks
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        return power_kw * self._n


async def measure(park: LivePark, n: int, n_sweeps: int) -> dict[str, Any]:
    """Return the figures of some seconds of telemetry."""
    seen: list[tuple[float, float]] = []

    def take(_topic: str, payload: bytes) -> None:
        state = json.loads(payload)
        seen.append((time.monotonic(), state["power_kw"]))
        counters.update(state["counters"])

    counters: dict[str, int] = {}
    device, onlooker = PlainMqtt(), PlainMqtt(take)
    await connect(device, park.broker_port, park.device(_FLEET), "bench-gateway")
    await connect(onlooker, park.broker_port, park.inner, "bench-onlooker")
    await onlooker.subscribe(f"parkgrid/int/v1/state/resource/{_FLEET}")
    gateway = Gateway(device, n)
    for sweep in range(_SETTLE_SWEEPS):
        await gateway.sweep(sweep)
    meter, load_before, own_s = CpuMeter(park.tree()), load_average(), time.process_time()
    begun_s = time.monotonic()
    swept = []
    for sweep in range(_SETTLE_SWEEPS, _SETTLE_SWEEPS + n_sweeps):
        total_kw = await gateway.sweep(sweep)
        swept.append((time.monotonic(), total_kw))
    elapsed_s = time.monotonic() - begun_s
    cores = meter.cores_by_group()
    own_frac = (time.process_time() - own_s) / elapsed_s
    await asyncio.sleep(1.5)
    device.close()
    onlooker.close()
    # The sums are renewed twice a second, so a total may be that of the next sweep's beginning.
    step_kw = 1e-3 * n
    lags_s = [
        next((at - done_s for at, kw in seen if at >= done_s and kw <= total + 0.01 * step_kw), 1e9)
        for done_s, total in swept
    ]
    return {
        "load_before": load_before,
        "core_frac": figure(cores["fleet actor"]["core_frac_all"], "cores", must=1.0, aim=0.3),
        "last_device_to_state_p99": figure(quantiles(lags_s)["p99"], "s", must=1.0),
        "samples_per_s": round(n * n_sweeps / elapsed_s),
        "counters": {name: count for name, count in counters.items() if count},
        "cores": cores,
        "core_frac_of_load": round(own_frac, 3),
    }


def main(*, smoke: bool) -> None:
    """Print the figures."""
    n = 1_000 if smoke else 100_000
    with live_park(fleet_park(n)) as park:
        figures = asyncio.run(measure(park, n, 3 if smoke else 20))
    report({f"{n}_devices": figures})


if __name__ == "__main__":
    main(smoke="--smoke" in sys.argv)
