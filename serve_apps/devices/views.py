"""Answers about devices. A password stands in one answer only, that of the request that made it."""

from __future__ import annotations

from datetime import date, datetime

from controllers.control.contract import TOPIC_ROOT
from controllers.devices.commands import DeviceCommand
from controllers.devices.configuration import ConfigurationVersion
from controllers.devices.connectivity import ConnectivityDay
from controllers.devices.maintenance import MaintenanceWindow, WorkEntry
from controllers.devices.registration import Account, Device, is_valid
from controllers.devices.reports import DeviceReport, FirmwareChange, KnownDevice
from controllers.kernel.states import Health, Quality
from controllers.kernel.wire import Wire
from serve_apps.web.deps import ApiDeps


class DeviceLiveView(Wire):
    """How the resource behind a device lives now."""

    quality: Quality
    health: Health
    age_s: float | None
    """Since the meter was read."""
    detail: str


class DeviceView(Wire):
    """A device: as registered, as it should be, as it says it is, and as it lives."""

    device: Device
    topics: str
    """Its topics begin with this and ``/``."""
    configuration_version: int
    """Newest version it should run; 0 where it was never given any."""
    outdated: bool
    """It should run a firmware that it has not reported."""
    report: DeviceReport | None
    """None until it said something of itself."""
    live: DeviceLiveView | None
    """None until the resource's actor has spoken."""


class DevicePage(Wire):
    """Devices, by id."""

    items: list[DeviceView]
    next_cursor: str | None


class DeviceAccountView(Wire):
    """One account of a device on the broker."""

    id: str
    device_id: str
    username: str
    created_by: str
    created_at: datetime
    valid_until: datetime | None
    revoked_at: datetime | None
    valid: bool
    """Whether the broker lets it in now, give or take three seconds."""


class DeviceAccountList(Wire):
    """All accounts a device ever had, newest first."""

    items: list[DeviceAccountView]


class IssuedView(Wire):
    """A device with a new account; use the user name as client id as well."""

    device: Device
    topics: str
    account: DeviceAccountView
    password: str | None
    """Shown once; null in the answer to a repeat of the request."""


class FirmwareChangePage(Wire):
    """What firmware a device reported, newest first."""

    items: list[FirmwareChange]
    next_cursor: str | None


def topics_of(deps: ApiDeps, device: Device) -> str:
    """Return what a device's topics begin with."""
    return f"{TOPIC_ROOT}/{deps.park().id}/{device.resource_id}"


def account_view(deps: ApiDeps, account: Account) -> DeviceAccountView:
    """Return an account as others may see it."""
    return DeviceAccountView(
        id=account.id,
        device_id=account.device_id,
        username=f"{deps.park().id}.{account.name}",
        created_by=account.created_by,
        created_at=account.created_at,
        valid_until=account.valid_until,
        revoked_at=account.revoked_at,
        valid=is_valid(account, deps.clock.now()),
    )


def device_view(deps: ApiDeps, known: KnownDevice) -> DeviceView:
    """Return a device with how its resource lives."""
    return DeviceView(
        device=known.device,
        topics=topics_of(deps, known.device),
        configuration_version=known.configuration_version,
        outdated=known.outdated,
        report=known.report,
        live=_live(deps, known.device.resource_id),
    )


def _live(deps: ApiDeps, resource_id: str) -> DeviceLiveView | None:
    state = deps.live.resources.get(resource_id)
    if state is None:
        return None
    age_s = None
    if state.measured_at is not None:
        age_s = round((deps.clock.now() - state.measured_at).total_seconds(), 3)
    return DeviceLiveView(
        quality=state.quality, health=state.health, age_s=age_s, detail=state.detail
    )


class ConfigurationView(Wire):
    """What a device should be set to, and what it says it is."""

    device_id: str
    wanted: ConfigurationVersion | None
    """None while it was never given any."""
    reported_version: int | None
    """None while it has not said."""
    in_force: bool
    """It says that it runs what is wanted."""


class ConfigurationPage(Wire):
    """Versions of a device's configuration, newest first."""

    items: list[ConfigurationVersion]
    next_cursor: str | None


class DeviceCommandPage(Wire):
    """Management commands, newest first."""

    items: list[DeviceCommand]
    next_cursor: str | None


class WindowPage(Wire):
    """Maintenance windows, latest first."""

    items: list[MaintenanceWindow]
    next_cursor: str | None


class WorkPage(Wire):
    """A device's work log, newest first."""

    items: list[WorkEntry]
    next_cursor: str | None


class ConnectivityDayView(Wire):
    """How well a device was connected on one UTC day, as far as it was watched."""

    day: date
    watched_s: float
    online_frac: float | None
    """Of the time watched; None where it was not."""
    n_disconnects: int
    n_messages: int
    messages_per_min: float | None
    n_gaps: int
    longest_gap_s: float
    last_seen_at: datetime | None


class ConnectivityList(Wire):
    """A device's days, oldest first."""

    device_id: str
    items: list[ConnectivityDayView]


def connectivity_view(row: ConnectivityDay) -> ConnectivityDayView:
    """Return a day as shares and rates."""
    watched_s = row.watched_s
    return ConnectivityDayView(
        day=row.day,
        watched_s=round(watched_s, 1),
        online_frac=round(row.online_s / watched_s, 4) if watched_s > 0.0 else None,
        n_disconnects=row.n_disconnects,
        n_messages=row.n_messages,
        messages_per_min=round(60.0 * row.n_messages / watched_s, 2) if watched_s > 0.0 else None,
        n_gaps=row.n_gaps,
        longest_gap_s=round(row.longest_gap_s, 1),
        last_seen_at=row.last_seen_at,
    )
