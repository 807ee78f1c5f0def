"""Whoever the database lets in gets in on the broker, within seconds, and nobody else does."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from cluster.broker import BrokerKind, RunningBroker, start_broker
from cluster.broker_access import Credentials, ensure_accounts
from cluster.broker_accounts import BrokerAccounts
from cluster.storage.audit import first_broken
from cluster.storage.database import Database
from cluster.storage.device_accounts import SqlDeviceAccounts
from cluster.storage.devices import SqlDevices
from cluster.storage.engine import open_engine, reading
from cluster.storage.registry import SqlParkRegistry
from controllers.devices.registration import Device, DeviceState, Issued
from controllers.kernel.ids import SequentialIds
from controllers.kernel.timebase import ManualClock
from controllers.park import ParkDefinition
from controllers.ports.acts import Act
from tests.support.databases import migrated_sqlite
from tests.support.live_states import make_park
from tests.support.mqtt_probe import Probe
from tests.support.waiting import wait_until

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PARK = make_park()
COMMAND = f"parkgrid/v1/{PARK.id}/bess1/command"
WITHIN_S = 3.0


class World:
    """Stores on one database, and the broker's keeper where there is a broker."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.clock = ManualClock(NOW)
        self.ids = SequentialIds()
        self.database = Database(url, self.clock)
        self.devices = SqlDevices(self.database, self.ids)
        self.accounts = SqlDeviceAccounts(url, self.clock, self.ids)
        self.registry = SqlParkRegistry(url, self.clock)
        self.registry.save(PARK)

    async def register(self, resource_id: str = "bess1", **changes: str) -> Issued:
        """Register a device."""
        device = Device(
            id=changes.get("id", resource_id),
            resource_id=resource_id,
            registered_by="ann",
            registered_at=NOW,
            changed_at=NOW,
        )
        return (await self.devices.register(self.act(), device)).value

    def act(self) -> Act:
        """Return an act of somebody."""
        return Act(principal="ann", action="device.test", subject="x", data={})

    def follow(self, broker: RunningBroker) -> BrokerAccounts:
        """Return the broker's keeper."""
        return BrokerAccounts(broker, self.accounts, self.registry, self.clock)

    async def close(self) -> None:
        """Release everything."""
        await asyncio.to_thread(self.database.close)
        self.accounts.close()
        self.registry.close()


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    """Yield stores on a fresh database of each kind."""
    opened = World(database_url)
    yield opened
    await opened.close()


def credentials(issued: Issued) -> Credentials:
    """Return what a device is given."""
    assert issued.password is not None
    return Credentials(username=f"{PARK.id}.{issued.account.name}", password=issued.password)


def admitted(world: World, park: ParkDefinition = PARK) -> dict[str, str]:
    """Return who gets in, by user name, and under which resource."""
    return {one.username: one.resource_id for one in world.accounts.access(park)[0]}


def user(name: str) -> str:
    """Return a user name on the broker."""
    return f"{PARK.id}.{name}"


async def test_first_start_makes_provisional_devices_once(world: World, tmp_path: Path) -> None:
    for _ in range(2):
        ids = world.accounts.provisional(PARK)
        assert sorted(ids) == ["bess1", "ev1", "pv1"]
        world.accounts.adopt(ensure_accounts(tmp_path, PARK.id, ids).devices)
        assert set(admitted(world)) == {user("bess1"), user("ev1"), user("pv1")}
    known = await world.devices.device("pv1")
    assert (known.device.provisional, known.device.version) == (True, 1)
    engine = open_engine(world.url)
    with reading(engine) as connection:
        assert first_broken(connection) is None
    engine.dispose()


async def test_registering_takes_the_place_of_the_provisional_device(
    world: World, tmp_path: Path
) -> None:
    ids = world.accounts.provisional(PARK)
    world.accounts.adopt(ensure_accounts(tmp_path, PARK.id, ids).devices)
    before = world.accounts.revision()
    same = await world.register("bess1")
    assert (same.account.name, same.device.provisional) == ("bess1.2", False)
    other = await world.register("pv1", id="roof")
    assert (await world.devices.device("pv1")).device.state is DeviceState.RETIRED
    assert other.account.name == "roof"
    assert world.accounts.provisional(PARK) == ["ev1"]
    assert admitted(world) == {user("bess1.2"): "bess1", user("roof"): "pv1", user("ev1"): "ev1"}
    assert world.accounts.revision() > before


async def test_a_lost_line_of_the_credentials_file_draws_another_password(
    world: World, tmp_path: Path
) -> None:
    accounts = ensure_accounts(tmp_path, PARK.id, world.accounts.provisional(PARK))
    world.accounts.adopt(accounts.devices)
    first = world.accounts.access(PARK)[0]
    ensure_accounts(tmp_path, PARK.id, ["ev1", "pv1"])
    again = ensure_accounts(tmp_path, PARK.id, world.accounts.provisional(PARK))
    world.accounts.adopt(again.devices)
    second = world.accounts.access(PARK)[0]
    changed = [a.username for a, b in zip(first, second, strict=True) if a != b]
    assert changed == [user("bess1")]


