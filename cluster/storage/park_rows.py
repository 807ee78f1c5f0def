"""The rows of the wanted park as values: definitions for control, records for its owners."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, Table, bindparam, func, select, update

from cluster.storage.tables.park import AGGREGATION_RESOURCES, AGGREGATIONS, PARKS, RESOURCES
from controllers.assets.geometry import Site
from controllers.assets.records import (
    AggregateRecord,
    AggregateStatus,
    ResourceRecord,
    ResourceStatus,
)
from controllers.assets.templates import TemplateRef
from controllers.kernel.errors import NotFoundError
from controllers.park import AggregateDefinition, ParkDefinition, ResourceDefinition

_WANTED = select(PARKS).where(PARKS.c.is_wanted)
_LOCKED = select(PARKS.c.id).where(PARKS.c.is_wanted).with_for_update()
_EDIT = (
    update(PARKS)
    .where(PARKS.c.id == bindparam("key_id"))
    .values(
        version=bindparam("new_version"),
        n_edits=PARKS.c.n_edits + 1,
        changed_at=bindparam("now"),
    )
)
_GREATEST = select(func.max(PARKS.c.version))


def park_version(connection: Connection) -> int:
    """Return a number that rises with every change of any park; 0 before the first."""
    return connection.execute(_GREATEST).scalar_one() or 0


def lock_park(connection: Connection) -> str:
    """Return the wanted park's id; until the end of the transaction nobody else changes it.

    Raises:
        NotFoundError: no park was ever saved.
    """
    park_id = connection.execute(_LOCKED).scalar_one_or_none()
    if park_id is None:
        raise NotFoundError("park", "(wanted)")
    return str(park_id)


def bump(connection: Connection, park_id: str, now: datetime) -> int:
    """Raise the version of a locked park for an edit; returns the new one."""
    version = park_version(connection) + 1
    edit = {"key_id": park_id, "new_version": version, "now": now}
    connection.execute(_EDIT, edit)
    return version


def load_park(connection: Connection) -> ParkDefinition | None:
    """Return the wanted park as it is to run: what is at work, and nothing else."""
    park = connection.execute(_WANTED).mappings().one_or_none()
    if park is None:
        return None
    resources, aggregates = load_records(connection, park["id"])
    return park_definition(park, resources, aggregates)


def wanted_row(connection: Connection) -> RowMapping | None:
    """Return the row of the wanted park."""
    return connection.execute(_WANTED).mappings().one_or_none()


def park_definition(
    park: RowMapping, resources: Sequence[ResourceRecord], aggregates: Sequence[AggregateRecord]
) -> ParkDefinition:
    """Return the park that a row and its records make."""
    running = [r.definition for r in resources if r.status is ResourceStatus.ACTIVE]
    active = [a.definition for a in aggregates if a.status is AggregateStatus.ACTIVE]
    known = {r.id for r in running} | {a.id for a in active}
    whole = {
        **_fields(park, ParkDefinition),
        "resources": running,
        "aggregates": [
            msgspec.structs.replace(a, members=[m for m in a.members if m in known]) for a in active
        ],
    }
    return msgspec.convert(whole, ParkDefinition)


def load_records(
    connection: Connection, park_id: str, since: int = -1
) -> tuple[list[ResourceRecord], list[AggregateRecord]]:
    """Return a park's records in order, or only those that changed after a version of the park."""
    resources = [resource_record(row) for row in _changed(connection, RESOURCES, park_id, since)]
    rows = _changed(connection, AGGREGATIONS, park_id, since)
    members: dict[str, list[str]] = defaultdict(list)
    table = AGGREGATION_RESOURCES
    query = select(table.c.aggregation_id, table.c.member_id).where(table.c.park_id == park_id)
    if since >= 0:
        query = query.where(table.c.aggregation_id.in_([row["id"] for row in rows]))
    for aggregation_id, member_id in connection.execute(query.order_by(table.c.position)):
        members[aggregation_id].append(member_id)
    return resources, [aggregate_record(row, members[row["id"]]) for row in rows]


def resource_record(row: RowMapping) -> ResourceRecord:
    """Return a row as a record."""
    template = None
    if row["template_id"] is not None:
        template = TemplateRef(template_id=row["template_id"], version=row["template_version"])
    return ResourceRecord(
        definition=msgspec.convert(_fields(row, ResourceDefinition), ResourceDefinition),
        status=ResourceStatus(row["status"]),
        template=template,
        site=msgspec.convert(_fields(row, Site), Site),
        **_history(row),
    )


def aggregate_record(row: RowMapping, members: Sequence[str]) -> AggregateRecord:
    """Return a row and its members as a record."""
    fields = {**_fields(row, AggregateDefinition), "members": list(members)}
    return AggregateRecord(
        definition=msgspec.convert(fields, AggregateDefinition),
        status=AggregateStatus(row["status"]),
        **_history(row),
    )


def members_of(connection: Connection, park_id: str, aggregation_id: str) -> list[str]:
    """Return what an aggregation lists, in order."""
    table = AGGREGATION_RESOURCES.c
    query = (
        select(table.member_id)
        .where(table.park_id == park_id, table.aggregation_id == aggregation_id)
        .order_by(table.position)
    )
    return list(connection.execute(query).scalars())


def _changed(
    connection: Connection, table: Table, park_id: str, since: int
) -> Sequence[RowMapping]:
    query = select(table).where(table.c.park_id == park_id)
    if since >= 0:
        query = query.where(table.c.changed_in > since)
    return connection.execute(query.order_by(table.c.position)).mappings().all()


def _history(row: RowMapping) -> dict[str, Any]:
    return {name: row[name] for name in ("version", "created_at", "changed_at", "retired_at")}


def _fields(row: RowMapping, type_: type[msgspec.Struct]) -> dict[str, Any]:
    return {name: row[name] for name in type_.__struct_fields__ if name in row}
