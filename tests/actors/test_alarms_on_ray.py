"""The AlarmActor on a real cluster: killed, it stands as it stood; its history is recorded."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from actors import runtime
from actors.alarms import AlarmActor
from actors.calls import ActorCalls
from actors.handles import RayAlarmDesk
from actors.links.inbox import Policy, Subscription
from actors.links.mqtt import MqttSession
from actors.recorder import RecorderActor
from actors.tasks import end
from cluster.secret_box import FileSecretBox, new_seal_key
from cluster.storage.actor_store import open_actor_store
from cluster.storage.alarm_source import open_alarm_source
from cluster.storage.alarms import SqlAlarms
from cluster.storage.database import Database
from cluster.storage.records import open_record_sink
from controllers.alarms.events import AlarmSubjects
from controllers.alarms.lifecycle import Alarm, AlarmState
from controllers.kernel.errors import NotFoundError
from controllers.kernel.states import resource_state_topic
from controllers.kernel.timebase import SystemClock
from controllers.kernel.wire import encode
from controllers.ports.acts import Act
from controllers.supervision import ALARMS, RECORDER
from tests.support.alarms import make_rule
from tests.support.broker import Broker
from tests.support.databases import migrated_sqlite
from tests.support.device import utc_now
from tests.support.live_states import make_resource_state
from tests.support.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.broker, pytest.mark.timeout(150)]

_FIRST_CALL_S = 30.0
SUBJECTS = AlarmSubjects(
    park_id="demo", park_name="Demo", resources=[("r1", "battery")], aggregates=[]
)


@pytest.fixture
async def devices(mosquitto: Broker) -> AsyncIterator[MqttSession]:
    session = MqttSession(
        mosquitto.settings,
        "devices",
        subscriptions=[Subscription(topic_filter="none", policy=Policy.LATEST)],
    )
    task = asyncio.create_task(session.run())
    await eventually(lambda: session.connected, within_s=10)
    yield session
    await end(task)


async def test_it_is_killed_and_stands_as_it_stood_and_history_follows(
    ray_cluster: str, tmp_path: Path, mosquitto: Broker, devices: MqttSession
) -> None:
    url = migrated_sqlite(tmp_path / "parkgrid.sqlite")
    keys = tmp_path / "seal"
    keys.write_text(new_seal_key() + "\n")
    database = Database(url, SystemClock())
    store = SqlAlarms(database, FileSecretBox(keys))
    act = Act(principal="anna", action="alarm_rule.write", subject="hot", data={})
    await store.create_rule(act, make_rule())
    handle = runtime.spawn(
        AlarmActor,
        ALARMS,
        SUBJECTS,
        mosquitto.settings,
        functools.partial(open_actor_store, str(tmp_path)),
        functools.partial(open_alarm_source, url, functools.partial(FileSecretBox, keys)),
        (),
    )
    runtime.spawn(
        RecorderActor,
        RECORDER,
        functools.partial(
            open_record_sink,
            url,
            keys_kept=timedelta(days=1),
            device_records_kept=timedelta(days=31),
        ),
    )
    desk = RayAlarmDesk(ActorCalls(deadline_s=_FIRST_CALL_S))
    try:
        now = utc_now()
        state = make_resource_state("r1", power_kw=100.0, measured_at=now, published_at=now)
        await devices.publish(resource_state_topic("r1"), encode(state), retain=True)

        async def standing() -> list[Alarm]:
            alarms: list[Alarm] = await runtime.call(
                handle, "alarms", deadline_s=_FIRST_CALL_S, actor_id=ALARMS
            )
            return alarms

        (raised,) = await eventually(standing, within_s=60)
        health = await runtime.call(handle, "health", deadline_s=_FIRST_CALL_S)
        os.kill(health["pid"], signal.SIGKILL)
        noted = await desk.acknowledge(raised.id, "anna", "seen")
        assert (noted.id, noted.n_raised, noted.state) == (raised.id, 1, AlarmState.ACKNOWLEDGED)
        assert [alarm.id for alarm in await standing()] == [raised.id]

        async def told() -> list[str]:
            try:
                steps = (await store.alarm(raised.id)).history
            except NotFoundError:
                return []
            return [step.trigger for step in steps]

        async def complete() -> bool:
            return await told() == ["raise", "acknowledge"]

        await eventually(complete, within_s=60)
    finally:
        for name in (ALARMS, RECORDER):
            runtime.kill(name)
        await asyncio.to_thread(database.close)
