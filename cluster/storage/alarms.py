"""The AlarmStore on SQL: rules, channels with sealed secrets, and what was raised when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, RowMapping, Select, Table, delete, func, insert, select, update

from cluster.storage.alarm_source import raise_setup_version, rule_row
from cluster.storage.database import Database
from cluster.storage.paging import page_of
from cluster.storage.tables.alarms import (
    ALARM_CHANNELS,
    ALARM_DELIVERIES,
    ALARM_RULES,
    ALARM_STEPS,
    ALARMS,
)
from controllers.alarms.channels import Channel
from controllers.alarms.lifecycle import Alarm, AlarmState
from controllers.alarms.rules import Rule
from controllers.kernel.errors import ConflictError, NotFoundError, StaleVersionError
from controllers.ports.acts import Act, Done
from controllers.ports.alarms import (
    AlarmCounts,
    AlarmDetail,
    AlarmFilter,
    AlarmStepView,
    DeliveryView,
    StoredChannel,
    StoredRule,
)
from controllers.ports.pages import Page, PageRequest
from controllers.ports.secrets import SecretBox

MAX_RULES = 500
MAX_CHANNELS = 50
MAX_HISTORY = 1000

T = TypeVar("T")


class SqlAlarms:
    """An AlarmStore on a migrated database.

    Args:
        database: of this process.
        box: seals the channels' secrets.
    """

    def __init__(self, database: Database, box: SecretBox) -> None:
        self._database = database
        self._box = box

    async def rules(self, request: PageRequest) -> Page[StoredRule]:
        """Return rules."""
        return await self._database.read(
            lambda connection: _page(connection, ALARM_RULES, request, _stored_rule)
        )

    async def rule(self, rule_id: str) -> StoredRule:
        """Return a rule."""

        def read(connection: Connection) -> StoredRule:
            return _stored_rule(_row(connection, ALARM_RULES, rule_id))

        return await self._database.read(read)

    async def create_rule(self, act: Act, rule: Rule) -> Done[StoredRule]:
        """Add a rule."""

        def work(connection: Connection) -> StoredRule:
            _check_free(connection, ALARM_RULES, rule.id, MAX_RULES)
            row = rule_row(rule, 1, self._database.clock.now(), act.principal)
            connection.execute(insert(ALARM_RULES), row)
            raise_setup_version(connection)
            return _stored_rule(row)

        return await self._database.act(act, work, StoredRule)

    async def replace_rule(self, act: Act, rule: Rule, seen_version: int) -> Done[StoredRule]:
        """Replace a rule."""

        def work(connection: Connection) -> StoredRule:
            _seen(connection, ALARM_RULES, rule.id, seen_version)
            row = rule_row(rule, seen_version + 1, self._database.clock.now(), act.principal)
            _put(connection, ALARM_RULES, rule.id, row)
            return _stored_rule(row)

        return await self._database.act(act, work, StoredRule)

    async def delete_rule(self, act: Act, seen_version: int) -> Done[StoredRule]:
        """Delete a rule; what it raised goes out of service."""

        def work(connection: Connection) -> StoredRule:
            row = _seen(connection, ALARM_RULES, act.subject, seen_version)
            _drop(connection, ALARM_RULES, act.subject)
            return _stored_rule(row)

        return await self._database.act(act, work, StoredRule)

    async def channels(self, request: PageRequest) -> Page[StoredChannel]:
        """Return channels."""
        return await self._database.read(
            lambda connection: _page(connection, ALARM_CHANNELS, request, _stored_channel)
        )

    async def channel(self, channel_id: str) -> StoredChannel:
        """Return a channel."""

        def read(connection: Connection) -> StoredChannel:
            return _stored_channel(_row(connection, ALARM_CHANNELS, channel_id))

        return await self._database.read(read)

    async def create_channel(
        self, act: Act, channel: Channel, secret: str | None
    ) -> Done[StoredChannel]:
        """Add a channel; its secret is sealed."""
        sealed = None if secret is None else self._box.seal(secret)

        def work(connection: Connection) -> StoredChannel:
            _check_free(connection, ALARM_CHANNELS, channel.id, MAX_CHANNELS)
            row = _channel_row(channel, sealed, 1, self._database.clock.now(), act.principal)
            connection.execute(insert(ALARM_CHANNELS), row)
            raise_setup_version(connection)
            return _stored_channel(row)

        return await self._database.act(act, work, StoredChannel)

    async def replace_channel(
        self, act: Act, channel: Channel, secret: str | None, seen_version: int
    ) -> Done[StoredChannel]:
        """Replace a channel.

        Without a new secret the old one stays, unless the endpoint is another: a secret must not
        follow to wherever somebody points it.
        """
        sealed = None if secret is None else self._box.seal(secret)

        def work(connection: Connection) -> StoredChannel:
            before = _seen(connection, ALARM_CHANNELS, channel.id, seen_version)
            kept = sealed
            if kept is None and before["sealed_secret"] is not None:
                if before["definition"]["endpoint"] != msgspec.to_builtins(channel.endpoint):
                    message = "the endpoint is another; give the secret again"
                    raise ConflictError(message, current=channel.id)
                kept = before["sealed_secret"]
            now = self._database.clock.now()
            row = _channel_row(channel, kept, seen_version + 1, now, act.principal)
            _put(connection, ALARM_CHANNELS, channel.id, row)
            return _stored_channel(row)

        return await self._database.act(act, work, StoredChannel)

    async def delete_channel(self, act: Act, seen_version: int) -> Done[StoredChannel]:
        """Delete a channel; rules that name it tell the others."""

        def work(connection: Connection) -> StoredChannel:
            row = _seen(connection, ALARM_CHANNELS, act.subject, seen_version)
            _drop(connection, ALARM_CHANNELS, act.subject)
            return _stored_channel(row)

        return await self._database.act(act, work, StoredChannel)

    async def alarms(self, wanted: AlarmFilter, request: PageRequest) -> Page[Alarm]:
        """Return alarms, by default the newest first."""
        columns = ALARMS.c
        sorts = {
            "raised_at": columns.raised_at,
            "changed_at": columns.changed_at,
            "severity": columns.severity_level,
            "priority": columns.priority,
            "subject_id": columns.subject_id,
        }

        def read(connection: Connection) -> Page[Alarm]:
            return page_of(
                connection,
                _filtered(wanted),
                request,
                sorts=sorts,
                default_sort="-raised_at",
                id_column=columns.id,
                build=lambda row: msgspec.convert(row["alarm"], Alarm),
            )

        return await self._database.read(read)

    async def alarm(self, alarm_id: str) -> AlarmDetail:
        """Return an alarm with its newest thousand steps and deliveries."""

        def read(connection: Connection) -> AlarmDetail:
            row = _row(connection, ALARMS, alarm_id)
            return AlarmDetail(
                alarm=msgspec.convert(row["alarm"], Alarm),
                history=_history(connection, alarm_id),
                deliveries=_deliveries(connection, alarm_id),
            )

        return await self._database.read(read)

    async def counts(self, within: list[str] | None) -> AlarmCounts:
        """Return how many stand; of these subjects only, if any are named."""
        columns = ALARMS.c
        grouped = columns.group_id.is_not(None)
        query = (
            select(columns.severity, columns.state, grouped.label("grouped"), func.count())
            .where(columns.is_standing)
            .group_by(columns.severity, columns.state, grouped)
        )
        if within is not None:
            query = query.where(columns.subject_id.in_(within))

        def read(connection: Connection) -> AlarmCounts:
            return _counted([tuple(row) for row in connection.execute(query)])

        return await self._database.read(read)


def _filtered(wanted: AlarmFilter) -> Select[Any]:
    columns = ALARMS.c
    tests = {
        columns.state: None if wanted.state is None else wanted.state.value,
        columns.is_standing: wanted.standing,
        columns.severity: None if wanted.severity is None else wanted.severity.value,
        columns.subject_id: wanted.subject_id,
        columns.rule_id: wanted.rule_id,
        columns.group_id: wanted.group_id,
    }
    query = select(ALARMS)
    for column, value in tests.items():
        if value is not None:
            query = query.where(column == value)
    if wanted.within is not None:
        query = query.where(columns.subject_id.in_(wanted.within))
    if wanted.from_at is not None:
        query = query.where(columns.raised_at >= wanted.from_at)
    if wanted.to_at is not None:
        query = query.where(columns.raised_at < wanted.to_at)
    return query


def _counted(rows: Sequence[tuple[Any, ...]]) -> AlarmCounts:
    by_severity: dict[str, int] = {}
    by_state: dict[str, int] = {}
    n_grouped = 0
    for severity, state, grouped, n in rows:
        if grouped:
            n_grouped += n
        else:
            by_severity[severity] = by_severity.get(severity, 0) + n
            by_state[state] = by_state.get(state, 0) + n
    waiting = (AlarmState.UNACKNOWLEDGED, AlarmState.RETURNED)
    return AlarmCounts(
        standing=sum(by_state.values()),
        unacknowledged=sum(by_state.get(state.value, 0) for state in waiting),
        by_severity=by_severity,
        by_state=by_state,
        grouped=n_grouped,
    )


def _history(connection: Connection, alarm_id: str) -> list[AlarmStepView]:
    steps = ALARM_STEPS.c
    query = select(ALARM_STEPS).where(steps.alarm_id == alarm_id)
    rows = connection.execute(query.order_by(steps.seq.desc()).limit(MAX_HISTORY)).mappings()
    views = [
        {
            "at": row["at"],
            "trigger": row["step"],
            "state": row["state"],
            "severity": row["severity"],
            "by": row["principal"],
            "note": row["note"],
        }
        for row in rows
    ]
    return msgspec.convert(views[::-1], list[AlarmStepView])


def _deliveries(connection: Connection, alarm_id: str) -> list[DeliveryView]:
    columns = ALARM_DELIVERIES.c
    names = DeliveryView.__struct_fields__
    query = select(*[columns[name] for name in names]).where(columns.alarm_id == alarm_id)
    order = (columns.created_at.desc(), columns.notice_id.desc())
    rows = connection.execute(query.order_by(*order).limit(MAX_HISTORY)).mappings()
    views = [{name: row[name] for name in names} for row in rows]
    return msgspec.convert(views[::-1], list[DeliveryView])


def _page(connection: Connection, table: Table, request: PageRequest, build: Any) -> Page[Any]:
    columns = table.c
    return page_of(
        connection,
        select(table),
        request,
        sorts={"id": columns.id, "name": columns.name, "changed_at": columns.changed_at},
        default_sort="id",
        id_column=columns.id,
        build=build,
    )


def _row(connection: Connection, table: Table, id_: str) -> RowMapping:
    found = connection.execute(select(table).where(table.c.id == id_)).mappings().one_or_none()
    if found is None:
        raise NotFoundError(_NAMES[table.name], id_)
    return found


def _seen(connection: Connection, table: Table, id_: str, seen_version: int) -> RowMapping:
    row = _row(connection, table, id_)
    if row["version"] != seen_version:
        raise StaleVersionError(f"{_NAMES[table.name]} {id_}", row["version"])
    return row


def _check_free(connection: Connection, table: Table, id_: str, most: int) -> None:
    ids = set(connection.execute(select(table.c.id)).scalars())
    if id_ in ids:
        raise ConflictError(f"the id {id_!r} is taken; choose another", current=id_)
    if len(ids) >= most:
        raise ConflictError(f"there are {most} already; delete one first", current=str(most))


def _put(connection: Connection, table: Table, id_: str, row: dict[str, object]) -> None:
    connection.execute(update(table).where(table.c.id == id_).values(row))
    raise_setup_version(connection)


def _drop(connection: Connection, table: Table, id_: str) -> None:
    connection.execute(delete(table).where(table.c.id == id_))
    raise_setup_version(connection)


def _stored_rule(row: Any) -> StoredRule:
    return StoredRule(
        rule=msgspec.convert(row["definition"], Rule),
        version=row["version"],
        changed_at=row["changed_at"],
        changed_by=row["changed_by"],
    )


def _channel_row(
    channel: Channel, sealed: str | None, version: int, at: datetime, by: str
) -> dict[str, object]:
    return {
        "id": channel.id,
        "name": channel.name,
        "definition": msgspec.to_builtins(channel),
        "sealed_secret": sealed,
        "version": version,
        "changed_at": at,
        "changed_by": by,
    }


def _stored_channel(row: Any) -> StoredChannel:
    return StoredChannel(
        channel=msgspec.convert(row["definition"], Channel),
        has_secret=row["sealed_secret"] is not None,
        version=row["version"],
        changed_at=row["changed_at"],
        changed_by=row["changed_by"],
    )


_NAMES = {
    ALARM_RULES.name: "alarm rule",
    ALARM_CHANNELS.name: "alarm channel",
    ALARMS.name: "alarm",
}
