"""The live actor of one virtual power plant: live sums, instructions, the dispatch loop.

A shell only: ``controllers.aggregation`` decides, ``actors.host`` makes durable and performs. Calls
return once their effect is durable and are idempotent by the ids they carry.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

import numpy as np

from actors.host import Host
from actors.links.aggregate import AggregateLink
from actors.links.mqtt import MqttSettings
from controllers.aggregation.checkpoint import AggregateCheckpoint, MemberPlan
from controllers.aggregation.events import (
    AggregateLogic,
    Amended,
    Cancelled,
    Planned,
    Submitted,
    SubmittedAll,
)
from controllers.aggregation.instruction import DeliveryReport, Instruction
from controllers.aggregation.portfolio import MemberSpec
from controllers.kernel.errors import ConfigError, NotFoundError, ParkgridError
from controllers.kernel.states import AggregateState
from controllers.kernel.timebase import Clock, SystemClock
from controllers.kernel.wire import decode, encode
from controllers.park import ParkDefinition
from controllers.ports.actors import ActorStoreFactory, OutboxRecord
from controllers.ports.control import Amendment
from controllers.resources.kinds import build_twin
from controllers.resources.twin import Twin
from controllers.supervision import leaf_resources

REPORT_MAX_BYTES = 16_777_216
_REPORT = "delivery_report"


class AggregateActor:
    """Control of one aggregate, live; all constructor arguments are picklable.

    Args:
        park: the park that defines it.
        aggregate_id: which of its aggregates.
        settings: the broker.
        open_store: from actor id to its store.
        new_clock: makes the clock; another one only in simulated time.
    """

    def __init__(
        self,
        park: ParkDefinition,
        aggregate_id: str,
        settings: MqttSettings,
        open_store: ActorStoreFactory,
        *,
        new_clock: Callable[[], Clock] = SystemClock,
    ) -> None:
        definition = park.aggregate(aggregate_id)
        if definition is None:
            raise ConfigError(aggregate_id, ["is no aggregate of the park"])
        members = member_specs(park, aggregate_id)
        wake = asyncio.Event()
        self._clock = new_clock()
        self._logic = AggregateLogic(definition, members)
        self._link = AggregateLink(
            park.id,
            aggregate_id,
            members,
            settings,
            wake,
            clock=self._clock,
            current=self._sums,
            keep=self._keep,
        )
        self._host: Host[AggregateCheckpoint] = Host(
            aggregate_id,
            open_store=lambda: open_store(aggregate_id),
            clock=self._clock,
            logic=self._logic,
            link=self._link,
            wake=wake,
            tick_s=definition.period_s,
        )

    async def ready(self) -> int:
        """Wait until restored; return the epoch."""
        return await self._host.ready()

    async def state(self) -> AggregateState:
        """Return the live sums as of now."""
        await self._host.ready()
        return self._logic.control.state(self._clock.now())

    async def health(self) -> dict[str, int | float | str | bool]:
        """Return what a supervisor and a metrics page want to know."""
        lags_ms = np.array(self._link.lags_s or [np.nan]) * 1000.0
        return {
            **self._host.health(),
            "lag_p50_ms": float(np.median(lags_ms)),
            "lag_p99_ms": float(np.quantile(lags_ms, 0.99)),
            "n_lags": len(self._link.lags_s),
            "payloads_refused": self._logic.n_refused,
        }

    async def submit(self, instruction: Instruction) -> Instruction:
        """Take an instruction; ConflictError or DomainError when refused."""
        await self._host.call(Submitted(instruction=instruction))
        return self._logic.instruction(instruction.id)

    async def submit_all(
        self, instructions: list[Instruction]
    ) -> list[Instruction | ParkgridError]:
        """Take many instructions in one turn; return each as accepted, or why it was refused."""
        await self._host.call(SubmittedAll(instructions=instructions))
        accepted = {standing.id: standing for standing in self._logic.control.instructions()}
        outcomes: list[Instruction | ParkgridError] = []
        for instruction in instructions:
            try:
                # One that was left out says by itself why.
                outcome = accepted.get(instruction.id) or await self.submit(instruction)
            except ParkgridError as error:
                outcomes.append(error)
            else:
                outcomes.append(outcome)
        return outcomes

    async def amend(
        self, instruction_id: str, version: int, change: Amendment, operator: str
    ) -> Instruction:
        """Change an instruction that has not ended."""
        event = Amended(
            instruction_id=instruction_id,
            version=version,
            operator=operator,
            target_kw=change.target_kw,
            end_at=change.end_at,
            ramp_kw_per_min=change.ramp_kw_per_min,
            reason=change.reason,
        )
        await self._host.call(event)
        return self._logic.instruction(instruction_id)

    async def cancel(
        self, instruction_id: str, version: int | None, operator: str, reason: str
    ) -> Instruction:
        """End an instruction now."""
        event = Cancelled(
            instruction_id=instruction_id, version=version, operator=operator, reason=reason
        )
        await self._host.call(event)
        return self._logic.instruction(instruction_id)

    async def set_plan(self, plan: MemberPlan | None) -> None:
        """Follow a plan wherever nothing stronger commands."""
        await self._host.call(Planned(plan=plan))

    async def report(self, instruction_id: str) -> DeliveryReport:
        """Return an instruction with its delivery so far, or its final report."""
        await self._host.ready()
        try:
            return self._logic.control.report(instruction_id, self._clock.now())
        except NotFoundError:
            store, _ = await self._host.store()
            kept = await asyncio.to_thread(store.document, _REPORT, instruction_id)
            if kept is None:
                raise
            return decode(kept, DeliveryReport, max_bytes=REPORT_MAX_BYTES)

    async def instructions(self, limit: int) -> list[Instruction]:
        """Return instructions, newest first."""
        await self._host.ready()
        return self._logic.control.instructions()[:limit]

    async def unrecorded(self) -> list[Instruction]:
        """Return the instructions that changed since the oldest record still in the outbox."""
        await self._host.ready()
        store, _ = await self._host.store()
        oldest = await asyncio.to_thread(store.pending, 1)
        return self._logic.control.changed_since(oldest[0].at) if oldest else []

    async def outbox(
        self, limit: int, confirmed: int = 0, wait_s: float = 0.0
    ) -> list[OutboxRecord]:
        """Return the oldest records not yet confirmed; see ``Host.outbox``."""
        return await self._host.outbox(limit, confirmed, wait_s)

    async def stop(self) -> None:
        """End in order; members fall back when their proposals expire."""
        await self._host.stop()

    def _sums(self, now: datetime) -> AggregateState | None:
        control = self._logic.control
        return None if control.listens(now) else control.state(now)

    async def _keep(self, report: DeliveryReport) -> None:
        store, epoch = await self._host.store()
        await asyncio.to_thread(
            store.put_document,
            epoch,
            _REPORT,
            report.instruction.id,
            self._clock.now(),
            encode(report),
        )


def member_specs(park: ParkDefinition, aggregate_id: str) -> list[MemberSpec]:
    """Return what an aggregate knows of its members before their first state."""
    twins = {r.id: build_twin(r.kind, r.parameters) for r in park.resources}
    definition = park.aggregate(aggregate_id)
    specs = []
    for id_ in definition.members if definition else []:
        nested = park.aggregate(id_) is not None
        leaves = leaf_resources(park, id_) if nested else [id_]
        specs.append(
            MemberSpec(
                id=id_,
                kind="aggregate" if nested else "resource",
                home=park.parents_of(id_)[0],
                rated_kw=sum(twins[leaf].rated_kw for leaf in leaves),
                max_age_s=max(_max_age_s(twins[leaf]) for leaf in leaves),
            )
        )
    return specs


def _max_age_s(twin: Twin) -> float:
    return max(rule.max_age_s for rule in twin.signal_rules if rule.signal == "power_kw")
