"""The TemplateStore on SQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, RowMapping, bindparam, delete, func, insert, select, update

from cluster.storage.database import Database
from cluster.storage.paging import holds_text, page_of
from cluster.storage.tables.templates import (
    RESOURCE_TEMPLATES,
    TEMPLATE_USAGE,
    TEMPLATE_VALIDATIONS,
    TEMPLATE_VERSIONS,
)
from controllers.assets.templates import (
    ProblemView,
    Template,
    TemplateContent,
    TemplateState,
    TemplateUsage,
    TemplateUse,
    TemplateValidation,
    TemplateVersion,
    VersionUse,
    check_template,
    configured,
)
from controllers.kernel.errors import ConflictError, NotFoundError, StaleVersionError
from controllers.kernel.wire import Wire
from controllers.ports.acts import Act, Done
from controllers.ports.pages import Page, PageRequest
from controllers.ports.templates import TemplateFilter

T = TypeVar("T", bound=Wire)

_MAX_USES = 1000
_MAX_NAMED = 5

_TEMPLATES, _VERSIONS = RESOURCE_TEMPLATES.c, TEMPLATE_VERSIONS.c
_VALIDATIONS, _USAGE = TEMPLATE_VALIDATIONS.c, TEMPLATE_USAGE.c

_STANDING = select(RESOURCE_TEMPLATES).where(_TEMPLATES.id == bindparam("id"))
_LOCKED = _STANDING.with_for_update()
_VERSION = select(TEMPLATE_VERSIONS).where(
    _VERSIONS.template_id == bindparam("template_id"), _VERSIONS.version == bindparam("version")
)


class SqlTemplates:
    """A TemplateStore on a migrated database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, act: Act, kind: str, content: TemplateContent) -> Done[Template]:
        """Store a new template as version 1."""
        check_template(kind, content)

        def work(connection: Connection) -> Template:
            if _row(connection, act.subject, locked=True) is not None:
                message = f"the id {act.subject} is taken; choose another"
                raise ConflictError(message, current=act.subject)
            now = self._database.clock.now()
            template = Template(
                id=act.subject,
                kind=kind,
                state=TemplateState.ACTIVE,
                version=1,
                **msgspec.structs.asdict(content),
                created_at=now,
                created_by=act.principal,
                updated_at=now,
            )
            connection.execute(insert(RESOURCE_TEMPLATES), _stored(template))
            _add_version(connection, _version(template, "created", act.principal))
            return template

        return await self._database.act(act, work, Template)

    async def update(
        self, act: Act, seen_version: int, content: TemplateContent, state: TemplateState, note: str
    ) -> Done[Template]:
        """Add the next version."""

        def work(connection: Connection) -> Template:
            standing = require_template(connection, act.subject, seen_version, locked=True)
            check_template(standing.kind, content)
            template = msgspec.structs.replace(
                standing,
                **msgspec.structs.asdict(content),
                state=state,
                version=standing.version + 1,
                updated_at=self._database.clock.now(),
            )
            connection.execute(
                update(RESOURCE_TEMPLATES)
                .where(_TEMPLATES.id == template.id)
                .values(_stored(template))
            )
            _add_version(connection, _version(template, note, act.principal))
            return template

        return await self._database.act(act, work, Template)

    async def delete(self, act: Act, seen_version: int) -> Done[Template]:
        """Delete a template with its versions and validations."""

        def work(connection: Connection) -> Template:
            template = require_template(connection, act.subject, seen_version, locked=True)
            in_use = select(_USAGE.resource_id).where(
                _USAGE.template_id == template.id, _USAGE.released_at.is_(None)
            )
            users = list(connection.execute(in_use.order_by(_USAGE.resource_id)).scalars())
            if users:
                named = ", ".join(users[:_MAX_NAMED]) + (" …" if len(users) > _MAX_NAMED else "")
                message = (
                    f"{len(users)} resources use it: {named}; retire them, or update the template"
                    " to the state deprecated"
                )
                raise ConflictError(message, current=users[0])
            for table in (TEMPLATE_USAGE, TEMPLATE_VALIDATIONS, TEMPLATE_VERSIONS):
                connection.execute(delete(table).where(table.c.template_id == template.id))
            connection.execute(delete(RESOURCE_TEMPLATES).where(_TEMPLATES.id == template.id))
            return template

        return await self._database.act(act, work, Template)

    async def get(self, template_id: str) -> Template:
        """Return a template with its newest version."""
        return await self._database.read(lambda c: require_template(c, template_id))

    async def list(self, wanted: TemplateFilter, request: PageRequest) -> Page[Template]:
        """Return templates."""
        query = select(RESOURCE_TEMPLATES)
        if wanted.kind is not None:
            query = query.where(_TEMPLATES.kind == wanted.kind)
        if wanted.state is not None:
            query = query.where(_TEMPLATES.state == str(wanted.state))
        if wanted.name is not None:
            query = query.where(holds_text(_TEMPLATES.name, wanted.name))
        sorts = ("id", "name", "kind", "created_at", "updated_at")
        return await self._database.read(
            lambda connection: page_of(
                connection,
                query,
                request,
                sorts={name: _TEMPLATES[name] for name in sorts},
                default_sort="id",
                id_column=_TEMPLATES.id,
                build=_template,
            )
        )

    async def version(self, template_id: str, version: int) -> TemplateVersion:
        """Return one version."""
        return await self._database.read(lambda c: require_version(c, template_id, version))

    async def versions(self, template_id: str, request: PageRequest) -> Page[TemplateVersion]:
        """Return the versions, newest first."""
        query = select(TEMPLATE_VERSIONS).where(_VERSIONS.template_id == template_id)

        def work(connection: Connection) -> Page[TemplateVersion]:
            require_template(connection, template_id)
            return page_of(
                connection,
                query,
                request,
                sorts={"version": _VERSIONS.version},
                default_sort="-version",
                id_column=_VERSIONS.version,
                build=lambda row: _value(row, TemplateVersion),
            )

        return await self._database.read(work)

    async def validate(
        self, act: Act, template_id: str, version: int | None, configuration: dict[str, object]
    ) -> Done[TemplateValidation]:
        """Check a configuration against a version and keep the outcome as ``act.subject``."""

        def work(connection: Connection) -> TemplateValidation:
            template = require_template(connection, template_id)
            number = template.version if version is None else version
            against = require_version(connection, template_id, number)
            values, problems = configured(template.kind, against.parameters, configuration)
            outcome = TemplateValidation(
                id=act.subject,
                template_id=template_id,
                version=number,
                configuration=configuration,
                valid=not problems,
                problems=[ProblemView(field=p.field, value=p.value, rule=p.rule) for p in problems],
                values={} if problems else values,
                validated_at=self._database.clock.now(),
                validated_by=act.principal,
            )
            row = {**msgspec.structs.asdict(outcome), "complete_values": outcome.values}
            del row["values"]
            row["problems"] = msgspec.to_builtins(outcome.problems)
            connection.execute(insert(TEMPLATE_VALIDATIONS), row)
            return outcome

        return await self._database.act(act, work, TemplateValidation)

    async def validations(self, template_id: str, request: PageRequest) -> Page[TemplateValidation]:
        """Return the validations of a template, newest first."""
        query = select(TEMPLATE_VALIDATIONS).where(_VALIDATIONS.template_id == template_id)

        def work(connection: Connection) -> Page[TemplateValidation]:
            require_template(connection, template_id)
            return page_of(
                connection,
                query,
                request,
                sorts={"validated_at": _VALIDATIONS.validated_at},
                default_sort="-validated_at",
                id_column=_VALIDATIONS.id,
                build=_validation,
            )

        return await self._database.read(work)

    async def usage(self, template_id: str) -> TemplateUsage:
        """Return who uses a template."""

        def work(connection: Connection) -> TemplateUsage:
            require_template(connection, template_id)
            return _usage(connection, template_id)

        return await self._database.read(work)


