"""A resource actor on a real cluster and a real broker: killed, cut, fenced, and still right."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from actors import runtime
from actors.fleet import FleetActor
from actors.resource import ResourceActor
from actors.tasks import end
from cluster.storage.actor_store import SqliteActorStore, open_actor_store
from controllers.control.state import ControlState
from controllers.kernel.errors import DomainError, FencedError
from controllers.kernel.wire import decode
from controllers.park import ResourceDefinition
from tests.support.broker import Broker
from tests.support.device import FakeDevice, FakeGateway, utc_now
from tests.support.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.broker]

_BATTERY = ResourceDefinition(
    id="bess1",
    name="Battery",
    kind="battery",
    parameters={
        "capacity_kwh": 400.0,
        "max_charge_kw": 200.0,
        "max_discharge_kw": 200.0,
    },
)
_FLEET = ResourceDefinition(
    id="pumps",
    name="Heat pumps",
    kind="fleet",
    parameters={
        "device_kind": "heat_pump",
        "n_devices": 12_000,
        "device_kw": 2.0,
        "store_kwh": 10.0,
        "efficiency": 3.0,
    },
)
_FIRST_CALL_S = 30.0


class _Plant:
    """One actor, its broker, its device, and an aggregate that proposes."""

    def __init__(self, broker: Broker, directory: Path) -> None:
        self.broker = broker
        self.directory = directory
        self.names: list[str] = []
        self.device = FakeDevice(broker.settings, "p1", "bess1")
        self.handle: Any = None
        self._n_proposals = 0

    def spawn(self, name: str = "resource-bess1") -> Any:
        open_store = functools.partial(open_actor_store, str(self.directory))
        self.names.append(name)
        return runtime.spawn(
            ResourceActor, name, "p1", _BATTERY, ("vpp1",), self.broker.settings, open_store
        )

    async def call(self, method: str, *args: object) -> Any:
        return await runtime.call(self.handle, method, *args, deadline_s=_FIRST_CALL_S)

    async def propose(self, target_kw: float) -> None:
        """Wish a power in the home aggregate's name for ten seconds."""
        self._n_proposals += 1
        now = utc_now()
        await self.device.publish_raw(
            "parkgrid/int/v1/proposal/bess1",
            {
                "member_id": "bess1",
                "source_id": "vpp1",
                "epoch": 1,
                "seq": self._n_proposals,
                "priority": 5,
                "target_kw": target_kw,
                "valid_from": now.isoformat(),
                "expires_at": (now + timedelta(seconds=10)).isoformat(),
            },
        )

    @contextlib.asynccontextmanager
    async def running(self, target_kw: float | None = None) -> AsyncIterator[None]:
        """Keep the device reporting, and proposals coming, for as long as the block lasts."""

        async def repeat() -> None:
            while True:
                await self.device.report(signals={"soc_frac": 0.5})
                if target_kw is not None:
                    await self.propose(target_kw)
                await asyncio.sleep(0.2)

        async with self.device.online():
            repeating = asyncio.create_task(repeat())
            try:
                yield
            finally:
                await end(repeating)

    def states(self, epoch: int) -> list[dict[str, Any]]:
        """The actor's published states of an epoch."""
        topic = "parkgrid/int/v1/state/resource/bess1"
        return [s for name, s in self.device.inner if name == topic and s["epoch"] == epoch]

    def checkpoint(self) -> ControlState:
        store = SqliteActorStore(self.directory / "bess1.sqlite")
        body = store.load()
        store.close()
        assert body is not None
        return decode(body, ControlState, max_bytes=4_000_000)


@pytest.fixture
def plant(ray_cluster: str, mosquitto: Broker, tmp_path: Path) -> Iterator[_Plant]:
    yield from _plant(mosquitto, tmp_path)


@pytest.fixture
def either_plant(ray_cluster: str, broker: Broker, tmp_path: Path) -> Iterator[_Plant]:
    yield from _plant(broker, tmp_path)


def _plant(broker: Broker, directory: Path) -> Iterator[_Plant]:
    made = _Plant(broker, directory)
    made.handle = made.spawn()
    yield made
    for name in made.names:
        runtime.kill(name)


def _orders(device: FakeDevice) -> list[tuple[int, int]]:
    return [(command["epoch"], command["seq"]) for command in device.commands]


async def test_a_killed_actor_resumes_the_same_set_point_and_doubles_no_command(
    either_plant: _Plant,
) -> None:
    plant = either_plant
    async with plant.running(target_kw=50.0):
        await eventually(lambda: plant.device.setpoints_kw == [50.0], within_s=30)
        await eventually(
            lambda: any(
                (s["command"] or {}).get("state") == "verified" for s in plant.states(epoch=1)
            ),
            within_s=20,
        )
        command_id = plant.device.accepted[-1]["command_id"]
        os.kill((await plant.call("health"))["pid"], signal.SIGKILL)
        await eventually(lambda: plant.states(epoch=2), within_s=15)
        await eventually(lambda: plant.device.last[0] == 2, within_s=15)

    assert plant.states(epoch=2)[0]["setpoint_kw"] == 50.0
    first_of_two = next(c for c in plant.device.commands if c["epoch"] == 2)
    assert first_of_two["command_id"] == command_id
    assert plant.device.setpoints_kw == [50.0]
    orders = _orders(plant.device)
    assert orders == sorted(set(orders))
    assert plant.device.commands == plant.device.accepted


