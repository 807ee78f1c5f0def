"""The AggregationStore on SQL: drafts, members, limits, and what is at work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, func, insert, select, update

from cluster.storage.asset_book import SqlAssetBook
from cluster.storage.database import Database
from cluster.storage.paging import holds_text, page_of
from cluster.storage.park_import import put_members
from cluster.storage.park_rows import aggregate_record, bump, lock_park, members_of
from cluster.storage.resources import AFTER_FILE, listing, taken_ids
from cluster.storage.tables.park import AGGREGATION_RESOURCES, AGGREGATIONS, RESOURCES
from controllers.aggregation.conflicts import circle_through
from controllers.assets.records import (
    AGGREGATE_MACHINE,
    AggregateRecord,
    AggregateStatus,
    AggregateTrigger,
)
from controllers.kernel.errors import (
    ConflictError,
    NotFoundError,
    Problem,
    RulesBrokenError,
    StaleVersionError,
)
from controllers.park import AggregateDefinition
from controllers.ports.acts import Act, Done
from controllers.ports.assets import AggregateChange, AggregateFilter, ConnectionLimits
from controllers.ports.pages import Page, PageRequest

MAX_AGGREGATES = 1000
MAX_MEMBERS = 5000

_A = AGGREGATIONS.c
_M = AGGREGATION_RESOURCES.c

Edit = Callable[[Connection, str, AggregateRecord], AggregateRecord]
"""From connection, park and what stands to what shall stand."""


class SqlAggregations:
    """An AggregationStore on a migrated database.

    Args:
        database: of this process.
        book: is told what was changed.
    """

    def __init__(self, database: Database, book: SqlAssetBook) -> None:
        self._database = database
        self._book = book

    async def create(self, act: Act, definition: AggregateDefinition) -> Done[AggregateRecord]:
        """Make a draft."""

        def work(connection: Connection) -> AggregateRecord:
            park_id = lock_park(connection)
            _require_fit(connection, park_id, definition.id, [], definition.members)
            taken = taken_ids(connection, park_id, [definition.id])
            if taken:
                message = f"{definition.id} is taken, by something at work or retired"
                raise ConflictError(message, current=definition.id)
            standing = select(func.count()).where(_A.park_id == park_id, _A.status != "retired")
            if connection.execute(standing).scalar_one() >= MAX_AGGREGATES:
                message = f"a park holds at most {MAX_AGGREGATES} aggregations"
                raise ConflictError(message, current=str(MAX_AGGREGATES))
            now = self._database.clock.now()
            version = bump(connection, park_id, now)
            record = AggregateRecord(
                definition=definition,
                status=AggregateStatus.DRAFT,
                version=1,
                created_at=now,
                changed_at=now,
            )
            row = {**_row(record), "park_id": park_id, "changed_in": version}
            connection.execute(insert(AGGREGATIONS), {**row, "position": AFTER_FILE + version})
            put_members(connection, park_id, definition.id, definition.members)
            return record

        return await self._taken(act, work)

    async def update(
        self, act: Act, seen_version: int, change: AggregateChange
    ) -> Done[AggregateRecord]:
        """Change name, period and tolerances."""
        return await self._edit(act, seen_version, lambda _c, _p, r: _with(r, change))

    async def set_limits(
        self, act: Act, seen_version: int, limits: ConnectionLimits
    ) -> Done[AggregateRecord]:
        """Change the connection's limits; the one way to do that."""
        return await self._edit(act, seen_version, lambda _c, _p, r: _with(r, limits))

    async def add_members(
        self, act: Act, member_ids: Sequence[str], seen_version: int | None
    ) -> Done[AggregateRecord]:
        """Add members, all or none."""

        def edit(connection: Connection, park_id: str, record: AggregateRecord) -> AggregateRecord:
            standing = record.definition.members
            _require_fit(connection, park_id, act.subject, standing, member_ids)
            return _listing(record, [*standing, *member_ids])

        return await self._edit(act, seen_version, edit)

    async def check_members(
        self, aggregation_id: str, member_ids: Sequence[str], seen_version: int | None
    ) -> None:
        """Check that members could be added."""
        park_id = self._book.park().id

        def look(connection: Connection) -> None:
            record = _require(connection, park_id, aggregation_id, seen_version)
            standing = record.definition.members
            _require_fit(connection, park_id, aggregation_id, standing, member_ids)

        await self._database.read(look)

    async def remove_member(
        self, act: Act, member_id: str, seen_version: int | None
    ) -> Done[AggregateRecord]:
        """Remove a member."""

        def edit(connection: Connection, park_id: str, record: AggregateRecord) -> AggregateRecord:
            if member_id not in record.definition.members:
                raise NotFoundError("member", member_id)
            left = [m for m in record.definition.members if m != member_id]
            if record.status is AggregateStatus.ACTIVE and not _at_work(connection, park_id, left):
                message = "it is the last member at work; deactivate the aggregation first"
                raise ConflictError(message, current=member_id)
            return _listing(record, left)

        return await self._edit(act, seen_version, edit)

    async def activate(self, act: Act, seen_version: int | None) -> Done[AggregateRecord]:
        """Put it to work."""

        def edit(connection: Connection, park_id: str, record: AggregateRecord) -> AggregateRecord:
            moved = _moved(record, AggregateTrigger.ACTIVATE)
            if not _at_work(connection, park_id, record.definition.members):
                raise ConflictError("none of its members is at work", current=str(record.status))
            return moved

        return await self._edit(act, seen_version, edit)

    async def deactivate(self, act: Act, seen_version: int | None) -> Done[AggregateRecord]:
        """Take it from work."""

        def edit(connection: Connection, park_id: str, record: AggregateRecord) -> AggregateRecord:
            moved = _moved(record, AggregateTrigger.DEACTIVATE)
            for holder in listing(connection, park_id, act.subject):
                others = [m for m in members_of(connection, park_id, holder) if m != act.subject]
                if _is_active(connection, park_id, holder) and not _at_work(
                    connection, park_id, others
                ):
                    message = f"{holder} would be left without a member; deactivate that first"
                    raise ConflictError(message, current=holder)
            return moved

        return await self._edit(act, seen_version, edit)

    async def retire(self, act: Act, seen_version: int) -> Done[AggregateRecord]:
        """Take it out for good."""

        def edit(connection: Connection, park_id: str, record: AggregateRecord) -> AggregateRecord:
            moved = _moved(record, AggregateTrigger.RETIRE)
            holders = listing(connection, park_id, act.subject)
            if holders:
                message = f"it is a member of {', '.join(holders)}; remove it there first"
                raise ConflictError(message, current=holders[0])
            return msgspec.structs.replace(moved, retired_at=self._database.clock.now())

        return await self._edit(act, seen_version, edit)

    async def list(self, wanted: AggregateFilter, request: PageRequest) -> Page[AggregateRecord]:
        """Return aggregations."""
        park_id = self._book.park().id
        query = select(AGGREGATIONS).where(_A.park_id == park_id)
        if wanted.status is None:
            query = query.where(_A.status != str(AggregateStatus.RETIRED))
        else:
            query = query.where(_A.status == str(wanted.status))
        if wanted.within is not None:
            query = query.where(_A.id.in_(wanted.within))
        if wanted.name is not None:
            query = query.where(holds_text(_A.name, wanted.name))
        if wanted.member is not None:
            holding = select(_M.aggregation_id).where(
                _M.park_id == park_id, _M.member_id == wanted.member
            )
            query = query.where(_A.id.in_(holding))
        return await self._database.read(
            lambda connection: page_of(
                connection,
                query,
                request,
                sorts={n: _A[n] for n in ("position", "id", "name", "created_at")},
                default_sort="position",
                id_column=_A.id,
                build=lambda row: aggregate_record(row, members_of(connection, park_id, row["id"])),
            )
        )

    async def _edit(self, act: Act, seen_version: int | None, edit: Edit) -> Done[AggregateRecord]:
        def work(connection: Connection) -> AggregateRecord:
            park_id = lock_park(connection)
            standing = _require(connection, park_id, act.subject, seen_version)
            now = self._database.clock.now()
            wanted = edit(connection, park_id, standing)
            changed = msgspec.structs.replace(wanted, version=standing.version + 1, changed_at=now)
            row = {**_row(changed), "changed_in": bump(connection, park_id, now)}
            where = (_A.park_id == park_id, _A.id == act.subject)
            connection.execute(update(AGGREGATIONS).where(*where).values(row))
            if changed.definition.members != standing.definition.members:
                put_members(connection, park_id, act.subject, changed.definition.members)
            return changed

        return await self._taken(act, work)

    async def _taken(
        self, act: Act, work: Callable[[Connection], AggregateRecord]
    ) -> Done[AggregateRecord]:
        done = await self._database.act(act, work, AggregateRecord)
        self._book.take(aggregates=[done.value])
        return done


