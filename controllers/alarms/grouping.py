"""One alarm in place of many: when a rule raises on many subjects at once, a group speaks for them.

Members of a group are listed, but nobody is told of them one by one. Acknowledging the group
acknowledges them. The group returns when none of its members is active any more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta

from controllers.alarms.book import AlarmBook
from controllers.alarms.lifecycle import Alarm, AlarmState
from controllers.alarms.rules import Rule
from controllers.alarms.signals import SubjectKind
from controllers.alarms.wording import describe_group

GROUP_AT = 5
"""So many alarms of one rule within the window become a group."""
GROUP_WINDOW = timedelta(seconds=30)


def group_subject(rule_id: str) -> str:
    """Return the subject id of a rule's group; no resource can have it."""
    return f"group:{rule_id}"


def regroup(book: AlarmBook, rules: Mapping[str, Rule], now: datetime) -> None:
    """Make groups, let new alarms join them, and end those that speak for nobody."""
    groups = {a.rule_id: a for a in book.standing if a.subject_kind is SubjectKind.GROUP}
    n_active: dict[str, int] = defaultdict(int)
    lonely: dict[str, list[Alarm]] = defaultdict(list)
    for alarm in book.standing:
        if alarm.group_id is not None:
            n_active[alarm.group_id] += alarm.active
        elif alarm.rule_id in rules and _is_fresh(alarm, now):
            lonely[alarm.rule_id].append(alarm)
    for rule_id, alarms in lonely.items():
        rule, group = rules[rule_id], groups.get(rule_id)
        if group is not None:
            n_members = n_active[group.id] + len(alarms)
            group = groups[rule_id] = _grow(book, rule, group, n_members, now)
        elif len(alarms) >= GROUP_AT:
            group = _found(book, rule, len(alarms), now)
        if group is not None:
            _join(book, group, alarms)
            n_active[group.id] += len(alarms)
    for group in groups.values():
        if group.active and not n_active[group.id]:
            book.return_to_normal(group, now)


def _join(book: AlarmBook, group: Alarm, alarms: list[Alarm]) -> None:
    for alarm in alarms:
        book.note_unseen(alarm, {"group_id": group.id})


def _is_fresh(alarm: Alarm, now: datetime) -> bool:
    return (
        alarm.state is AlarmState.UNACKNOWLEDGED
        and alarm.subject_kind is not SubjectKind.GROUP
        and now - alarm.last_raised_at <= GROUP_WINDOW
    )


def _found(book: AlarmBook, rule: Rule, n_members: int, now: datetime) -> Alarm | None:
    message = describe_group(rule, n_members)
    subject_id = group_subject(rule.id)
    return book.open(rule, SubjectKind.GROUP, subject_id, message, now, n_members=n_members)


def _grow(book: AlarmBook, rule: Rule, group: Alarm, n_members: int, now: datetime) -> Alarm:
    message = describe_group(rule, n_members)
    if group.state in (AlarmState.ACKNOWLEDGED, AlarmState.RETURNED) or not group.active:
        group = book.raise_again(group, now, message=message)
    return book.note(group, "grow", now, "", message=message, n_members=n_members)
