"""The AlarmSource on SQL: what the AlarmActor works by, and the rules of a new installation."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

import msgspec
from sqlalchemy import Connection, Engine, insert, select, update

from cluster.storage.engine import open_engine, reading, writing
from cluster.storage.tables.alarms import ALARM_CHANNELS, ALARM_RULES, ALARM_SETUP
from cluster.storage.tables.devices import MAINTENANCE_WINDOWS
from controllers.alarms.channels import Channel
from controllers.alarms.defaults import DEFAULT_RULES
from controllers.alarms.events import AlarmConfig
from controllers.alarms.notices import ChannelRate
from controllers.alarms.rules import Rule
from controllers.kernel.errors import SealBrokenError
from controllers.kernel.timebase import Clock
from controllers.ports.alarms import AlarmSetup, OpenChannel
from controllers.ports.secrets import SecretBox

_SYSTEM = "system"
_log = logging.getLogger(__name__)


def open_alarm_source(url: str, open_box: Callable[[], SecretBox]) -> SqlAlarmSource:
    """Return the source behind a database URL; with ``functools.partial`` a picklable factory.

    Raises:
        StorageUnavailableError: the URL names no usable database.
    """
    return SqlAlarmSource(url, open_box())


class SqlAlarmSource:
    """An AlarmSource on a migrated database.

    Args:
        url: of the database.
        box: opens the channels' secrets.
    """

    def __init__(self, url: str, box: SecretBox) -> None:
        self._engine = open_engine(url)
        self._box = box

    def version(self) -> int:
        """Return a number that changes with every change of rules or channels."""
        with reading(self._engine) as connection:
            return setup_version(connection)

    def under_maintenance(self, now: datetime) -> list[str]:
        """Return the resources under maintenance, sorted."""
        with reading(self._engine) as connection:
            return _under_maintenance(connection, now)

    def load(self, now: datetime) -> AlarmSetup:
        """Return everything; without channels that are disabled or whose secret is broken."""
        with reading(self._engine) as connection:
            version = setup_version(connection)
            definitions = connection.execute(
                select(ALARM_RULES.c.definition).order_by(ALARM_RULES.c.id)
            ).scalars()
            rules = [msgspec.convert(definition, Rule) for definition in definitions]
            rows = connection.execute(
                select(ALARM_CHANNELS.c.definition, ALARM_CHANNELS.c.sealed_secret)
            ).all()
            suppressed = _under_maintenance(connection, now)
        opened = [self._opened(definition, sealed) for definition, sealed in rows]
        channels = [channel for channel in opened if channel is not None]
        rates = [
            ChannelRate(id=c.channel.id, max_per_minute=c.channel.max_per_minute) for c in channels
        ]
        config = AlarmConfig(version=version, rules=rules, channels=rates, suppressed=suppressed)
        return AlarmSetup(config=config, channels=channels)

    def close(self) -> None:
        """Release files."""
        self._engine.dispose()

    def _opened(self, definition: object, sealed: str | None) -> OpenChannel | None:
        channel = msgspec.convert(definition, Channel)
        if not channel.enabled:
            return None
        try:
            secret = None if sealed is None else self._box.open(sealed)
        except SealBrokenError as error:
            # The others must still be told.
            _log.error("alarm channel %s cannot be used: %s", channel.id, error)
            return None
        return OpenChannel(channel=channel, secret=secret)


def setup_version(connection: Connection) -> int:
    """Return a number that rises with every change of rules or channels."""
    return int(connection.execute(select(ALARM_SETUP.c.version)).scalar_one())


def raise_setup_version(connection: Connection) -> None:
    """Let the AlarmActor know that something has changed."""
    connection.execute(update(ALARM_SETUP).values(version=ALARM_SETUP.c.version + 1))


def ensure_default_rules(engine: Engine, clock: Clock) -> None:
    """Give an installation that never had rules the default ones."""
    with writing(engine) as connection:
        if setup_version(connection) > 0:
            return
        rows = [rule_row(rule, 1, clock.now(), _SYSTEM) for rule in DEFAULT_RULES]
        connection.execute(insert(ALARM_RULES), rows)
        raise_setup_version(connection)


def rule_row(rule: Rule, version: int, at: datetime, by: str) -> dict[str, object]:
    """Return a rule as it is stored."""
    return {
        "id": rule.id,
        "name": rule.name,
        "definition": msgspec.to_builtins(rule),
        "version": version,
        "changed_at": at,
        "changed_by": by,
    }


def _under_maintenance(connection: Connection, now: datetime) -> list[str]:
    windows = MAINTENANCE_WINDOWS.c
    query = select(windows.resource_id).where(
        windows.opened_at <= now, windows.ended_at.is_(None), windows.end_at > now
    )
    return sorted(set(connection.execute(query).scalars()))
