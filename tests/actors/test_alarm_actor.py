"""The AlarmActor over a real broker, store and database: raised, told, acted on, restarted."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from actors.alarms import AlarmActor
from actors.links.mqtt import MqttSession, MqttSettings
from actors.live_view import MqttLiveView
from actors.tasks import end
from cluster.storage.actor_store import open_actor_store
from cluster.storage.alarm_source import SqlAlarmSource
from cluster.storage.alarms import SqlAlarms
from cluster.storage.database import Database
from cluster.storage.records import SqlRecordSink
from controllers.alarms.channels import Channel, MqttEndpoint, WebhookEndpoint
from controllers.alarms.events import AlarmSubjects
from controllers.alarms.lifecycle import Alarm, AlarmState
from controllers.alarms.rules import Rule
from controllers.kernel.errors import ConflictError, FencedError, NotFoundError
from controllers.kernel.states import INNER_ROOT, resource_state_topic
from controllers.kernel.timebase import SystemClock
from controllers.kernel.wire import encode
from controllers.ports.acts import Act
from tests.support.alarms import ReversingBox, make_rule
from tests.support.broker import Broker
from tests.support.databases import migrated_sqlite
from tests.support.live_states import make_resource_state
from tests.support.receivers import open_hook
from tests.support.waiting import eventually

pytestmark = pytest.mark.broker

SUBJECTS = AlarmSubjects(
    park_id="demo",
    park_name="Demo",
    resources=[(f"r{n}", "battery") for n in range(8)],
    aggregates=["site"],
)


def _utc_now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the actor runs on the machine's clock


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what waits for people wait less."""
    monkeypatch.setattr("actors.alarms.PERIOD_S", 0.05)
    monkeypatch.setattr("actors.links.alarms.POLL_S", 0.1)
    monkeypatch.setattr("controllers.alarms.evaluation.FEED_GRACE_S", 0.2)
    monkeypatch.setattr("controllers.alarms.notices.SETTLE", timedelta(seconds=0.3))


class Plant:
    """Everything around one actor."""

    def __init__(self, folder: Path, settings: MqttSettings) -> None:
        self.settings = settings
        self.url = migrated_sqlite(folder / "parkgrid.sqlite")
        self.database = Database(self.url, SystemClock())
        self.store = SqlAlarms(self.database, ReversingBox())
        self.sink = SqlRecordSink(self.url)
        self.open_store = functools.partial(open_actor_store, str(folder))
        self.devices = MqttSession(
            settings, "devices", subscriptions=[_subscription(f"{INNER_ROOT}/alarm/notice/#")]
        )
        self.live = MqttLiveView(settings, "view")
        self.tasks = [asyncio.create_task(self.devices.run())]
        self.actor = self.spawn()
        self._seq = 0

    def spawn(self) -> AlarmActor:
        """Start an actor on the same files."""
        open_source = functools.partial(SqlAlarmSource, self.url, ReversingBox())
        return AlarmActor(SUBJECTS, self.settings, self.open_store, open_source, ("127.0.0.0/8",))

    async def rule(self, rule: Rule) -> None:
        """Add a rule and wait until the actor judges by it."""
        await self.store.create_rule(_act(rule.id), rule)
        await self._followed()

    async def channel(self, channel: Channel, secret: str | None = None) -> None:
        """Add a channel and wait until the actor knows it."""
        await self.store.create_channel(_act(channel.id), channel, secret)
        await self._followed()

    async def say(self, power_kw: float, *ids: str) -> None:
        """Let resources publish their state."""
        self._seq += 1
        for id_ in ids or ("r0",):
            now = _utc_now()
            state = make_resource_state(
                id_, seq=self._seq, power_kw=power_kw, measured_at=now, published_at=now
            )
            await self.devices.publish(resource_state_topic(id_), encode(state), retain=True)

    async def alarm(self, state: AlarmState, subject_id: str = "r0") -> Alarm:
        """Wait until the alarm of a subject stands so."""

        async def found() -> Alarm | None:
            for alarm in await self.actor.alarms():
                if alarm.subject_id == subject_id and alarm.state is state:
                    return alarm
            return None

        alarm = await eventually(found, within_s=10)
        assert alarm is not None
        return alarm

    async def record(self) -> None:
        """Carry the outbox into the database, as the RecorderActor does."""
        while records := await self.actor.outbox(500):
            await asyncio.to_thread(self.sink.write, records)
            await self.actor.outbox(1, records[-1].seq)

    async def _followed(self) -> None:
        source = SqlAlarmSource(self.url, ReversingBox())
        wanted = await asyncio.to_thread(source.version)
        source.close()

        async def followed() -> bool:
            return (await self.actor.health()).get("config_version") == wanted

        await eventually(followed, within_s=10)


def _subscription(topic_filter: str):  # type: ignore[no-untyped-def]
    from actors.links.inbox import Policy, Subscription  # noqa: PLC0415

    return Subscription(topic_filter=topic_filter, policy=Policy.KEEP)


def _act(subject: str) -> Act:
    return Act(principal="anna", action="alarm.setup", subject=subject, data={})


@asynccontextmanager
async def _opened(folder: Path, settings: MqttSettings) -> AsyncIterator[Plant]:
    plant = Plant(folder, settings)
    try:
        await eventually(lambda: plant.devices.connected, within_s=10)
        yield plant
    finally:
        await plant.actor.stop()
        await plant.live.stop()
        await end(*plant.tasks)
        plant.sink.close()
        await asyncio.to_thread(plant.database.close)


