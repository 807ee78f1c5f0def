"""The DeviceLedger on SQL: what is to be looked after, and what machines found out.

The one writer is the actor that looks after the devices. It never overwrites what a person decided
meanwhile: of a maintenance window it changes the state only from the one it knew.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, and_, delete, func, insert, select, update

from cluster.storage.device_upkeep import command_row, value_of
from cluster.storage.devices import device_of
from cluster.storage.engine import open_engine, reading, writing
from cluster.storage.tables.devices import (
    DEVICE_COMMANDS,
    DEVICE_CONFIGURATIONS,
    DEVICE_CONNECTIVITY,
    DEVICE_REPORTS,
    DEVICE_REVISION,
    DEVICES,
    FIRMWARE_HISTORY,
    MAINTENANCE_WINDOWS,
)
from controllers.devices.book import DeviceBook, DeviceNews
from controllers.devices.commands import DeviceCommand
from controllers.devices.configuration import ConfigurationVersion
from controllers.devices.connectivity import ConnectivityDay
from controllers.devices.maintenance import UNSETTLED, MaintenanceWindow
from controllers.devices.registration import Device, DeviceState
from controllers.devices.reports import DeviceReport


def open_device_ledger(url: str) -> SqlDeviceLedger:
    """Return the ledger behind a database URL; with ``functools.partial`` a picklable factory.

    Raises:
        StorageUnavailableError: the URL names no usable database.
    """
    return SqlDeviceLedger(url)


class SqlDeviceLedger:
    """A DeviceLedger on a migrated database."""

    def __init__(self, url: str) -> None:
        self._engine = open_engine(url)

    def revision(self) -> int:
        """Return a number that rises with everything people change."""
        with reading(self._engine) as connection:
            return int(connection.execute(select(DEVICE_REVISION.c.revision)).scalar_one())

    def load(self) -> DeviceBook:
        """Return everything there is to look after."""
        with reading(self._engine) as connection:
            active = select(DEVICES).where(DEVICES.c.state == str(DeviceState.ACTIVE))
            found = [device_of(row) for row in connection.execute(active).mappings()]
            devices = {device.resource_id: device for device in found}
            reports = _values(connection, DEVICE_REPORTS, DeviceReport)
            commands = _values(connection, DEVICE_COMMANDS, DeviceCommand, is_open=True)
            windows = _values(connection, MAINTENANCE_WINDOWS, MaintenanceWindow, is_open=True)
            return DeviceBook(
                devices=devices,
                reports={report.device_id: report for report in reports},
                configurations=_configurations(connection, devices),
                commands={command.id: command for command in commands},
                windows={window.id: window for window in windows},
            )

    def connectivity(self, day: date) -> list[ConnectivityDay]:
        """Return the rows of a day."""
        with reading(self._engine) as connection:
            return _values(connection, DEVICE_CONNECTIVITY, ConnectivityDay, day=day)

    def save(self, news: DeviceNews) -> None:
        """Write what machines have found out; all of it or nothing."""
        with writing(self._engine) as connection:
            for report in news.reports.values():
                _replace(connection, DEVICE_REPORTS, _row(report), "device_id")
            for change in news.firmware.values():
                _replace(connection, FIRMWARE_HISTORY, _row(change), "id")
            for command in news.commands.values():
                columns = DEVICE_COMMANDS.c
                connection.execute(
                    update(DEVICE_COMMANDS)
                    .where(columns.id == command.id, columns.is_open.is_(True))
                    .values(command_row(command))
                )
            for window in news.windows.values():
                _save_window(connection, window)
            for day in news.connectivity.values():
                _replace(connection, DEVICE_CONNECTIVITY, _row(day), "device_id", "day")

    def close(self) -> None:
        """Release files."""
        self._engine.dispose()


def _values(connection: Connection, table: Table, type_: type[Any], **where: object) -> list[Any]:
    conditions = [table.c[name] == value for name, value in where.items()]
    rows = connection.execute(select(table).where(*conditions)).mappings()
    return [value_of(row, type_) for row in rows]


def _configurations(
    connection: Connection, devices: Mapping[str, Device]
) -> dict[str, ConfigurationVersion | None]:
    columns = DEVICE_CONFIGURATIONS.c
    newest = (
        select(columns.device_id, func.max(columns.version).label("version"))
        .group_by(columns.device_id)
        .subquery()
    )
    same = and_(newest.c.device_id == columns.device_id, newest.c.version == columns.version)
    query = (
        select(DEVICE_CONFIGURATIONS, DEVICES.c.resource_id)
        .join_from(DEVICE_CONFIGURATIONS, newest, same)
        .join(DEVICES, DEVICES.c.id == columns.device_id)
    )
    found: dict[str, ConfigurationVersion | None] = {}
    for row in connection.execute(query).mappings():
        resource_id = row["resource_id"]
        holder = devices.get(resource_id)
        if holder is not None and holder.id == row["device_id"]:
            found[resource_id] = value_of(row, ConfigurationVersion)
        else:
            found.setdefault(resource_id, None)
    return found


def _save_window(connection: Connection, window: MaintenanceWindow) -> None:
    columns = MAINTENANCE_WINDOWS.c
    values = {
        "state": str(window.state),
        "is_open": window.state in UNSETTLED,
        "opened_at": window.opened_at,
        "ended_at": window.ended_at,
    }
    # Whoever changed it meanwhile raised the version; the follower will look again.
    known = and_(columns.id == window.id, columns.version == window.version)
    connection.execute(update(MAINTENANCE_WINDOWS).where(known).values(values))


def _replace(connection: Connection, table: Table, row: dict[str, Any], *keys: str) -> None:
    where = [table.c[key] == row[key] for key in keys]
    connection.execute(delete(table).where(*where))
    connection.execute(insert(table), row)


def _row(value: msgspec.Struct) -> dict[str, Any]:
    fields = msgspec.structs.asdict(value)
    return {name: str(field) if name == "mode" else field for name, field in fields.items()}
