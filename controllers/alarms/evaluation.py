"""Turns live signals into raised and returned: every rule over all its subjects, once per turn.

A verdict counts once it has stood for the rule's delay. While the feed of live states is down, and
for a moment after, only rules about the feed itself are judged: everything else would be blamed on
the wrong thing. At most ``MAX_CHANGES`` alarms change in one turn, the others in the next.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controllers.alarms.board import Board
from controllers.alarms.judging import Inputs, judge_of
from controllers.alarms.rules import Rule
from controllers.alarms.signals import (
    AGE,
    FEED_ID,
    SubjectKind,
    aggregate_reader,
    resource_reader,
)
from controllers.kernel.states import AggregateState, ResourceState

MAX_CHANGES = 500
FEED_GRACE_S = 15.0
"""After the feed came back, everybody gets so long to speak."""
_FEED_DOWN_S = 3.0

AlarmKey = tuple[str, str]
"""Rule id and subject id."""

_REFUSED = "command_refused"
_PLANNED = {SubjectKind.RESOURCE: "setpoint_kw", SubjectKind.AGGREGATE: "target_kw"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A rule's verdict on one subject turned."""

    rule: Rule
    subject_id: str
    active: bool
    """True: abnormal for as long as the rule waits; False: normal again."""
    figure: float | None
    """What was compared with the limit."""


class Evaluator:
    """All rules over one park.

    Args:
        resources: id and kind of plant of each resource.
        aggregates: ids.
        now_s: when listening begins, in seconds since 1970.
    """

    def __init__(
        self, resources: Sequence[tuple[str, str]], aggregates: Sequence[str], now_s: float
    ) -> None:
        ids = [id_ for id_, _ in resources]
        self._resources = Board[ResourceState](ids, [kind for _, kind in resources], now_s)
        self._aggregates = Board[AggregateState](aggregates, [""] * len(aggregates), now_s)
        self._feed_up_s = now_s
        self._feed_down_until_s = now_s
        self._watches: dict[str, _Watch] = {}

    def set_rules(self, rules: Iterable[Rule], active: Collection[AlarmKey]) -> None:
        """Judge by these rules from now on; a rule that did not change keeps what it remembers.

        Args:
            rules: all rules; disabled ones are not judged.
            active: what stands as abnormal, so that it is not raised again.
        """
        before, self._watches = self._watches, {}
        for rule in rules:
            if rule.enabled:
                known = before.get(rule.id)
                if known is None or not known.adopts(rule):
                    known = _Watch(rule, self._subjects(rule), active)
                self._watches[rule.id] = known
        self._resources.watch({n: resource_reader(n) for n in self._needed(SubjectKind.RESOURCE)})
        self._aggregates.watch(
            {n: aggregate_reader(n) for n in self._needed(SubjectKind.AGGREGATE)}
        )

    def covers(self, key: AlarmKey) -> bool:
        """Tell whether a rule in force judges a subject."""
        watch = self._watches.get(key[0])
        return watch is not None and key[1] in watch.subject_ids

    def take(
        self, resources: Iterable[ResourceState], aggregates: Iterable[AggregateState]
    ) -> None:
        """Take in new states."""
        self._resources.take(resources)
        self._aggregates.take(aggregates)

    def turn(self, now_s: float, *, connected: bool) -> list[Change]:
        """Judge everything as of now.

        Args:
            now_s: seconds since 1970.
            connected: whether live states can arrive at all.
        """
        if connected:
            if now_s - self._feed_up_s > _FEED_DOWN_S:
                self._feed_down_until_s = now_s + FEED_GRACE_S
            self._feed_up_s = now_s
        blind = not connected or now_s < self._feed_down_until_s
        changes: list[Change] = []
        for watch in self._watches.values():
            is_feed = watch.rule.target.subject_kind is SubjectKind.FEED
            if is_feed or not blind:
                room = MAX_CHANGES - len(changes)
                changes += watch.turn(self._inputs(watch, now_s), room)
        return changes

    def _subjects(self, rule: Rule) -> tuple[list[str], NDArray[np.intp]]:
        target = rule.target
        if target.subject_kind is SubjectKind.FEED:
            return [FEED_ID], np.zeros(1, dtype=np.intp)
        ids, kinds = self._resources.ids, self._resources.kinds
        if target.subject_kind is SubjectKind.AGGREGATE:
            ids, kinds = self._aggregates.ids, self._aggregates.kinds
        rows = [
            row
            for row, id_ in enumerate(ids)
            if target.id in (None, id_) and target.resource_kind in (None, kinds[row])
        ]
        return [ids[row] for row in rows], np.array(rows, dtype=np.intp)

    def _needed(self, kind: SubjectKind) -> list[str]:
        watched = [w.rule.signal for w in self._watches.values() if _kind_of(w.rule) is kind]
        extra = [_PLANNED[kind], *([_REFUSED] if kind is SubjectKind.RESOURCE else [])]
        return list(dict.fromkeys([AGE, *extra, *watched]))

    def _inputs(self, watch: _Watch, now_s: float) -> Inputs:
        kind = _kind_of(watch.rule)
        if kind is SubjectKind.FEED:
            age_s = np.array([now_s - self._feed_up_s])
            return Inputs(now_s, age_s, age_s, age_s, age_s)
        board: Board[ResourceState] | Board[AggregateState] = (
            self._resources if kind is SubjectKind.RESOURCE else self._aggregates
        )
        rows = watch.rows
        planned = board.values(_PLANNED[kind], now_s)[rows]
        refused = board.values(_REFUSED, now_s)[rows] if kind is SubjectKind.RESOURCE else planned
        return Inputs(
            now_s,
            board.values(watch.rule.signal, now_s)[rows],
            planned,
            refused,
            board.measured_at_s()[rows],
        )