@pytest.fixture
async def plant(tmp_path: Path, mosquitto: Broker) -> AsyncIterator[Plant]:
    async with _opened(tmp_path, mosquitto.settings) as opened:
        yield opened


async def test_an_alarm_is_raised_told_acknowledged_and_recorded(plant: Plant) -> None:
    async with open_hook() as hook:
        url = f"http://127.0.0.1:{hook.port}/"
        await plant.channel(Channel(id="desk", name="D", endpoint=WebhookEndpoint(url=url)))
        await plant.channel(Channel(id="bus", name="B", endpoint=MqttEndpoint()))
        await plant.rule(make_rule(channels=["desk", "bus"]))
        await plant.say(100.0)
        raised = await plant.alarm(AlarmState.UNACKNOWLEDGED)
        await eventually(lambda: hook.received, within_s=10)
        assert json.loads(hook.received[0].body)["alarm"]["id"] == raised.id
        (told,) = await eventually(plant.devices.drain, within_s=10)
        assert told.topic == f"{INNER_ROOT}/alarm/notice/bus"
        noted = await plant.actor.acknowledge(raised.id, "anna", "on my way")
        assert (noted.state, noted.acknowledged_by) == (AlarmState.ACKNOWLEDGED, "anna")
        assert await plant.actor.acknowledge(raised.id, "anna", "on my way") == noted
        with pytest.raises(ConflictError):
            await plant.actor.clear(raised.id, "anna", "")
        await plant.say(0.0)
        await eventually(lambda: _none(plant), within_s=10)
        await plant.record()
        detail = await plant.store.alarm(raised.id)
        assert [s.trigger for s in detail.history] == ["raise", "acknowledge", "return"]
        assert {d.channel_id for d in detail.deliveries} >= {"desk", "bus"}


async def _none(plant: Plant) -> bool:
    return not await plant.actor.alarms()


async def test_what_stands_survives_a_restart_and_a_zombie_cannot_act(plant: Plant) -> None:
    await plant.rule(make_rule())
    await plant.say(100.0)
    raised = await plant.alarm(AlarmState.UNACKNOWLEDGED)
    zombie = plant.actor
    plant.actor = plant.spawn()
    try:
        assert [a.id for a in await plant.actor.alarms()] == [raised.id]
        shelved = await plant.actor.shelve(
            raised.id, _utc_now() + timedelta(hours=1), "anna", "known"
        )
        with pytest.raises(FencedError):
            await zombie.acknowledge(raised.id, "ben", "")
        assert (await plant.actor.unshelve(raised.id, "anna", "")).n_raised == 1
        assert shelved.id == raised.id
    finally:
        await zombie.stop()
    with pytest.raises(NotFoundError):
        await plant.actor.acknowledge("alarm-unknown", "anna", "")


async def test_a_live_view_sees_standing_alarms_change_and_go(plant: Plant) -> None:
    await plant.rule(make_rule())
    await plant.say(100.0)
    raised = await plant.alarm(AlarmState.UNACKNOWLEDGED)
    plant.live.start()
    await eventually(lambda: raised.id in plant.live.alarms, within_s=10)
    await plant.actor.acknowledge(raised.id, "anna", "")
    await eventually(
        lambda: plant.live.alarms[raised.id].state is AlarmState.ACKNOWLEDGED, within_s=10
    )
    await plant.say(0.0)
    await eventually(lambda: not plant.live.alarms, within_s=10)
    late = MqttLiveView(plant.settings, "late")
    late.start()
    await eventually(lambda: late.connected and late.resources, within_s=10)
    assert not late.alarms
    await late.stop()


async def test_a_broker_that_goes_is_one_alarm_and_its_return_ends_it(
    plant: Plant, mosquitto: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = msgspec.convert(
        {
            "id": "feed-lost",
            "name": "Feed lost",
            "target": {"subject_kind": "feed"},
            "signal": "age_s",
            "condition": {"kind": "missing_data", "max_age_s": 1.0},
            "severity": "critical",
        },
        Rule,
    )
    missing = msgspec.structs.replace(feed, id="missing", target=make_rule().target)
    await plant.rule(feed)
    await plant.say(0.0, *(id_ for id_, _ in SUBJECTS.resources))
    mosquitto.kill()
    await plant.rule(missing)
    lost = await plant.alarm(AlarmState.UNACKNOWLEDGED, "feed")
    assert [a.id for a in await plant.actor.alarms()] == [lost.id]
    mosquitto.start()
    assert (await plant.alarm(AlarmState.RETURNED, "feed")).id == lost.id


async def test_a_channel_is_tried_on_demand(plant: Plant) -> None:
    async with open_hook(statuses=[500]) as hook:
        url = f"http://127.0.0.1:{hook.port}/"
        await plant.channel(Channel(id="desk", name="D", endpoint=WebhookEndpoint(url=url)))
        tried = await plant.actor.test("desk", "anna")
        assert (tried.outcome, len(hook.received)) == ("failed", 1)
        assert tried.attempts[0].detail == "status 500"
        for _ in range(2):
            await plant.actor.test("desk", "anna")
        assert (await plant.actor.health())["webhook_breakers_open"] == 1
        assert (await plant.actor.health())["smtp_breakers_open"] == 0
    with pytest.raises(NotFoundError):
        await plant.actor.test("gone", "anna")
