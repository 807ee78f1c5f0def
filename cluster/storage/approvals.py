"""The ApprovalStore on SQL."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import ColumnElement, Connection, RowMapping, and_, func, insert, select, update

from cluster.storage.database import Database
from cluster.storage.paging import page_of
from cluster.storage.tables.approvals import APPROVALS
from controllers.accounts.approvals import (
    APPROVAL_MACHINE,
    Approval,
    ApprovalState,
    ApprovalStep,
    decided,
)
from controllers.kernel.errors import ConflictError, NotFoundError
from controllers.ports.acts import Act, Done
from controllers.ports.pages import Page, PageRequest

_MAX_PENDING = 200
_A = APPROVALS.c
_encoder = msgspec.json.Encoder(order="sorted")


class SqlApprovals:
    """An ApprovalStore on a migrated database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def request(self, act: Act, approval: Approval) -> Done[Approval]:
        """Store a request, or return the pending one for exactly the same."""
        row = _row_of(approval)
        now = self._database.clock.now()
        pending = and_(_A.state == ApprovalState.PENDING.value, _A.expires_at > now)

        def work(connection: Connection) -> Approval:
            n_pending = connection.execute(
                select(func.count()).select_from(APPROVALS).where(pending)
            ).scalar_one()
            if n_pending >= _MAX_PENDING:
                message = f"{_MAX_PENDING} requests are pending; decide some first"
                raise ConflictError(message, current=str(n_pending))
            connection.execute(insert(APPROVALS), row)
            return approval

        same = select(APPROVALS).where(
            pending, _A.kind == approval.kind, _A.subject == approval.subject
        )

        def find(connection: Connection) -> Approval | None:
            for standing in connection.execute(same).mappings():
                if standing["payload"] == row["payload"]:
                    return _approval_of(standing)
            return None

        standing = await self._database.read(find)
        if standing is not None:
            return Done(value=standing, replayed=True)
        return await self._database.act(act, work, Approval)

    async def approval(self, approval_id: str) -> Approval:
        """Return an approval."""
        now = self._database.clock.now()
        return await self._database.read(lambda c: _find(c, approval_id).seen_at(now))

    async def approvals(self, request: PageRequest, state: ApprovalState | None) -> Page[Approval]:
        """Return a page of approvals, newest first."""
        now = self._database.clock.now()
        return await self._database.read(
            lambda connection: page_of(
                connection,
                select(APPROVALS).where(*_in_state(state, now)),
                request,
                sorts={"requested_at": _A.requested_at},
                default_sort="-requested_at",
                id_column=_A.id,
                build=lambda row: _approval_of(row).seen_at(now),
            )
        )

    async def decide(
        self, act: Act, approval_id: str, step: ApprovalStep, by: str, reason: str | None
    ) -> Done[Approval]:
        """Approve or reject, once."""
        now = self._database.clock.now()

        def work(connection: Connection) -> Approval:
            approval = decided(_find(connection, approval_id, lock=True), step, by, reason, now)
            return _store(connection, approval)

        return await self._database.act(act, work, Approval)

    async def finish(
        self, act: Act, approval_id: str, step: ApprovalStep, outcome: str
    ) -> Done[Approval]:
        """Note what came of an approved act."""

        def work(connection: Connection) -> Approval:
            approval = _find(connection, approval_id, lock=True)
            state = APPROVAL_MACHINE.next(approval.state, step)
            changed = msgspec.structs.replace(
                approval, state=state, outcome=outcome, version=approval.version + 1
            )
            return _store(connection, changed)

        return await self._database.act(act, work, Approval)


def _in_state(state: ApprovalState | None, now: datetime) -> list[ColumnElement[bool]]:
    match state:
        case None:
            return []
        case ApprovalState.PENDING:
            return [_A.state == state.value, _A.expires_at > now]
        case ApprovalState.EXPIRED:
            return [_A.state == ApprovalState.PENDING.value, _A.expires_at <= now]
        case _:
            return [_A.state == state.value]


def _find(connection: Connection, approval_id: str, *, lock: bool = False) -> Approval:
    query = select(APPROVALS).where(_A.id == approval_id)
    row = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    if row is None:
        raise NotFoundError("approval", approval_id)
    return _approval_of(row)


def _store(connection: Connection, approval: Approval) -> Approval:
    change = update(APPROVALS).where(_A.id == approval.id).values(_row_of(approval))
    connection.execute(change)
    return approval


def _row_of(approval: Approval) -> dict[str, object]:
    row = msgspec.structs.asdict(approval)
    return row | {
        "state": approval.state.value,
        "payload": _encoder.encode(approval.payload).decode(),
    }


def _approval_of(row: RowMapping) -> Approval:
    payload = msgspec.json.decode(row["payload"])
    return Approval(**{**row, "state": ApprovalState(row["state"]), "payload": payload})
