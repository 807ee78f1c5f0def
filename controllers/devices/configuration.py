"""Configurations of a device: immutable versions, of which the newest is wanted."""

from __future__ import annotations

from datetime import datetime

from controllers.devices.messages import Configuration, SettingValue
from controllers.kernel.wire import Identifier, Wire


class ConfigurationVersion(Wire):
    """One version of what a device should be set to; never changed."""

    device_id: Identifier
    version: int
    settings: dict[str, SettingValue]
    note: str
    restores: int | None = None
    """The earlier version this one repeats."""
    created_by: str
    created_at: datetime

    def message(self) -> Configuration:
        """Return what the device is sent."""
        return Configuration(
            version=self.version, issued_at=self.created_at, settings=self.settings
        )
