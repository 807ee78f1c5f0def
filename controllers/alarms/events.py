"""The alarms of one park in the form a host gives life to: events in, effects out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from controllers.alarms.book import AlarmBook, AlarmStep
from controllers.alarms.channels import Delivery
from controllers.alarms.evaluation import Evaluator
from controllers.alarms.grouping import regroup
from controllers.alarms.lifecycle import Alarm
from controllers.alarms.notices import ChannelRate, Notice, PostBox, Postman
from controllers.alarms.rules import Rule
from controllers.control.events import Effect, Event, LinkChanged, Record, Tick
from controllers.kernel.errors import ConflictError, NotFoundError
from controllers.kernel.ids import IdSource
from controllers.kernel.states import AggregateState, ResourceState
from controllers.kernel.wire import Wire, decode

STEP_KIND = "alarm"
DELIVERY_KIND = "alarm_delivery"
CHECKPOINT_MAX_BYTES = 67_108_864

_NOT_RECORDED = ("recent_raises",)


class AlarmSubjects(Wire):
    """What a park has that alarms can be about."""

    park_id: str
    park_name: str
    resources: list[tuple[str, str]]
    """Id and kind of plant."""
    aggregates: list[str]


class AlarmConfig(Wire):
    """Rules, usable channels and maintenance as the database has them; no secrets."""

    version: int = -1
    rules: list[Rule] = []
    channels: list[ChannelRate] = []
    suppressed: list[str] = []
    """Resources under maintenance."""


class AlarmCheckpoint(Wire):
    """All that must survive."""

    config: AlarmConfig = AlarmConfig()
    standing: list[Alarm] = []
    ended: list[Alarm] = []
    post: PostBox = PostBox()


class Observed(Event, tag="observed"):
    """New live states came in, or the feed went or came."""

    connected: bool
    resources: list[ResourceState] = []
    aggregates: list[AggregateState] = []


class Configured(Event, tag="configured"):
    """The database has other rules, channels or maintenance than before."""

    config: AlarmConfig


class AlarmAct(Event):
    """A person does something about an alarm."""

    alarm_id: str
    by: str
    note: str


class Acknowledged(AlarmAct, tag="acknowledged"):
    """A person takes note of an alarm."""


class Shelved(AlarmAct, tag="shelved"):
    """A person silences an alarm until an instant."""

    until: datetime


class Unshelved(AlarmAct, tag="unshelved"):
    """A person lets go of a shelved alarm."""


class Cleared(AlarmAct, tag="cleared"):
    """A person ends an alarm that has returned."""


class Settled(Event, tag="settled"):
    """The delivery of a notice has ended."""

    delivery: Delivery


class PublishAlarms(Effect, tag="publish_alarms"):
    """Publish on the retained topic of each alarm."""

    alarms: list[Alarm]


class HandOut(Effect, tag="hand_out"):
    """Deliver notices; each ends with ``Settled``."""

    notices: list[Notice]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmOutcome:
    """What one event led to."""

    state: AlarmCheckpoint
    """As last made for the disk; current whenever ``durable``."""
    effects: list[Effect] = field(default_factory=list)
    durable: bool = False


class AlarmLogic:
    """The alarms of one park.

    Args:
        subjects: what the park has.
        ids: names alarms and notices.
    """

    def __init__(self, subjects: AlarmSubjects, ids: IdSource) -> None:
        self._subjects = subjects
        self._ids = ids
        self._checkpoint = AlarmCheckpoint()
        self._config = AlarmConfig()
        self._rules: dict[str, Rule] = {}
        self._channels: dict[str, ChannelRate] = {}
        self._connected = False
        self._book: AlarmBook | None = None
        self._evaluator: Evaluator
        self._postman: Postman

    @property
    def book(self) -> AlarmBook:
        """The standing alarms of this life.

        Raises:
            NotFoundError: before ``resume``.
        """
        if self._book is None:
            raise NotFoundError("alarm book", "alarms")
        return self._book

    @property
    def config_version(self) -> int:
        """Version of the configuration in force; -1 before the first."""
        return self._config.version

    def resume(self, epoch: int, checkpoint: bytes | None, now: datetime) -> AlarmOutcome:
        """Begin a life with what the last one left: nothing is raised anew, nothing is lost."""
        kept = AlarmCheckpoint()
        if checkpoint is not None:
            kept = decode(checkpoint, AlarmCheckpoint, max_bytes=CHECKPOINT_MAX_BYTES)
        self._book = AlarmBook(self._ids, kept.standing, kept.ended)
        self._postman = Postman(self._ids, kept.post)
        subjects = self._subjects
        self._evaluator = Evaluator(subjects.resources, subjects.aggregates, now.timestamp())
        self._adopt(kept.config)
        # What was said last may not have been heard, and what has ended may still be retained.
        republish = PublishAlarms(alarms=[*kept.ended, *kept.standing])
        return self._outcome([republish], durable=True)

    def decide(self, state: AlarmCheckpoint, event: Event, now: datetime) -> AlarmOutcome:
        """Fold one event."""
        book = self.book
        match event:
            case Tick():
                return self._turn(now)
            case Observed():
                self._connected = event.connected
                self._evaluator.take(event.resources, event.aggregates)
                return AlarmOutcome(state=state)
            case Configured():
                self._adopt(event.config)
            case AlarmAct():
                self._act(event, now)
            case Settled():
                return self._settled(event.delivery)
            case LinkChanged(up=True):
                # A broker that was restarted may have forgotten what it retained.
                return AlarmOutcome(state=state, effects=[PublishAlarms(alarms=book.standing)])
            case LinkChanged():
                return AlarmOutcome(state=state)
            case _:
                message = f"alarms take no {type(event).__name__}"
                raise ConflictError(message, current="alarms")
        return self._after(book.collect(), durable=True)

    def _act(self, event: AlarmAct, now: datetime) -> None:
        id_, by, note = event.alarm_id, event.by, event.note
        match event:
            case Acknowledged():
                self.book.acknowledge(id_, by, note, now)
            case Shelved(until=until):
                self.book.shelve(id_, until, by, note, now)
            case Unshelved():
                self.book.unshelve(id_, by, note, now)
            case Cleared():
                self.book.clear(id_, by, note, now)

    def _adopt(self, config: AlarmConfig) -> None:
        self._config = config
        self._rules = {rule.id: rule for rule in config.rules}
        self._channels = {channel.id: channel for channel in config.channels}
        active = {alarm.key for alarm in self.book.standing if alarm.active}
        self._evaluator.set_rules(config.rules, active)

    def _turn(self, now: datetime) -> AlarmOutcome:
        book, suppressed = self.book, frozenset(self._config.suppressed)
        for change in self._evaluator.turn(now.timestamp(), connected=self._connected):
            book.apply(change, now, suppressed=change.subject_id in suppressed)
        book.tidy(suppressed, self._evaluator.covers, now)
        regroup(book, self._rules, now)
        steps = book.collect()
        notices = self._postman.turn(book, steps, self._rules, self._channels, now)
        return self._after([*steps, *book.collect()], notices=notices)

    def _settled(self, delivery: Delivery) -> AlarmOutcome:
        notice = self._postman.settle(delivery.notice_id)
        if notice is None:
            return AlarmOutcome(state=self._checkpoint)
        data: dict[str, str | float | int | bool | None] = {
            "notice_id": notice.id,
            "alarm_id": notice.alarm.id,
            "channel_id": notice.channel_id,
            "reason": notice.reason.value,
            "created_at": notice.at.isoformat(),
            "outcome": delivery.outcome.value,
            "attempts": json.dumps(msgspec.to_builtins(delivery.attempts)),
        }
        record = Record(kind=DELIVERY_KIND, at=delivery.finished_at, data=data)
        return self._outcome([record], durable=True)

    def _after(
        self, steps: Sequence[AlarmStep], *, notices: Sequence[Notice] = (), durable: bool = False
    ) -> AlarmOutcome:
        effects: list[Effect] = [self._record(step) for step in steps]
        touched = {step.alarm.id: step.alarm for step in steps}
        if touched:
            newest = [self.book.newest(alarm) for alarm in touched.values()]
            effects.append(PublishAlarms(alarms=newest))
        if notices:
            effects.append(HandOut(notices=list(notices)))
        return self._outcome(effects, durable=durable or bool(steps) or bool(notices))

    def _record(self, step: AlarmStep) -> Record:
        alarm = msgspec.to_builtins(step.alarm)
        # A group takes an alarm in after it was raised, in the same turn.
        alarm["group_id"] = self.book.newest(step.alarm).group_id
        data = {name: value for name, value in alarm.items() if name not in _NOT_RECORDED}
        data |= {"trigger": str(step.trigger), "by": step.by, "step_note": step.note}
        return Record(kind=STEP_KIND, at=step.at, data=data)

    def _outcome(self, effects: list[Effect], *, durable: bool) -> AlarmOutcome:
        if durable:
            book = self.book
            self._checkpoint = AlarmCheckpoint(
                config=self._config,
                standing=book.standing,
                ended=book.ended,
                post=self._postman.box(),
            )
        return AlarmOutcome(state=self._checkpoint, effects=effects, durable=durable)
