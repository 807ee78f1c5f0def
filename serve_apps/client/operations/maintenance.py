"""Calls of the API, maintenance; written by ``serve_apps.client.generate``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from controllers.devices.maintenance import MaintenanceWindow, WorkEntry
from serve_apps.client.transport import Transport, part
from serve_apps.devices.bodies import WindowBody, WindowChangeBody, WorkBody
from serve_apps.devices.views import WindowPage, WorkPage
from serve_apps.web.bodies import ReasonBody


class MaintenanceCalls(Transport):
    """Operations of the domain: maintenance."""

    def plan_maintenance(
        self, device_id: str, body: WindowBody | Mapping[str, object], *, key: str | None = None
    ) -> MaintenanceWindow:
        """Plan a window in which nobody dispatches the device; it begins and ends by itself."""
        return self.call(
            MaintenanceWindow,
            "POST",
            f"/api/vpp/devices/{part(device_id)}/maintenance",
            body=body,
            key=key,
            keyed=True,
        )

    def list_windows(
        self,
        *,
        device: str | None = None,
        state: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> WindowPage:
        """Return maintenance windows, the latest to begin first."""
        return self.call(
            WindowPage,
            "GET",
            "/api/vpp/maintenance-windows",
            query={"device": device, "state": state, "limit": limit, "cursor": cursor},
        )

    def each_windows(
        self, *, device: str | None = None, state: str | None = None, limit: int | None = None
    ) -> Iterator[MaintenanceWindow]:
        """Yield the items of all pages of ``list_windows``."""
        cursor: str | None = None
        while True:
            page = self.list_windows(device=device, state=state, limit=limit, cursor=cursor)
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def get_window(self, window_id: str) -> MaintenanceWindow:
        """Return one maintenance window; ``open`` once the resource has confirmed it."""
        return self.call(
            MaintenanceWindow, "GET", f"/api/vpp/maintenance-windows/{part(window_id)}"
        )

    def change_maintenance(
        self,
        window_id: str,
        body: WindowChangeBody | Mapping[str, object],
        *,
        version: int | None = None,
    ) -> MaintenanceWindow:
        """Change the end or the reason of a window that is not over."""
        return self.call(
            MaintenanceWindow,
            "PATCH",
            f"/api/vpp/maintenance-windows/{part(window_id)}",
            body=body,
            version=version,
        )

    def end_maintenance(
        self, window_id: str, body: ReasonBody | Mapping[str, object], *, key: str | None = None
    ) -> MaintenanceWindow:
        """End a window now, or cancel it before it began; repeating it succeeds."""
        return self.call(
            MaintenanceWindow,
            "POST",
            f"/api/vpp/maintenance-windows/{part(window_id)}/end",
            body=body,
            key=key,
            keyed=True,
        )

    def write_work_log(
        self, device_id: str, body: WorkBody | Mapping[str, object], *, key: str | None = None
    ) -> WorkEntry:
        """Write down what was done; entries are never changed."""
        return self.call(
            WorkEntry,
            "POST",
            f"/api/vpp/devices/{part(device_id)}/work-log",
            body=body,
            key=key,
            keyed=True,
        )

    def list_work_log(
        self, device_id: str, *, limit: int | None = None, cursor: str | None = None
    ) -> WorkPage:
        """Return a device's work log, newest first."""
        return self.call(
            WorkPage,
            "GET",
            f"/api/vpp/devices/{part(device_id)}/work-log",
            query={"limit": limit, "cursor": cursor},
        )

    def each_work_log(self, device_id: str, *, limit: int | None = None) -> Iterator[WorkEntry]:
        """Yield the items of all pages of ``list_work_log``."""
        cursor: str | None = None
        while True:
            page = self.list_work_log(device_id, limit=limit, cursor=cursor)
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return
