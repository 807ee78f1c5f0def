"""Answers about alarms."""

from __future__ import annotations

from controllers.alarms.lifecycle import Alarm, AlarmState
from controllers.kernel.wire import Wire
from controllers.ports.alarms import StoredChannel, StoredRule


class AlarmRulePage(Wire):
    """Alarm rules."""

    items: list[StoredRule]
    next_cursor: str | None


class AlarmChannelPage(Wire):
    """Alarm channels."""

    items: list[StoredChannel]
    next_cursor: str | None


class AlarmPage(Wire):
    """Alarms."""

    items: list[Alarm]
    next_cursor: str | None


class SignalView(Wire):
    """Something a rule may watch."""

    name: str
    unit: str
    meaning: str
    of_resource: bool
    of_aggregate: bool


class SignalList(Wire):
    """Everything a rule may watch, besides ``signals.…`` of the devices themselves."""

    items: list[SignalView]


class AlarmActOutcome(Wire):
    """What became of an act on one alarm."""

    alarm_id: str
    done: bool
    state: AlarmState | None
    detail: str | None


class BulkAcknowledgement(Wire):
    """What became of an act on several alarms."""

    n_done: int
    n_failed: int
    items: list[AlarmActOutcome]
