"""Who is told what and when, so that nobody is flooded and nothing important goes unsaid.

A new alarm settles for a moment first, since a group may come to speak for it. One subject of one
rule is told of at most once per the rule's ``renotify_s``, however often it comes and goes; as long
as nobody acknowledges it, that is also the interval of reminders, and the rule's escalation goes
on. Each rule and each channel has a rate; what goes beyond is withheld, counted, and the count told
with the channel's next notice. A notice stays pending until it is settled, across restarts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from controllers.alarms.book import AlarmBook, AlarmStep
from controllers.alarms.lifecycle import Alarm, AlarmState, AlarmTrigger
from controllers.alarms.rules import Rule, Severity
from controllers.alarms.signals import SubjectKind
from controllers.kernel.ids import IdSource
from controllers.kernel.wire import Wire

SETTLE = timedelta(seconds=5)
"""How long an alarm stands before it is told."""
MAX_PENDING = 1000
HAND_AGAIN = timedelta(minutes=15)
"""A notice that was handed out and not settled for so long is handed out again."""
ESCALATED = "escalate"

_HOUR_S = 3600.0
_MINUTE_S = 60.0


class NoticeReason(StrEnum):
    """Why somebody is told."""

    RAISED = "raised"
    REMINDER = "reminder"
    ESCALATED = "escalated"
    RETURNED = "returned"
    TEST = "test"


class Notice(Wire):
    """One message to one channel."""

    id: str
    channel_id: str
    reason: NoticeReason
    at: datetime
    alarm: Alarm
    """As it stood then."""
    n_withheld: int = 0
    """Notices this channel did not get since its last one."""


class ChannelRate(Wire):
    """What deciding needs of a channel."""

    id: str
    max_per_minute: int


class Pace(Wire):
    """A token bucket."""

    tokens: float
    at: datetime
    n_withheld: int = 0


class PostBox(Wire):
    """What must be remembered of notices; durable."""

    pending: dict[str, Notice] = {}
    paces: dict[str, Pace] = {}
    told_at: dict[str, datetime] = {}
    """By rule and subject: when a notice last went out."""


class Postman:
    """Decides on notices.

    Args:
        ids: names new notices.
        box: of an earlier life.
    """

    def __init__(self, ids: IdSource, box: PostBox) -> None:
        self._ids = ids
        self._pending = dict(box.pending)
        self._paces = dict(box.paces)
        self._told_at = dict(box.told_at)
        self._handed_at: dict[str, datetime] = {}

    def box(self) -> PostBox:
        """Return what must be remembered."""
        return PostBox(
            pending=dict(self._pending), paces=dict(self._paces), told_at=dict(self._told_at)
        )

    def settle(self, notice_id: str) -> Notice | None:
        """Forget a notice whose delivery has ended, and return it."""
        self._handed_at.pop(notice_id, None)
        return self._pending.pop(notice_id, None)

    def turn(
        self,
        book: AlarmBook,
        steps: Sequence[AlarmStep],
        rules: Mapping[str, Rule],
        channels: Mapping[str, ChannelRate],
        now: datetime,
    ) -> list[Notice]:
        """Return the notices to hand out now.

        Args:
            book: the standing alarms; escalation and the instant of notices are noted in it.
            steps: what has just changed.
            rules: in force, by id.
            channels: that can be used, by id.
            now: the present instant.
        """
        due: list[tuple[Alarm, Rule, NoticeReason, Iterable[str]]] = []
        for step in steps:
            alarm, rule = step.alarm, rules.get(step.alarm.rule_id)
            if step.trigger == AlarmTrigger.RETURN and rule is not None and _was_told(alarm):
                due.append((alarm, rule, NoticeReason.RETURNED, _channels(rule, alarm)))
        for alarm in book.standing:
            rule = rules.get(alarm.rule_id)
            if rule is not None and _speaks(alarm, now):
                due += self._of_standing(book, alarm, rule, now)
        for alarm, rule, reason, ids in due:
            for channel_id in dict.fromkeys(ids):
                channel = channels.get(channel_id)
                if channel is not None:
                    self._post(channel, rule, alarm, reason, now)
        self._forget(rules, now)
        return self._to_hand(now)

    def _of_standing(
        self, book: AlarmBook, alarm: Alarm, rule: Rule, now: datetime
    ) -> list[tuple[Alarm, Rule, NoticeReason, Iterable[str]]]:
        due: list[tuple[Alarm, Rule, NoticeReason, Iterable[str]]] = []
        steps = rule.escalation[alarm.escalations :]
        for number, step in enumerate(steps, start=alarm.escalations + 1):
            if (now - alarm.last_raised_at).total_seconds() < step.after_s:
                break
            severity = alarm.severity if step.severity is None else step.severity
            note = f"nobody acknowledged it for {step.after_s:g} s"
            alarm = book.note(alarm, ESCALATED, now, note, severity=severity, escalations=number)
            due.append((alarm, rule, NoticeReason.ESCALATED, step.channels))
        told_at = self._told_at.get(_key(alarm))
        if told_at is None or (now - told_at).total_seconds() >= rule.renotify_s:
            new = alarm.notified_at is None or alarm.notified_at < alarm.last_raised_at
            reason = NoticeReason.RAISED if new else NoticeReason.REMINDER
            self._told_at[_key(alarm)] = now
            alarm = book.note_unseen(alarm, {"notified_at": now})
            due.append((alarm, rule, reason, _channels(rule, alarm)))
        return due

    def _post(
        self, channel: ChannelRate, rule: Rule, alarm: Alarm, reason: NoticeReason, now: datetime
    ) -> None:
        of_channel = self._pace(f"channel {channel.id}", channel.max_per_minute, _MINUTE_S, now)
        of_rule = self._pace(f"rule {rule.id}", rule.max_notices_per_hour, _HOUR_S, now)
        full = len(self._pending) >= MAX_PENDING
        if full or of_channel.tokens < 1.0 or of_rule.tokens < 1.0:
            n_withheld = of_channel.n_withheld + 1
            pace = msgspec.structs.replace(of_channel, n_withheld=n_withheld)
            self._paces[f"channel {channel.id}"] = pace
            return
        notice = Notice(
            id=self._ids.new("notice"),
            channel_id=channel.id,
            reason=reason,
            at=now,
            alarm=alarm,
            n_withheld=of_channel.n_withheld,
        )
        self._pending[notice.id] = notice
        spent = Pace(tokens=of_channel.tokens - 1.0, at=now)
        self._paces[f"channel {channel.id}"] = spent
        self._paces[f"rule {rule.id}"] = Pace(tokens=of_rule.tokens - 1.0, at=now)

    def _pace(self, name: str, most: int, per_s: float, now: datetime) -> Pace:
        pace = self._paces.get(name)
        if pace is None:
            return Pace(tokens=float(most), at=now)
        gained = max((now - pace.at).total_seconds(), 0.0) * most / per_s
        tokens = min(float(most), pace.tokens + gained)
        return msgspec.structs.replace(pace, tokens=tokens, at=now)

    def _to_hand(self, now: datetime) -> list[Notice]:
        waiting = []
        for notice in self._pending.values():
            handed_at = self._handed_at.get(notice.id)
            if handed_at is None or now - handed_at >= HAND_AGAIN:
                self._handed_at[notice.id] = now
                waiting.append(notice)
        return waiting

    def _forget(self, rules: Mapping[str, Rule], now: datetime) -> None:
        longest_s = max((rule.renotify_s for rule in rules.values()), default=0.0)
        old = [k for k, at in self._told_at.items() if (now - at).total_seconds() > longest_s]
        for key in old:
            del self._told_at[key]


def trial_notice(id_: str, channel_id: str, by: str, now: datetime) -> Notice:
    """Return a notice about nothing, to try a channel with."""
    alarm = Alarm(
        id="alarm-test",
        rule_id="test",
        rule_name="Test",
        subject_kind=SubjectKind.FEED,
        subject_id="test",
        severity=Severity.LOW,
        priority=5,
        state=AlarmState.NORMAL,
        active=False,
        message=f"test of this channel, asked for by {by}",
        raised_at=now,
        last_raised_at=now,
        changed_at=now,
    )
    return Notice(id=id_, channel_id=channel_id, reason=NoticeReason.TEST, at=now, alarm=alarm)


def _speaks(alarm: Alarm, now: datetime) -> bool:
    return (
        alarm.state is AlarmState.UNACKNOWLEDGED
        and alarm.group_id is None
        and now - alarm.last_raised_at >= SETTLE
    )


def _was_told(alarm: Alarm) -> bool:
    told_at = alarm.notified_at
    silent = alarm.state in (AlarmState.SHELVED, AlarmState.SUPPRESSED)
    return told_at is not None and told_at >= alarm.last_raised_at and not silent


def _channels(rule: Rule, alarm: Alarm) -> list[str]:
    escalated = [id_ for step in rule.escalation[: alarm.escalations] for id_ in step.channels]
    return [*rule.channels, *escalated]


def _key(alarm: Alarm) -> str:
    return f"{alarm.rule_id} {alarm.subject_id}"
