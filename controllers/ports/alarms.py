"""Alarms as the API and the AlarmActor need them: rules, channels, history, and acts on alarms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from controllers.alarms.channels import Attempt, Channel, Delivery, DeliveryOutcome
from controllers.alarms.events import AlarmConfig
from controllers.alarms.lifecycle import Alarm, AlarmState
from controllers.alarms.notices import NoticeReason
from controllers.alarms.rules import Rule, Severity
from controllers.kernel.wire import Wire
from controllers.ports.acts import Act, Done
from controllers.ports.pages import Page, PageRequest


class StoredRule(Wire):
    """A rule as it stands."""

    rule: Rule
    version: int
    changed_at: datetime
    changed_by: str


class StoredChannel(Wire):
    """A channel as it stands; its secret is never told."""

    channel: Channel
    has_secret: bool
    version: int
    changed_at: datetime
    changed_by: str


class AlarmFilter(Wire):
    """Which alarms are wanted; None leaves open."""

    state: AlarmState | None = None
    standing: bool | None = None
    severity: Severity | None = None
    subject_id: str | None = None
    rule_id: str | None = None
    group_id: str | None = None
    from_at: datetime | None = None
    """Raised at or after."""
    to_at: datetime | None = None
    """Raised before."""
    within: list[str] | None = None
    """Subjects whose alarms alone exist for the caller."""


class AlarmStepView(Wire):
    """One change in the history of an alarm."""

    at: datetime
    trigger: str
    state: AlarmState
    severity: Severity
    by: str
    note: str


class DeliveryView(Wire):
    """One notice of an alarm and what became of it."""

    notice_id: str
    channel_id: str
    reason: NoticeReason
    outcome: DeliveryOutcome
    created_at: datetime
    finished_at: datetime
    attempts: list[Attempt]


class AlarmDetail(Wire):
    """An alarm with its history, oldest first."""

    alarm: Alarm
    history: list[AlarmStepView]
    deliveries: list[DeliveryView]


class AlarmCounts(Wire):
    """How many alarms stand; groups count as one, their members apart."""

    standing: int
    unacknowledged: int
    by_severity: dict[str, int]
    by_state: dict[str, int]
    grouped: int
    """Members of groups; not in the other numbers."""


class AlarmStore(Protocol):
    """Rules, channels and the history of alarms; every write durable on return.

    Changes raise NotFoundError for an unknown id, StaleVersionError when ``seen_version`` is not
    the one that stands, ConflictError when an id or limit stands in the way.
    """

    async def rules(self, request: PageRequest) -> Page[StoredRule]:
        """Return rules."""
        ...

    async def rule(self, rule_id: str) -> StoredRule:
        """Return a rule."""
        ...

    async def create_rule(self, act: Act, rule: Rule) -> Done[StoredRule]:
        """Add a rule."""
        ...

    async def replace_rule(self, act: Act, rule: Rule, seen_version: int) -> Done[StoredRule]:
        """Replace a rule."""
        ...

    async def delete_rule(self, act: Act, seen_version: int) -> Done[StoredRule]:
        """Delete a rule; what it raised goes out of service."""
        ...

    async def channels(self, request: PageRequest) -> Page[StoredChannel]:
        """Return channels."""
        ...

    async def channel(self, channel_id: str) -> StoredChannel:
        """Return a channel."""
        ...

    async def create_channel(
        self, act: Act, channel: Channel, secret: str | None
    ) -> Done[StoredChannel]:
        """Add a channel; its secret is sealed."""
        ...

    async def replace_channel(
        self, act: Act, channel: Channel, secret: str | None, seen_version: int
    ) -> Done[StoredChannel]:
        """Replace a channel; without a new secret the old one stays if the address does."""
        ...

    async def delete_channel(self, act: Act, seen_version: int) -> Done[StoredChannel]:
        """Delete a channel; rules that name it tell the others."""
        ...

    async def alarms(self, wanted: AlarmFilter, request: PageRequest) -> Page[Alarm]:
        """Return alarms."""
        ...

    async def alarm(self, alarm_id: str) -> AlarmDetail:
        """Return an alarm with its history."""
        ...

    async def counts(self, within: list[str] | None) -> AlarmCounts:
        """Return how many stand; of these subjects only, if any are named."""
        ...


class AlarmDesk(Protocol):
    """Acts on standing alarms; durable on return, and repeating one changes nothing more.

    All raise ActorUnavailableError when the actor does not answer in time, NotFoundError when the
    alarm does not stand, ConflictError or InvalidTransitionError when its state forbids the act.
    """

    async def acknowledge(self, alarm_id: str, by: str, note: str) -> Alarm:
        """Take note of an alarm."""
        ...

    async def shelve(self, alarm_id: str, until: datetime, by: str, reason: str) -> Alarm:
        """Silence an alarm until an instant."""
        ...

    async def unshelve(self, alarm_id: str, by: str, note: str) -> Alarm:
        """Let go of a shelved alarm."""
        ...

    async def clear(self, alarm_id: str, by: str, note: str) -> Alarm:
        """End an alarm that has returned."""
        ...

    async def test(self, channel_id: str, by: str) -> Delivery:
        """Send one notice to a channel, now and once; NotFoundError when it is not usable."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenChannel:
    """A channel with its secret, in the process that delivers."""

    channel: Channel
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmSetup:
    """Everything the AlarmActor works by."""

    config: AlarmConfig
    channels: list[OpenChannel]


class AlarmSource(Protocol):
    """Rules, channels and maintenance, for the AlarmActor; each call blocks.

    Every method raises StorageUnavailableError when the database does not answer.
    """

    def version(self) -> int:
        """Return a number that changes with every change of rules or channels."""
        ...

    def under_maintenance(self, now: datetime) -> list[str]:
        """Return the resources under maintenance, sorted."""
        ...

    def load(self, now: datetime) -> AlarmSetup:
        """Return everything as it stands."""
        ...


AlarmSourceFactory = Callable[[], AlarmSource]
"""Opens the source in the actor's process; picklable."""