def require_template(
    connection: Connection,
    template_id: str,
    seen_version: int | None = None,
    *,
    locked: bool = False,
) -> Template:
    """Return a template; locked, nobody else changes or deletes it until the transaction ends.

    Raises:
        NotFoundError: there is none.
        StaleVersionError: ``seen_version`` is given and not the newest.
    """
    row = _row(connection, template_id, locked=locked)
    if row is None:
        raise NotFoundError("resource template", template_id)
    template = _template(row)
    if seen_version is not None and template.version != seen_version:
        raise StaleVersionError("the template", template.version)
    return template


def require_version(connection: Connection, template_id: str, version: int) -> TemplateVersion:
    """Return one version of a template.

    Raises:
        NotFoundError: there is none.
    """
    where = {"template_id": template_id, "version": version}
    row = connection.execute(_VERSION, where).mappings().one_or_none()
    if row is None:
        raise NotFoundError("template version", f"{template_id}/{version}")
    return _value(row, TemplateVersion)


def _row(connection: Connection, template_id: str, *, locked: bool) -> RowMapping | None:
    query = _LOCKED if locked else _STANDING
    return connection.execute(query, {"id": template_id}).mappings().one_or_none()


def _value(row: Mapping[str, Any] | RowMapping, type_: type[T]) -> T:
    return msgspec.convert({name: row[name] for name in type_.__struct_fields__}, type_)


