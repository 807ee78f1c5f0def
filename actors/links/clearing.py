"""Takes the last word of what is no more off the broker, so that nobody reads it as live."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from actors.links.inbox import Policy, Subscription
from actors.links.mqtt import MqttSession, MqttSettings
from actors.tasks import end
from controllers.kernel.errors import DeviceUnreachableError
from controllers.kernel.states import aggregate_state_topic, resource_state_topic
from controllers.supervision import AGGREGATE_PREFIX, RESOURCE_PREFIX

logger = logging.getLogger(__name__)

_WITHIN_S = 5.0


def state_topic_of(actor_name: str) -> str | None:
    """Return the retained topic of an actor's state; None for one that has none."""
    if actor_name.startswith(RESOURCE_PREFIX):
        return resource_state_topic(actor_name.removeprefix(RESOURCE_PREFIX))
    if actor_name.startswith(AGGREGATE_PREFIX):
        return aggregate_state_topic(actor_name.removeprefix(AGGREGATE_PREFIX))
    return None


async def clear_state(settings: MqttSettings, actor_name: str) -> None:
    """Clear the retained state of an actor that has ended; gives up after five seconds."""
    topic = state_topic_of(actor_name)
    if topic is None:
        return
    up = asyncio.Event()
    session = MqttSession(
        settings,
        f"parkgrid-clearing-{actor_name.replace(':', '-')}",
        subscriptions=[Subscription(topic_filter=topic, policy=Policy.LATEST)],
        on_link=lambda is_up: up.set() if is_up else up.clear(),
    )
    running = asyncio.get_running_loop().create_task(session.run())
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_WITHIN_S):
                await up.wait()
                await session.publish(topic, b"", qos=1, retain=True)
                return
        logger.warning("%s: its last state stays on the broker: no link", actor_name)
    except DeviceUnreachableError as error:
        logger.warning("%s: its last state stays on the broker: %s", actor_name, error)
    finally:
        await end(running)
