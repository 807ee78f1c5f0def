"""The standing alarms of one park, and every way in which one may change.

At most one alarm stands per rule and subject: one that comes back before it was acknowledged is
the same alarm, counted. Every change raises the alarm's version and is kept as a step until
``collect``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from controllers.alarms.evaluation import AlarmKey, Change
from controllers.alarms.lifecycle import ALARM_MACHINE, ENDED, Alarm, AlarmState, AlarmTrigger
from controllers.alarms.rules import Rule
from controllers.alarms.signals import SubjectKind
from controllers.alarms.wording import describe
from controllers.kernel.errors import ConflictError, NotFoundError
from controllers.kernel.ids import IdSource

MAX_STANDING = 20_000
MAX_ENDED = 200
"""Ended alarms remembered, so that an act may be repeated."""
MAX_STEPS = 500
"""Alarms changed at once by one act or turn; more follow in the turns after."""
CHATTER_RAISES = 3
CHATTER_WINDOW = timedelta(minutes=1)
SYSTEM = "system"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmStep:
    """One change of one alarm, for its history."""

    alarm: Alarm
    """As it stood after the change."""
    trigger: str
    at: datetime
    by: str
    note: str


class AlarmBook:
    """Standing alarms; every method is atomic: it changes all it says or raises and changes none.

    Args:
        ids: names new alarms.
        standing: alarms of an earlier life.
        ended: the last that ended.
    """

    def __init__(
        self, ids: IdSource, standing: Iterable[Alarm] = (), ended: Iterable[Alarm] = ()
    ) -> None:
        self._ids = ids
        self._standing = {alarm.id: alarm for alarm in standing}
        self._by_key = {alarm.key: alarm.id for alarm in self._standing.values()}
        self._ended = {alarm.id: alarm for alarm in ended}
        self._steps: list[AlarmStep] = []
        self.n_overflowed = 0
        """Alarms that were not raised because too many stand."""

    @property
    def standing(self) -> list[Alarm]:
        """All standing alarms, oldest first."""
        return list(self._standing.values())

    @property
    def ended(self) -> list[Alarm]:
        """The last that ended, oldest first."""
        return list(self._ended.values())

    def alarm(self, alarm_id: str) -> Alarm:
        """Return an alarm that stands or ended a short while ago.

        Raises:
            NotFoundError: neither.
        """
        found = self._standing.get(alarm_id) or self._ended.get(alarm_id)
        if found is None:
            raise NotFoundError("standing alarm", alarm_id)
        return found

    def of(self, key: AlarmKey) -> Alarm | None:
        """Return the alarm that stands for a rule and subject."""
        return self._standing.get(self._by_key.get(key, ""))

    def members(self, group_id: str) -> list[Alarm]:
        """Return the standing alarms that a group speaks for."""
        return [alarm for alarm in self._standing.values() if alarm.group_id == group_id]

    def newest(self, alarm: Alarm) -> Alarm:
        """Return an alarm as it stands now; as it was given, if it stands no more."""
        return self._standing.get(alarm.id, alarm)

    def collect(self) -> list[AlarmStep]:
        """Return and forget the changes since the last call, in order."""
        steps, self._steps = self._steps, []
        return steps

    def apply(self, change: Change, now: datetime, *, suppressed: bool) -> Alarm | None:
        """Raise or return what a rule's verdict turned; None when there is nothing to change."""
        standing = self.of((change.rule.id, change.subject_id))
        if not change.active:
            return None if standing is None else self._return(standing, now)
        message = describe(change.rule, change.subject_id, change.figure)
        if standing is None:
            kind = change.rule.target.subject_kind
            raised = self.open(
                change.rule, kind, change.subject_id, message, now, figure=change.figure
            )
        else:
            raised = self.raise_again(standing, now, message=message, figure=change.figure)
        if raised is not None and suppressed and _may(raised, AlarmTrigger.SUPPRESS):
            raised = self._move(raised, AlarmTrigger.SUPPRESS, now, note="maintenance")
        return raised

    def open(
        self,
        rule: Rule,
        kind: SubjectKind,
        subject_id: str,
        message: str,
        now: datetime,
        *,
        figure: float | None = None,
        n_members: int = 0,
    ) -> Alarm | None:
        """Raise a new alarm; None when too many stand."""
        if len(self._standing) >= MAX_STANDING:
            self.n_overflowed += 1
            return None
        alarm = Alarm(
            id=self._ids.new("alarm"),
            rule_id=rule.id,
            rule_name=rule.name,
            subject_kind=kind,
            subject_id=subject_id,
            severity=rule.severity,
            priority=rule.priority,
            state=ALARM_MACHINE.next(AlarmState.NORMAL, AlarmTrigger.RAISE),
            active=True,
            message=message,
            advice=rule.advice,
            figure=figure,
            raised_at=now,
            last_raised_at=now,
            changed_at=now,
            recent_raises=[now],
            n_members=n_members,
        )
        self._by_key[alarm.key] = alarm.id
        return self._keep(alarm, AlarmTrigger.RAISE, now, SYSTEM, "")

    def raise_again(
        self, alarm: Alarm, now: datetime, *, message: str, figure: float | None = None
    ) -> Alarm:
        """Raise a standing alarm once more; whoever acknowledged it did so for the time before."""
        raises = [*alarm.recent_raises, now][-CHATTER_RAISES:]
        chattering = len(raises) == CHATTER_RAISES and now - raises[0] <= CHATTER_WINDOW
        return self._move(
            alarm,
            AlarmTrigger.RAISE,
            now,
            active=True,
            message=message,
            figure=figure,
            last_raised_at=now,
            n_raised=alarm.n_raised + 1,
            recent_raises=raises,
            chattering=chattering,
            group_id=None,
            escalations=0,
            acknowledged_at=None,
            acknowledged_by=None,
        )

    def return_to_normal(self, alarm: Alarm, now: datetime) -> Alarm:
        """Note that the condition holds no more."""
        return self._return(alarm, now)

    def acknowledge(self, alarm_id: str, by: str, note: str, now: datetime) -> Alarm:
        """Take note of an alarm, and of those a group speaks for; repeating it changes nothing.

        Raises:
            NotFoundError: it does not stand.
            InvalidTransitionError: it is shelved or suppressed.
        """
        alarm = self.alarm(alarm_id)
        if alarm.state in ENDED or alarm.state is AlarmState.ACKNOWLEDGED:
            return alarm
        done = self._acknowledge(alarm, by, note, now)
        self._acknowledge_members({done.id: done}, now)
        return done

    def shelve(self, alarm_id: str, until: datetime, by: str, reason: str, now: datetime) -> Alarm:
        """Silence an alarm until an instant; a repeat moves the instant.

        Raises:
            NotFoundError: it does not stand.
            InvalidTransitionError: it has ended, or is suppressed.
        """
        alarm = self.alarm(alarm_id)
        return self._move(
            alarm,
            AlarmTrigger.SHELVE,
            now,
            by=by,
            shelved_until=until,
            shelved_by=by,
            note=reason,
            # It may come back alone.
            group_id=None,
        )

    def unshelve(self, alarm_id: str, by: str, note: str, now: datetime) -> Alarm:
        """Let go of a shelved alarm; one that is not shelved stays as it is.

        Raises:
            NotFoundError: it does not stand.
        """
        alarm = self.alarm(alarm_id)
        if alarm.state is not AlarmState.SHELVED:
            return alarm
        return self._release(alarm, now, by=by, note=note)

    def clear(self, alarm_id: str, by: str, note: str, now: datetime) -> Alarm:
        """End an alarm whose condition holds no more; repeating it changes nothing.

        Raises:
            NotFoundError: it does not stand.
            ConflictError: the condition holds, or it is shelved or suppressed.
        """
        alarm = self.alarm(alarm_id)
        if alarm.state in ENDED:
            return alarm
        if alarm.state is not AlarmState.RETURNED:
            message = f"the alarm is {alarm.state.value}; only one that has returned can be cleared"
            raise ConflictError(f"{message}, shelve it instead", current=alarm.state.value)
        return self._move(alarm, AlarmTrigger.CLEAR, now, by=by, note=note)

    def tidy(
        self, suppressed: Collection[str], covers: Callable[[AlarmKey], bool], now: datetime
    ) -> None:
        """Change what time and circumstances change: shelves, maintenance, rules that are gone.

        Args:
            suppressed: resources under maintenance now.
            covers: tells whether a rule in force judges a subject.
            now: the present instant.
        """
        groups = {a.id: a for a in (*self.ended, *self.standing) if a.n_members}
        for alarm in self.standing:
            if len(self._steps) >= MAX_STEPS:
                return
            self._tidy_one(alarm, suppressed, covers, now)
        self._acknowledge_members(groups, now)

    def _tidy_one(
        self,
        alarm: Alarm,
        suppressed: Collection[str],
        covers: Callable[[AlarmKey], bool],
        now: datetime,
    ) -> None:
        until = alarm.shelved_until
        if alarm.subject_kind is not SubjectKind.GROUP and not covers(alarm.key):
            note = "no rule in force covers it"
            self._move(alarm, AlarmTrigger.RETIRE, now, note=note, active=False)
        elif alarm.state is AlarmState.SHELVED and until is not None and until <= now:
            self._release(alarm, now, by=SYSTEM, note="the shelf time is over")
        elif alarm.state is AlarmState.SUPPRESSED and alarm.subject_id not in suppressed:
            self._release(alarm, now, by=SYSTEM, note="the maintenance is over")
        elif alarm.subject_id in suppressed and _may(alarm, AlarmTrigger.SUPPRESS):
            self._move(alarm, AlarmTrigger.SUPPRESS, now, note="maintenance", group_id=None)

    def _acknowledge(self, alarm: Alarm, by: str, note: str, now: datetime) -> Alarm:
        noted: dict[str, object] = {"acknowledged_at": now, "acknowledged_by": by, "note": note}
        return self._move(alarm, AlarmTrigger.ACKNOWLEDGE, now, by=by, **noted)

    def _acknowledge_members(self, groups: Mapping[str, Alarm], now: datetime) -> None:
        # Whoever took note of a group took note of what it speaks for.
        for alarm in self.standing if groups else ():
            group = groups.get(alarm.group_id or "")
            if group is None or group.acknowledged_by is None or len(self._steps) >= MAX_STEPS:
                continue
            if alarm.state in (AlarmState.UNACKNOWLEDGED, AlarmState.RETURNED):
                self._acknowledge(alarm, group.acknowledged_by, group.note, now)

    def note_unseen(self, alarm: Alarm, changes: Mapping[str, object]) -> Alarm:
        """Change what is no step in its history, such as when a notice went out."""
        changed = msgspec.structs.replace(alarm, version=alarm.version + 1, **dict(changes))
        self._standing[alarm.id] = changed
        return changed

    def note(
        self, alarm: Alarm, trigger: str, now: datetime, note: str, **changes: object
    ) -> Alarm:
        """Change an alarm in its state, as a step of its history."""
        changed = msgspec.structs.replace(
            alarm, changed_at=now, version=alarm.version + 1, **changes
        )
        return self._keep(changed, trigger, now, SYSTEM, note)

    def _return(self, alarm: Alarm, now: datetime) -> Alarm:
        if not alarm.active:
            return alarm
        return self._move(alarm, AlarmTrigger.RETURN, now, active=False, returned_at=now)

    def _release(self, alarm: Alarm, now: datetime, *, by: str, note: str) -> Alarm:
        trigger = AlarmTrigger.RELEASE_ACTIVE if alarm.active else AlarmTrigger.RELEASE_NORMAL
        # What still holds asks for attention as if it came now.
        fresh = {"last_raised_at": now, "escalations": 0} if alarm.active else {}
        nobody = {"shelved_until": None, "shelved_by": None}
        return self._move(alarm, trigger, now, by=by, note=note, **fresh, **nobody)

    def _move(
        self,
        alarm: Alarm,
        trigger: AlarmTrigger,
        now: datetime,
        *,
        by: str = SYSTEM,
        **changes: object,
    ) -> Alarm:
        state = ALARM_MACHINE.next(alarm.state, trigger)
        moved = msgspec.structs.replace(
            alarm, state=state, changed_at=now, version=alarm.version + 1, **changes
        )
        note = changes.get("note", "")
        return self._keep(moved, trigger, now, by, str(note))

    def _keep(self, alarm: Alarm, trigger: str, now: datetime, by: str, note: str) -> Alarm:
        if alarm.state in ENDED:
            self._standing.pop(alarm.id, None)
            if self._by_key.get(alarm.key) == alarm.id:
                del self._by_key[alarm.key]
            self._ended[alarm.id] = alarm
            while len(self._ended) > MAX_ENDED:
                del self._ended[next(iter(self._ended))]
        else:
            self._standing[alarm.id] = alarm
        self._steps.append(AlarmStep(alarm=alarm, trigger=trigger, at=now, by=by, note=note))
        return alarm


def _may(alarm: Alarm, trigger: AlarmTrigger) -> bool:
    return ALARM_MACHINE.allows(alarm.state, trigger)
