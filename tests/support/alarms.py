"""Alarms in virtual time: rules and states in, alarms and notices out, one turn per second."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from controllers.alarms.channels import Attempt, Delivery, DeliveryOutcome
from controllers.alarms.events import (
    Acknowledged,
    AlarmAct,
    AlarmCheckpoint,
    AlarmConfig,
    AlarmLogic,
    AlarmOutcome,
    AlarmSubjects,
    Cleared,
    Configured,
    HandOut,
    Observed,
    Shelved,
    Unshelved,
)
from controllers.alarms.lifecycle import Alarm
from controllers.alarms.notices import ChannelRate, Notice
from controllers.alarms.rules import Rule, Severity, Target, Threshold
from controllers.alarms.signals import SubjectKind
from controllers.control.events import Event, Record, Tick
from controllers.kernel.errors import ActorUnavailableError
from controllers.kernel.ids import SequentialIds
from controllers.kernel.states import AggregateState, ResourceState
from controllers.kernel.wire import encode
from controllers.ports.actors import OutboxRecord
from tests.support.live_states import NOW, make_aggregate_state, make_resource_state

SKIP_GRACE_S = 20
"""Longer than what everybody gets to speak after a start."""


def make_rule(id_: str = "hot", **changes: Any) -> Rule:
    """Return a rule that finds more than 90 kW of a resource too much."""
    rule = Rule(
        id=id_,
        name="Too much power",
        target=Target(subject_kind=SubjectKind.RESOURCE),
        signal="power_kw",
        condition=Threshold(above=90.0, hysteresis=10.0),
        severity=Severity.HIGH,
        channels=["desk"],
    )
    return msgspec.structs.replace(rule, **changes)


def channel(id_: str = "desk", max_per_minute: int = 30) -> ChannelRate:
    """Return a channel as decisions see it."""
    return ChannelRate(id=id_, max_per_minute=max_per_minute)


class AlarmCycles:
    """Drives an AlarmLogic; ``restart`` gives its checkpoint to a new one.

    Args:
        rules: in force from the start.
        resources: how many, named ``r1`` and so on.
        also: ids of further ones, before those.
        channels: that can be used.
    """

    def __init__(
        self,
        *rules: Rule,
        resources: int = 1,
        also: tuple[str, ...] = (),
        channels: tuple[ChannelRate, ...] = (channel(),),
    ) -> None:
        self.now: datetime = NOW
        self.ids = [*also, *(f"r{n + 1}" for n in range(resources))]
        self._source = SequentialIds()
        self._seq = 0
        self.states: dict[str, ResourceState] = {}
        self.aggregates: dict[str, AggregateState] = {}
        self.connected = True
        self.records: list[Record] = []
        self.notices: list[Notice] = []
        self.silent: set[str] = set()
        self.config = AlarmConfig(version=1, rules=list(rules), channels=list(channels))
        self._begin(None)
        self.do(Configured(config=self.config))
        self.set(*self.ids, power_kw=0.0)
        self.run(SKIP_GRACE_S)

    def restart(self) -> None:
        """Let a successor resume from the checkpoint."""
        self._begin(encode(self._state))

    def configure(self, **changes: Any) -> None:
        """Change rules, channels or maintenance."""
        version = self.config.version + 1
        self.config = msgspec.structs.replace(self.config, version=version, **changes)
        self.do(Configured(config=self.config))

    def set(self, *ids: str, **values: Any) -> None:
        """Change the states of resources."""
        for id_ in ids:
            state = self.states.get(id_) or make_resource_state(id_, contenders=[])
            self.states[id_] = msgspec.structs.replace(state, **values)

    def set_aggregate(self, id_: str = "site", **values: Any) -> None:
        """Change the state of an aggregate."""
        state = self.aggregates.get(id_) or make_aggregate_state(id_)
        self.aggregates[id_] = msgspec.structs.replace(state, **values)

    def run(self, seconds: int = 1) -> list[Notice]:
        """Let seconds pass, everybody speaking once in each; return the notices."""
        before = len(self.notices)
        for _ in range(seconds):
            self.now += timedelta(seconds=1)
            self.do(self._observed())
            self.do(Tick())
        return self.notices[before:]

    def leap(self, seconds: float) -> list[Notice]:
        """Let one long second pass."""
        self.now += timedelta(seconds=seconds - 1)
        return self.run()

    def do(self, event: Event) -> None:
        """Let something happen; raises what the logic raises."""
        self._take(self.logic.decide(self._state, event, self.now))

    def alarms(self) -> list[Alarm]:
        """Return the standing alarms."""
        return self.logic.book.standing

    def alarm(self, subject_id: str = "r1", rule_id: str = "hot") -> Alarm:
        """Return the alarm that stands for a subject."""
        found = self.logic.book.of((rule_id, subject_id))
        assert found is not None, self.alarms()
        return found

    def told(self) -> list[tuple[str, str, str]]:
        """Return reason, subject and channel of all notices so far."""
        return [(n.reason.value, n.alarm.subject_id, n.channel_id) for n in self.notices]

    def _begin(self, checkpoint: bytes | None) -> None:
        subjects = AlarmSubjects(
            park_id="demo",
            park_name="Demo",
            resources=[(id_, "battery") for id_ in self.ids],
            aggregates=["site"],
        )
        self.logic = AlarmLogic(subjects, self._source)
        self._take(self.logic.resume(1, checkpoint, self.now))

    def _observed(self) -> Observed:
        self._seq += 1
        stamp = {"seq": self._seq, "published_at": self.now}
        spoken = [
            msgspec.structs.replace(s, **stamp, measured_at=self.now)
            for s in self.states.values()
            if s.id not in self.silent
        ]
        sums = [msgspec.structs.replace(s, **stamp) for s in self.aggregates.values()]
        if not self.connected:
            spoken, sums = [], []
        return Observed(connected=self.connected, resources=spoken, aggregates=sums)

    def _take(self, outcome: AlarmOutcome) -> None:
        if outcome.durable:
            self._state: AlarmCheckpoint = outcome.state
        for effect in outcome.effects:
            if isinstance(effect, Record):
                self.records.append(effect)
            elif isinstance(effect, HandOut):
                assert outcome.durable
                self.notices += effect.notices


class ReversingBox:
    """A SecretBox that turns secrets round, so that a test sees what was sealed."""

    def seal(self, secret: str) -> str:
        """Return the sealed secret."""
        return f"sealed:{secret[::-1]}"

    def open(self, sealed: str) -> str:
        """Return the secret."""
        return sealed.removeprefix("sealed:")[::-1]


class LogicDesk:
    """An AlarmDesk on a real AlarmLogic in virtual time; what it records goes where it is told."""

    def __init__(
        self, run: AlarmCycles, write: Callable[[list[OutboxRecord]], Awaitable[None]]
    ) -> None:
        self.run = run
        self.unavailable = False
        self.tested: list[str] = []
        self._write = write
        self._n_recorded = 0

    async def record(self) -> None:
        """Carry what was recorded into the database."""
        first = self._n_recorded + 1
        fresh = self.run.records[self._n_recorded :]
        self._n_recorded = len(self.run.records)
        await self._write(
            [
                OutboxRecord(actor_id="alarms", seq=seq, kind=r.kind, at=r.at, data=dict(r.data))
                for seq, r in enumerate(fresh, start=first)
            ]
        )

    async def acknowledge(self, alarm_id: str, by: str, note: str) -> Alarm:
        """Take note of an alarm."""
        return await self._do(Acknowledged(alarm_id=alarm_id, by=by, note=note))

    async def shelve(self, alarm_id: str, until: datetime, by: str, reason: str) -> Alarm:
        """Silence an alarm."""
        return await self._do(Shelved(alarm_id=alarm_id, by=by, note=reason, until=until))

    async def unshelve(self, alarm_id: str, by: str, note: str) -> Alarm:
        """Let go of an alarm."""
        return await self._do(Unshelved(alarm_id=alarm_id, by=by, note=note))

    async def clear(self, alarm_id: str, by: str, note: str) -> Alarm:
        """End an alarm."""
        return await self._do(Cleared(alarm_id=alarm_id, by=by, note=note))

    async def test(self, channel_id: str, by: str) -> Delivery:
        """Say that it went well."""
        self._reach()
        self.tested.append(channel_id)
        return Delivery(
            notice_id="notice-test",
            channel_id=channel_id,
            outcome=DeliveryOutcome.DELIVERED,
            finished_at=self.run.now,
            attempts=[Attempt(at=self.run.now, ok=True, detail="status 204")],
        )

    async def _do(self, act: AlarmAct) -> Alarm:
        self._reach()
        self.run.do(act)
        await self.record()
        return self.run.logic.book.alarm(act.alarm_id)

    def _reach(self) -> None:
        if self.unavailable:
            raise ActorUnavailableError("alarms")