def _require(
    connection: Connection, park_id: str, aggregation_id: str, seen_version: int | None
) -> AggregateRecord:
    query = select(AGGREGATIONS).where(_A.park_id == park_id, _A.id == aggregation_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise NotFoundError("aggregation", aggregation_id)
    record = aggregate_record(row, members_of(connection, park_id, aggregation_id))
    if seen_version is not None and record.version != seen_version:
        raise StaleVersionError("the aggregation", record.version)
    if record.status is AggregateStatus.RETIRED:
        raise ConflictError("it is retired; make another", current=str(record.status))
    return record


def _require_fit(
    connection: Connection,
    park_id: str,
    aggregation_id: str,
    standing: Sequence[str],
    added: Sequence[str],
) -> None:
    """Check members to be added to those that stand; every broken rule is told."""
    known = _known(connection, park_id, added)
    circles = circle_through(aggregation_id, added, _children(connection, park_id, aggregation_id))
    problems = []
    for i, member in enumerate(added):
        if member in standing or member in added[:i]:
            rule = "is a member already"
        elif member in circles or member == aggregation_id:
            rule = f"would make {aggregation_id} contain itself"
        elif member not in known:
            rule = "must be a resource in operation or an aggregation of this park"
        else:
            continue
        problems.append(Problem(field=f"members[{i}]", value=member, rule=rule))
    if len(standing) + len(added) > MAX_MEMBERS:
        rule = f"must be at most {MAX_MEMBERS} in all"
        problems.append(Problem(field="members", value=len(standing) + len(added), rule=rule))
    if problems:
        raise RulesBrokenError(problems)


def _known(connection: Connection, park_id: str, ids: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for table in (RESOURCES, AGGREGATIONS):
        query = select(table.c.id).where(
            table.c.park_id == park_id, table.c.id.in_(list(ids)), table.c.status != "retired"
        )
        found |= set(connection.execute(query).scalars())
    return found


def _children(connection: Connection, park_id: str, without: str) -> Mapping[str, list[str]]:
    """Return the aggregations inside each other one; resources end every way."""
    inner = select(_A.id).where(_A.park_id == park_id, _A.status != "retired")
    query = select(_M.aggregation_id, _M.member_id).where(
        _M.park_id == park_id, _M.member_id.in_(inner), _M.aggregation_id != without
    )
    children: dict[str, list[str]] = {}
    for aggregation_id, member_id in connection.execute(query):
        children.setdefault(aggregation_id, []).append(member_id)
    return children


def _at_work(connection: Connection, park_id: str, ids: Sequence[str]) -> bool:
    """Tell whether any of some members is at work."""
    for table in (RESOURCES, AGGREGATIONS):
        query = select(table.c.id).where(
            table.c.park_id == park_id, table.c.id.in_(list(ids)), table.c.status == "active"
        )
        if connection.execute(query.limit(1)).first() is not None:
            return True
    return False


def _is_active(connection: Connection, park_id: str, aggregation_id: str) -> bool:
    query = select(_A.id).where(
        _A.park_id == park_id, _A.id == aggregation_id, _A.status == "active"
    )
    return connection.execute(query).first() is not None


def _moved(record: AggregateRecord, trigger: AggregateTrigger) -> AggregateRecord:
    status = AGGREGATE_MACHINE.next(record.status, trigger)
    return msgspec.structs.replace(record, status=status)


def _with(record: AggregateRecord, change: AggregateChange | ConnectionLimits) -> AggregateRecord:
    definition = msgspec.structs.replace(record.definition, **msgspec.structs.asdict(change))
    return msgspec.structs.replace(record, definition=definition)


def _listing(record: AggregateRecord, members: Sequence[str]) -> AggregateRecord:
    definition = msgspec.structs.replace(record.definition, members=list(members))
    return msgspec.structs.replace(record, definition=definition)


def _row(record: AggregateRecord) -> dict[str, Any]:
    row = msgspec.structs.asdict(record.definition)
    del row["members"]
    return {
        **row,
        "status": str(record.status),
        **{n: getattr(record, n) for n in ("version", "created_at", "changed_at", "retired_at")},
    }
