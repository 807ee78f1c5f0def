"""What people want of devices and what machines find out, on every database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from cluster.storage import records
from cluster.storage.database import Database
from cluster.storage.device_ledger import SqlDeviceLedger
from cluster.storage.device_upkeep import SqlUpkeep
from cluster.storage.devices import SqlDevices
from cluster.storage.records import SqlRecordSink
from controllers.control.contract import DeviceMode
from controllers.devices.book import DeviceNews
from controllers.devices.commands import DeviceCommand, ManageState, sent
from controllers.devices.connectivity import ConnectivityDay
from controllers.devices.maintenance import (
    MaintenanceWindow,
    WindowState,
    WindowTrigger,
    WorkEntry,
    after,
)
from controllers.devices.messages import ManageKind
from controllers.devices.registration import Device, DeviceChange
from controllers.devices.reports import DeviceReport, FirmwareChange
from controllers.kernel.errors import ConflictError, NotFoundError, StaleVersionError
from controllers.kernel.ids import SequentialIds
from controllers.kernel.timebase import ManualClock
from controllers.ports.acts import Act
from controllers.ports.devices import DeviceFilter, WindowFilter
from controllers.ports.pages import PageRequest

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
ACT = Act(principal="ann", action="device.test", subject="d1", data={})
SETTINGS = {"led": True, "every_s": 2, "gain": 0.5, "label": "Halle 2 · 二号厂房", "off": False}
COMMAND = DeviceCommand(
    id="c1",
    device_id="d1",
    kind=ManageKind.REBOOT,
    reason="hangs",
    issued_by="ann",
    issued_at=NOW,
    expires_at=NOW + timedelta(minutes=1),
)
WINDOW = MaintenanceWindow(
    id="w1",
    device_id="d1",
    resource_id="?",
    start_at=NOW + timedelta(minutes=1),
    end_at=NOW + timedelta(hours=1),
    reason="fans",
    planned_by="mia",
    planned_at=NOW,
)
REPORT = DeviceReport(
    device_id="d1", mode=DeviceMode.ONLINE, boot_id="b1", firmware="1.0", heard_at=NOW
)


class World:
    """The stores on one database, with device ``d1`` behind ``bess1``."""

    def __init__(self, url: str) -> None:
        self.clock = ManualClock(NOW)
        self.database = Database(url, self.clock)
        self.devices = SqlDevices(self.database, SequentialIds())
        self.upkeep = SqlUpkeep(self.database)
        self.ledger = SqlDeviceLedger(url)

    async def register(self, id_: str = "d1", resource_id: str = "bess1") -> None:
        """Register a device."""
        device = Device(
            id=id_, resource_id=resource_id, registered_by="ann", registered_at=NOW, changed_at=NOW
        )
        await self.devices.register(ACT, device)

    async def save(self, **news: object) -> None:
        """Write what machines found out."""
        await asyncio.to_thread(self.ledger.save, DeviceNews(**news))  # type: ignore[arg-type]

    async def close(self) -> None:
        """Release everything."""
        await asyncio.to_thread(self.database.close)
        self.ledger.close()


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    """Yield the stores on a fresh database of each kind."""
    opened = World(database_url)
    await opened.register()
    yield opened
    await opened.close()


async def test_configuration_comes_back_as_it_was_put(world: World) -> None:
    await world.upkeep.configure(ACT, "d1", 0, SETTINGS, "first")
    await world.upkeep.configure(ACT, "d1", 1, {}, "second")
    again = (await world.upkeep.restore(ACT, "d1", 2, 1, "back")).value
    assert (again.version, again.restores, again.settings) == (3, 1, SETTINGS)
    page = await world.upkeep.configurations("d1", PageRequest(limit=2))
    rest = await world.upkeep.configurations("d1", PageRequest(limit=2, cursor=page.next_cursor))
    assert [v.version for v in page.items + rest.items] == [3, 2, 1]
    assert world.ledger.load().configurations == {"bess1": again}
    with pytest.raises(StaleVersionError):
        await world.upkeep.configure(ACT, "d1", 1, {}, "late")
    with pytest.raises(NotFoundError):
        await world.upkeep.restore(ACT, "d1", 3, 9, "never")


async def test_successor_is_not_given_its_predecessors_configuration(world: World) -> None:
    await world.upkeep.configure(ACT, "d1", 0, SETTINGS, "first")
    await world.devices.retire(ACT, "d1", 1)
    await world.register("d2")
    assert world.ledger.load().configurations == {"bess1": None}


async def test_what_is_wanted_raises_the_revision_and_what_is_found_out_does_not(
    world: World,
) -> None:
    before = world.ledger.revision()
    await world.upkeep.propose(ACT, COMMAND)
    wanted = world.ledger.revision()
    assert wanted > before
    await world.save(commands={"c1": sent(COMMAND, NOW)}, reports={"d1": REPORT})
    assert world.ledger.revision() == wanted


async def test_command_goes_from_the_book_when_it_has_ended_and_stays_as_it_ended(
    world: World,
) -> None:
    await world.upkeep.propose(ACT, COMMAND)
    assert world.ledger.load().commands == {"c1": COMMAND}
    on_its_way = sent(COMMAND, NOW)
    await world.save(commands={"c1": on_its_way})
    assert await world.upkeep.command("d1", "c1") == on_its_way
    ended = msgspec.structs.replace(on_its_way, state=ManageState.FAILED, ended_at=NOW)
    await world.save(commands={"c1": ended})
    assert world.ledger.load().commands == {}
    await world.save(commands={"c1": on_its_way})
    assert (await world.upkeep.commands("d1", PageRequest())).items == [ended]


async def test_window_is_planned_for_the_devices_resource_and_followed(world: World) -> None:
    planned = (await world.upkeep.plan(ACT, WINDOW)).value
    assert planned.resource_id == "bess1"
    assert world.ledger.load().windows == {"w1": planned}
    opened = after(planned, WindowTrigger.CONFIRM, opened_at=NOW)
    await world.save(windows={"w1": opened})
    assert await world.upkeep.window("w1") == opened
    ended = after(opened, WindowTrigger.RELEASE, ended_at=NOW)
    await world.save(windows={"w1": ended})
    assert world.ledger.load().windows == {}
    page = await world.upkeep.windows(
        WindowFilter(device_id="d1", state=WindowState.ENDED, within=["bess1"]), PageRequest()
    )
    assert page.items == [ended]
    others = await world.upkeep.windows(WindowFilter(within=["pv1"]), PageRequest())
    assert others.items == []


async def test_machine_does_not_undo_what_a_person_changed_meanwhile(world: World) -> None:
    planned = (await world.upkeep.plan(ACT, WINDOW)).value
    until = NOW + timedelta(hours=2)
    changed = (await world.upkeep.change_window(ACT, "w1", 1, until, None)).value
    await world.save(windows={"w1": after(planned, WindowTrigger.CONFIRM, opened_at=NOW)})
    assert await world.upkeep.window("w1") == changed
    world.clock.advance(timedelta(minutes=2))
    ending = (await world.upkeep.end_window(ACT, "w1")).value
    assert (ending.state, ending.version) == (WindowState.ENDING, 3)
    assert world.ledger.load().windows == {"w1": ending}


async def test_two_windows_at_once_do_not_overlap(world: World) -> None:
    other = msgspec.structs.replace(WINDOW, id="w2")
    outcomes = await asyncio.gather(
        world.upkeep.plan(ACT, WINDOW), world.upkeep.plan(ACT, other), return_exceptions=True
    )
    assert sorted(isinstance(o, ConflictError) for o in outcomes) == [False, True]


async def test_reports_firmware_and_connectivity_are_the_last_word(world: World) -> None:
    change = FirmwareChange(
        id="fw-1", device_id="d1", previous=None, firmware="1.0", noticed_at=NOW
    )
    day = ConnectivityDay(device_id="d1", day=NOW.date(), watched_s=60.5, n_messages=2**40)
    for watched_s in (30.0, 60.5):
        row = msgspec.structs.replace(day, watched_s=watched_s, last_seen_at=NOW)
        await world.save(
            reports={"d1": REPORT},
            firmware={"d1": change},
            connectivity={("d1", day.day): row},
        )
    known = await world.devices.device("d1")
    assert (known.report, world.ledger.load().reports) == (REPORT, {"d1": REPORT})
    assert (await world.devices.firmware_history("d1", PageRequest())).items == [change]
    assert await world.upkeep.connectivity("d1", day.day, day.day) == [row]
    assert world.ledger.connectivity(day.day) == [row]
    assert world.ledger.connectivity(day.day + timedelta(days=1)) == []


async def test_outdated_devices_are_those_that_run_another_firmware_than_wanted(
    world: World,
) -> None:
    async def outdated(value: bool) -> int:
        page = await world.devices.devices(DeviceFilter(outdated=value), PageRequest())
        return len(page.items)

    assert (await outdated(True), await outdated(False)) == (0, 1)
    await world.devices.update(ACT, "d1", 1, DeviceChange(firmware_target="1.0"))
    assert (await outdated(True), await outdated(False)) == (1, 0)
    await world.save(reports={"d1": REPORT})
    assert (await outdated(True), await outdated(False)) == (0, 1)


async def test_work_log_keeps_its_order(world: World) -> None:
    for n in range(3):
        entry = WorkEntry(
            id=f"work-{n}",
            device_id="d1",
            window_id=None,
            text="比" * 1000,
            written_by="ann",
            written_at=NOW + timedelta(seconds=n),
        )
        await world.upkeep.write_work(ACT, entry)
    page = await world.upkeep.work("d1", PageRequest())
    assert [e.id for e in page.items] == ["work-2", "work-1", "work-0"]


async def test_what_is_too_old_of_a_device_is_forgotten_but_what_stands(
    world: World, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "_PRUNED_AT_ONCE", 3)
    await world.register("d2", "pv1")
    long_ago, kept = NOW - timedelta(days=100), timedelta(days=90)
    days = [
        ConnectivityDay(device_id=device_id, day=(NOW - timedelta(days=ago)).date(), watched_s=1.0)
        for device_id in ("d1", "d2")
        for ago in (0, 90, 91, 92, 93)
    ]
    changes = [
        FirmwareChange(id=id_, device_id=of, previous=None, firmware="1", noticed_at=at)
        for id_, of, at in (
            ("f1", "d1", long_ago),
            ("f2", "d1", long_ago + timedelta(days=1)),
            ("f3", "d1", NOW),
            # The last of its device, and what that device runs.
            ("f4", "d2", long_ago - timedelta(days=1)),
            ("f5", "d2", long_ago),
        )
    ]
    old = msgspec.structs.replace(COMMAND, issued_at=long_ago, expires_at=long_ago)
    for id_ in ("ended", "open"):
        await world.upkeep.propose(ACT, msgspec.structs.replace(old, id=id_))
    await world.upkeep.propose(ACT, msgspec.structs.replace(COMMAND, id="new"))
    ended = msgspec.structs.replace(old, id="ended", state=ManageState.APPLIED, ended_at=long_ago)
    new = msgspec.structs.replace(COMMAND, id="new", state=ManageState.APPLIED, ended_at=NOW)
    await world.save(
        connectivity={(day.device_id, day.day): day for day in days},
        firmware={change.id: change for change in changes},
        commands={command.id: command for command in (ended, new)},
    )
    sink = SqlRecordSink(database_url, world.clock, device_records_kept=kept)
    # Of connectivity twice three; of the rest three and one.
    pruned = [await asyncio.to_thread(sink.prune) for _ in range(3)]
    sink.close()
    assert (sum(pruned), pruned[0] > pruned[1], pruned[2]) == (10, True, 0)
    everything = PageRequest(limit=50)
    for device_id, versions in (("d1", ["f3"]), ("d2", ["f5"])):
        found = await world.upkeep.connectivity(device_id, NOW.date() - 2 * kept, NOW.date())
        assert [(NOW.date() - row.day).days for row in found] == [90, 0]
        firmware = await world.devices.firmware_history(device_id, everything)
        assert [change.id for change in firmware.items] == versions
    commands = await world.upkeep.commands("d1", everything)
    assert {command.id for command in commands.items} == {"open", "new"}
