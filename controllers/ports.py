"""What the outside must provide: protocols for durable state, live views and the control plane.

``cluster`` implements the stores, ``actors`` the control plane and the live view; edges and actors
see these protocols only. Errors are of the kernel's family.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from controllers.aggregation.instruction import DeliveryReport, Instruction
from controllers.kernel.states import AggregateState, ResourceState
from controllers.kernel.wire import Wire
from controllers.park import ParkDefinition


class OutboxRecord(Wire):
    """A fact waiting to be written to the database, in order, at least once."""

    actor_id: str
    seq: int
    kind: str
    at: datetime
    data: dict[str, object]


class ActorStore(Protocol):
    """Durable state of one actor; every write is fenced by epoch and durable on return.

    A writer whose epoch is no longer the greatest acquired gets FencedError and nothing is written.
    """

    def acquire(self) -> int:
        """Take a new epoch, greater than any before; fences off all predecessors."""
        ...

    def load(self) -> bytes | None:
        """Return the last checkpoint."""
        ...

    def commit(
        self, epoch: int, checkpoint: bytes | None, records: Sequence[tuple[str, datetime, bytes]]
    ) -> None:
        """Write a checkpoint (None keeps the last) and append records to the outbox, atomically.

        Args:
            epoch: the writer's epoch.
            checkpoint: the actor's whole durable state.
            records: kind, instant and JSON object of each fact.
        """
        ...

    def put_document(self, epoch: int, kind: str, id_: str, body: bytes) -> None:
        """Keep a document, e.g. a finished delivery report; the last of an id wins."""
        ...

    def document(self, kind: str, id_: str) -> bytes | None:
        """Return a kept document."""
        ...

    def documents(self, kind: str, limit: int) -> list[bytes]:
        """Return the newest documents of a kind, newest first."""
        ...

    def pending(self, limit: int) -> list[OutboxRecord]:
        """Return the oldest records not yet confirmed."""
        ...

    def confirm(self, up_to_seq: int) -> None:
        """Forget records up to and including a sequence number."""
        ...

    def close(self) -> None:
        """Release files."""
        ...


ActorStoreFactory = Callable[[str], ActorStore]
"""From actor id to its store; picklable."""


class ParkRegistry(Protocol):
    """The wanted park, from SQL."""

    def load(self) -> ParkDefinition:
        """Return the park as currently defined."""
        ...

    def version(self) -> int:
        """Return a number that rises with every change."""
        ...

    def killed(self) -> frozenset[str]:
        """Return the resources whose kill switch is wanted on."""
        ...


class RecordSink(Protocol):
    """Takes outbox records into the database; idempotent by ``(actor_id, seq)``."""

    def write(self, records: Sequence[OutboxRecord]) -> None:
        """Store a batch.

        Raises:
            StorageUnavailableError: nothing was stored; offer the batch again.
        """
        ...


class Delta(Wire):
    """One change of the live picture."""

    resource: ResourceState | None = None
    aggregate: AggregateState | None = None


class LiveView(Protocol):
    """A process's own, continuously fed picture of the park."""

    @property
    def connected(self) -> bool:
        """Whether the feed is up; when False the picture is ageing."""
        ...

    @property
    def resources(self) -> Mapping[str, ResourceState]:
        """Latest state by resource id."""
        ...

    @property
    def aggregates(self) -> Mapping[str, AggregateState]:
        """Latest state by aggregate id."""
        ...

    def subscribe(self, max_pending: int) -> AsyncIterator[Delta]:
        """Yield changes from now on.

        At most ``max_pending`` subjects wait per subscriber; a newer state of a waiting subject
        replaces the older one, so a slow reader loses intermediate states, never the latest.
        """
        ...


class Amendment(Wire):
    """What an operator may change of a running instruction; None keeps."""

    target_kw: float | None = None
    end_at: datetime | None = None
    ramp_kw_per_min: float | None = None
    reason: str | None = None


class ControlPlane(Protocol):
    """Commands and queries to live actors; every call has a deadline.

    All raise ActorUnavailableError when the actor does not answer in time; all are idempotent by
    the ids they carry, so a caller may repeat them.
    """

    async def submit(self, instruction: Instruction) -> Instruction:
        """Hand an instruction to its aggregate; durable on return.

        Raises:
            ConflictError: another instruction holds the window.
            DomainError: beyond what the rules of the aggregate allow.
        """
        ...

    async def amend(
        self, aggregate_id: str, instruction_id: str, version: int, change: Amendment, operator: str
    ) -> Instruction:
        """Change a running instruction.

        Raises:
            NotFoundError: the aggregate does not know it.
            ConflictError: ``version`` is not the current one, or it has ended.
        """
        ...

    async def cancel(
        self,
        aggregate_id: str,
        instruction_id: str,
        version: int | None,
        operator: str,
        reason: str,
    ) -> Instruction:
        """End an instruction now; repeating it on a cancelled one succeeds."""
        ...

    async def instruction(self, aggregate_id: str, instruction_id: str) -> DeliveryReport:
        """Return an instruction with its delivery so far."""
        ...

    async def instructions(self, aggregate_id: str, limit: int) -> list[Instruction]:
        """Return an aggregate's instructions, newest first."""
        ...

    async def set_override(
        self, resource_id: str, target_kw: float, until: datetime, operator: str, reason: str
    ) -> None:
        """Take a resource in hand."""
        ...

    async def clear_override(self, resource_id: str, operator: str) -> None:
        """Let go of a resource."""
        ...

    async def kill(
        self, resource_ids: Sequence[str], operator: str, reason: str
    ) -> dict[str, str | None]:
        """Stop resources; returns per resource None when durable, else why not yet."""
        ...

    async def release_kill(
        self, resource_ids: Sequence[str], operator: str, reason: str
    ) -> dict[str, str | None]:
        """Lift the kill switch of resources."""
        ...


class User(Wire):
    """An account."""

    username: str
    password_hash: str
    roles: list[str]
    disabled: bool = False


class IdempotencyRecord(Wire):
    """The first use of an idempotency key by a principal."""

    key: str
    principal: str
    fingerprint: str
    """Hash of method, path and body."""
    subject_id: str
    """Id the first use created; a repeat re-drives the same one."""
    status: int | None = None
    response: str | None = None
    """Stored answer, once there is one."""


class OperationsStore(Protocol):
    """Users, idempotency, audit and wanted kills; every write durable on return."""

    async def user(self, username: str) -> User | None:
        """Return an account."""
        ...

    async def begin(
        self, record: IdempotencyRecord, action: str, subject: str, data: Mapping[str, object]
    ) -> IdempotencyRecord:
        """Insert an idempotency record with its audit entry, or return the one that stands."""
        ...

    async def finish(self, principal: str, key: str, status: int, response: str) -> None:
        """Store the answer of an idempotent request."""
        ...

    async def audit(
        self, principal: str, action: str, subject: str, data: Mapping[str, object]
    ) -> None:
        """Append an audit entry (hash-chained)."""
        ...

    async def audit_entries(self, limit: int, subject: str | None = None) -> list[AuditEntry]:
        """Return the newest entries, newest first."""
        ...

    async def want_kill(self, resource_ids: Sequence[str], on: bool, principal: str) -> None:
        """Note which kill switches are wanted on or off, before the actors are asked."""
        ...

    async def ping(self) -> None:
        """Answer, or raise StorageUnavailableError."""
        ...


class AuditEntry(Wire):
    """One link of the audit chain."""

    seq: int
    at: datetime
    principal: str
    action: str
    subject: str
    data: dict[str, object]
    digest: str
    """SHA-256 over the previous digest and this entry."""
