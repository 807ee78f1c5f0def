"""Devices as the API and the actor that looks after them need them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Protocol

from controllers.devices.book import DeviceBook, DeviceNews
from controllers.devices.commands import DeviceCommand
from controllers.devices.configuration import ConfigurationVersion
from controllers.devices.connectivity import ConnectivityDay
from controllers.devices.maintenance import MaintenanceWindow, WindowState, WorkEntry
from controllers.devices.messages import SettingValue
from controllers.devices.registration import Account, Device, DeviceChange, DeviceState, Issued
from controllers.devices.reports import FirmwareChange, KnownDevice
from controllers.kernel.wire import Wire
from controllers.ports.acts import Act, Done
from controllers.ports.pages import Page, PageRequest


class DeviceFilter(Wire):
    """Which devices of a list are wanted; None takes all."""

    state: DeviceState | None = None
    resource_id: str | None = None
    maker: str | None = None
    outdated: bool | None = None
    """Whether the firmware reported is another than the target."""
    within: list[str] | None = None
    """Resources whose devices alone exist for the caller."""


class WindowFilter(Wire):
    """Which maintenance windows of a list are wanted; None takes all."""

    device_id: str | None = None
    state: WindowState | None = None
    within: list[str] | None = None
    """Resources whose windows alone exist for the caller."""


class DeviceStore(Protocol):
    """Devices and their accounts; every write durable on return.

    All raise NotFoundError for a device that is not registered.
    """

    async def register(self, act: Act, device: Device) -> Done[Issued]:
        """Register a device with its first account; takes the place of a provisional one.

        Raises:
            ConflictError: the id was used before, or another device stands behind the resource.
        """
        ...

    async def update(
        self, act: Act, device_id: str, version: int, change: DeviceChange
    ) -> Done[Device]:
        """Change what people noted of a device.

        Raises:
            StaleVersionError: ``version`` is not the current one.
            ConflictError: it is retired.
        """
        ...

    async def retire(self, act: Act, device_id: str, version: int) -> Done[Device]:
        """Take a device out for good and revoke its accounts.

        Raises:
            StaleVersionError: ``version`` is not the current one.
            ConflictError: it is retired already.
        """
        ...

    async def device(self, device_id: str) -> KnownDevice:
        """Return one device."""
        ...

    async def devices(self, wanted: DeviceFilter, request: PageRequest) -> Page[KnownDevice]:
        """Return devices by id."""
        ...

    async def rotate(self, act: Act, device_id: str, overlap_s: float) -> Done[Issued]:
        """Make a new account; the ones before end now or after an overlap.

        Raises:
            ConflictError: it is retired.
        """
        ...

    async def revoke(self, act: Act, device_id: str, account_id: str) -> Done[Account]:
        """End an account now; repeating it changes nothing.

        Raises:
            NotFoundError: the device has no such account.
        """
        ...

    async def accounts(self, device_id: str) -> list[Account]:
        """Return all accounts a device ever had, newest first."""
        ...

    async def firmware_history(self, device_id: str, request: PageRequest) -> Page[FirmwareChange]:
        """Return the changes of firmware a device reported, newest first."""
        ...


class UpkeepStore(Protocol):
    """Configuration, management commands and maintenance; every write durable on return.

    All raise NotFoundError for a device that is not registered, and what changes something raises
    ConflictError for one that is retired.
    """

    async def configure(
        self,
        act: Act,
        device_id: str,
        seen: int,
        settings: Mapping[str, SettingValue],
        note: str,
    ) -> Done[ConfigurationVersion]:
        """Make the next version of a device's configuration.

        Raises:
            StaleVersionError: ``seen`` is not the newest version.
        """
        ...

    async def restore(
        self, act: Act, device_id: str, seen: int, version: int, note: str
    ) -> Done[ConfigurationVersion]:
        """Make the next version a copy of an earlier one.

        Raises:
            StaleVersionError: ``seen`` is not the newest version.
            NotFoundError: there is no such earlier version.
        """
        ...

    async def configurations(
        self, device_id: str, request: PageRequest
    ) -> Page[ConfigurationVersion]:
        """Return the versions of a device's configuration, newest first."""
        ...

    async def propose(self, act: Act, command: DeviceCommand) -> Done[DeviceCommand]:
        """Keep a management command to be sent.

        Raises:
            ConflictError: too many wait for the device.
        """
        ...

    async def command(self, device_id: str, command_id: str) -> DeviceCommand:
        """Return one management command."""
        ...

    async def commands(self, device_id: str, request: PageRequest) -> Page[DeviceCommand]:
        """Return a device's management commands, newest first."""
        ...

    async def plan(self, act: Act, window: MaintenanceWindow) -> Done[MaintenanceWindow]:
        """Plan a maintenance window; its resource is taken from the device.

        Raises:
            ConflictError: it overlaps another of the device.
        """
        ...

    async def change_window(
        self, act: Act, window_id: str, version: int, end_at: datetime | None, reason: str | None
    ) -> Done[MaintenanceWindow]:
        """Change when a window ends, or why it is.

        Raises:
            NotFoundError: no such window.
            StaleVersionError: ``version`` is not the current one.
            ConflictError: it is over, or would overlap another.
            DomainError: the end breaks a rule.
        """
        ...

    async def end_window(self, act: Act, window_id: str) -> Done[MaintenanceWindow]:
        """End a window now, or cancel one that has not begun; repeating it changes nothing."""
        ...

    async def window(self, window_id: str) -> MaintenanceWindow:
        """Return one maintenance window."""
        ...

    async def windows(self, wanted: WindowFilter, request: PageRequest) -> Page[MaintenanceWindow]:
        """Return maintenance windows, latest first."""
        ...

    async def write_work(self, act: Act, entry: WorkEntry) -> Done[WorkEntry]:
        """Add an entry to a device's work log; a retired device's as well.

        Raises:
            NotFoundError: no such window of this device.
        """
        ...

    async def work(self, device_id: str, request: PageRequest) -> Page[WorkEntry]:
        """Return a device's work log, newest first."""
        ...

    async def connectivity(
        self, device_id: str, from_day: date, to_day: date
    ) -> list[ConnectivityDay]:
        """Return a device's rows of the days ``[from_day, to_day]``, oldest first."""
        ...


class DeviceLedger(Protocol):
    """The devices for whoever looks after them; blocks, so it is used in threads.

    All raise StorageUnavailableError when the database does not answer.
    """

    def revision(self) -> int:
        """Return a number that rises with everything people change."""
        ...

    def load(self) -> DeviceBook:
        """Return everything there is to look after."""
        ...

    def connectivity(self, day: date) -> Sequence[ConnectivityDay]:
        """Return the rows of a day."""
        ...

    def save(self, news: DeviceNews) -> None:
        """Write what machines have found out; all of it or nothing."""
        ...
