"""The ParkRegistry on SQL: saves a park definition as rows and gives the same one back.

One park is wanted at a time; saving another makes that one wanted and keeps the rows of the first.
The version rises with every change and never falls, whichever park it was.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, Table, delete, func, insert, select, update

from cluster.storage.engine import open_engine, reading, writing
from cluster.storage.tables.park import (
    AGGREGATION_RESOURCES,
    AGGREGATIONS,
    PARKS,
    RESOURCES,
    WANTED_KILLS,
)
from controllers.kernel.errors import NotFoundError
from controllers.kernel.timebase import Clock, SystemClock
from controllers.park import AggregateDefinition, ParkDefinition, ResourceDefinition


def open_registry(url: str) -> SqlParkRegistry:
    """Return the registry behind a database URL; with ``functools.partial`` a picklable factory.

    Raises:
        StorageUnavailableError: the URL names no usable database.
    """
    return SqlParkRegistry(url, SystemClock())


class SqlParkRegistry:
    """A ParkRegistry on a migrated database.

    Every method raises StorageUnavailableError when the database does not answer.
    """

    def __init__(self, url: str, clock: Clock) -> None:
        self._engine = open_engine(url)
        self._clock = clock

    def load(self) -> ParkDefinition:
        """Return the park as currently defined.

        Raises:
            NotFoundError: none was ever saved.
        """
        with reading(self._engine) as connection:
            park = _load(connection)
        if park is None:
            raise NotFoundError("park", "(wanted)")
        return park

    def version(self) -> int:
        """Return a number that rises with every change; 0 before the first."""
        with reading(self._engine) as connection:
            return _version(connection)

    def killed(self) -> frozenset[str]:
        """Return the resources whose kill switch is wanted on."""
        with reading(self._engine) as connection:
            return frozenset(connection.execute(select(WANTED_KILLS.c.resource_id)).scalars())

    def save(self, park: ParkDefinition) -> int:
        """Make a park the wanted one and return the version; the same park again changes nothing.

        Args:
            park: a checked definition.
        """
        with writing(self._engine) as connection:
            version = _version(connection)
            if _load(connection) == park:
                return version
            _delete(connection, park.id)
            connection.execute(update(PARKS).values(is_wanted=False))
            row = msgspec.structs.asdict(park)
            del row["resources"], row["aggregates"]
            row |= {"currency": str(park.currency), "tariff": msgspec.to_builtins(park.tariff)}
            row |= {"version": version + 1, "is_wanted": True, "changed_at": self._clock.now()}
            connection.execute(insert(PARKS), row)
            _insert_children(connection, park)
            return version + 1

    def close(self) -> None:
        """Release files."""
        self._engine.dispose()


def _version(connection: Connection) -> int:
    return connection.execute(select(func.max(PARKS.c.version))).scalar_one() or 0


def _delete(connection: Connection, park_id: str) -> None:
    for table in (AGGREGATION_RESOURCES, AGGREGATIONS, RESOURCES):
        connection.execute(delete(table).where(table.c.park_id == park_id))
    connection.execute(delete(PARKS).where(PARKS.c.id == park_id))


def _insert_children(connection: Connection, park: ParkDefinition) -> None:
    resources = [
        {**msgspec.structs.asdict(resource), "park_id": park.id, "position": position}
        for position, resource in enumerate(park.resources)
    ]
    aggregations = []
    members = []
    for position, aggregate in enumerate(park.aggregates):
        row = {**msgspec.structs.asdict(aggregate), "park_id": park.id, "position": position}
        members += [
            {
                "park_id": park.id,
                "aggregation_id": aggregate.id,
                "position": member_position,
                "member_id": member_id,
            }
            for member_position, member_id in enumerate(row.pop("members"))
        ]
        aggregations.append(row)
    connection.execute(insert(RESOURCES), resources)
    connection.execute(insert(AGGREGATIONS), aggregations)
    connection.execute(insert(AGGREGATION_RESOURCES), members)


def _load(connection: Connection) -> ParkDefinition | None:
    wanted = select(PARKS).where(PARKS.c.is_wanted)
    park = connection.execute(wanted).mappings().one_or_none()
    if park is None:
        return None
    members: dict[str, list[str]] = defaultdict(list)
    for row in _children(connection, AGGREGATION_RESOURCES, park["id"]):
        members[row["aggregation_id"]].append(row["member_id"])
    aggregates = [
        {**_fields(row, AggregateDefinition), "members": members[row["id"]]}
        for row in _children(connection, AGGREGATIONS, park["id"])
    ]
    resources = [
        _fields(row, ResourceDefinition) for row in _children(connection, RESOURCES, park["id"])
    ]
    whole = {**_fields(park, ParkDefinition), "resources": resources, "aggregates": aggregates}
    return msgspec.convert(whole, ParkDefinition)


def _children(connection: Connection, table: Table, park_id: str) -> list[RowMapping]:
    query = select(table).where(table.c.park_id == park_id).order_by(table.c.position)
    return list(connection.execute(query).mappings())


def _fields(row: RowMapping, type_: type[msgspec.Struct]) -> dict[str, Any]:
    return {name: row[name] for name in type_.__struct_fields__ if name in row}