async def test_a_restarted_broker_is_found_and_the_command_sent_again(
    either_plant: _Plant,
) -> None:
    plant = either_plant
    async with plant.running(target_kw=50.0):
        await eventually(lambda: plant.device.setpoints_kw == [50.0], within_s=30)
    plant.broker.kill()
    n_before = len(plant.device.commands)
    plant.broker.start()
    async with plant.running(target_kw=50.0):
        await eventually(lambda: len(plant.device.commands) > n_before, within_s=20)
    health = await plant.call("health")
    assert (health["epoch"], health["mqtt_connects"]) == (1, 2)
    assert plant.device.setpoints_kw == [50.0]
    orders = _orders(plant.device)
    assert orders == sorted(set(orders))


async def test_an_override_is_durable_when_its_call_returns(plant: _Plant) -> None:
    until = utc_now() + timedelta(minutes=5)
    async with plant.running():
        await plant.call("ready")
        for _ in range(2):  # repeating a call changes nothing
            await plant.call("set_override", -30.0, until, "ann", "maintenance")
            kept = plant.checkpoint().override
            assert kept is not None
            assert (kept.target_kw, kept.operator) == (-30.0, "ann")
        await eventually(lambda: plant.device.setpoints_kw == [-30.0], within_s=10)
        await plant.call("clear_override", "ann")
        assert plant.checkpoint().override is None


async def test_a_kill_switch_outlives_the_process(plant: _Plant) -> None:
    async with plant.running(target_kw=50.0):
        await eventually(lambda: plant.device.setpoints_kw == [50.0], within_s=30)
        await plant.call("kill", "ann", "smoke")
        await eventually(lambda: plant.device.setpoints_kw[-1] == 0.0, within_s=10)
        os.kill((await plant.call("health"))["pid"], signal.SIGKILL)
        await eventually(lambda: plant.states(epoch=2), within_s=15)
        assert plant.states(epoch=2)[0]["killed"] is True
    assert plant.device.setpoints_kw == [50.0, 0.0]


async def test_a_refusal_arrives_as_raised_and_changes_nothing(plant: _Plant) -> None:
    await plant.call("ready")
    with pytest.raises(DomainError, match="until"):
        await plant.call("set_override", 10.0, utc_now() - timedelta(minutes=1), "ann", "late")
    until = utc_now() + timedelta(minutes=1)
    for target_kw in (10_000.0, float("nan")):
        with pytest.raises(DomainError, match="target_kw"):
            await plant.call("set_override", target_kw, until, "ann", "too much")
    assert plant.checkpoint().override is None


async def test_a_second_actor_on_the_same_store_fences_the_first(plant: _Plant) -> None:
    assert await plant.call("ready") == 1
    successor = plant.spawn("resource-bess1-again")
    assert await runtime.call(successor, "ready", deadline_s=_FIRST_CALL_S) == 2

    async def first_is_fenced() -> bool:
        try:
            await plant.call("set_override", 1.0, utc_now() + timedelta(hours=1), "a", "b")
        except FencedError:
            return True
        return False

    await eventually(first_is_fenced, within_s=10)
    assert (await plant.call("health"))["ready"] is False
    assert plant.checkpoint().override is None


async def test_records_wait_in_the_outbox_until_confirmed(plant: _Plant) -> None:
    until = utc_now() + timedelta(minutes=5)
    await plant.call("set_override", -30.0, until, "ann", "maintenance")
    records = await plant.call("outbox", 100)
    assert "override" in {record.kind for record in records}
    left = await plant.call("outbox", 100, records[-1].seq)
    assert all(record.seq > records[-1].seq for record in left)


async def test_hostile_input_is_counted_and_survived(plant: _Plant) -> None:
    async with plant.running(target_kw=50.0):
        await eventually(lambda: plant.device.setpoints_kw == [50.0], within_s=30)
        tomorrow = (utc_now() + timedelta(days=1)).isoformat()
        for _ in range(200):
            await plant.device.publish("telemetry", b"garbage")
        await plant.device.report(measured_at=tomorrow)
        await plant.device.publish("telemetry", b"x" * 100_000, qos=1)
        await plant.device.publish(
            "ack",
            {
                "command_id": "never-sent",
                "epoch": 1,
                "seq": 1,
                "result": "rejected",
                "acked_at": utc_now().isoformat(),
            },
            qos=1,
        )

        def counted() -> bool:
            counters = plant.states(epoch=1)[-1]["counters"]
            seen = {"input_telemetry", "samples_quarantined", "acks_unknown"} <= counters.keys()
            return seen and counters["input_telemetry"] >= 201

        await eventually(counted, within_s=10)
    assert plant.device.setpoints_kw == [50.0]


async def test_a_fleet_takes_one_set_point_and_every_run_gets_its_part(
    ray_cluster: str, broker: Broker, tmp_path: Path
) -> None:
    gateway = FakeGateway(broker.settings, "p1", "pumps", 12_000)
    open_store = functools.partial(open_actor_store, str(tmp_path))
    handle = runtime.spawn(
        FleetActor, "resource-pumps", "p1", _FLEET, ("vpp1",), broker.settings, open_store
    )

    async def repeat() -> None:
        while True:
            await gateway.report_all()
            await asyncio.sleep(0.3)

    def verified() -> bool:
        states = [s for name, s in gateway.inner if name.endswith("/pumps")]
        return any((s["command"] or {}).get("state") == "verified" for s in states)

    try:
        await runtime.call(handle, "ready", deadline_s=_FIRST_CALL_S)
        async with gateway.online():
            repeating = asyncio.create_task(repeat())
            until = utc_now() + timedelta(minutes=5)
            await runtime.call(handle, "set_override", -9_000.0, until, "ann", "test")
            await eventually(verified, within_s=30)
            await end(repeating)
    finally:
        runtime.kill("resource-pumps")
    assert sum(gateway.powers_kw) == pytest.approx(-9_000.0, abs=1.0)
    assert {c["first"] for c in gateway.commands} == {0, 5_000, 10_000}
    assert gateway.commands == gateway.accepted
