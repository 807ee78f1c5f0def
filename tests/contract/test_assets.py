"""The stores of resources and aggregations keep their ports' contracts on every database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from cluster.storage.aggregations import SqlAggregations
from cluster.storage.asset_book import SqlAssetBook
from cluster.storage.database import Database
from cluster.storage.findings import SqlFindings
from cluster.storage.records import SqlRecordSink
from cluster.storage.registry import SqlParkRegistry
from cluster.storage.resources import SqlResources
from controllers.aggregation.conflicts import FoundConflict, Severity
from controllers.aggregation.realtime import figures_of
from controllers.assets.geometry import Polygon, Site
from controllers.kernel.errors import (
    ConflictError,
    InvalidTransitionError,
    NotFoundError,
    StaleVersionError,
)
from controllers.kernel.ids import SequentialIds
from controllers.kernel.timebase import ManualClock
from controllers.park import AggregateDefinition, ResourceDefinition
from controllers.ports.acts import Act
from controllers.ports.assets import (
    AggregateChange,
    AggregateFilter,
    ConnectionLimits,
    NewResource,
    ResourceChange,
    ResourceFilter,
)
from controllers.ports.pages import PageRequest
from tests.support.live_states import make_aggregate_state, make_park

NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
PARK = make_park()
RING = [(121.0, 31.0), (121.1, 31.0), (121.1, 31.1), (121.0, 31.0)]


@dataclass(kw_only=True)
class Stores:
    """Everything over one database."""

    clock: ManualClock
    registry: SqlParkRegistry
    book: SqlAssetBook
    resources: SqlResources
    aggregations: SqlAggregations
    findings: SqlFindings
    url: str


@pytest.fixture
async def stores(database_url: str) -> AsyncIterator[Stores]:
    clock = ManualClock(NOW)
    registry = SqlParkRegistry(database_url, clock)
    registry.save(PARK)
    book = SqlAssetBook(database_url)
    database = Database(database_url, clock, answer_within_s=30.0)
    yield Stores(
        clock=clock,
        registry=registry,
        book=book,
        resources=SqlResources(database, book),
        aggregations=SqlAggregations(database, book),
        findings=SqlFindings(database, book, SequentialIds()),
        url=database_url,
    )
    await asyncio.to_thread(database.close)
    book.close()
    registry.close()


def act(subject: str, key: str | None = None) -> Act:
    return Act(principal="anna", action="x", subject=subject, data={}, key=key)


def roof(id_: str = "pv2", rated_kw: float = 50.0, template: str | None = None) -> NewResource:
    definition = ResourceDefinition(
        id=id_, name="Roof", kind="" if template else "pv", parameters={"rated_kw": rated_kw}
    )
    site = Site(geometry=Polygon(coordinates=[RING]), height_m=2.5)
    return NewResource(definition=definition, template_id=template, site=site)


async def make(stores: Stores, *items: NewResource) -> None:
    batch = act(items[0].definition.id)
    await stores.resources.create(batch, items, paths=["" for _ in items])


async def test_what_was_made_is_in_the_park_for_everybody(stores: Stores) -> None:
    before = stores.registry.version()
    await make(stores, roof(), roof("pv3", template="starter-pv"))
    assert stores.registry.version() == before + 1
    assert [r.id for r in stores.registry.load().resources] == [
        "bess1",
        "pv1",
        "ev1",
        "pv2",
        "pv3",
    ]
    other = SqlAssetBook(stores.url)
    assert other.resources == stores.book.resources
    assert other.resources["pv2"].site.geometry == Polygon(coordinates=[RING])
    assert other.resources["pv3"].definition.parameters["tilt_deg"] == 15.0
    assert other.park() == stores.book.park() == stores.registry.load()
    other.close()


async def test_another_process_sees_what_changed_and_only_reads_that(stores: Stores) -> None:
    other = SqlAssetBook(stores.url)
    untouched = other.resources["bess1"]
    await make(stores, roof())
    await stores.resources.retire(act("pv2"), 1)
    await stores.aggregations.add_members(act("stores"), ["pv1"], None)
    other.refresh()
    assert other.resources == stores.book.resources
    assert other.aggregates == stores.book.aggregates
    assert other.resources["bess1"] is untouched
    assert other.parents_of("pv1") == ["site", "stores"]
    other.close()


async def test_an_update_is_a_version_and_a_stale_one_is_refused(stores: Stores) -> None:
    change = ResourceChange(
        definition=ResourceDefinition(id="", name="R", kind="", parameters={"rated_kw": 70.0})
    )
    before, after = await stores.resources.foresee("pv1", 1, change)
    assert (before, before.version) == (stores.book.resources["pv1"], 1)
    record = (await stores.resources.update(act("pv1"), 1, change)).value
    assert (after.definition, after.template) == (record.definition, record.template)
    assert (record.version, record.definition.id, record.definition.kind) == (2, "pv1", "pv")
    assert stores.registry.load().resources[1].parameters == {"rated_kw": 70.0}
    with pytest.raises(StaleVersionError):
        await stores.resources.update(act("pv1"), 1, change)
    with pytest.raises(StaleVersionError):
        await stores.resources.foresee("pv1", 1, change)
    with pytest.raises(NotFoundError):
        await stores.resources.update(act("nobody"), 1, change)


async def test_the_last_resource_stays(stores: Stores) -> None:
    for member in ("pv1", "ev1", "stores"):
        if member != "stores":
            await stores.aggregations.remove_member(act("site"), member, None)
    await stores.resources.retire(act("pv1"), 1)
    await stores.resources.retire(act("ev1"), 1)
    await stores.aggregations.deactivate(act("site"), None)
    await stores.aggregations.deactivate(act("stores"), None)
    await stores.aggregations.remove_member(act("stores"), "bess1", None)
    with pytest.raises(ConflictError, match="last resource"):
        await stores.resources.retire(act("bess1"), 1)
    park = stores.registry.load()
    assert ([r.id for r in park.resources], park.aggregates) == (["bess1"], [])


async def test_an_active_aggregation_keeps_a_member_at_work(stores: Stores) -> None:
    lone = AggregateDefinition(id="top", name="Top", members=["stores"])
    await stores.aggregations.create(act("top"), lone)
    await stores.aggregations.activate(act("top"), 1)
    with pytest.raises(ConflictError, match="top would be left"):
        await stores.aggregations.deactivate(act("stores"), None)
    await stores.aggregations.deactivate(act("top"), None)
    await stores.aggregations.deactivate(act("stores"), None)
    with pytest.raises(ConflictError, match="none of its members"):
        await stores.aggregations.activate(act("top"), None)
    with pytest.raises(ConflictError, match="member of site, top"):
        await stores.aggregations.retire(act("stores"), 2)
    with pytest.raises(InvalidTransitionError):
        await stores.aggregations.deactivate(act("stores"), None)
    assert stores.registry.load().aggregates[0].members == ["pv1", "ev1"]


async def test_settings_and_limits_change_what_runs(stores: Stores) -> None:
    change = AggregateChange(name="S", period_s=2.0, tolerance_frac=0.1, tolerance_kw=1.0)
    await stores.aggregations.update(act("site"), 1, change)
    limits = ConnectionLimits(max_import_kw=300.0, max_export_kw=None)
    await stores.aggregations.set_limits(act("site"), 2, limits)
    site = stores.registry.load().aggregates[0]
    assert (site.name, site.period_s, site.max_import_kw, site.max_export_kw) == (
        "S",
        2.0,
        300.0,
        None,
    )


async def test_lists_know_filters_and_reach(stores: Stores) -> None:
    await make(stores, roof())
    page = PageRequest(sort="-id", limit=2)
    first = await stores.resources.list(ResourceFilter(), page)
    assert [r.definition.id for r in first.items] == ["pv2", "pv1"]
    rest = msgspec.structs.replace(page, cursor=first.next_cursor)
    assert len((await stores.resources.list(ResourceFilter(), rest)).items) == 2
    mine = ResourceFilter(within=["pv2", "nobody"])
    assert [r.definition.id for r in (await stores.resources.list(mine, PageRequest())).items] == [
        "pv2"
    ]
    holding = AggregateFilter(member="bess1")
    found = (await stores.aggregations.list(holding, PageRequest())).items
    assert [(a.definition.id, a.definition.members) for a in found] == [("stores", ["bess1"])]


async def test_conflicts_open_stay_and_are_resolved(stores: Stores) -> None:
    def finding(subject: str, words: str = "w") -> FoundConflict:
        return FoundConflict(
            rule="shared_member",
            severity=Severity.WARNING,
            subject=subject,
            explanation=words,
            resolution="r",
        )

    first = await stores.findings.record_conflicts(act("site"), [finding("a"), finding("b")])
    stores.clock.advance(timedelta(minutes=1))
    second = await stores.findings.record_conflicts(act("site"), [finding("b", "still")])
    b = second.value.items[0]
    assert (b.id, b.explanation) == (first.value.items[1].id, "still")
    assert b.found_at == NOW < b.seen_at
    page = await stores.findings.conflicts("site", None, PageRequest())
    assert {(c.subject, c.state) for c in page.items} == {("a", "resolved"), ("b", "open")}


async def test_the_last_figures_of_an_aggregation_are_kept(stores: Stores) -> None:
    assert await stores.findings.realtime("site") is None
    sink = SqlRecordSink(stores.url)
    sink.write_figures([figures_of(make_aggregate_state("site"))])
    newer = make_aggregate_state("site", power_kw=77.0, instruction_id="site.d-1")
    sink.write_figures([figures_of(newer), figures_of(make_aggregate_state("stores"))])
    sink.close()
    assert await stores.findings.realtime("site") == figures_of(newer)


# --- park files and edits


async def test_the_same_file_again_leaves_what_was_edited(stores: Stores) -> None:
    await make(stores, roof())
    edited = stores.registry.load()
    assert stores.registry.save(PARK) == stores.registry.version()
    assert stores.registry.load() == edited


async def test_another_file_does_not_undo_edits_unless_told(stores: Stores) -> None:
    await make(stores, roof(template="starter-pv"))
    changed = msgspec.structs.replace(PARK, name="Renamed")
    with pytest.raises(ConflictError, match="1 times since its last park file"):
        stores.registry.save(changed)
    stores.registry.save(changed, replace=True)
    assert stores.registry.load() == changed
    stores.book.refresh()
    assert stores.book.resources["pv2"].status == "retired"
    assert stores.registry.save(PARK) == stores.registry.version()


async def test_a_file_that_says_what_was_edited_is_taken_as_it_is(stores: Stores) -> None:
    await make(stores, roof())
    version = stores.registry.version()
    edited = stores.registry.load()
    assert stores.registry.save(edited) == version
    assert stores.registry.save(PARK) == version + 1
    assert stores.registry.load() == PARK


async def test_what_a_file_lists_again_is_back_and_drafts_are_left_alone(stores: Stores) -> None:
    draft = AggregateDefinition(id="plan", name="Plan", members=["ev1"])
    await stores.aggregations.create(act("plan"), draft)
    fewer = msgspec.structs.replace(
        PARK, resources=PARK.resources[:2], aggregates=PARK.aggregates[1:]
    )
    stores.registry.save(fewer, replace=True)
    stores.book.refresh()
    assert {r.definition.id: r.status for r in stores.book.resources.values()} == {
        "bess1": "active",
        "pv1": "active",
        "ev1": "retired",
    }
    assert stores.book.aggregates["plan"].status == "draft"
    stores.registry.save(PARK)
    stores.book.refresh()
    assert stores.book.resources["ev1"].status == "active"
    assert stores.book.resources["ev1"].retired_at is None
    assert stores.registry.load() == PARK
