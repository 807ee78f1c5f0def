"""The UpkeepStore on SQL: configurations, management commands, maintenance, work log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Column, Connection, RowMapping, Select, func, insert, select, update

from cluster.storage.database import Database
from cluster.storage.devices import find_device, raise_revision
from cluster.storage.paging import page_of
from cluster.storage.tables.devices import (
    DEVICE_COMMANDS,
    DEVICE_CONFIGURATIONS,
    DEVICE_CONNECTIVITY,
    MAINTENANCE_WINDOWS,
    WORK_LOG,
)
from controllers.devices.commands import DeviceCommand
from controllers.devices.configuration import ConfigurationVersion
from controllers.devices.connectivity import ConnectivityDay
from controllers.devices.maintenance import (
    LIVE,
    UNSETTLED,
    MaintenanceWindow,
    WorkEntry,
    check_window,
    ended_by_hand,
    require_live,
)
from controllers.devices.messages import SettingValue
from controllers.devices.registration import Device, require_active
from controllers.kernel.errors import ConflictError, NotFoundError, StaleVersionError
from controllers.kernel.wire import Wire
from controllers.ports.acts import Act, Done
from controllers.ports.devices import WindowFilter
from controllers.ports.pages import Page, PageRequest

MAX_OPEN_COMMANDS = 16
"""Management commands that may wait for one device."""

WireT = TypeVar("WireT", bound=Wire)


class SqlUpkeep:
    """An UpkeepStore on a migrated database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def configure(
        self,
        act: Act,
        device_id: str,
        seen: int,
        settings: Mapping[str, SettingValue],
        note: str,
    ) -> Done[ConfigurationVersion]:
        """Make the next version of a device's configuration."""

        def work(connection: Connection) -> ConfigurationVersion:
            _begin(connection, device_id)
            _expect_newest(connection, device_id, seen)
            version = ConfigurationVersion(
                device_id=device_id,
                version=seen + 1,
                settings=dict(settings),
                note=note,
                created_by=act.principal,
                created_at=self._database.clock.now(),
            )
            connection.execute(insert(DEVICE_CONFIGURATIONS), msgspec.structs.asdict(version))
            return version

        return await self._database.act(act, work, ConfigurationVersion)

    async def restore(
        self, act: Act, device_id: str, seen: int, version: int, note: str
    ) -> Done[ConfigurationVersion]:
        """Make the next version a copy of an earlier one."""
        columns = DEVICE_CONFIGURATIONS.c
        earlier = select(DEVICE_CONFIGURATIONS).where(
            columns.device_id == device_id, columns.version == version
        )

        def work(connection: Connection) -> ConfigurationVersion:
            _begin(connection, device_id)
            _expect_newest(connection, device_id, seen)
            standing = connection.execute(earlier).mappings().one_or_none()
            if standing is None:
                raise NotFoundError("configuration", str(version))
            again = msgspec.structs.replace(
                value_of(standing, ConfigurationVersion),
                version=seen + 1,
                note=note,
                restores=version,
                created_by=act.principal,
                created_at=self._database.clock.now(),
            )
            connection.execute(insert(DEVICE_CONFIGURATIONS), msgspec.structs.asdict(again))
            return again

        return await self._database.act(act, work, ConfigurationVersion)

    async def configurations(
        self, device_id: str, request: PageRequest
    ) -> Page[ConfigurationVersion]:
        """Return the versions of a device's configuration, newest first."""
        columns = DEVICE_CONFIGURATIONS.c
        return await self._page(
            device_id,
            columns.version,
            columns.version,
            request,
            ConfigurationVersion,
        )

    async def propose(self, act: Act, command: DeviceCommand) -> Done[DeviceCommand]:
        """Keep a management command to be sent."""
        columns = DEVICE_COMMANDS.c
        waiting = select(func.count()).where(
            columns.device_id == command.device_id, columns.is_open.is_(True)
        )

        def work(connection: Connection) -> DeviceCommand:
            _begin(connection, command.device_id)
            n_open = int(connection.execute(waiting).scalar_one())
            if n_open >= MAX_OPEN_COMMANDS:
                message = f"{n_open} commands wait for the device; let them end first"
                raise ConflictError(message, current=str(n_open))
            connection.execute(insert(DEVICE_COMMANDS), command_row(command))
            return command

        return await self._database.act(act, work, DeviceCommand)

    async def command(self, device_id: str, command_id: str) -> DeviceCommand:
        """Return one management command."""
        columns = DEVICE_COMMANDS.c
        query = select(DEVICE_COMMANDS).where(
            columns.device_id == device_id, columns.id == command_id
        )

        def read(connection: Connection) -> DeviceCommand:
            row = connection.execute(query).mappings().one_or_none()
            if row is None:
                raise NotFoundError("command", command_id)
            return value_of(row, DeviceCommand)

        return await self._database.read(read)

    async def commands(self, device_id: str, request: PageRequest) -> Page[DeviceCommand]:
        """Return a device's management commands, newest first."""
        columns = DEVICE_COMMANDS.c
        return await self._page(device_id, columns.issued_at, columns.id, request, DeviceCommand)

    async def plan(self, act: Act, window: MaintenanceWindow) -> Done[MaintenanceWindow]:
        """Plan a maintenance window; its resource is taken from the device."""

        def work(connection: Connection) -> MaintenanceWindow:
            device = _begin(connection, window.device_id)
            planned = msgspec.structs.replace(window, resource_id=device.resource_id)
            _refuse_overlap(connection, planned)
            connection.execute(insert(MAINTENANCE_WINDOWS), window_row(planned))
            return planned

        return await self._database.act(act, work, MaintenanceWindow)

    async def change_window(
        self, act: Act, window_id: str, version: int, end_at: datetime | None, reason: str | None
    ) -> Done[MaintenanceWindow]:
        """Change when a window ends, or why it is."""

        def work(connection: Connection) -> MaintenanceWindow:
            raise_revision(connection)
            window = _find_window(connection, window_id)
            if window.version != version:
                raise StaleVersionError("the window", window.version)
            require_live(window)
            if end_at is not None:
                check_window(window.start_at, end_at, self._database.clock.now())
            changed = msgspec.structs.replace(
                window,
                end_at=end_at or window.end_at,
                reason=reason or window.reason,
                version=version + 1,
            )
            _refuse_overlap(connection, changed)
            return _put_window(connection, changed)

        return await self._database.act(act, work, MaintenanceWindow)

    async def end_window(self, act: Act, window_id: str) -> Done[MaintenanceWindow]:
        """End a window now, or cancel one that has not begun; repeating it changes nothing."""

        def work(connection: Connection) -> MaintenanceWindow:
            raise_revision(connection)
            window = _find_window(connection, window_id)
            if window.state not in LIVE:
                return window
            return _put_window(connection, ended_by_hand(window, self._database.clock.now()))

        return await self._database.act(act, work, MaintenanceWindow)

    async def window(self, window_id: str) -> MaintenanceWindow:
        """Return one maintenance window."""
        return await self._database.read(lambda connection: _find_window(connection, window_id))

    async def windows(self, wanted: WindowFilter, request: PageRequest) -> Page[MaintenanceWindow]:
        """Return maintenance windows, latest first."""
        columns = MAINTENANCE_WINDOWS.c
        query = select(MAINTENANCE_WINDOWS)
        if wanted.device_id is not None:
            query = query.where(columns.device_id == wanted.device_id)
        if wanted.state is not None:
            query = query.where(columns.state == str(wanted.state))
        if wanted.within is not None:
            query = query.where(columns.resource_id.in_(wanted.within))
        read = _paged(query, columns.start_at, columns.id, request, MaintenanceWindow)
        return await self._database.read(read, old_will_do=True)

    async def write_work(self, act: Act, entry: WorkEntry) -> Done[WorkEntry]:
        """Add an entry to a device's work log; a retired device's as well."""

        def work(connection: Connection) -> WorkEntry:
            find_device(connection, entry.device_id)
            if entry.window_id is not None:
                window = _find_window(connection, entry.window_id)
                if window.device_id != entry.device_id:
                    raise NotFoundError("window", entry.window_id)
            connection.execute(insert(WORK_LOG), msgspec.structs.asdict(entry))
            return entry

        return await self._database.act(act, work, WorkEntry)

    async def work(self, device_id: str, request: PageRequest) -> Page[WorkEntry]:
        """Return a device's work log, newest first."""
        columns = WORK_LOG.c
        return await self._page(device_id, columns.written_at, columns.id, request, WorkEntry)

    async def connectivity(
        self, device_id: str, from_day: date, to_day: date
    ) -> list[ConnectivityDay]:
        """Return a device's rows of the days ``[from_day, to_day]``, oldest first."""
        columns = DEVICE_CONNECTIVITY.c
        query = (
            select(DEVICE_CONNECTIVITY)
            .where(columns.device_id == device_id, columns.day.between(from_day, to_day))
            .order_by(columns.day)
        )

        def read(connection: Connection) -> list[ConnectivityDay]:
            find_device(connection, device_id)
            rows = connection.execute(query).mappings()
            return [value_of(row, ConnectivityDay) for row in rows]

        return await self._database.read(read, old_will_do=True)

    async def _page(
        self,
        device_id: str,
        order: Column[Any],
        id_column: Column[Any],
        request: PageRequest,
        type_: type[WireT],
    ) -> Page[WireT]:
        table = order.table
        query = select(table).where(table.c.device_id == device_id)
        read = _paged(query, order, id_column, request, type_)

        def checked(connection: Connection) -> Page[WireT]:
            find_device(connection, device_id)
            return read(connection)

        return await self._database.read(checked, old_will_do=True)


