"""Approvals are decided once and found again on every database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from cluster.storage.approvals import SqlApprovals
from cluster.storage.database import Database
from controllers.accounts.approvals import Approval, ApprovalState, ApprovalStep
from controllers.kernel.errors import ConflictError, NotFoundError
from controllers.kernel.timebase import ManualClock
from controllers.ports.acts import Act
from controllers.ports.pages import PageRequest

NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
ACT = Act(principal="anna", action="approval.request", subject="a", data={})


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
async def store(database_url: str, clock: ManualClock) -> AsyncIterator[SqlApprovals]:
    database = Database(database_url, clock, answer_within_s=20.0)
    yield SqlApprovals(database)
    await asyncio.to_thread(database.close)


def approval(id_: str, **payload: object) -> Approval:
    return Approval(
        id=id_,
        kind="kill.release",
        operation="kill.release",
        subject="bess1",
        payload=payload,
        reason="all clear, 一切正常",
        requested_by="anna/key-1",
        requester="anna",
        requested_at=NOW,
        expires_at=NOW + timedelta(hours=1),
    )


async def approve(store: SqlApprovals, id_: str, by: str = "ben") -> Approval:
    return (await store.decide(ACT, id_, ApprovalStep.APPROVE, by, "seen")).value


async def test_an_approval_is_stored_whole_and_asked_for_once(store: SqlApprovals) -> None:
    first = approval("a1", resources=["bess1"], limit_kw=1.5, note=None)
    assert (await store.request(ACT, first)).value == first
    again = await store.request(ACT, approval("a2", note=None, limit_kw=1.5, resources=["bess1"]))
    assert (again.value, again.replayed) == (first, True)
    assert await store.approval("a1") == first
    with pytest.raises(NotFoundError):
        await store.approval("a2")


async def test_of_many_decisions_one_stands(store: SqlApprovals) -> None:
    await store.request(ACT, approval("a1"))
    results = await asyncio.gather(
        *(approve(store, "a1", by) for by in ("ben", "cleo", "ben")), return_exceptions=True
    )
    assert [type(r) for r in results if not isinstance(r, Approval)] == [ConflictError] * 2
    done = await store.finish(ACT, "a1", ApprovalStep.SUCCEED, "{}")
    assert (done.value.state, done.value.outcome) == (ApprovalState.DONE, "{}")
    assert await store.approval("a1") == done.value


async def test_states_are_listed_as_of_now(store: SqlApprovals, clock: ManualClock) -> None:
    for n in range(4):
        await store.request(ACT, approval(f"a{n}", n=n))
    await approve(store, "a0")
    await store.decide(ACT, "a1", ApprovalStep.REJECT, "anna", "no longer")

    async def ids(state: ApprovalState | None) -> list[str]:
        page = await store.approvals(PageRequest(), state)
        return [a.id for a in page.items]

    assert await ids(None) == ["a3", "a2", "a1", "a0"]
    assert await ids(ApprovalState.PENDING) == ["a3", "a2"]
    clock.advance(timedelta(hours=1))
    assert await ids(ApprovalState.PENDING) == []
    assert await ids(ApprovalState.EXPIRED) == ["a3", "a2"]
    assert await ids(ApprovalState.REJECTED) == ["a1"]
    with pytest.raises(ConflictError, match="in time"):
        await approve(store, "a3")