def _template(row: RowMapping) -> Template:
    return _value(row, Template)


def _stored(template: Template) -> dict[str, Any]:
    row = msgspec.structs.asdict(template)
    return {
        **row,
        "state": str(template.state),
        "parameters": _json(template.parameters),
    }


def _json(parameters: list[Any]) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in parameter.items() if value is not None}
        for parameter in msgspec.to_builtins(parameters)
    ]


def _version(template: Template, note: str, principal: str) -> TemplateVersion:
    return TemplateVersion(
        template_id=template.id,
        version=template.version,
        name=template.name,
        description=template.description,
        parameters=template.parameters,
        note=note,
        created_at=template.updated_at,
        created_by=principal,
    )


def _add_version(connection: Connection, version: TemplateVersion) -> None:
    row = {**msgspec.structs.asdict(version), "parameters": _json(version.parameters)}
    connection.execute(insert(TEMPLATE_VERSIONS), row)


def _validation(row: RowMapping) -> TemplateValidation:
    return _value({**row, "values": row["complete_values"]}, TemplateValidation)


def _usage(connection: Connection, template_id: str) -> TemplateUsage:
    ours = _USAGE.template_id == template_id
    in_use = _USAGE.released_at.is_(None)
    counted = (
        select(_USAGE.version, func.count())
        .where(ours, in_use)
        .group_by(_USAGE.version)
        .order_by(_USAGE.version)
    )
    by_version = [
        VersionUse(version=version, n_resources=n) for version, n in connection.execute(counted)
    ]
    listed = select(TEMPLATE_USAGE).where(ours).limit(_MAX_USES)
    in_operation = listed.where(in_use).order_by(_USAGE.resource_id)
    retired = listed.where(_USAGE.released_at.is_not(None)).order_by(_USAGE.resource_id)
    rows = [
        row for query in (in_operation, retired) for row in connection.execute(query).mappings()
    ]
    n_retired = select(func.count()).where(ours, _USAGE.released_at.is_not(None))
    n_checks = select(func.count()).where(_VALIDATIONS.template_id == template_id)
    return TemplateUsage(
        template_id=template_id,
        n_in_use=sum(use.n_resources for use in by_version),
        n_retired=connection.execute(n_retired).scalar_one(),
        by_version=by_version,
        resources=[_value(row, TemplateUse) for row in rows[:_MAX_USES]],
        n_validations=connection.execute(n_checks).scalar_one(),
        n_validations_failed=connection.execute(
            n_checks.where(_VALIDATIONS.valid.is_(False))
        ).scalar_one(),
    )
