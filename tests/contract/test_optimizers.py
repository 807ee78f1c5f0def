"""Deployed optimizers keep their port's contract on every database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from cluster.storage.database import Database
from cluster.storage.operations import SqlOperations
from cluster.storage.optimizer_ledger import SCORES_KEPT, SqlOptimizerLedger
from cluster.storage.optimizers import SqlOptimizers
from controllers.kernel.errors import (
    ConflictError,
    InvalidTransitionError,
    NotFoundError,
    StaleVersionError,
)
from controllers.kernel.timebase import ManualClock
from controllers.optimizers.deployment import Optimizer, OptimizerCode, OptimizerState
from controllers.optimizers.scores import Outcome
from controllers.ports.acts import Act
from controllers.ports.optimizers import OptimizerFilter, OptimizerLedger, OptimizerStore
from controllers.ports.pages import PageRequest
from tests.support.audit import newest_entries
from tests.support.optimizers import make_score

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
SOURCE = b"def solve(problem, deadline_s):\n    return {}\n"
PROMOTED, SHADOW = OptimizerState.PROMOTED, OptimizerState.SHADOW


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
async def database(database_url: str, clock: ManualClock) -> AsyncIterator[Database]:
    database = Database(database_url, clock, answer_within_s=30.0)
    yield database
    await asyncio.to_thread(database.close)


@pytest.fixture
def store(database: Database) -> OptimizerStore:
    return SqlOptimizers(database)


@pytest.fixture
def ledger(database_url: str, clock: ManualClock) -> Iterator[OptimizerLedger]:
    ledger = SqlOptimizerLedger(database_url, clock)
    yield ledger
    ledger.close()


def act(subject: str, action: str = "optimizer.deploy") -> Act:
    return Act(principal="quinn", action=action, subject=subject, data={})


async def deploy(store: OptimizerStore, id_: str = "greedy-1") -> Optimizer:
    code = OptimizerCode(id=id_, file_name="o.py", content=SOURCE, environment=None)
    return (await store.deploy(act(id_), "greedy", code, "first try")).value


async def in_shadow(store: OptimizerStore, ledger: OptimizerLedger, id_: str) -> Optimizer:
    """Deploy, shadow, and let one plan hold."""
    deployed = await deploy(store, id_)
    ledger.record([make_score(f"s-{id_}", id_, NOW)])
    return (await store.shadow(act(id_), deployed.version, "go")).value


async def promote(store: OptimizerStore, optimizer: Optimizer) -> Optimizer:
    return (await store.promote(act(optimizer.id), optimizer.version, "good", 1)).value


async def states(store: OptimizerStore) -> dict[str, OptimizerState]:
    page = await store.list(OptimizerFilter(), PageRequest(sort="id"))
    return {optimizer.id: optimizer.state for optimizer in page.items}


async def test_what_was_deployed_is_found_byte_by_byte(
    store: OptimizerStore, ledger: OptimizerLedger
) -> None:
    deployed = await deploy(store)
    assert await store.get("greedy-1") == deployed
    assert (deployed.state, deployed.n_bytes, deployed.deployed_by) == (
        "deployed",
        len(SOURCE),
        "quinn",
    )
    assert ledger.code("greedy-1").content == SOURCE
    with pytest.raises(ConflictError, match="this very file"):
        await deploy(store)
    with pytest.raises(NotFoundError):
        ledger.code("other")


async def test_who_runs_is_told_by_a_revision_that_rises(
    store: OptimizerStore, ledger: OptimizerLedger
) -> None:
    await deploy(store)
    assert ledger.running() == []
    before = ledger.revision()
    await store.shadow(act("greedy-1"), 1, "go")
    assert ledger.revision() > before
    assert [(o.id, o.state) for o in ledger.running()] == [("greedy-1", SHADOW)]


async def test_a_promotion_needs_plans_that_hold(
    store: OptimizerStore, ledger: OptimizerLedger
) -> None:
    await deploy(store)
    await store.shadow(act("greedy-1"), 1, "go")
    with pytest.raises(ConflictError, match="0 of its plans"):
        await store.promote(act("greedy-1"), 2, "good", 2)
    ledger.record([make_score("1", "greedy-1", NOW)])
    bad = make_score("2", "greedy-1", NOW + timedelta(minutes=5), outcome=Outcome.CRASHED)
    ledger.record([bad])
    with pytest.raises(ConflictError, match="did not hold"):
        await store.promote(act("greedy-1"), 2, "good", 2)
    later = [make_score(str(i), "greedy-1", NOW + timedelta(minutes=5 * i)) for i in (3, 4)]
    ledger.record(later)
    promoted = (await store.promote(act("greedy-1"), 2, "good", 2)).value
    assert (promoted.state, promoted.replaced) == (PROMOTED, None)


async def test_a_promotion_supersedes_and_a_roll_back_restores(
    store: OptimizerStore, ledger: OptimizerLedger
) -> None:
    first = await promote(store, await in_shadow(store, ledger, "a"))
    second = await promote(store, await in_shadow(store, ledger, "b"))
    assert second.replaced == "a"
    assert await states(store) == {"a": SHADOW, "b": PROMOTED}
    with pytest.raises(InvalidTransitionError):
        await store.roll_back(act("a"), None, "not in force")
    await store.roll_back(act("b"), second.version, "worse")
    assert await states(store) == {"a": PROMOTED, "b": SHADOW}
    restored = await store.get("a")
    assert restored.version > first.version
    # And from the first to the built-in engine.
    await store.roll_back(act("a"), None, "worse")
    assert await states(store) == {"a": SHADOW, "b": SHADOW}


async def test_a_roll_back_to_what_was_removed_leaves_the_built_in(
    store: OptimizerStore, ledger: OptimizerLedger
) -> None:
    await promote(store, await in_shadow(store, ledger, "a"))
    second = await promote(store, await in_shadow(store, ledger, "b"))
    first = await store.get("a")
    await store.remove(act("a"), first.version)
    await store.roll_back(act("b"), second.version, "worse")
    assert await states(store) == {"b": SHADOW}


async def test_a_promoted_one_is_not_removed_and_a_removed_one_can_come_back(
    store: OptimizerStore, ledger: OptimizerLedger
) -> None:
    promoted = await promote(store, await in_shadow(store, ledger, "a"))
    with pytest.raises(InvalidTransitionError):
        await store.remove(act("a"), promoted.version)
    rolled = (await store.roll_back(act("a"), None, "worse")).value
    await store.remove(act("a"), rolled.version)
    assert await states(store) == {}
    removed = OptimizerFilter(state=OptimizerState.REMOVED)
    assert [o.id for o in (await store.list(removed, PageRequest())).items] == ["a"]
    assert (await deploy(store, "a")).state is OptimizerState.DEPLOYED


async def test_who_saw_an_older_version_changes_nothing(store: OptimizerStore) -> None:
    await deploy(store)
    await store.shadow(act("greedy-1"), 1, "go")
    with pytest.raises(StaleVersionError):
        await store.remove(act("greedy-1"), 1)


async def test_of_two_who_promote_the_second_supersedes(
    store: OptimizerStore, ledger: OptimizerLedger
) -> None:
    ready = [await in_shadow(store, ledger, id_) for id_ in "abcd"]
    await asyncio.gather(*(promote(store, optimizer) for optimizer in ready))
    assert sorted((await states(store)).values()) == [PROMOTED, SHADOW, SHADOW, SHADOW]


async def test_a_demotion_is_on_record_and_happens_once(
    store: OptimizerStore, ledger: OptimizerLedger, database: Database
) -> None:
    await promote(store, await in_shadow(store, ledger, "a"))
    ledger.demote("a", "3 plans failed")
    ledger.demote("a", "again")
    ledger.demote("other", "unknown")
    demoted = await store.get("a")
    assert (demoted.state, demoted.reason) == ("demoted", "3 plans failed")
    entries = await newest_entries(SqlOperations(database), 50)
    assert [e.subject for e in entries if e.action == "optimizer.demote"] == ["a"]
    assert ledger.running() == []


async def test_scores_come_in_pages_newest_first_and_once_each(
    store: OptimizerStore, ledger: OptimizerLedger
) -> None:
    await deploy(store)
    scores = [make_score(f"s{i}", "greedy-1", NOW + timedelta(minutes=i)) for i in range(5)]
    ledger.record(scores)
    ledger.record(scores[3:])
    first = await store.scores("greedy-1", PageRequest(limit=3))
    rest = await store.scores("greedy-1", PageRequest(limit=3, cursor=first.next_cursor))
    assert [*first.items, *rest.items] == scores[::-1]
    summary = await store.summary("greedy-1")
    assert (summary.n_plans, summary.valid_frac, summary.mean_cost_difference) == (5, 1.0, -1.0)


async def test_scores_are_kept_for_a_while(
    store: OptimizerStore, ledger: OptimizerLedger, clock: ManualClock
) -> None:
    await deploy(store)
    ledger.record([make_score("old", "greedy-1", NOW)])
    clock.advance(SCORES_KEPT + timedelta(days=1))
    ledger.record([make_score("new", "greedy-1", clock.now())])
    assert [s.id for s in (await store.scores("greedy-1", PageRequest())).items] == ["new"]


async def test_no_more_than_a_few_stand_at_once(store: OptimizerStore) -> None:
    for i in range(20):
        await deploy(store, f"g-{i}")
    with pytest.raises(ConflictError, match="remove some"):
        await deploy(store, "g-20")