def value_of(row: RowMapping, type_: type[WireT]) -> WireT:
    """Return a row as the value whose fields it has."""
    return msgspec.convert({name: row[name] for name in type_.__struct_fields__}, type_)


def command_row(command: DeviceCommand) -> dict[str, Any]:
    """Return a management command as a row."""
    fields = msgspec.structs.asdict(command)
    plain = {"kind": str(command.kind), "state": str(command.state)}
    return {**fields, **plain, "is_open": command.is_open}


def window_row(window: MaintenanceWindow) -> dict[str, Any]:
    """Return a maintenance window as a row."""
    fields = msgspec.structs.asdict(window)
    return {**fields, "state": str(window.state), "is_open": window.state in UNSETTLED}


def _begin(connection: Connection, device_id: str) -> Device:
    # Raising the revision first makes writers of several processes take turns.
    raise_revision(connection)
    device = find_device(connection, device_id)
    require_active(device)
    return device


def _expect_newest(connection: Connection, device_id: str, seen: int) -> None:
    columns = DEVICE_CONFIGURATIONS.c
    query = select(func.max(columns.version)).where(columns.device_id == device_id)
    newest = int(connection.execute(query).scalar_one() or 0)
    if newest != seen:
        raise StaleVersionError("the configuration", newest)


def _find_window(connection: Connection, window_id: str) -> MaintenanceWindow:
    query = select(MAINTENANCE_WINDOWS).where(MAINTENANCE_WINDOWS.c.id == window_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise NotFoundError("window", window_id)
    return value_of(row, MaintenanceWindow)


def _put_window(connection: Connection, window: MaintenanceWindow) -> MaintenanceWindow:
    of_window = MAINTENANCE_WINDOWS.c.id == window.id
    connection.execute(update(MAINTENANCE_WINDOWS).where(of_window).values(window_row(window)))
    return window


def _refuse_overlap(connection: Connection, window: MaintenanceWindow) -> None:
    columns = MAINTENANCE_WINDOWS.c
    query = select(columns.id).where(
        columns.device_id == window.device_id,
        columns.id != window.id,
        columns.state.in_([str(state) for state in LIVE]),
        columns.start_at < window.end_at,
        columns.end_at > window.start_at,
    )
    other = connection.execute(query.limit(1)).scalar_one_or_none()
    if other is not None:
        message = f"overlaps window {other!r} of the same device; change that one"
        raise ConflictError(message, current=other)


def _paged(
    query: Select[Any],
    order: Column[Any],
    id_column: Column[Any],
    request: PageRequest,
    type_: type[WireT],
) -> Callable[[Connection], Page[WireT]]:
    return lambda connection: page_of(
        connection,
        query,
        request,
        sorts={order.name: order},
        default_sort=f"-{order.name}",
        id_column=id_column,
        build=lambda row: value_of(row, type_),
    )