class _Watch:
    """One rule with what it remembers of its subjects."""

    def __init__(
        self,
        rule: Rule,
        subjects: tuple[list[str], NDArray[np.intp]],
        active: Collection[AlarmKey],
    ) -> None:
        self.rule = rule
        self._ids, self.rows = subjects
        self.subject_ids = frozenset(self._ids)
        self._judge = judge_of(rule.condition, len(self._ids))
        self._active = np.array([(rule.id, id_) in active for id_ in self._ids], dtype=np.bool_)
        self._turned_s = np.full(len(self._ids), np.nan)
        """Since when the verdict is the opposite of what stands."""

    def adopts(self, rule: Rule) -> bool:
        """Take over a rule's new version if it judges the same things the same way."""
        same = (rule.target, rule.signal, rule.condition) == (
            self.rule.target,
            self.rule.signal,
            self.rule.condition,
        )
        if same:
            self.rule = rule
        return same

    def turn(self, inputs: Inputs, room: int) -> list[Change]:
        verdict = self._judge.judge(inputs)
        opposite = np.where(self._active, verdict.normal, verdict.abnormal)
        began_s = np.where(np.isnan(self._turned_s), inputs.now_s, self._turned_s)
        self._turned_s = np.where(opposite, began_s, np.nan)
        delay_s = np.where(self._active, self.rule.delay_off_s, self.rule.delay_on_s)
        due = np.flatnonzero(opposite & (inputs.now_s - began_s >= delay_s))[:room]
        self._active[due] ^= True
        self._turned_s[due] = np.nan
        return [
            Change(
                rule=self.rule,
                subject_id=self._ids[row],
                active=bool(self._active[row]),
                figure=_known(verdict.figure[row]),
            )
            for row in due.tolist()
        ]


def _kind_of(rule: Rule) -> SubjectKind:
    return rule.target.subject_kind


def _known(figure: float) -> float | None:
    return None if np.isnan(figure) else float(figure)
