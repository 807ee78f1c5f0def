"""Recovery: kill -9 of a resource actor and of an aggregate actor while a dispatch runs.

Measured from the kill until the retained state comes again from a later epoch, with the same
set-point (resource) or the same instruction and target (aggregate) as before.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from tests.benchmarks.devices import connect, connected, report_for_ever
from tests.benchmarks.figures import figure, load_average, quantiles, report
from tests.benchmarks.live_park import AGGREGATE, LivePark, batteries, live_park
from tests.benchmarks.plain_http import PlainHttp
from tests.benchmarks.plain_mqtt import PlainMqtt

_N_RESOURCES = 5
_TARGET_KW = 200.0
_SETTLE_S = 8.0
_LIMIT_S = 30.0
_PAUSE_S = 3.0

State = dict[str, Any]


def _same_setpoint(before: State, after: State) -> bool:
    return bool(after["setpoint_kw"] == before["setpoint_kw"])


def _same_target(before: State, after: State) -> bool:
    return bool(
        after["target_kw"] == before["target_kw"]
        and after["instruction_id"] == before["instruction_id"]
    )


class Onlooker:
    """The states as last published, by topic, and when they came."""

    def __init__(self) -> None:
        self.states: dict[str, State] = {}
        self._came = asyncio.Event()

    def take(self, topic: str, payload: bytes) -> None:
        """Take in one state."""
        self.states[topic] = json.loads(payload)
        self._came.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition on the states holds."""
        async with asyncio.timeout(_LIMIT_S):
            while not condition():
                self._came.clear()
                await self._came.wait()


async def kills(
    park: LivePark,
    onlooker: Onlooker,
    subjects: list[tuple[str, str]],
    same: Callable[[State, State], bool],
) -> dict[str, Any]:
    """Kill one actor after the other; return the figures.

    Args:
        park: the park.
        onlooker: sees all states.
        subjects: state topic and actor id of each kill.
        same: whether a state after goes on from the one before.
    """
    took_s, first_s = [], []
    load_before = load_average()
    for topic, actor_id in subjects:
        before = onlooker.states[topic]

        def is_back(topic: str = topic, before: State = before, *, whole: bool = True) -> bool:
            after = onlooker.states[topic]
            return after["epoch"] > before["epoch"] and (not whole or same(before, after))

        holder = park.holder(actor_id)
        begun_s = time.monotonic()
        holder.kill()
        await onlooker.until(lambda: is_back(whole=False))
        first_s.append(time.monotonic() - begun_s)
        await onlooker.until(is_back)
        took_s.append(time.monotonic() - begun_s)
        await asyncio.sleep(_PAUSE_S)
    seconds = quantiles(took_s)
    return {
        "load_before": load_before,
        "back_with_same_target_max": figure(seconds["max"], "s", must=2.0),
        "s": seconds,
        "first_state_s": quantiles(first_s),
    }


async def measure(park: LivePark, n_kills: int) -> dict[str, Any]:
    """Return the figures of so many kills of each kind."""
    ids = [f"bess{i:03d}" for i in range(_N_RESOURCES)]
    devices = await connected(park, ids)
    reporting = asyncio.create_task(report_for_ever(devices, 2.0))
    onlooker = Onlooker()
    client = PlainMqtt(onlooker.take)
    await connect(client, park.broker_port, park.inner, "bench-onlooker")
    await client.subscribe("parkgrid/int/v1/state/#")
    async with PlainHttp(park.port, park.token()) as http:
        await asyncio.sleep(_SETTLE_S)
        body = {"target_kw": _TARGET_KW, "duration_s": 3600, "reason": "benchmark"}
        path = f"/api/v1/vpp/aggregations/{AGGREGATE}/dispatch"
        answer = await http.exchange(
            http.request("POST", path, body, Idempotency_Key="bench-recovery")
        )
        if answer.status != 202:
            raise RuntimeError(answer.body.decode())
    await asyncio.sleep(_SETTLE_S)
    root = "parkgrid/int/v1/state"
    resources = [(f"{root}/resource/{id_}", id_) for id_ in ids]
    chosen = [resources[n % len(resources)] for n in range(n_kills)]
    figures = {"resource_actor": await kills(park, onlooker, chosen, _same_setpoint)}
    aggregates = [(f"{root}/aggregate/{AGGREGATE}", AGGREGATE)] * n_kills
    figures["aggregate_actor"] = await kills(park, onlooker, aggregates, _same_target)
    reporting.cancel()
    client.close()
    for device in devices:
        device.close()
    return figures


def main(*, smoke: bool) -> None:
    """Print the figures."""
    with live_park(batteries(_N_RESOURCES)) as park:
        figures = asyncio.run(measure(park, 1 if smoke else 10))
    report(figures)


if __name__ == "__main__":
    main(smoke="--smoke" in sys.argv)