async def test_an_overlap_ends_by_itself(world: World) -> None:
    await world.register()
    await world.devices.rotate(world.act(), "bess1", 60.0)
    access, until = world.accounts.access(PARK)
    assert (len(access), until) == (2, NOW + timedelta(seconds=60))
    world.clock.advance(timedelta(seconds=60))
    assert admitted(world) == {user("bess1.2"): "bess1"}


async def test_a_device_gets_in_only_while_its_resource_is_in_the_park(world: World) -> None:
    await world.register()
    without = msgspec.structs.replace(
        PARK, resources=[r for r in PARK.resources if r.id != "bess1"]
    )
    assert admitted(world) == {user("bess1"): "bess1"}
    assert admitted(world, without) == {}


async def test_two_registrations_behind_one_resource_have_one_winner(world: World) -> None:
    outcomes = await asyncio.gather(
        world.register(id="first"), world.register(id="second"), return_exceptions=True
    )
    assert [isinstance(outcome, Issued) for outcome in outcomes].count(True) == 1
    assert len(admitted(world)) == 1


@pytest.fixture(params=["mosquitto", "amqtt"])
def kind(request: pytest.FixtureRequest) -> BrokerKind:
    found: BrokerKind = request.param
    return found


@pytest.fixture
def broker(kind: BrokerKind, tmp_path: Path) -> Iterator[RunningBroker]:
    started = start_broker(tmp_path, PARK.id, ["ev1", "pv1"], None, kind)
    yield started
    started.stop()


@pytest.fixture
async def sqlite_world(tmp_path: Path) -> AsyncIterator[World]:
    opened = World(migrated_sqlite(tmp_path / "parkgrid.sqlite"))
    yield opened
    await opened.close()


def gets_in(broker: RunningBroker, account: Credentials) -> bool:
    with Probe(broker, account) as probe:
        return bool(probe.connected)


@pytest.mark.broker
async def test_new_accounts_work_revoked_ones_are_dropped_and_others_stay(
    sqlite_world: World, broker: RunningBroker
) -> None:
    world = sqlite_world
    keeper = world.follow(broker)

    def settles(account: Credentials, in_: bool) -> None:
        def as_wanted() -> bool:
            keeper.follow()
            return gets_in(broker, account) is in_

        wait_until(as_wanted, within_s=WITHIN_S)

    bystander = broker.credentials("pv1")
    with Probe(broker, bystander) as other, Probe(broker, broker.inner) as inner:
        first = await world.register()
        settles(credentials(first), True)
        with Probe(broker, credentials(first)) as device:
            device.subscribe(COMMAND)
            inner.publish(COMMAND, b"go")
            device.wait_for(COMMAND, b"go")
            second = (await world.devices.rotate(world.act(), "bess1", 60.0)).value
            settles(credentials(second), True)
            assert not device.lost
            world.clock.advance(timedelta(seconds=61))
            keeper.follow()
            wait_until(lambda: device.lost, within_s=WITHIN_S)
        settles(credentials(first), False)
        with Probe(broker, credentials(second)) as device:
            await world.devices.revoke(world.act(), "bess1", second.account.id)
            keeper.follow()
            wait_until(lambda: device.lost, within_s=WITHIN_S)
        settles(credentials(second), False)
        assert not other.lost
        assert not inner.lost


@pytest.mark.broker
@pytest.mark.skipif(
    shutil.which("mosquitto_pub") is None,
    reason="mosquitto_pub is not installed; `make test` installs it",
)
async def test_plain_client_gets_in_with_what_was_shown_until_it_is_revoked(
    sqlite_world: World, broker: RunningBroker
) -> None:
    keeper = sqlite_world.follow(broker)
    issued = await sqlite_world.register()
    account = credentials(issued)
    keeper.follow()

    def publishes() -> bool:
        place = ["-h", "127.0.0.1", "-p", str(broker.port), "-V", "mqttv311"]
        who = ["-u", account.username, "-P", account.password]
        what = ["-q", "1", "-t", f"parkgrid/v1/{PARK.id}/bess1/status", "-m", "{}"]
        ran = subprocess.run(["mosquitto_pub", *place, *who, *what], check=False)
        return ran.returncode == 0

    wait_until(publishes, within_s=WITHIN_S)
    await sqlite_world.devices.revoke(sqlite_world.act(), "bess1", issued.account.id)
    keeper.follow()
    wait_until(lambda: not publishes(), within_s=WITHIN_S)


@pytest.mark.broker
async def test_claimed_device_loses_the_password_in_the_file(
    sqlite_world: World, broker: RunningBroker
) -> None:
    keeper = sqlite_world.follow(broker)
    drawn = broker.credentials("pv1")
    assert gets_in(broker, drawn)
    issued = await sqlite_world.register("pv1")
    keeper.follow()
    wait_until(lambda: not gets_in(broker, drawn), within_s=WITHIN_S)
    assert gets_in(broker, credentials(issued))
    assert set(broker.accounts.devices) == {"ev1"}


@pytest.mark.broker
async def test_a_silent_database_leaves_access_as_it_was(
    sqlite_world: World, broker: RunningBroker, tmp_path: Path
) -> None:
    keeper = sqlite_world.follow(broker)
    (tmp_path / "parkgrid.sqlite").rename(tmp_path / "away")
    sqlite_world.accounts.close()
    (tmp_path / "parkgrid.sqlite").mkdir()
    keeper.follow()
    assert gets_in(broker, broker.credentials("pv1"))
