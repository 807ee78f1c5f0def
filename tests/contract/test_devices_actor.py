"""The actor that looks after devices, between a real broker and a real database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from actors.devices import DevicesActor
from actors.links.mqtt import MqttSettings
from cluster.broker import BrokerKind, RunningBroker, start_broker
from cluster.broker_access import Credentials
from cluster.broker_accounts import BrokerAccounts
from cluster.storage.database import Database
from cluster.storage.device_accounts import SqlDeviceAccounts
from cluster.storage.device_ledger import SqlDeviceLedger
from cluster.storage.device_upkeep import SqlUpkeep
from cluster.storage.devices import SqlDevices
from cluster.storage.registry import SqlParkRegistry
from controllers.devices.commands import DeviceCommand, ManageState
from controllers.devices.connectivity import Heard
from controllers.devices.maintenance import MaintenanceWindow, WindowState
from controllers.devices.messages import ManageKind
from controllers.devices.registration import Device
from controllers.kernel.errors import ActorUnavailableError
from controllers.kernel.ids import RandomIds
from controllers.kernel.timebase import SystemClock
from controllers.ports.acts import Act
from controllers.ports.pages import PageRequest
from tests.support.databases import migrated_sqlite
from tests.support.live_states import make_park
from tests.support.mqtt_probe import Probe
from tests.support.waiting import eventually

pytestmark = pytest.mark.broker

PARK = make_park()
ROOT = f"parkgrid/v1/{PARK.id}/bess1"
ACT = Act(principal="ann", action="device.test", subject="bess1", data={})
CLOCK = SystemClock()
WITHIN_S = 10.0


class Resources:
    """Stands for the resources' actors."""

    def __init__(self) -> None:
        self.away = False
        self.n_in_vain = 0
        self.held: dict[str, tuple[str, datetime]] = {}
        self.n_messages = 0

    async def ask(self, resource_id: str, method: str, *args: Any) -> Any:
        """Answer like a resource's actor."""
        if self.away:
            self.n_in_vain += 1
            raise ActorUnavailableError(resource_id)
        if method == "set_maintenance":
            self.held[resource_id] = (args[0], args[1])
        elif method == "clear_maintenance":
            self.held.pop(resource_id, None)
        else:
            assert method == "heard"
            self.n_messages += 10
            return 1, Heard(n_messages=self.n_messages, last_seen_at=CLOCK.now())
        return None


class World:
    """A registered device, its stores, and the actor."""

    def __init__(self, broker: RunningBroker, url: str) -> None:
        self.broker = broker
        self.url = url
        self.database = Database(url, CLOCK)
        self.devices = SqlDevices(self.database, RandomIds(CLOCK))
        self.upkeep = SqlUpkeep(self.database)
        self.resources = Resources()
        self.account: Credentials
        self._actor: DevicesActor | None = None

    async def begin(self) -> None:
        """Register the device and let it in."""
        registry = SqlParkRegistry(self.url, CLOCK)
        registry.save(PARK)
        now = CLOCK.now()
        device = Device(
            id="bess1", resource_id="bess1", registered_by="ann", registered_at=now, changed_at=now
        )
        issued = (await self.devices.register(ACT, device)).value
        assert issued.password is not None
        self.account = Credentials(username=f"{PARK.id}.bess1", password=issued.password)
        accounts = SqlDeviceAccounts(self.url, CLOCK, RandomIds(CLOCK))
        BrokerAccounts(self.broker, accounts, registry, CLOCK).close()
        self.start()

    def start(self) -> None:
        """Start the actor."""
        settings = MqttSettings(
            port=self.broker.port,
            username=self.broker.inner.username,
            password=self.broker.inner.password,
            reconnect_cap_s=0.5,
        )
        self._actor = DevicesActor(
            PARK.id,
            settings,
            lambda: SqlDeviceLedger(self.url),
            ask=self.resources.ask,
            turn_s=0.1,
            look_s=0.1,
        )

    async def stop(self) -> None:
        """Stop the actor."""
        assert self._actor is not None
        await self._actor.stop()

    async def close(self) -> None:
        """Stop everything."""
        await self.stop()
        await asyncio.to_thread(self.database.close)

    async def propose(self, kind: ManageKind, *, lifetime_s: float = 30.0) -> DeviceCommand:
        """Ask the device for something."""
        now = CLOCK.now()
        command = DeviceCommand(
            id=RandomIds(CLOCK).new("dc"),
            device_id="bess1",
            kind=kind,
            reason="test",
            issued_by="ann",
            issued_at=now,
            expires_at=now + timedelta(seconds=lifetime_s),
        )
        return (await self.upkeep.propose(ACT, command)).value

    async def becomes(self, command: DeviceCommand, state: ManageState) -> None:
        """Wait until a command has a state."""

        async def there() -> bool:
            return (await self.upkeep.command("bess1", command.id)).state is state

        await eventually(there, within_s=WITHIN_S)


@pytest.fixture(params=["mosquitto", "amqtt"])
def kind(request: pytest.FixtureRequest) -> BrokerKind:
    found: BrokerKind = request.param
    return found


@pytest.fixture
async def world(kind: BrokerKind, tmp_path: Path) -> AsyncIterator[World]:
    broker = start_broker(tmp_path, PARK.id, [], None, kind)
    opened = World(broker, migrated_sqlite(tmp_path / "parkgrid.sqlite"))
    await opened.begin()
    yield opened
    await opened.close()
    broker.stop()


def status(mode: str = "online", boot: str = "b1", **fields: object) -> bytes:
    return json.dumps({"schema": 1, "mode": mode, "boot_id": boot, **fields}).encode()


