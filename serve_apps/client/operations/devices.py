"""Calls of the API, devices; written by ``serve_apps.client.generate``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from controllers.devices.registration import Device
from controllers.devices.reports import FirmwareChange
from serve_apps.client.transport import Transport, part
from serve_apps.devices.bodies import DeviceChangeBody, RegisterBody, RotateBody
from serve_apps.devices.views import (
    DeviceAccountList,
    DeviceAccountView,
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
