"""Dispatch to last command: POST a dispatch, until every device has its new set-point.

Path: HAProxy, Serve replica (token, idempotency and audit records flushed), AggregateActor
(instruction flushed, split), broker, every ResourceActor (arbitration, checkpoint flushed), broker,
device. Each dispatch is cancelled again, with the devices' return to rest awaited in between.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from tests.benchmarks.devices import Battery, connected, report_for_ever
from tests.benchmarks.figures import figure, load_average, note, quantiles, report
from tests.benchmarks.live_park import AGGREGATE, LivePark, batteries, live_park, wait_until_fresh
from tests.benchmarks.plain_http import PlainHttp

_MUST_MS, _AIM_MS = 100.0, 30.0
_SETTLE_S = 12.0
_LIMIT_S = 5.0
_PAUSE_S = 1.5


async def one_dispatch(
    http: PlainHttp, devices: list[Battery], n: int, target_kw: float
) -> dict[str, float]:
    """Dispatch, wait for the last device's command, cancel; return milliseconds since the POST."""
    share_kw = target_kw / len(devices)
    for device in devices:
        device.commanded.clear()
    body = {"target_kw": target_kw, "duration_s": 600, "reason": "benchmark"}
    request = http.request(
        "POST",
        f"/api/v1/vpp/aggregations/{AGGREGATE}/dispatch",
        body,
        Idempotency_Key=f"bench-{n}",
    )
    begun_s = time.monotonic()
    answer = await http.exchange(request)
    answered_s = time.monotonic()
    if answer.status != 202:
        raise RuntimeError(answer.body.decode())
    reached_s = await _all_reached(devices, share_kw, begun_s + _LIMIT_S)
    await http.exchange(
        http.request(
            "POST",
            f"/api/v1/vpp/dispatches/{answer.json()['id']}/cancel",
            {"reason": "benchmark"},
        )
    )
    await asyncio.sleep(_PAUSE_S)
    return {
        "answer": (answered_s - begun_s) * 1000.0,
        "first": (min(reached_s) - begun_s) * 1000.0,
        "last": (max(reached_s) - begun_s) * 1000.0,
    }


async def _all_reached(devices: list[Battery], share_kw: float, until_s: float) -> list[float]:
    while True:
        reached_s = [_reached_s(device, share_kw) for device in devices]
        arrived_s = [at_s for at_s in reached_s if at_s is not None]
        if len(arrived_s) == len(devices):
            return arrived_s
        if time.monotonic() > until_s:
            missing = [
                (device.id, device.commanded[-1:])
                for device, at_s in zip(devices, reached_s, strict=True)
                if at_s is None
            ]
            raise TimeoutError(f"{len(missing)} devices have no share: {missing[:3]}")
        # The devices note when; looking often would only take from the time measured.
        await asyncio.sleep(0.02)


def _reached_s(device: Battery, share_kw: float) -> float | None:
    # The share of equal members is equal, but for the rounding of what they report.
    return next(
        (
            at_s
            for at_s, kw in device.commanded
            if kw is not None and abs(kw - share_kw) < 0.02 * abs(share_kw)
        ),
        None,
    )


async def measure(park: LivePark, n_devices: int, n_dispatches: int) -> dict[str, Any]:
    """Return the figures of some dispatches with alternating targets."""
    devices = await connected(park, [f"bess{i:03d}" for i in range(n_devices)])
    reporting = asyncio.create_task(report_for_ever(devices, 1.0))
    rows = []
    async with PlainHttp(park.port, park.token()) as http:
        await asyncio.to_thread(wait_until_fresh, park)
        await asyncio.sleep(_SETTLE_S)
        load_before = load_average()
        for n in range(-2, n_dispatches):
            sign = 1.0 if n % 2 else -1.0
            row = await one_dispatch(http, devices, n, sign * (30.0 + n) * n_devices)
            # The first two open connections and look up actors; an operator's day has them once.
            if n >= 0:
                rows.append(row)
    reporting.cancel()
    for device in devices:
        device.close()
    ms = {name: quantiles(row[name] for row in rows) for name in rows[0]}
    return {
        "load_before": load_before,
        "last_command_p99": figure(ms["last"]["p99"], "ms", must=_MUST_MS, aim=_AIM_MS),
        "ms_since_post": ms,
    }


def main(*, smoke: bool) -> None:
    """Print the figures."""
    figures: dict[str, object] = {}
    for n in (3,) if smoke else (50, 100):
        with live_park(batteries(n)) as park:
            row = asyncio.run(measure(park, n, 3 if smoke else 30))
        figures[f"{n}_resources"] = row
        note(f"{n}_resources", row)
    report(figures)


if __name__ == "__main__":
    main(smoke="--smoke" in sys.argv)
