"""What a device says of itself: presence, firmware and the configuration it runs.

A device that says nothing of firmware or configuration works all the same; what it once said stays
until it says otherwise.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from controllers.control.contract import DeviceMode, Status
from controllers.devices.registration import Device
from controllers.kernel.wire import Wire


class DeviceReport(Wire):
    """What was last heard from a device."""

    device_id: str
    mode: DeviceMode
    boot_id: str
    detail: str = ""
    firmware: str | None = None
    configuration_version: int | None = None
    """The configuration it runs; None while it has not said."""
    heard_at: datetime


class FirmwareChange(Wire):
    """A device reported another firmware than before."""

    id: str
    device_id: str
    previous: str | None
    firmware: str
    noticed_at: datetime


class KnownDevice(Wire):
    """A device as registered, as it should be and as it says it is."""

    device: Device
    configuration_version: int = 0
    """Newest version it should run; 0 where it was never given any."""
    report: DeviceReport | None = None

    @property
    def outdated(self) -> bool:
        """Whether it should run a firmware that it has not reported."""
        target = self.device.firmware_target
        return target is not None and (self.report is None or self.report.firmware != target)


def reported(
    device_id: str, before: DeviceReport | None, status: Status, now: datetime
) -> DeviceReport:
    """Return the report after a status; what the status leaves out stays as it was."""
    firmware, configuration_version = status.firmware, status.configuration_version
    if before is not None:
        firmware = firmware or before.firmware
        if configuration_version is None:
            configuration_version = before.configuration_version
    return DeviceReport(
        device_id=device_id,
        mode=status.mode,
        boot_id=status.boot_id,
        detail=status.detail or "",
        firmware=firmware,
        configuration_version=configuration_version,
        heard_at=now,
    )


def says_the_same(before: DeviceReport | None, after: DeviceReport) -> bool:
    """Tell whether a report is worth no write: nothing but its instant is new."""
    return before is not None and before == msgspec.structs.replace(after, heard_at=before.heard_at)
