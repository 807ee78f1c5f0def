"""The historian writes what it hears, once, also after outages of broker, disk and itself."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from actors import historian as historian_module
from actors import runtime
from actors.historian import HistorianActor
from actors.links.mqtt import MqttSession
from cluster.storage.history.opening import open_history_writer
from cluster.storage.history.reading import read_buckets
from cluster.storage.history.writing import HistoryFiles
from controllers.control.contract import Backfill, Telemetry, topic
from controllers.history.buckets import STORED, Buckets
from controllers.history.samples import Sample
from controllers.kernel.errors import ActorUnavailableError, StorageUnavailableError
from controllers.kernel.states import (
    Quality,
    aggregate_state_topic,
    resource_state_topic,
)
from controllers.kernel.timebase import ManualClock
from controllers.kernel.wire import encode
from controllers.ports.history import HistorySettings
from tests.support.broker import Broker
from tests.support.history import DAY, edges_us
from tests.support.live_states import make_aggregate_state, make_resource_state
from tests.support.waiting import eventually

pytestmark = pytest.mark.broker

SETTINGS = HistorySettings()
NOW = DAY + timedelta(hours=12)
SECOND = timedelta(seconds=1)
MakeHistorian = Callable[[], HistorianActor]


@pytest.fixture
async def make_historian(mosquitto: Broker, tmp_path: Path) -> AsyncIterator[MakeHistorian]:
    """Make historians that are stopped in the end."""
    made: list[HistorianActor] = []

    def make() -> HistorianActor:
        actor = HistorianActor(
            "park1",
            frozenset({"turned1"}),
            mosquitto.settings,
            partial(open_history_writer, str(tmp_path / "history"), SETTINGS),
            SETTINGS,
            new_clock=lambda: ManualClock(NOW),
        )
        made.append(actor)
        return actor

    yield make
    for actor in made:
        await actor.stop()


@pytest.fixture
async def plant(mosquitto: Broker) -> AsyncIterator[MqttSession]:
    """A session that publishes what actors and devices would."""
    from actors.links.inbox import Policy, Subscription  # noqa: PLC0415

    session = MqttSession(
        mosquitto.settings,
        "plant",
        subscriptions=[Subscription(topic_filter="nothing", policy=Policy.LATEST)],
    )
    running = asyncio.get_running_loop().create_task(session.run())
    await eventually(lambda: session.connected, within_s=10)
    yield session
    running.cancel()


async def settled(actor: HistorianActor, **counts: int) -> None:
    """Return when the historian has counted so much."""

    async def reached() -> bool:
        health = await actor.health()
        return all(health[name] >= n for name, n in counts.items())  # type: ignore[operator]

    await eventually(reached, within_s=15)


async def connected(actor: HistorianActor) -> HistorianActor:
    await settled(actor, mqtt_up=1)
    return actor


def ask(path: Path, subject: str, edges: np.ndarray) -> Buckets:
    return read_buckets(path / "history", [subject], edges, STORED, NOW + timedelta(days=1))[
        subject
    ]


async def say(plant: MqttSession, at: datetime, seq: int, **changes: object) -> None:
    state = make_resource_state(
        "bess1", seq=seq, measured_at=at, published_at=at + 0.1 * SECOND, **changes
    )
    await plant.publish(resource_state_topic("bess1"), encode(state), retain=True)


async def test_what_is_said_is_written_within_a_second_or_two(
    make_historian: MakeHistorian, plant: MqttSession, tmp_path: Path
) -> None:
    actor = await connected(make_historian())
    for n in range(20):
        await say(plant, NOW + n * SECOND, n, power_kw=float(n), exported_kwh=100.0 + n)
    aggregate = make_aggregate_state("site", published_at=NOW, target_kw=55.0)
    await plant.publish(aggregate_state_topic("site"), encode(aggregate), retain=True)
    await settled(actor, written=21)
    edges = edges_us(43200, 43220)
    buckets = ask(tmp_path, "resource-bess1", edges)
    assert buckets.columns["n_samples"][0] == 20
    assert buckets.columns["power_kw.sum"][0] == pytest.approx(sum(range(20)))
    assert buckets.columns["exported_kwh"][0] == pytest.approx(19.0)
    assert ask(tmp_path, "aggregation-site", edges).columns["target_kw.max"][0] == 55.0


async def test_a_successor_does_not_write_the_retained_state_twice(
    make_historian: MakeHistorian, plant: MqttSession, tmp_path: Path
) -> None:
    first = await connected(make_historian())
    await say(plant, NOW, 1)
    await settled(first, written=1)
    await first.stop()
    second = await connected(make_historian())
    await settled(second, written=1)
    await say(plant, NOW + SECOND, 2)
    await settled(second, written=2)
    buckets = ask(tmp_path, "resource-bess1", edges_us(43200, 43260))
    assert buckets.columns["n_samples"][0] == 2


async def test_a_zombie_and_a_repetition_are_left_out(
    make_historian: MakeHistorian, plant: MqttSession
) -> None:
    actor = await connected(make_historian())
    await say(plant, NOW, 5, epoch=2)
    await say(plant, NOW + SECOND, 9, epoch=1)
    await say(plant, NOW, 5, epoch=2)
    await settled(actor, written=1, repeated=2)
    assert (await actor.health())["written"] == 1


async def test_a_meter_that_falls_silent_leaves_a_gap(
    make_historian: MakeHistorian, plant: MqttSession, tmp_path: Path
) -> None:
    actor = await connected(make_historian())
    await say(plant, NOW, 1)
    for n in range(1, 20):
        stale = Quality.STALE if n > 10 else Quality.GOOD
        state = make_resource_state(
            "bess1", seq=1 + n, measured_at=NOW, published_at=NOW + n * SECOND, quality=stale
        )
        await plant.publish(resource_state_topic("bess1"), encode(state))
    await settled(actor, written=20)
    buckets = ask(tmp_path, "resource-bess1", edges_us(43200, 43220))
    assert buckets.columns["power_kw.s"][0] == 11.0
    assert buckets.columns["n_samples"][0] == 1.0


def batch(at: Sequence[datetime], power_kw: float) -> bytes:
    samples = [Telemetry(seq=i, measured_at=a, power_kw=power_kw) for i, a in enumerate(at)]
    return encode(Backfill(hold_s=1.0, samples=samples))


async def test_what_a_device_hands_in_later_is_taken_once_and_in_our_sign(
    make_historian: MakeHistorian, plant: MqttSession, tmp_path: Path
) -> None:
    actor = await connected(make_historian())
    await say(plant, NOW - 5 * SECOND, 1, power_kw=40.0)
    late = [NOW - n * SECOND for n in (3, 5, 4, 10)]
    for device in ("bess1", "turned1"):
        for _ in range(2):
            await plant.publish(topic("park1", device, "backfill"), batch(late, 7.0), qos=1)
    await settled(actor, backfilled=16, written=17)
    edges = edges_us(43180, 43190, 43200)
    bess1 = ask(tmp_path, "resource-bess1", edges).columns
    assert list(bess1["n_samples"]) == [0.0, 4.0]
    assert bess1["power_kw.sum"][1] == pytest.approx(7.0 + 40.0 + 7.0 + 7.0)
    turned = ask(tmp_path, "resource-turned1", edges).columns
    assert turned["power_kw.sum"][1] == pytest.approx(-4 * 7.0)


@pytest.mark.parametrize(
    "payload",
    [
        b"{",
        b'{"schema": 1, "hold_s": 1.0, "samples": []}',
        batch([NOW + timedelta(minutes=1)], 1.0),
        batch([NOW, NOW - timedelta(days=20)], 1.0),
        b'{"schema": 1, "hold_s": 901.0, "samples": [{"seq": 1}]}',
        b" " * 2_000_000,
    ],
    ids=["no JSON", "empty", "future", "too old", "hold", "oversize"],
)
async def test_a_bad_batch_is_refused_whole(
    make_historian: MakeHistorian, plant: MqttSession, payload: bytes
) -> None:
    actor = await connected(make_historian())
    await plant.publish(topic("park1", "bess1", "backfill"), payload, qos=1)
    await settled(actor, refused=1)
    assert (await actor.health())["backfilled"] == 0


async def test_while_the_disk_is_full_the_newest_wait_and_health_says_so(
    make_historian: MakeHistorian,
    plant: MqttSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(historian_module, "MAX_WAITING", 5)
    append = HistoryFiles.append

    def full(self: HistoryFiles, samples: Sequence[Sample]) -> None:
        raise StorageUnavailableError("No space left on device")

    monkeypatch.setattr(HistoryFiles, "append", full)
    actor = await connected(make_historian())
    for n in range(8):
        await say(plant, NOW + n * SECOND, n)
    await settled(actor, lost=3)
    health = await eventually(lambda: _with_problem(actor), within_s=10)
    assert (health["ready"], health["problem"]) == (False, "No space left on device")
    monkeypatch.setattr(HistoryFiles, "append", append)
    await settled(actor, written=5)
    assert (await actor.health())["ready"] is True
    buckets = ask(tmp_path, "resource-bess1", edges_us(43200, 43203, 43210))
    assert list(buckets.columns["n_samples"]) == [0.0, 5.0]


@pytest.mark.cluster
async def test_it_lives_as_an_actor_and_a_killed_one_loses_nothing_that_was_written(
    ray_cluster: str, mosquitto: Broker, plant: MqttSession, tmp_path: Path
) -> None:
    handle = runtime.spawn(
        HistorianActor,
        "historian",
        "park1",
        frozenset(),
        mosquitto.settings,
        partial(open_history_writer, str(tmp_path / "history"), SETTINGS),
        SETTINGS,
    )

    async def has(**counts: int) -> bool:
        try:
            health = await runtime.call(handle, "health", deadline_s=30)
        except ActorUnavailableError:
            return False
        return all(health[name] >= n for name, n in counts.items())

    await eventually(lambda: has(mqtt_up=1), within_s=45)
    await say(plant, NOW, 1)
    await eventually(lambda: has(written=1), within_s=15)
    os.kill((await runtime.call(handle, "health"))["pid"], signal.SIGKILL)
    await eventually(lambda: has(mqtt_up=1, written=1), within_s=45)
    await say(plant, NOW + SECOND, 2)
    await eventually(lambda: has(written=2), within_s=15)
    await runtime.call(handle, "stop")
    runtime.kill("historian")
    buckets = ask(tmp_path, "resource-bess1", edges_us(43200, 43260))
    assert buckets.columns["n_samples"][0] == 2


async def _with_problem(actor: HistorianActor) -> dict[str, object] | None:
    health = await actor.health()
    return dict(health) if health["problem"] else None
