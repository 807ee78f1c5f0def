"""Takes a park file into the rows of a park, keeping what was retired and what did not change."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, Table, delete, insert, select, update

from cluster.storage.park_rows import members_of
from cluster.storage.tables.park import AGGREGATION_RESOURCES, AGGREGATIONS, PARKS, RESOURCES
from cluster.storage.tables.templates import TEMPLATE_USAGE
from controllers.kernel.wire import encode
from controllers.park import AggregateDefinition, ParkDefinition, ResourceDefinition


def digest_of(park: ParkDefinition) -> str:
    """Return what tells whether a park file says the same as before."""
    return hashlib.sha256(encode(park)).hexdigest()


def import_park(connection: Connection, park: ParkDefinition, version: int, now: datetime) -> None:
    """Make the rows of a park say what its file says, under a new version of the park.

    What is at work and no longer in the file is retired; what the file lists again is back.
    """
    row: dict[str, Any] = {
        **{name: getattr(park, name) for name in ("id", "name", "timezone", "valid_from")},
        "currency": str(park.currency),
        "tariff": msgspec.to_builtins(park.tariff),
        "version": version,
        "is_wanted": True,
        "changed_at": now,
        "file_digest": digest_of(park),
        "n_edits": 0,
    }
    connection.execute(update(PARKS).values(is_wanted=False))
    same = PARKS.c.id == park.id
    if connection.execute(select(PARKS.c.id).where(same)).first() is None:
        connection.execute(insert(PARKS), row)
    else:
        connection.execute(update(PARKS).where(same).values(row))
    for position, resource in enumerate(park.resources):
        _Row(connection, RESOURCES, park.id, resource.id).put(
            {**msgspec.structs.asdict(resource), "position": position}, version=version, now=now
        )
    for position, aggregate in enumerate(park.aggregates):
        fields = msgspec.structs.asdict(aggregate)
        members = fields.pop("members")
        changed = members_of(connection, park.id, aggregate.id) != members
        _Row(connection, AGGREGATIONS, park.id, aggregate.id).put(
            {**fields, "position": position}, changed=changed, version=version, now=now
        )
        if changed:
            put_members(connection, park.id, aggregate.id, members)
    _retire_others(connection, RESOURCES, park, park.resources, version=version, now=now)
    _retire_others(connection, AGGREGATIONS, park, park.aggregates, version=version, now=now)


def put_members(
    connection: Connection, park_id: str, aggregation_id: str, members: Sequence[str]
) -> None:
    """Make an aggregation list these, in this order."""
    table = AGGREGATION_RESOURCES
    ours = (table.c.park_id == park_id, table.c.aggregation_id == aggregation_id)
    connection.execute(delete(table).where(*ours))
    rows = [
        {"park_id": park_id, "aggregation_id": aggregation_id, "position": i, "member_id": member}
        for i, member in enumerate(members)
    ]
    if rows:
        connection.execute(insert(table), rows)


class _Row:
    """One resource's or aggregation's row."""

    def __init__(self, connection: Connection, table: Table, park_id: str, id_: str) -> None:
        self._connection = connection
        self._table = table
        self._key = {"park_id": park_id, "id": id_}
        self._where = (table.c.park_id == park_id, table.c.id == id_)

    def put(
        self, fields: Mapping[str, Any], *, version: int, now: datetime, changed: bool = False
    ) -> None:
        """Insert or update it; one that says the same already only moves to its position."""
        standing = self._standing()
        if standing is None:
            born = {"version": 1, "created_at": now, "changed_at": now, "changed_in": version}
            row = {**fields, **self._key, **born, "status": "active"}
            self._connection.execute(insert(self._table), row)
            return
        same = all(standing[name] == value for name, value in fields.items() if name != "position")
        if same and not changed and standing["status"] == "active":
            if standing["position"] != fields["position"]:
                self._update({"position": fields["position"]})
            return
        moved = {
            **fields,
            "status": "active",
            "retired_at": None,
            "version": standing["version"] + 1,
            "changed_in": version,
            "changed_at": now,
        }
        if self._table is RESOURCES and standing["parameters"] != fields["parameters"]:
            moved |= {"template_id": None, "template_version": None}
            release_template(self._connection, self._key["park_id"], self._key["id"], now)
        self._update(moved)

    def _standing(self) -> RowMapping | None:
        query = select(self._table).where(*self._where)
        return self._connection.execute(query).mappings().one_or_none()

    def _update(self, values: Mapping[str, Any]) -> None:
        self._connection.execute(update(self._table).where(*self._where).values(dict(values)))


def release_template(connection: Connection, park_id: str, resource_id: str, now: datetime) -> None:
    """Note that a resource uses its template no more."""
    usage = TEMPLATE_USAGE.c
    connection.execute(
        update(TEMPLATE_USAGE)
        .where(usage.park_id == park_id, usage.resource_id == resource_id)
        .where(usage.released_at.is_(None))
        .values(released_at=now)
    )


def _retire_others(
    connection: Connection,
    table: Table,
    park: ParkDefinition,
    kept: Sequence[ResourceDefinition] | Sequence[AggregateDefinition],
    *,
    version: int,
    now: datetime,
) -> None:
    # Drafts and what is inactive are no matter of a park file.
    query = select(table.c.id, table.c.version).where(
        table.c.park_id == park.id, table.c.status == "active"
    )
    ids = {item.id for item in kept}
    for id_, row_version in connection.execute(query).all():
        if id_ in ids:
            continue
        values = {"status": "retired", "retired_at": now, "changed_at": now}
        values |= {"version": row_version + 1, "changed_in": version}
        where = (table.c.park_id == park.id, table.c.id == id_)
        connection.execute(update(table).where(*where).values(values))
        if table is RESOURCES:
            release_template(connection, park.id, id_, now)
