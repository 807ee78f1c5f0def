"""Calls of the API, devices; written by ``serve_apps.client.generate``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from controllers.devices.commands import DeviceCommand
from controllers.devices.configuration import ConfigurationVersion
from controllers.devices.registration import Device
from controllers.devices.reports import FirmwareChange
from serve_apps.client.transport import Transport, part
from serve_apps.devices.bodies import (
    ConfigurationBody,
    DeviceChangeBody,
    ManageBody,
    RegisterBody,
    RestoreBody,
    RotateBody,
)
from serve_apps.devices.views import (
    ConfigurationPage,
    ConfigurationView,
    ConnectivityList,
    DeviceAccountList,
    DeviceAccountView,
    DeviceCommandPage,
    DevicePage,
    DeviceView,
    FirmwareChangePage,
    IssuedView,
)
from serve_apps.web.bodies import ReasonBody


class DevicesCalls(Transport):
    """Operations of the domain: devices."""

    def register_device(
        self, body: RegisterBody | Mapping[str, object], *, key: str | None = None
    ) -> IssuedView:
        """Register a device behind a resource; the answer shows its password, this once."""
        return self.call(IssuedView, "POST", "/api/vpp/devices", body=body, key=key, keyed=True)

    def list_devices(
        self,
        *,
        state: str | None = None,
        resource: str | None = None,
        maker: str | None = None,
        outdated: bool | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        sort: str | None = None,
    ) -> DevicePage:
        """Return devices."""
        return self.call(
            DevicePage,
            "GET",
            "/api/vpp/devices",
            query={
                "state": state,
                "resource": resource,
                "maker": maker,
                "outdated": outdated,
                "limit": limit,
                "cursor": cursor,
                "sort": sort,
            },
        )

    def each_devices(
        self,
        *,
        state: str | None = None,
        resource: str | None = None,
        maker: str | None = None,
        outdated: bool | None = None,
        limit: int | None = None,
        sort: str | None = None,
    ) -> Iterator[DeviceView]:
        """Yield the items of all pages of ``list_devices``."""
        cursor: str | None = None
        while True:
            page = self.list_devices(
                state=state,
                resource=resource,
                maker=maker,
                outdated=outdated,
                limit=limit,
                sort=sort,
                cursor=cursor,
            )
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def get_device(self, device_id: str) -> DeviceView:
        """Return one device, with what it last said and how its resource lives."""
        return self.call(DeviceView, "GET", f"/api/vpp/devices/{part(device_id)}")

    def update_device(
        self,
        device_id: str,
        body: DeviceChangeBody | Mapping[str, object],
        *,
        version: int | None = None,
    ) -> Device:
        """Change what is noted of a device, or the firmware it should run."""
        return self.call(
            Device, "PATCH", f"/api/vpp/devices/{part(device_id)}", body=body, version=version
        )

    def retire_device(
        self,
        device_id: str,
        body: ReasonBody | Mapping[str, object],
        *,
        key: str | None = None,
        version: int | None = None,
    ) -> Device:
        """Take a device out for good: its accounts end, its history stays."""
        return self.call(
            Device,
            "POST",
            f"/api/vpp/devices/{part(device_id)}/retire",
            body=body,
            key=key,
            keyed=True,
            version=version,
        )

    def list_credentials(self, device_id: str) -> DeviceAccountList:
        """Return all accounts a device ever had, newest first; never a password."""
        return self.call(
            DeviceAccountList, "GET", f"/api/vpp/devices/{part(device_id)}/credentials"
        )

    def rotate_credentials(
        self, device_id: str, body: RotateBody | Mapping[str, object], *, key: str | None = None
    ) -> IssuedView:
        """Make a new account."""
        return self.call(
            IssuedView,
            "POST",
            f"/api/vpp/devices/{part(device_id)}/credentials",
            body=body,
            key=key,
            keyed=True,
        )

    def revoke_credentials(
        self,
        device_id: str,
        credential_id: str,
        body: ReasonBody | Mapping[str, object],
        *,
        key: str | None = None,
    ) -> DeviceAccountView:
        """End an account at once; who is connected with it is dropped. Repeating it succeeds."""
        return self.call(
            DeviceAccountView,
            "POST",
            f"/api/vpp/devices/{part(device_id)}/credentials/{part(credential_id)}/revoke",
            body=body,
            key=key,
            keyed=True,
        )

    def list_firmware(
        self, device_id: str, *, limit: int | None = None, cursor: str | None = None
    ) -> FirmwareChangePage:
        """Return the firmware versions a device reported, newest first."""
        return self.call(
            FirmwareChangePage,
            "GET",
            f"/api/vpp/devices/{part(device_id)}/firmware",
            query={"limit": limit, "cursor": cursor},
        )

    def each_firmware(
        self, device_id: str, *, limit: int | None = None
    ) -> Iterator[FirmwareChange]:
        """Yield the items of all pages of ``list_firmware``."""
        cursor: str | None = None
        while True:
            page = self.list_firmware(device_id, limit=limit, cursor=cursor)
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def get_configuration(self, device_id: str) -> ConfigurationView:
        """Return what a device should be set to, and which version it says it runs."""
        return self.call(
            ConfigurationView, "GET", f"/api/vpp/devices/{part(device_id)}/configuration"
        )

    def put_configuration(
        self,
        device_id: str,
        body: ConfigurationBody | Mapping[str, object],
        *,
        version: int | None = None,
    ) -> ConfigurationVersion:
        """Make the next version of a configuration; ``If-Match: "0"`` makes the first."""
        return self.call(
            ConfigurationVersion,
            "PUT",
            f"/api/vpp/devices/{part(device_id)}/configuration",
            body=body,
            version=version,
        )

    def roll_back_configuration(
        self,
        device_id: str,
        body: RestoreBody | Mapping[str, object],
        *,
        key: str | None = None,
        version: int | None = None,
    ) -> ConfigurationVersion:
        """Make the next version a copy of an earlier one."""
        return self.call(
            ConfigurationVersion,
            "POST",
            f"/api/vpp/devices/{part(device_id)}/configuration/rollback",
            body=body,
            key=key,
            keyed=True,
            version=version,
        )

    def list_configurations(
        self, device_id: str, *, limit: int | None = None, cursor: str | None = None
    ) -> ConfigurationPage:
        """Return all versions of a device's configuration, newest first."""
        return self.call(
            ConfigurationPage,
            "GET",
            f"/api/vpp/devices/{part(device_id)}/configurations",
            query={"limit": limit, "cursor": cursor},
        )

    def each_configurations(
        self, device_id: str, *, limit: int | None = None
    ) -> Iterator[ConfigurationVersion]:
        """Yield the items of all pages of ``list_configurations``."""
        cursor: str | None = None
        while True:
            page = self.list_configurations(device_id, limit=limit, cursor=cursor)
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def manage_device(
        self, device_id: str, body: ManageBody | Mapping[str, object], *, key: str | None = None
    ) -> DeviceCommand:
        """Ask a device to identify itself."""
        return self.call(
            DeviceCommand,
            "POST",
            f"/api/vpp/devices/{part(device_id)}/commands",
            body=body,
            key=key,
            keyed=True,
        )

    def list_device_commands(
        self, device_id: str, *, limit: int | None = None, cursor: str | None = None
    ) -> DeviceCommandPage:
        """Return a device's management commands, newest first."""
        return self.call(
            DeviceCommandPage,
            "GET",
            f"/api/vpp/devices/{part(device_id)}/commands",
            query={"limit": limit, "cursor": cursor},
        )

    def each_device_commands(
        self, device_id: str, *, limit: int | None = None
    ) -> Iterator[DeviceCommand]:
        """Yield the items of all pages of ``list_device_commands``."""
        cursor: str | None = None
        while True:
            page = self.list_device_commands(device_id, limit=limit, cursor=cursor)
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def get_device_command(self, device_id: str, command_id: str) -> DeviceCommand:
        """Return one management command with where it stands and what the device said."""
        return self.call(
            DeviceCommand, "GET", f"/api/vpp/devices/{part(device_id)}/commands/{part(command_id)}"
        )

    def get_connectivity(
        self, device_id: str, *, from_day: str | None = None, to_day: str | None = None
    ) -> ConnectivityList:
        """Return a device's connectivity per UTC day; by default of the last 30 days."""
        return self.call(
            ConnectivityList,
            "GET",
            f"/api/vpp/devices/{part(device_id)}/connectivity",
            query={"from_day": from_day, "to_day": to_day},
        )
