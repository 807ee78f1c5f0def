"""The ports of the operator's API in memory, with the semantics that the ports promise."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime

import msgspec

from controllers.aggregation.instruction import (
    INSTRUCTION_MACHINE,
    DeliveryReport,
    Instruction,
    InstructionState,
    InstructionStep,
    InstructionTrigger,
)
from controllers.alarms.lifecycle import ENDED, Alarm
from controllers.kernel.errors import (
    ActorUnavailableError,
    ConflictError,
    DomainError,
    NotFoundError,
    ParkgridError,
    StorageUnavailableError,
)
from controllers.kernel.states import AggregateState, ResourceState
from controllers.kernel.timebase import Clock, DeliveryPeriod
from controllers.kernel.wire import encode
from controllers.park import ParkDefinition
from controllers.ports.actors import OutboxRecord
from controllers.ports.control import Amendment
from controllers.ports.health import Health
from controllers.ports.live import Delta
from controllers.ports.operations import AuditEntry, AuditFilter, IdempotencyRecord
from controllers.ports.pages import Page, PageRequest

_ENDED = (InstructionState.COMPLETED, InstructionState.CANCELLED, InstructionState.FAILED)


class FakeLiveView:
    """A picture that moves only when a test puts a state into it."""

    def __init__(self) -> None:
        self.connected = True
        self.resources: dict[str, ResourceState] = {}
        self.aggregates: dict[str, AggregateState] = {}
        self.alarms: dict[str, Alarm] = {}
        self.subscribers: list[_Waiting] = []

    def put_alarm(self, alarm: Alarm) -> None:
        """Let an alarm stand, change or end, and tell the subscribers."""
        if alarm.state in ENDED:
            self.alarms.pop(alarm.id, None)
        else:
            self.alarms[alarm.id] = alarm
        for subscriber in self.subscribers:
            subscriber.offer(alarm.id, Delta(alarm=alarm))

    def put(self, *states: ResourceState | AggregateState) -> None:
        """Replace the state of a subject and tell the subscribers."""
        for state in states:
            if isinstance(state, ResourceState):
                self.resources[state.id] = state
                delta = Delta(resource=state)
            else:
                self.aggregates[state.id] = state
                delta = Delta(aggregate=state)
            for subscriber in self.subscribers:
                subscriber.offer(state.id, delta)

    async def subscribe(self, max_pending: int) -> AsyncIterator[Delta]:
        """Yield changes from now on; latest wins per subject."""
        waiting = _Waiting(max_pending)
        self.subscribers.append(waiting)
        try:
            while True:
                yield await waiting.take()
        finally:
            self.subscribers.remove(waiting)


class _Waiting:
    def __init__(self, max_pending: int) -> None:
        self._max_pending = max_pending
        self._deltas: dict[str, Delta] = {}
        self._some = asyncio.Event()

    def offer(self, subject: str, delta: Delta) -> None:
        if subject in self._deltas or len(self._deltas) < self._max_pending:
            self._deltas[subject] = delta
            self._some.set()

    async def take(self) -> Delta:
        while not self._deltas:
            self._some.clear()
            await self._some.wait()
        return self._deltas.pop(next(iter(self._deltas)))


class FakeControlPlane:
    """Aggregates and resources that remember what they were told, and keep the port's promises."""

    def __init__(self, park: ParkDefinition, clock: Clock) -> None:
        self._park = park
        self._clock = clock
        self.unavailable: set[str] = set()
        """Actors that do not answer."""
        self.lose_next_answer = False
        """Take the next instruction, but let its answer get lost."""
        self.book: dict[str, dict[str, DeliveryReport]] = {a.id: {} for a in park.aggregates}
        self.overrides: dict[str, tuple[float, datetime]] = {}
        self.killed: set[str] = set()
        self.n_submitted = 0
        self.recorded: set[str] = set()
        """Instructions that the database has as they stand."""
        self.outbox: list[OutboxRecord] = []

    async def submit(self, instruction: Instruction) -> Instruction:
        """Accept an instruction, once."""
        book = self._book(instruction.aggregate_id)
        if instruction.id in book:
            return book[instruction.id].instruction
        self._check_limits(instruction)
        self._check_overlap(book, instruction)
        self.n_submitted += 1
        if instruction.start_at <= self._clock.now():
            instruction = self._moved(instruction, InstructionTrigger.START)
        self._enter(instruction, "submitted")
        if self.lose_next_answer:
            self.lose_next_answer = False
            raise ActorUnavailableError(instruction.aggregate_id)
        return instruction

    async def submit_all(
        self, instructions: Sequence[Instruction]
    ) -> list[Instruction | ParkgridError]:
        """Accept what can be accepted."""
        outcomes: list[Instruction | ParkgridError] = []
        for instruction in instructions:
            try:
                outcomes.append(await self.submit(instruction))
            except ParkgridError as error:
                outcomes.append(error)
        return outcomes

    async def amend(
        self, aggregate_id: str, instruction_id: str, version: int, change: Amendment, operator: str
    ) -> Instruction:
        """Change a running instruction, if its version is the one named."""
        standing = self._report(aggregate_id, instruction_id).instruction
        if standing.version != version:
            message = f"version is {standing.version}, not {version}; look again"
            raise ConflictError(message, current=str(standing.version))
        if standing.state in _ENDED:
            raise ConflictError("it has ended; issue a new one", current=standing.state)
        given = {k: v for k, v in msgspec.structs.asdict(change).items() if v is not None}
        amended = msgspec.structs.replace(standing, **given, version=version + 1)
        self._check_limits(amended)
        amended = self._moved(amended, InstructionTrigger.AMEND)
        self._enter(amended, f"amended by {operator}")
        return amended

    async def cancel(
        self,
        aggregate_id: str,
        instruction_id: str,
        version: int | None,
        operator: str,
        reason: str,
    ) -> Instruction:
        """End an instruction; repeating it on a cancelled one succeeds."""
        standing = self._report(aggregate_id, instruction_id).instruction
        if standing.state is InstructionState.CANCELLED:
            return standing
        if standing.state in _ENDED:
            raise ConflictError("it has already ended", current=standing.state)
        if version is not None and standing.version != version:
            raise ConflictError("the version is another", current=str(standing.version))
        cancelled = msgspec.structs.replace(
            self._moved(standing, InstructionTrigger.CANCEL), ended_at=self._clock.now()
        )
        self._enter(cancelled, f"cancelled by {operator}: {reason}")
        return cancelled

    async def instruction(self, aggregate_id: str, instruction_id: str) -> DeliveryReport:
        """Return the report of an instruction."""
        return self._report(aggregate_id, instruction_id)

    async def instructions(self, aggregate_id: str, limit: int) -> list[Instruction]:
        """Return an aggregate's instructions, newest first."""
        reports = list(self._book(aggregate_id).values())
        return [report.instruction for report in reversed(reports)][:limit]

    async def unrecorded(self, aggregate_id: str) -> list[Instruction]:
        """Return what the database has not as it stands."""
        reports = self._book(aggregate_id).items()
        return [report.instruction for id_, report in reports if id_ not in self.recorded]

    async def records(self, aggregate_id: str) -> list[OutboxRecord]:
        """Return what a test put into the outbox."""
        self._reach(aggregate_id)
        return [one for one in self.outbox if one.actor_id == aggregate_id]

    async def set_override(
        self, resource_id: str, target_kw: float, until: datetime, operator: str, reason: str
    ) -> None:
        """Remember an override."""
        self._reach(resource_id)
        self.overrides[resource_id] = (target_kw, until)

    async def clear_override(self, resource_id: str, operator: str) -> None:
        """Forget an override."""
        self._reach(resource_id)
        self.overrides.pop(resource_id, None)

    async def kill(
        self, resource_ids: Sequence[str], operator: str, reason: str
    ) -> dict[str, str | None]:
        """Stop what can be reached."""
        reached = [id_ for id_ in resource_ids if id_ not in self.unavailable]
        self.killed.update(reached)
        return self._outcome(resource_ids)

    async def release_kill(
        self, resource_ids: Sequence[str], operator: str, reason: str
    ) -> dict[str, str | None]:
        """Release what can be reached."""
        self.killed.difference_update(id_ for id_ in resource_ids if id_ not in self.unavailable)
        return self._outcome(resource_ids)

    def replace_report(self, report: DeliveryReport) -> None:
        """Let the meters have said something."""
        self.book[report.instruction.aggregate_id][report.instruction.id] = report

    def _outcome(self, resource_ids: Sequence[str]) -> dict[str, str | None]:
        return {
            id_: "the actor does not answer yet" if id_ in self.unavailable else None
            for id_ in resource_ids
        }

    def _reach(self, actor_id: str) -> None:
        if actor_id in self.unavailable:
            raise ActorUnavailableError(actor_id)

    def _book(self, aggregate_id: str) -> dict[str, DeliveryReport]:
        self._reach(aggregate_id)
        return self.book.setdefault(aggregate_id, {})

    def _report(self, aggregate_id: str, instruction_id: str) -> DeliveryReport:
        report = self._book(aggregate_id).get(instruction_id)
        if report is None:
            raise NotFoundError("dispatch", instruction_id)
        return report

    def _check_limits(self, instruction: Instruction) -> None:
        definition = self._park.aggregate(instruction.aggregate_id)
        limit_kw = definition.max_export_kw if definition else None
        if limit_kw is not None and instruction.target_kw > limit_kw:
            rule = f"must be at most {limit_kw:g} kW, the export limit"
            raise DomainError("target_kw", instruction.target_kw, rule)

    def _check_overlap(self, book: dict[str, DeliveryReport], new: Instruction) -> None:
        window = DeliveryPeriod(new.start_at, new.end_at)
        for report in book.values():
            standing = report.instruction
            ours = DeliveryPeriod(standing.start_at, standing.end_at)
            if standing.state not in _ENDED and ours.overlaps(window):
                message = f"{standing.id} holds the window; amend or cancel it"
                raise ConflictError(message, current=standing.id)

    def _moved(self, instruction: Instruction, trigger: InstructionTrigger) -> Instruction:
        state = INSTRUCTION_MACHINE.next(instruction.state, trigger)
        return msgspec.structs.replace(instruction, state=state)

    def _enter(self, instruction: Instruction, note: str) -> None:
        self.recorded.discard(instruction.id)
        book = self.book[instruction.aggregate_id]
        step = InstructionStep(
            at=self._clock.now(), state=instruction.state, version=instruction.version, note=note
        )
        history = [*book[instruction.id].history, step] if instruction.id in book else [step]
        book[instruction.id] = DeliveryReport(
            instruction=instruction,
            as_of=self._clock.now(),
            measured_kw=0.0,
            target_kw=instruction.target_kw,
            shortfall_kw=instruction.target_kw,
            requested_kwh=0.0,
            delivered_kwh=0.0,
            within_tolerance_frac=0.0,
            coverage_frac=1.0,
            members=[],
            history=history,
        )