def result(command_id: str, outcome: str) -> bytes:
    now = datetime.now(UTC).isoformat()  # noqa: TID251 - a device lives by the real clock
    body = {"schema": 1, "command_id": command_id, "result": outcome, "at": now}
    return json.dumps(body).encode()


async def in_thread(work: Any, *args: Any, **kwargs: Any) -> Any:
    return await asyncio.to_thread(work, *args, **kwargs)


async def received(device: Probe, leaf: str) -> dict[str, Any]:
    """Wait for a message under a topic and return the last."""

    async def there() -> bool:
        return any(topic == f"{ROOT}/{leaf}" for topic, _ in device.received)

    await eventually(there, within_s=WITHIN_S)
    return dict(json.loads([p for t, p in device.received if t == f"{ROOT}/{leaf}"][-1]))


async def test_command_reaches_the_device_and_its_answers_come_back(world: World) -> None:
    with Probe(world.broker, world.account) as device:
        await in_thread(device.subscribe, f"{ROOT}/manage")
        await in_thread(device.publish, f"{ROOT}/status", status(), retain=True)
        command = await world.propose(ManageKind.IDENTIFY)
        asked = await received(device, "manage")
        assert (asked["command_id"], asked["kind"]) == (command.id, "identify")
        await world.becomes(command, ManageState.SENT)
        await in_thread(device.publish, f"{ROOT}/result", b"{broken")
        await in_thread(device.publish, f"{ROOT}/result", result("another", "done"))
        await in_thread(device.publish, f"{ROOT}/result", result(command.id, "accepted"))
        await world.becomes(command, ManageState.ACKNOWLEDGED)
        await in_thread(device.publish, f"{ROOT}/result", result(command.id, "done"))
        await world.becomes(command, ManageState.APPLIED)
        assert len([t for t, _ in device.received if t.endswith("/manage")]) == 1


async def test_command_for_an_absent_device_waits_and_expires_unsent(world: World) -> None:
    with Probe(world.broker, world.account) as device:
        await in_thread(device.publish, f"{ROOT}/status", status("offline"), retain=True)

    async def signed_off() -> bool:
        report = (await world.devices.device("bess1")).report
        return report is not None and report.mode == "offline"

    await eventually(signed_off, within_s=WITHIN_S)
    command = await world.propose(ManageKind.REBOOT, lifetime_s=1.0)
    await world.becomes(command, ManageState.EXPIRED)
    assert (await world.upkeep.command("bess1", command.id)).sent_at is None


async def test_configuration_is_retained_for_the_device_and_its_report_comes_back(
    world: World,
) -> None:
    await world.upkeep.configure(ACT, "bess1", 0, {"led": False}, "first")
    await world.upkeep.configure(ACT, "bess1", 1, {"led": True, "every_s": 2}, "second")

    with Probe(world.broker, world.account) as device:
        await in_thread(device.subscribe, f"{ROOT}/config")

        async def told() -> bool:
            return (await received(device, "config"))["version"] == 2

        await eventually(told, within_s=WITHIN_S)
    with Probe(world.broker, world.account) as device:
        await in_thread(device.subscribe, f"{ROOT}/config")
        wanted = await received(device, "config")
        assert device.retained
        assert wanted["settings"] == {"led": True, "every_s": 2}
        said = status(configuration_version=2, firmware="1.4")
        await in_thread(device.publish, f"{ROOT}/status", said, retain=True)

    async def applied() -> bool:
        report = (await world.devices.device("bess1")).report
        return report is not None and report.configuration_version == 2

    await eventually(applied, within_s=WITHIN_S)
    page = await world.devices.firmware_history("bess1", PageRequest())
    assert [(c.previous, c.firmware) for c in page.items] == [(None, "1.4")]


async def test_window_opens_is_ended_by_hand_and_waits_for_a_silent_resource(
    world: World,
) -> None:
    now = CLOCK.now()
    world.resources.away = True
    window = MaintenanceWindow(
        id="w1",
        device_id="bess1",
        resource_id="bess1",
        start_at=now,
        end_at=now + timedelta(hours=1),
        reason="fans",
        planned_by="mia",
        planned_at=now,
    )
    await world.upkeep.plan(ACT, window)

    def becomes(state: WindowState) -> Any:
        async def there() -> bool:
            return (await world.upkeep.window("w1")).state is state

        return there

    await eventually(lambda: world.resources.n_in_vain > 5, within_s=WITHIN_S)
    assert (await world.upkeep.window("w1")).state is WindowState.PLANNED
    world.resources.away = False
    await eventually(becomes(WindowState.OPEN), within_s=WITHIN_S)
    assert world.resources.held == {"bess1": ("w1", window.end_at)}
    # A successor of the actor tells the resource again, which changes nothing.
    await world.stop()
    world.resources.held.clear()
    world.start()
    await eventually(lambda: world.resources.held, within_s=WITHIN_S)
    world.resources.away = True
    await world.upkeep.end_window(ACT, "w1")
    assert (await world.upkeep.window("w1")).state is WindowState.ENDING
    world.resources.away = False
    await eventually(becomes(WindowState.ENDED), within_s=WITHIN_S)
    assert world.resources.held == {}


async def test_connectivity_is_kept_per_day_over_a_restart(world: World) -> None:
    with Probe(world.broker, world.account) as device:
        await in_thread(device.publish, f"{ROOT}/status", status(), retain=True)

    async def n_messages() -> int:
        today = CLOCK.now().date()
        rows = await world.upkeep.connectivity("bess1", today, today)
        return rows[0].n_messages if rows else 0

    async def some() -> bool:
        return await n_messages() >= 20

    await eventually(some, within_s=WITHIN_S)
    await world.stop()
    before = await n_messages()
    world.start()

    async def more() -> bool:
        return await n_messages() > before

    await eventually(more, within_s=WITHIN_S)
