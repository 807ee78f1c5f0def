"""Devices as the API needs them: registered, given accounts, listed."""

from __future__ import annotations

from typing import Protocol

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
