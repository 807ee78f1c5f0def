"""What passes between the desk and the ledger: the book of what there is, and the news."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date

from controllers.devices.commands import DeviceCommand
from controllers.devices.configuration import ConfigurationVersion
from controllers.devices.connectivity import ConnectivityDay
from controllers.devices.maintenance import MaintenanceWindow
from controllers.devices.registration import Device
from controllers.devices.reports import DeviceReport, FirmwareChange


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceBook:
    """What there is to look after: everything of active devices that is not over."""

    devices: Mapping[str, Device] = field(default_factory=dict)
    """By resource."""
    reports: Mapping[str, DeviceReport] = field(default_factory=dict)
    """By device."""
    configurations: Mapping[str, ConfigurationVersion | None] = field(default_factory=dict)
    """Newest by resource; None where a predecessor's is to be taken back."""
    commands: Mapping[str, DeviceCommand] = field(default_factory=dict)
    """Open ones, by id."""
    windows: Mapping[str, MaintenanceWindow] = field(default_factory=dict)
    """Unsettled ones, by id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceNews:
    """What has changed and is to be written; the last word on each subject."""

    reports: dict[str, DeviceReport] = field(default_factory=dict)
    """By device, here and next."""
    firmware: dict[str, FirmwareChange] = field(default_factory=dict)
    commands: dict[str, DeviceCommand] = field(default_factory=dict)
    """By id, here and next."""
    windows: dict[str, MaintenanceWindow] = field(default_factory=dict)
    connectivity: dict[tuple[str, date], ConnectivityDay] = field(default_factory=dict)
    """By device and day."""

    def __bool__(self) -> bool:
        """Tell whether there is any."""
        return any(getattr(self, row.name) for row in fields(self))

    def under(self, later: DeviceNews) -> DeviceNews:
        """Return these news with later ones over them."""
        return DeviceNews(
            reports={**self.reports, **later.reports},
            firmware={**self.firmware, **later.firmware},
            commands={**self.commands, **later.commands},
            windows={**self.windows, **later.windows},
            connectivity={**self.connectivity, **later.connectivity},
        )
