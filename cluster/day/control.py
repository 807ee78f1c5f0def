"""The park's controllers on an exchange: the same logics and links the live actors host.

A live actor's host waits for messages, makes durable and performs. Here each turn goes through all
of them once, in the order in which messages would arrive, and nothing needs to outlive the process.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from actors.aggregate import member_specs
from actors.host import Link, Logic
from actors.links.aggregate import AggregateLink
from actors.links.device import DeviceLink
from actors.links.fleet import FleetLink
from actors.links.mqtt import MqttSettings
from actors.resource import ResourceLogic
from cluster.day.exchange import Exchange
from cluster.day.pace import aggregate_settings, control_settings
from cluster.day.plant import Plant
from controllers.aggregation.checkpoint import MemberPlan
from controllers.aggregation.events import AggregateLogic, Planned
from controllers.aggregation.instruction import DeliveryReport
from controllers.control.events import Event, Record, Tick
from controllers.control.state import ControlState, ResourceSpec
from controllers.kernel.states import AggregateState
from controllers.kernel.timebase import ManualClock
from controllers.park import AggregateDefinition, ParkDefinition, ResourceDefinition
from controllers.resources.fleet import Fleet
from controllers.resources.kinds import build_twin
from controllers.resources.twin import Twin, TwinState

_DRAIN = 256
_FIRST_EPOCH = 1
_BROKER = MqttSettings()
"""Never connected to: the exchange stands in for it."""


@dataclass(slots=True)
class _Hosted:
    """One logic with its link, as an actor would hold them."""

    logic: Logic[Any]
    link: Link
    state: Any = None

    async def resume(self, now: datetime) -> None:
        outcome = self.logic.resume(_FIRST_EPOCH, None, now)
        self.state = outcome.state
        for effect in outcome.effects:
            await self.link.perform(effect)

    async def take(self, event: Event, now: datetime, records: Counter[str]) -> None:
        outcome = self.logic.decide(self.state, event, now)
        self.state = outcome.state
        for effect in outcome.effects:
            if isinstance(effect, Record):
                records[_name(effect)] += 1
            else:
                await self.link.perform(effect)

    async def drain(self, now: datetime, records: Counter[str]) -> None:
        for event in self.link.drain(_DRAIN):
            await self.take(event, now, records)


class ParkControl:
    """All resources and aggregates of a park under control.

    Args:
        park: a checked definition, at the day's pace.
        exchange: where the devices are.
        clock: moved by whoever runs the day.
        step_s: length of a step.
    """

    def __init__(
        self, park: ParkDefinition, exchange: Exchange, clock: ManualClock, step_s: float
    ) -> None:
        self.twins: dict[str, Twin] = {
            r.id: build_twin(r.kind, r.parameters) for r in park.resources
        }
        self.records: Counter[str] = Counter()
        """Facts that an actor would put in its outbox, by kind and outcome."""
        self._park, self._exchange, self._clock, self._step_s = park, exchange, clock, step_s
        self._resources = {r.id: self._resource(r) for r in park.resources}
        self._aggregates = {a.id: self._aggregate(a) for a in _children_first(park)}

    async def start(self) -> None:
        """Begin a life of every control, with all links up."""
        for hosted in (*self._resources.values(), *self._aggregates.values()):
            await hosted.resume(self._clock.now())
        self._exchange.connect()

    async def observe(self, plant: Plant) -> None:
        """Take in what the devices have reported, up to the sums of every aggregate."""
        await self._talk(plant)
        for hosted in self._aggregates.values():
            await hosted.drain(self._clock.now(), self.records)

    async def dispatch(self, plant: Plant) -> None:
        """Turn every dispatch loop once, and see its commands through to their answers."""
        now = self._clock.now()
        for hosted in self._aggregates.values():
            await hosted.drain(now, self.records)
            await hosted.take(Tick(), now, self.records)
        # Proposals go the other way, from the outermost aggregate to the resources.
        for hosted in reversed(self._aggregates.values()):
            await hosted.drain(now, self.records)
        await self._talk(plant)

    async def _talk(self, plant: Plant) -> None:
        """Let resources hear what waits for them; let devices answer what they are sent."""
        now = self._clock.now()
        for hosted in self._resources.values():
            await hosted.drain(now, self.records)
        if plant.answer(now):
            for hosted in self._resources.values():
                await hosted.drain(now, self.records)

    async def follow(self, parts: dict[str, MemberPlan]) -> None:
        """Hand each aggregate its part of a plan."""
        for id_, part in parts.items():
            await self._aggregates[id_].take(Planned(plan=part), self._clock.now(), self.records)

    def twin_states(self) -> dict[str, TwinState]:
        """Return what is believed of every resource that has been measured."""
        states: dict[str, ControlState] = {id_: h.state for id_, h in self._resources.items()}
        return {
            id_: state.twin for id_, state in states.items() if state.twin.measured_at is not None
        }

    def _resource(self, definition: ResourceDefinition) -> _Hosted:
        homes = self._park.parents_of(definition.id)
        twin = self.twins[definition.id]
        spec = ResourceSpec(
            definition=definition,
            twin=twin,
            settings=control_settings(self._step_s),
            home=homes[0] if homes else None,
        )
        wake, site = asyncio.Event(), self._park.id
        open_session = self._exchange.open_session
        link = (
            FleetLink(
                site,
                definition,
                twin,
                _BROKER,
                wake,
                clock=self._clock,
                open_session=open_session,
            )
            if isinstance(twin, Fleet)
            else DeviceLink(
                site, definition, _BROKER, wake, clock=self._clock, open_session=open_session
            )
        )
        return _Hosted(ResourceLogic(spec), link)

    def _aggregate(self, definition: AggregateDefinition) -> _Hosted:
        members = member_specs(self._park, definition.id)
        logic = AggregateLogic(definition, members, aggregate_settings(self._step_s))

        def sums(now: datetime) -> AggregateState:
            return logic.control.state(now)

        link = AggregateLink(
            self._park.id,
            definition.id,
            members,
            _BROKER,
            asyncio.Event(),
            clock=self._clock,
            current=sums,
            keep=_forget,
            open_session=self._exchange.open_session,
        )
        return _Hosted(logic, link)


def _children_first(park: ParkDefinition) -> list[AggregateDefinition]:
    ordered: dict[str, AggregateDefinition] = {}

    def add(definition: AggregateDefinition) -> None:
        for member in definition.members:
            nested = park.aggregate(member)
            if nested is not None:
                add(nested)
        ordered.setdefault(definition.id, definition)

    for root in park.roots():
        add(root)
    return list(ordered.values())


def _name(record: Record) -> str:
    outcome = record.data.get("state") or record.data.get("rung")
    return record.kind if outcome is None else f"{record.kind}_{outcome}"


async def _forget(report: DeliveryReport) -> None:
    """Keep no report: a planned day has no instructions to report on."""
