"""The desk at which devices are looked after: what they said, what they are to be told, the news.

It decides and remembers; who sits at it sends, asks and writes, and tells it what came of that.
What could not be written stays among the news, the last word on each subject only.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from controllers.control.contract import DeviceMode, Status
from controllers.devices.book import DeviceBook, DeviceNews
from controllers.devices.commands import (
    DeviceCommand,
    answered,
    is_due,
    judged,
    rebooted,
    sent,
)
from controllers.devices.configuration import ConfigurationVersion
from controllers.devices.connectivity import ConnectivityDay, Heard, Look, disconnected, seen
from controllers.devices.maintenance import (
    MaintenanceWindow,
    WindowState,
    WindowTrigger,
    after,
)
from controllers.devices.messages import ManageResult
from controllers.devices.reports import (
    DeviceReport,
    FirmwareChange,
    reported,
    says_the_same,
)
from controllers.kernel.ids import IdSource

FIRMWARE_EVERY = timedelta(seconds=60)
"""Changes of one device's firmware are noted at most this often."""
ONLINE_WITHIN = timedelta(seconds=30)
"""A device that was heard this long ago counts as online, unless it signed off."""

MAX_EARLY = 10_000
"""Strangers whose last word is remembered."""

_Told = tuple[str, int]


class DeviceDesk:
    """Everything there is to look after, from the last book and what happened since.

    Args:
        ids: names changes of firmware.
    """

    def __init__(self, ids: IdSource) -> None:
        self._ids = ids
        self._news = DeviceNews()
        self._book = DeviceBook()
        self._resources: dict[str, str] = {}
        self._reports: dict[str, DeviceReport] = {}
        self._commands: dict[str, DeviceCommand] = {}
        self._windows: dict[str, MaintenanceWindow] = {}
        self._configured: dict[str, int] = {}
        self._held: set[_Told] = set()
        self._firmware: dict[str, tuple[str | None, datetime | None]] = {}
        self._days: dict[str, ConnectivityDay] = {}
        self._looks: dict[str, Look] = {}
        self._early: dict[str, tuple[Status, datetime]] = {}

    def open(self, book: DeviceBook) -> None:
        """Go on from another book; what is not written yet still counts."""
        self._book = book
        self._resources = {d.id: resource for resource, d in book.devices.items()}
        self._reports = {**book.reports, **self._reports}
        for device_id, report in self._reports.items():
            self._firmware.setdefault(device_id, (report.firmware, None))
        known = [self._news.commands.get(id_, command) for id_, command in book.commands.items()]
        self._commands = {command.id: command for command in known if command.is_open}
        self._windows = {id_: self._fresher(window) for id_, window in book.windows.items()}
        for resource_id in self._early.keys() & book.devices.keys():
            status, at = self._early.pop(resource_id)
            self.hear_status(resource_id, status, at)

    def resume(self, days: Iterable[ConnectivityDay]) -> None:
        """Go on with the connectivity of a day that had begun."""
        for day in days:
            self._days.setdefault(day.device_id, day)

    @property
    def resources(self) -> list[str]:
        """Return the resources that have a device."""
        return list(self._book.devices)

    def hear_status(self, resource_id: str, status: Status, now: datetime) -> None:
        """Take what a device, or its last will, said."""
        device = self._book.devices.get(resource_id)
        if device is None:
            # It may be registered already, and only our book is old.
            if resource_id in self._early or len(self._early) < MAX_EARLY:
                self._early[resource_id] = (status, now)
            return
        before = self._reports.get(device.id)
        report = reported(device.id, before, status, now)
        if says_the_same(before, report):
            return
        self._reports[device.id] = self._news.reports[device.id] = report
        was_there = before is not None and before.mode is not DeviceMode.OFFLINE
        if was_there and report.mode is DeviceMode.OFFLINE:
            row = disconnected(self._days.get(device.id), now, device.id)
            self._put_day(row)
        if before is not None and before.boot_id != report.boot_id:
            for command in self._of(device.id):
                self._put(command, rebooted(command, now))
        self._note_firmware(device.id, now)

    def hear_result(self, resource_id: str, result: ManageResult, now: datetime) -> bool:
        """Take a device's answer to a command; False if it was never asked that."""
        command = self._commands.get(result.command_id)
        if command is None or self._resources.get(command.device_id) != resource_id:
            return False
        self._put(command, answered(command, result, now))
        return True

    def tick(self, now: datetime) -> None:
        """Judge what time has brought."""
        for command in list(self._commands.values()):
            self._put(command, judged(command, now))
        for device_id in list(self._firmware):
            self._note_firmware(device_id, now)
        for window in list(self._windows.values()):
            if now >= window.end_at:
                # The resource lets go by itself.
                self._put_window(after(window, WindowTrigger.RELEASE, ended_at=now))

    def commands_due(self, now: datetime) -> list[tuple[str, DeviceCommand]]:
        """Return what is to be sent now, with the resource under whose topics."""
        return [
            (self._resources[command.device_id], command)
            for command in self._commands.values()
            if command.device_id in self._resources
            and is_due(command, self._reports.get(command.device_id), now)
        ]

    def note_sent(self, command: DeviceCommand, now: datetime) -> None:
        """Remember that a command went out."""
        self._put(command, sent(command, now))

    def configurations_due(self) -> list[tuple[str, ConfigurationVersion | None]]:
        """Return what is to be told to which resource; None takes a predecessor's back."""
        return [
            (resource_id, wanted)
            for resource_id, wanted in self._book.configurations.items()
            if resource_id in self._book.devices
            and self._configured.get(self._book.devices[resource_id].id) != _version(wanted)
        ]

    def note_configured(self, resource_id: str, wanted: ConfigurationVersion | None) -> None:
        """Remember that a configuration lies on the broker."""
        self._configured[self._book.devices[resource_id].id] = _version(wanted)

    def forget_configured(self) -> None:
        """Tell every configuration again: the broker may have forgotten them."""
        self._configured.clear()

    def holds_due(self, now: datetime) -> list[MaintenanceWindow]:
        """Return the windows whose resource is to be excluded and does not know it."""
        return [
            window
            for window in self._windows.values()
            if window.state in (WindowState.PLANNED, WindowState.OPEN)
            and window.start_at <= now < window.end_at
            and (window.id, window.version) not in self._held
        ]

    def note_held(self, window: MaintenanceWindow, now: datetime) -> None:
        """Remember that a resource knows of its window."""
        if self._is_changed(window):
            return
        self._held.add((window.id, window.version))
        self._put_window(after(window, WindowTrigger.CONFIRM, opened_at=window.opened_at or now))

    def releases_due(self) -> list[MaintenanceWindow]:
        """Return the windows ended by hand whose resource does not know it."""
        return [w for w in self._windows.values() if w.state is WindowState.ENDING]

    def note_released(self, window: MaintenanceWindow) -> None:
        """Remember that a resource was given back."""
        if self._is_changed(window):
            return
        self._put_window(after(window, WindowTrigger.RELEASE))

    def look(self, resource_id: str, epoch: int, heard: Heard, now: datetime) -> None:
        """Take what a resource has heard of its device."""
        device = self._book.devices.get(resource_id)
        if device is None:
            return
        report = self._reports.get(device.id)
        signed_off = report is not None and report.mode is DeviceMode.OFFLINE
        fresh = heard.last_seen_at is not None and now - heard.last_seen_at <= ONLINE_WITHIN
        look = Look(at=now, online=fresh and not signed_off, life=str(epoch), heard=heard)
        before = self._looks.get(device.id)
        self._looks[device.id] = look
        self._put_day(seen(self._days.get(device.id), before, look, device.id))

    def take_news(self) -> DeviceNews:
        """Return and forget what is to be written."""
        news, self._news = self._news, DeviceNews()
        return news

    def put_back(self, news: DeviceNews) -> None:
        """Keep what could not be written; later words on a subject stand."""
        self._news = news.under(self._news)

    def _of(self, device_id: str) -> list[DeviceCommand]:
        return [c for c in self._commands.values() if c.device_id == device_id]

    def _put(self, before: DeviceCommand, command: DeviceCommand) -> None:
        if command == before:
            return
        self._news.commands[command.id] = command
        if command.is_open:
            self._commands[command.id] = command
        else:
            self._commands.pop(command.id, None)

    def _put_window(self, window: MaintenanceWindow) -> None:
        if self._windows.get(window.id) == window:
            return
        self._news.windows[window.id] = window
        self._windows[window.id] = window
        if window.state in (WindowState.ENDED, WindowState.CANCELLED):
            del self._windows[window.id]

    def _is_changed(self, window: MaintenanceWindow) -> bool:
        # Somebody changed it while the resource was being told; it will be told again.
        known = self._windows.get(window.id)
        return known is None or known.version != window.version

    def _put_day(self, row: ConnectivityDay) -> None:
        self._days[row.device_id] = row
        self._news.connectivity[row.device_id, row.day] = row

    def _fresher(self, window: MaintenanceWindow) -> MaintenanceWindow:
        known = self._news.windows.get(window.id)
        return known if known is not None and known.version == window.version else window

    def _note_firmware(self, device_id: str, now: datetime) -> None:
        report = self._reports.get(device_id)
        known, noted_at = self._firmware.get(device_id, (None, None))
        if report is None or report.firmware is None or report.firmware == known:
            return
        if noted_at is not None and now - noted_at < FIRMWARE_EVERY:
            return
        self._firmware[device_id] = (report.firmware, now)
        self._news.firmware[device_id] = FirmwareChange(
            id=self._ids.new("fw"),
            device_id=device_id,
            previous=known,
            firmware=report.firmware,
            noticed_at=now,
        )


def _version(wanted: ConfigurationVersion | None) -> int:
    return 0 if wanted is None else wanted.version
