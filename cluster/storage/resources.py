"""The ResourceStore on SQL: changes rows of the wanted park and raises its version with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, bindparam, func, insert, select, union, update

from cluster.storage.asset_book import SqlAssetBook
from cluster.storage.database import Database
from cluster.storage.paging import holds_text, page_of
from cluster.storage.park_import import release_template
from cluster.storage.park_rows import bump, lock_park, resource_record
from cluster.storage.tables.park import AGGREGATION_RESOURCES, AGGREGATIONS, RESOURCES
from cluster.storage.tables.templates import TEMPLATE_USAGE
from cluster.storage.templates import require_template, require_version
from controllers.assets.geometry import Site, check_site
from controllers.assets.records import ResourceRecord, ResourceStatus
from controllers.assets.templates import TemplateRef, TemplateState, configured, with_defaults
from controllers.kernel.errors import (
    ConflictError,
    NotFoundError,
    Problem,
    RulesBrokenError,
    StaleVersionError,
)
from controllers.park import ResourceDefinition, check_resource
from controllers.ports.acts import Act, Done
from controllers.ports.assets import NewResource, ResourceBatch, ResourceChange, ResourceFilter
from controllers.ports.pages import Page, PageRequest

MAX_RESOURCES = 10_000
_SLACK = 2_000
"""Counting costs as much as making, so it begins only this far from the limit; more than other
processes can add before the book hears of it."""
AFTER_FILE = 10_000
"""Positions of what a park file lists lie below; what is made later follows by version."""

_R = RESOURCES.c

# Built once: putting a statement together costs as much as running it.
_N_ACTIVE = select(func.count()).where(_R.park_id == bindparam("park_id"), _R.status == "active")
_TAKEN = union(
    *(
        select(table.c.id).where(
            table.c.park_id == bindparam("park_id"),
            table.c.id.in_(bindparam("ids", expanding=True)),
        )
        for table in (RESOURCES, AGGREGATIONS)
    )
)
_STANDING = select(RESOURCES).where(_R.park_id == bindparam("park_id"), _R.id == bindparam("id"))
_CHANGE = update(RESOURCES).where(
    _R.park_id == bindparam("key_park_id"), _R.id == bindparam("key_id")
)
_MAKE = insert(RESOURCES)
_USE = insert(TEMPLATE_USAGE)
_USE_NOW = (
    update(TEMPLATE_USAGE)
    .where(
        TEMPLATE_USAGE.c.park_id == bindparam("key_park_id"),
        TEMPLATE_USAGE.c.resource_id == bindparam("key_id"),
    )
    .values(template_id=bindparam("new_id"), version=bindparam("new_version"), released_at=None)
)


class SqlResources:
    """A ResourceStore on a migrated database.

    Args:
        database: of this process.
        book: is told what was changed.
    """

    def __init__(self, database: Database, book: SqlAssetBook) -> None:
        self._database = database
        self._book = book

    async def create(
        self, act: Act, items: Sequence[NewResource], *, paths: Sequence[str]
    ) -> Done[ResourceBatch]:
        """Make resources, all or none."""

        def work(connection: Connection) -> ResourceBatch:
            park_id = lock_park(connection)
            made, problems = [], list[Problem]()
            for item, path in zip(items, paths, strict=True):
                resolved, found = _resolved(connection, item, path)
                made.append(resolved)
                problems += found
            problems += _named_twice(items, paths)
            if problems:
                raise RulesBrokenError(problems)
            _require_free(connection, park_id, [item.definition.id for item in items])
            if len(self._book.resources) + len(items) > MAX_RESOURCES - _SLACK:
                _require_room(connection, park_id, len(items))
            now = self._database.clock.now()
            version = bump(connection, park_id, now)
            records = [
                ResourceRecord(
                    definition=definition,
                    status=ResourceStatus.ACTIVE,
                    version=1,
                    template=template,
                    site=item.site,
                    created_at=now,
                    changed_at=now,
                )
                for item, (definition, template) in zip(items, made, strict=True)
            ]
            rows = [{**_row(r), "park_id": park_id, "changed_in": version} for r in records]
            connection.execute(_MAKE, [{**row, "position": AFTER_FILE + version} for row in rows])
            for record in records:
                _note_use(connection, park_id, record)
            return ResourceBatch(items=records)

        done = await self._database.act(act, work, ResourceBatch)
        self._book.take(resources=done.value.items)
        return done

    async def update(
        self, act: Act, seen_version: int, change: ResourceChange
    ) -> Done[ResourceRecord]:
        """Change a resource."""

        def work(connection: Connection) -> ResourceRecord:
            park_id = lock_park(connection)
            standing = _require(connection, park_id, act.subject, seen_version)
            return self._write(connection, park_id, _changed(connection, standing, change))

        done = await self._database.act(act, work, ResourceRecord)
        self._book.take(resources=[done.value])
        return done

    async def foresee(
        self, resource_id: str, seen_version: int, change: ResourceChange
    ) -> tuple[ResourceRecord, ResourceRecord]:
        """Return a resource as it stands and as a change would leave it."""
        park_id = self._book.park().id

        def find(connection: Connection) -> tuple[ResourceRecord, ResourceRecord]:
            standing = _require(connection, park_id, resource_id, seen_version)
            return standing, _changed(connection, standing, change, locked=False)

        return await self._database.read(find)

    async def retire(self, act: Act, seen_version: int) -> Done[ResourceRecord]:
        """Take a resource out for good."""

        def work(connection: Connection) -> ResourceRecord:
            park_id = lock_park(connection)
            standing = _require(connection, park_id, act.subject, seen_version)
            holders = listing(connection, park_id, act.subject)
            if holders:
                message = f"it is a member of {', '.join(holders)}; remove it there first"
                raise ConflictError(message, current=holders[0])
            if n_active(connection, park_id) == 1:
                raise ConflictError("it is the last resource of the park", current=act.subject)
            now = self._database.clock.now()
            release_template(connection, park_id, act.subject, now)
            return self._write(
                connection,
                park_id,
                msgspec.structs.replace(standing, status=ResourceStatus.RETIRED, retired_at=now),
            )

        done = await self._database.act(act, work, ResourceRecord)
        self._book.take(resources=[done.value])
        return done

    async def list(self, wanted: ResourceFilter, request: PageRequest) -> Page[ResourceRecord]:
        """Return resources."""
        query = select(RESOURCES).where(_R.park_id == self._book.park().id)
        if wanted.status is not None:
            query = query.where(_R.status == str(wanted.status))
        if wanted.kind is not None:
            query = query.where(_R.kind == wanted.kind)
        if wanted.within is not None:
            query = query.where(_R.id.in_(wanted.within))
        if wanted.name is not None:
            query = query.where(holds_text(_R.name, wanted.name))
        if wanted.template is not None:
            query = query.where(_R.template_id == wanted.template)
        if wanted.aggregation is not None:
            members = AGGREGATION_RESOURCES.c
            listed = select(members.member_id).where(
                members.park_id == _R.park_id, members.aggregation_id == wanted.aggregation
            )
            query = query.where(_R.id.in_(listed))
        return await self._database.read(
            lambda connection: page_of(
                connection,
                query,
                request,
                sorts={n: _R[n] for n in ("position", "id", "name", "kind", "created_at")},
                default_sort="position",
                id_column=_R.id,
                build=resource_record,
            )
        )

    def _write(
        self, connection: Connection, park_id: str, record: ResourceRecord
    ) -> ResourceRecord:
        now = self._database.clock.now()
        changed = msgspec.structs.replace(record, version=record.version + 1, changed_at=now)
        row = {**_row(changed), "changed_in": bump(connection, park_id, now)}
        del row["id"]
        key = {"key_park_id": park_id, "key_id": record.definition.id}
        connection.execute(_CHANGE, {**row, **key})
        if changed.status is ResourceStatus.ACTIVE:
            _note_use(connection, park_id, changed)
        return changed


def listing(connection: Connection, park_id: str, member_id: str) -> list[str]:
    """Return the aggregations that list a member and are not retired."""
    members = AGGREGATION_RESOURCES.c
    query = (
        select(members.aggregation_id)
        .join(
            AGGREGATIONS,
            (AGGREGATIONS.c.park_id == members.park_id)
            & (AGGREGATIONS.c.id == members.aggregation_id),
        )
        .where(members.park_id == park_id, members.member_id == member_id)
        .where(AGGREGATIONS.c.status != "retired")
        .order_by(AGGREGATIONS.c.position, AGGREGATIONS.c.id)
    )
    return list(connection.execute(query).scalars())


def taken_ids(connection: Connection, park_id: str, ids: Sequence[str]) -> list[str]:
    """Return those of some ids that a resource or aggregation has or had."""
    return sorted(connection.execute(_TAKEN, {"park_id": park_id, "ids": list(ids)}).scalars())


def n_active(connection: Connection, park_id: str) -> int:
    """Return how many resources a park has in operation."""
    return connection.execute(_N_ACTIVE, {"park_id": park_id}).scalar_one()


Resolved = tuple[ResourceDefinition, TemplateRef | None]


def _changed(
    connection: Connection, standing: ResourceRecord, change: ResourceChange, *, locked: bool = True
) -> ResourceRecord:
    """Return what a change makes of a resource; versions of templates never change."""
    origin = standing.template
    if change.template_version is not None and origin is None:
        rule = "it was made of no template"
        raise RulesBrokenError(
            [Problem(field="template_version", value=change.template_version, rule=rule)]
        )
    wanted = NewResource(
        definition=msgspec.structs.replace(
            change.definition,
            id=standing.definition.id,
            kind="" if origin else standing.definition.kind,
        ),
        template_id=origin.template_id if origin else None,
        template_version=change.template_version or (origin.version if origin else None),
        site=change.site,
    )
    (definition, template), problems = _resolved(connection, wanted, "", kept=origin, locked=locked)
    if problems:
        raise RulesBrokenError(problems)
    return msgspec.structs.replace(
        standing, definition=definition, template=template, site=change.site
    )


def _resolved(
    connection: Connection,
    item: NewResource,
    path: str,
    *,
    kept: TemplateRef | None = None,
    locked: bool = True,
) -> tuple[Resolved, list[Problem]]:
    """Return the definition an item comes to, what it is made of, and every broken rule.

    ``kept`` is the version it is made of already; that one may be of a deprecated template.
    """
    problems = check_site(item.site, path=f"{path}site")
    definition = item.definition
    if item.template_id is None:
        return (definition, None), problems + check_resource(definition, path=path)
    try:
        template = require_template(connection, item.template_id, locked=locked)
        version = require_version(
            connection, item.template_id, item.template_version or template.version
        )
    except NotFoundError as error:
        problems.append(Problem(field=f"{path}template_id", value=error.id, rule=str(error)))
        return (definition, None), problems
    ref = TemplateRef(template_id=template.id, version=version.version)
    if template.state is TemplateState.DEPRECATED and kept != ref:
        rule = "is deprecated; choose another"
        problems.append(Problem(field=f"{path}template_id", value=template.id, rule=rule))
    inner = f"{path}parameters."
    given = with_defaults(version.parameters, definition.parameters)
    _, found = configured(template.kind, version.parameters, given, path=inner)
    definition = msgspec.structs.replace(definition, kind=template.kind, parameters=given)
    if not found:
        found = check_resource(definition, path=path)
    return (definition, ref), problems + found


def _named_twice(items: Sequence[NewResource], paths: Sequence[str]) -> list[Problem]:
    seen: set[str] = set()
    problems = []
    for item, path in zip(items, paths, strict=True):
        id_ = item.definition.id
        if id_ in seen:
            problems.append(Problem(field=f"{path}id", value=id_, rule="is used twice here"))
        seen.add(id_)
    return problems


def _require_free(connection: Connection, park_id: str, ids: Sequence[str]) -> None:
    taken = taken_ids(connection, park_id, ids)
    if taken:
        message = f"taken already, by something at work or retired: {', '.join(taken)}"
        raise ConflictError(message, current=taken[0])


def _require_room(connection: Connection, park_id: str, n_new: int) -> None:
    standing = n_active(connection, park_id)
    if standing + n_new > MAX_RESOURCES:
        message = f"a park holds at most {MAX_RESOURCES} resources; it has {standing}"
        raise ConflictError(message, current=str(standing))


def _require(
    connection: Connection, park_id: str, resource_id: str, seen_version: int
) -> ResourceRecord:
    where = {"park_id": park_id, "id": resource_id}
    row: RowMapping | None = connection.execute(_STANDING, where).mappings().one_or_none()
    if row is None:
        raise NotFoundError("resource", resource_id)
    record = resource_record(row)
    if record.version != seen_version:
        raise StaleVersionError("the resource", record.version)
    if record.status is ResourceStatus.RETIRED:
        raise ConflictError("it is retired; make another", current=str(record.status))
    return record


def _row(record: ResourceRecord) -> dict[str, Any]:
    site: Site = record.site
    template = record.template
    return {
        **msgspec.structs.asdict(record.definition),
        "status": str(record.status),
        "geometry": msgspec.to_builtins(site.geometry),
        "height_m": site.height_m,
        "base_m": site.base_m,
        "template_id": template.template_id if template else None,
        "template_version": template.version if template else None,
        **{n: getattr(record, n) for n in ("version", "created_at", "changed_at", "retired_at")},
    }


def _note_use(connection: Connection, park_id: str, record: ResourceRecord) -> None:
    if record.template is None:
        return
    ref, id_ = record.template, record.definition.id
    now = {"new_id": ref.template_id, "new_version": ref.version}
    key = {"key_park_id": park_id, "key_id": id_}
    if record.version > 1 and connection.execute(_USE_NOW, {**now, **key}).rowcount:
        return
    row = {
        "park_id": park_id,
        "resource_id": id_,
        "template_id": ref.template_id,
        "version": ref.version,
        "used_since": record.changed_at,
        "released_at": None,
    }
    connection.execute(_USE, row)
