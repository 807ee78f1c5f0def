"""The load on the historian, in a process of its own: states of a hundred resources at 10 Hz.

Called with the broker's port and a number of seconds; prints how many states it published.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

import msgspec

from controllers.kernel.states import aggregate_state_topic, resource_state_topic
from controllers.kernel.timebase import SystemClock
from controllers.kernel.wire import encode
from tests.benchmarks.plain_mqtt import PlainMqtt
from tests.support.live_states import make_aggregate_state, make_resource_state

N_RESOURCES = 100
RATE_HZ = 10


async def main(port: int, n_seconds: int) -> None:
    """Publish."""
    loop = asyncio.get_running_loop()
    client = PlainMqtt()
    await client.connect("127.0.0.1", port, client_id="load", username="load", password="-")  # noqa: S106
    resource, aggregate = make_resource_state(), make_aggregate_state()
    begun_s, begun_at = loop.time(), SystemClock().now()
    for tick in range(n_seconds * RATE_HZ):
        at = begun_at + timedelta(seconds=tick / RATE_HZ)
        for n in range(N_RESOURCES):
            state = msgspec.structs.replace(
                resource, id=f"r{n}", seq=tick, measured_at=at, published_at=at
            )
            client.publish(resource_state_topic(state.id), encode(state), retain=True)
        whole = msgspec.structs.replace(aggregate, seq=tick, published_at=at)
        client.publish(aggregate_state_topic("site"), encode(whole), retain=True)
        await asyncio.sleep(max(0.0, begun_s + (tick + 1) / RATE_HZ - loop.time()))
    client.close()
    print(n_seconds * RATE_HZ * N_RESOURCES)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
