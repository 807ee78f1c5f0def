"""The AssetBook on SQL: one process's picture of all assets, kept up by version."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import TypeVar

from sqlalchemy import RowMapping

from cluster.storage.engine import open_engine, reading
from cluster.storage.park_rows import load_records, park_definition, park_version, wanted_row
from controllers.assets.records import AggregateRecord, AggregateStatus, ResourceRecord
from controllers.kernel.errors import NotFoundError, StorageUnavailableError
from controllers.park import ParkDefinition

_REFRESH_S = 1.0

_RecordT = TypeVar("_RecordT", ResourceRecord, AggregateRecord)

_log = logging.getLogger(__name__)


class SqlAssetBook:
    """An AssetBook on a migrated database in which a park is wanted.

    Args:
        url: of the database.

    Raises:
        NotFoundError: no park was ever saved.
        StorageUnavailableError: the database does not answer.
    """

    def __init__(self, url: str) -> None:
        self._engine = open_engine(url)
        self._lock = threading.Lock()
        self._version = -1
        self._row: RowMapping | None = None
        self._resources: dict[str, ResourceRecord] = {}
        self._aggregates: dict[str, AggregateRecord] = {}
        self._park: ParkDefinition | None = None
        self._parents: dict[str, list[str]] | None = None
        self.refresh()

    def park(self) -> ParkDefinition:
        """Return the park as it is to run."""
        park = self._park
        if park is None:
            with self._lock:
                if self._row is None:
                    raise NotFoundError("park", "(wanted)")
                resources, aggregates = self._resources.values(), self._aggregates.values()
                park = park_definition(self._row, list(resources), list(aggregates))
                self._park = park
        return park

    @property
    def resources(self) -> Mapping[str, ResourceRecord]:
        """All resources by id."""
        return MappingProxyType(self._resources)

    @property
    def aggregates(self) -> Mapping[str, AggregateRecord]:
        """All aggregations by id."""
        return MappingProxyType(self._aggregates)

    def parents_of(self, member_id: str) -> list[str]:
        """Return the aggregations that list a member and are not retired."""
        parents = self._parents
        if parents is None:
            parents = {}
            for id_, record in self._aggregates.items():
                if record.status is not AggregateStatus.RETIRED:
                    for member in record.definition.members:
                        parents.setdefault(member, []).append(id_)
            self._parents = parents
        return parents.get(member_id, [])

    def take(
        self,
        resources: Sequence[ResourceRecord] = (),
        aggregates: Sequence[AggregateRecord] = (),
    ) -> None:
        """Take in what this process has just changed, before it is read back."""
        with self._lock:
            self._put(resources, aggregates)

    def refresh(self) -> None:
        """Read what changed since the last time; blocks."""
        with reading(self._engine) as connection:
            version = park_version(connection)
            if version == self._version:
                return
            row = wanted_row(connection)
            if row is None:
                raise NotFoundError("park", "(wanted)")
            same = self._row is not None and self._row["id"] == row["id"]
            records = load_records(connection, row["id"], self._version if same else -1)
        with self._lock:
            if not same:
                self._resources, self._aggregates = {}, {}
            self._row, self._version = row, version
            self._put(*records)
        _log.debug("the park is now at version %d", version)

    async def follow(self) -> None:
        """Keep up with changes until cancelled; an unavailable database leaves the last ones."""
        while True:
            await asyncio.sleep(_REFRESH_S)
            with suppress(StorageUnavailableError):
                await asyncio.to_thread(self.refresh)

    def close(self) -> None:
        """Release files."""
        self._engine.dispose()

    def _put(
        self, resources: Sequence[ResourceRecord], aggregates: Sequence[AggregateRecord]
    ) -> None:
        # New dictionaries, because others are reading the old ones.
        if resources:
            self._resources = _newest(self._resources, resources)
        if aggregates:
            self._aggregates = _newest(self._aggregates, aggregates)
        self._park = None
        self._parents = None


def _newest(held: Mapping[str, _RecordT], came: Sequence[_RecordT]) -> dict[str, _RecordT]:
    merged = dict(held)
    for record in came:
        before = merged.get(record.definition.id)
        if before is None or before.version <= record.version:
            merged[record.definition.id] = record
    return merged
