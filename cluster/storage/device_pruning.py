"""What of the devices' past is too old: connectivity per day, ended commands, firmware.

Two steps, so that the long one, looking, holds no lock. A command that is open stays, and so does
the last firmware that a device reported, however long ago that was.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Table, and_, bindparam, delete, exists, select

from cluster.storage.tables.devices import (
    DEVICE_COMMANDS,
    DEVICE_CONNECTIVITY,
    DEVICES,
    FIRMWARE_HISTORY,
)

Keys = list[dict[str, object]]
"""Primary keys of rows."""


def find_too_old(connection: Connection, before: datetime, limit: int) -> list[tuple[Table, Keys]]:
    """Return some rows of each table that are older than an instant.

    Args:
        connection: reads.
        before: what is older may go.
        limit: rows of each table.
    """
    commands, changes = DEVICE_COMMANDS.c, FIRMWARE_HISTORY.c
    later = FIRMWARE_HISTORY.alias("later")
    has_later = exists().where(
        later.c.device_id == changes.device_id, later.c.noticed_at > changes.noticed_at
    )
    too_old: tuple[tuple[Table, ColumnElement[bool]], ...] = (
        (DEVICE_CONNECTIVITY, DEVICE_CONNECTIVITY.c.day < before.date()),
        (DEVICE_COMMANDS, and_(commands.issued_at < before, commands.is_open.is_(False))),
        (FIRMWARE_HISTORY, and_(changes.noticed_at < before, has_later)),
    )
    return [(table, _find(connection, table, condition, limit)) for table, condition in too_old]


def forget(connection: Connection, found: list[tuple[Table, Keys]]) -> int:
    """Delete rows; returns how many."""
    for table, keys in found:
        if keys:
            same = [column == bindparam(f"of_{column.name}") for column in table.primary_key]
            rows = [{f"of_{name}": value for name, value in key.items()} for key in keys]
            connection.execute(delete(table).where(*same), rows)
    return sum(len(keys) for _, keys in found)


def _find(connection: Connection, table: Table, condition: ColumnElement[bool], limit: int) -> Keys:
    # By device, since that is how the indexes of these tables begin.
    query = (
        select(*table.primary_key)
        .join_from(DEVICES, table, table.c.device_id == DEVICES.c.id)
        .where(condition)
        .limit(limit)
    )
    return [dict(row) for row in connection.execute(query).mappings()]
