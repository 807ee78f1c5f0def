"""The store of templates keeps its port's contract on every database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert

from cluster.storage.database import Database
from cluster.storage.tables.templates import TEMPLATE_USAGE
from cluster.storage.templates import SqlTemplates
from controllers.assets.templates import (
    TemplateContent,
    TemplateParameter,
    TemplateState,
    configured,
    narrowed_rows,
)
from controllers.kernel.errors import ConflictError, NotFoundError, StaleVersionError
from controllers.kernel.timebase import ManualClock
from controllers.ports.acts import Act
from controllers.ports.pages import PageRequest
from controllers.ports.templates import TemplateFilter, TemplateStore
from tests.support.twins import VALID

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
ROOF = TemplateContent(
    name="Roof 屋顶", parameters=[TemplateParameter(name="rated_kw", default=100.0, high=500.0)]
)
ACTIVE = TemplateState.ACTIVE


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
async def database(database_url: str, clock: ManualClock) -> AsyncIterator[Database]:
    database = Database(database_url, clock, answer_within_s=30.0)
    yield database
    await asyncio.to_thread(database.close)


@pytest.fixture
def store(database: Database) -> TemplateStore:
    return SqlTemplates(database)


def act(subject: str = "roof") -> Act:
    return Act(principal="anna", action="template.write", subject=subject, data={})


async def use(database: Database, resource_id: str, released_at: datetime | None = None) -> None:
    row = {
        "park_id": "p",
        "resource_id": resource_id,
        "template_id": "roof",
        "version": 1,
        "used_since": NOW,
        "released_at": released_at,
    }
    await database.write(lambda group: group.connection.execute(insert(TEMPLATE_USAGE), row))


async def test_what_was_created_is_found_with_its_first_version(store: TemplateStore) -> None:
    created = (await store.create(act(), "pv", ROOF)).value
    assert await store.get("roof") == created
    assert (created.version, created.parameters) == (1, ROOF.parameters)
    version = await store.version("roof", 1)
    assert (version.name, version.parameters) == (ROOF.name, ROOF.parameters)
    with pytest.raises(ConflictError, match="taken"):
        await store.create(act(), "pv", ROOF)


async def test_an_update_makes_a_version_and_leaves_the_last_as_it_was(
    store: TemplateStore, clock: ManualClock
) -> None:
    await store.create(act(), "pv", ROOF)
    first = await store.version("roof", 1)
    clock.advance(timedelta(hours=1))
    changed = TemplateContent(name="Roof, new")
    updated = (await store.update(act(), 1, changed, TemplateState.DEPRECATED, "why")).value
    assert (updated.version, updated.name, updated.state) == (2, "Roof, new", "deprecated")
    assert await store.version("roof", 1) == first
    newest, oldest = (await store.versions("roof", PageRequest())).items
    assert (newest.version, newest.note, oldest) == (2, "why", first)


async def test_of_two_updates_that_saw_the_same_version_one_wins(store: TemplateStore) -> None:
    await store.create(act(), "pv", ROOF)
    results = await asyncio.gather(
        *(store.update(act(), 1, TemplateContent(name=n), ACTIVE, "") for n in "abcdef"),
        return_exceptions=True,
    )
    assert sum(isinstance(result, StaleVersionError) for result in results) == 5
    assert len((await store.versions("roof", PageRequest())).items) == 2


async def test_a_template_in_use_is_not_deleted_and_its_users_are_named(
    store: TemplateStore, database: Database
) -> None:
    await store.create(act(), "pv", ROOF)
    await use(database, "hall-1")
    await use(database, "hall-0", released_at=NOW)
    with pytest.raises(ConflictError, match="1 resources use it: hall-1;"):
        await store.delete(act(), 1)
    usage = await store.usage("roof")
    assert (usage.n_in_use, usage.n_retired) == (1, 1)
    assert [u.resource_id for u in usage.resources] == ["hall-1", "hall-0"]
    assert [(v.version, v.n_resources) for v in usage.by_version] == [(1, 1)]


async def test_a_template_that_only_retired_resources_used_goes_with_all_it_had(
    store: TemplateStore, database: Database
) -> None:
    await store.create(act(), "pv", ROOF)
    await store.validate(act("check-1"), "roof", None, {})
    await use(database, "hall-0", released_at=NOW)
    with pytest.raises(StaleVersionError):
        await store.delete(act(), 7)
    await store.delete(act(), 1)
    for lost in (store.get("roof"), store.version("roof", 1), store.usage("roof")):
        with pytest.raises(NotFoundError):
            await lost
    await store.create(act(), "pv", ROOF)
    assert (await store.validations("roof", PageRequest())).items == []


async def test_validations_are_kept_with_every_problem(
    store: TemplateStore, clock: ManualClock
) -> None:
    await store.create(act(), "pv", ROOF)
    good = (await store.validate(act("check-1"), "roof", 1, {"rated_kw": 50})).value
    clock.advance(timedelta(seconds=1))
    bad = (await store.validate(act("check-2"), "roof", None, {"rated_kw": 501, "x": [1]})).value
    assert (good.valid, good.values["rated_kw"], good.problems) == (True, 50, [])
    assert (bad.valid, bad.values) == (False, {})
    assert {p.field for p in bad.problems} == {"rated_kw", "x"}
    assert (await store.validations("roof", PageRequest())).items == [bad, good]
    usage = await store.usage("roof")
    assert (usage.n_validations, usage.n_validations_failed) == (2, 1)
    with pytest.raises(NotFoundError):
        await store.validate(act("check-3"), "roof", 2, {})


async def test_lists_are_filtered_and_sorted(store: TemplateStore) -> None:
    await store.create(act(), "pv", ROOF)
    await store.update(act(), 1, ROOF, TemplateState.DEPRECATED, "")
    await store.create(act("c"), "chp", TemplateContent(name="100%_engine"))

    async def ids(sort: str = "", **wanted: object) -> list[str]:
        page = await store.list(TemplateFilter(**wanted), PageRequest(sort=sort))  # type: ignore[arg-type]
        return [item.id for item in page.items]

    assert await ids(kind="pv") == ["roof", "starter-pv"]
    assert await ids(kind="pv", sort="-id") == ["starter-pv", "roof"]
    assert await ids(state=TemplateState.DEPRECATED) == ["roof"]
    assert await ids(name="屋顶") == ["roof", "starter-pv"]
    assert await ids(name="0%_E") == ["c"]
    assert await ids(name="%") == ["c"]


async def test_the_starters_cover_every_kind_and_are_sound(store: TemplateStore) -> None:
    starters = (await store.list(TemplateFilter(), PageRequest())).items
    assert {starter.kind for starter in starters} == set(VALID)
    for starter in starters:
        assert narrowed_rows(starter.kind, starter.parameters)[1] == []
        missing = {
            row.name: VALID[starter.kind][row.name]
            for row in narrowed_rows(starter.kind, starter.parameters)[0]
            if row.default is None
        }
        assert configured(starter.kind, starter.parameters, missing)[1] == []
        assert "Give " in starter.description or not missing
