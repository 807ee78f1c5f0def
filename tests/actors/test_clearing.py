"""What was retired leaves no last word on the broker, and no trace in a live view."""

from __future__ import annotations

import asyncio

import pytest

from actors.links.clearing import clear_state, state_topic_of
from actors.links.inbox import Policy, Subscription
from actors.links.mqtt import MqttSession
from actors.live_view import MqttLiveView
from actors.tasks import end
from controllers.kernel.states import aggregate_state_topic, resource_state_topic
from controllers.kernel.wire import encode
from tests.support.broker import Broker
from tests.support.live_states import make_aggregate_state, make_resource_state
from tests.support.waiting import eventually

pytestmark = pytest.mark.broker


async def test_the_state_of_what_ended_is_gone_for_readers_old_and_new(broker: Broker) -> None:
    plant = MqttSession(
        broker.settings,
        "plant",
        subscriptions=[Subscription(topic_filter="nothing", policy=Policy.LATEST)],
    )
    running = asyncio.get_running_loop().create_task(plant.run())
    await eventually(lambda: plant.connected, within_s=10)
    for topic, state in (
        (resource_state_topic("bess1"), make_resource_state("bess1")),
        (resource_state_topic("pv1"), make_resource_state("pv1")),
        (aggregate_state_topic("site"), make_aggregate_state("site")),
    ):
        await plant.publish(topic, encode(state), qos=1, retain=True)
    old = MqttLiveView(broker.settings, "old")
    old.start()
    await eventually(lambda: len(old.resources) == 2 and len(old.aggregates) == 1, within_s=10)

    await clear_state(broker.settings, "resource:bess1")
    await clear_state(broker.settings, "aggregate:site")

    await eventually(lambda: set(old.resources) == {"pv1"} and not old.aggregates, within_s=10)
    new = MqttLiveView(broker.settings, "new")
    new.start()
    await eventually(lambda: set(new.resources) == {"pv1"}, within_s=10)
    assert not new.aggregates
    await old.stop()
    await new.stop()
    await end(running)


def test_only_resources_and_aggregates_leave_a_state() -> None:
    assert state_topic_of("optimizer") is None
    assert state_topic_of("resource:b") == resource_state_topic("b")