class FakeOperationsStore:
    """A database in memory; ``down`` makes it refuse everything."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.down = False
        self.records: dict[tuple[str, str], IdempotencyRecord] = {}
        self.entries: list[AuditEntry] = []
        self.wanted_kills: set[str] = set()
        self.killed_at: dict[str, datetime] = {}

    async def begin(
        self, record: IdempotencyRecord, action: str, subject: str, data: Mapping[str, object]
    ) -> IdempotencyRecord:
        """Insert a record with its audit entry, or return the one that stands."""
        self._answer()
        key = (record.principal, record.key)
        if key in self.records:
            return self.records[key]
        self.records[key] = record
        await self.audit(record.principal, action, subject, data)
        return record

    async def finish(self, principal: str, key: str, status: int, response: str) -> None:
        """Store an answer."""
        self._answer()
        record = self.records[principal, key]
        self.records[principal, key] = msgspec.structs.replace(
            record, status=status, response=response
        )

    async def audit(
        self, principal: str, action: str, subject: str, data: Mapping[str, object]
    ) -> None:
        """Append a chained entry."""
        self._answer()
        previous = self.entries[-1].digest if self.entries else ""
        body = encode([principal, action, subject, dict(data)])
        self.entries.append(
            AuditEntry(
                seq=len(self.entries) + 1,
                at=self._clock.now(),
                principal=principal,
                action=action,
                subject=subject,
                data=dict(data),
                digest=hashlib.sha256(previous.encode() + body).hexdigest(),
            )
        )

    async def audit_page(self, wanted: AuditFilter, request: PageRequest) -> Page[AuditEntry]:
        """Return the newest entries; knows no other order and one page."""
        self._answer()
        found = [
            entry
            for entry in reversed(self.entries)
            if wanted.subject in (None, entry.subject)
            and wanted.action in (None, entry.action)
            and wanted.principal in (None, entry.principal)
        ]
        return Page(items=found[: request.limit], next_cursor=None)

    async def want_kill(self, resource_ids: Sequence[str], on: bool, principal: str) -> None:
        """Note wanted kills."""
        self._answer()
        if on:
            self.wanted_kills.update(resource_ids)
            self.killed_at.update(dict.fromkeys(resource_ids, self._clock.now()))
        else:
            self.wanted_kills.difference_update(resource_ids)

    async def killed_since(self, resource_ids: Sequence[str], instant: datetime) -> list[str]:
        """Return what was killed after an instant and still is."""
        self._answer()
        wanted = self.wanted_kills.intersection(resource_ids)
        return sorted(id_ for id_ in wanted if self.killed_at[id_] > instant)

    async def ping(self) -> None:
        """Answer."""
        self._answer()

    def _answer(self) -> None:
        if self.down:
            raise StorageUnavailableError("the database is down")


class FakeActorHealth:
    """Actors that say what a test puts into their mouths."""

    def __init__(self) -> None:
        self.said: dict[str, Health | None] = {
            "resource:bess1": {"ready": True, "epoch": 3, "calls_waiting": 0, "store_ok": True},
            "optimizer": {"ready": True, "solve_s": 0.25, "gap_frac": 0.001, "plans": 4},
        }

    async def healths(self) -> dict[str, Health | None]:
        """Return what was put."""
        return self.said
