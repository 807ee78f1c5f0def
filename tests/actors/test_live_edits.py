"""The live actors follow what is edited in the database, and only those that it touches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from actors import runtime
from actors.live_view import MqttLiveView
from actors.supervisor import Supervisor
from cluster.storage.aggregations import SqlAggregations
from cluster.storage.asset_book import SqlAssetBook
from cluster.storage.database import Database
from cluster.storage.engine import open_engine, reading
from cluster.storage.registry import SqlParkRegistry
from cluster.storage.resources import SqlResources
from cluster.storage.tables.aggregations import AGGREGATION_REALTIME
from cluster.wiring import Wiring
from controllers.kernel.money import Currency
from controllers.kernel.timebase import SystemClock
from controllers.park import (
    AggregateDefinition,
    ParkDefinition,
    ResourceDefinition,
    TariffDefinition,
)
from controllers.ports.acts import Act
from controllers.ports.assets import NewResource
from controllers.ports.history import HistorySettings
from controllers.supervision import SUPERVISOR, aggregate_actor, resource_actor
from tests.support.broker import Broker
from tests.support.databases import migrated_sqlite
from tests.support.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.broker, pytest.mark.timeout(300)]

WITHIN_S = 90.0


def roof(id_: str) -> ResourceDefinition:
    return ResourceDefinition(id=id_, name=id_, kind="pv", parameters={"rated_kw": 50.0})


PARK = ParkDefinition(
    id="park1",
    name="Park",
    timezone="UTC",
    currency=Currency.EUR,
    resources=[roof("pv1"), roof("pv2")],
    aggregates=[
        AggregateDefinition(id="one", name="One", members=["pv1"]),
        AggregateDefinition(id="two", name="Two", members=["pv2"]),
    ],
    tariff=[TariffDefinition(from_time="00:00", import_per_mwh=1.0, export_per_mwh=1.0)],
)


def act(subject: str) -> Act:
    return Act(principal="anna", action="x", subject=subject, data={})


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = migrated_sqlite(tmp_path / "parkgrid.sqlite")
    registry = SqlParkRegistry(url, SystemClock())
    registry.save(PARK)
    registry.close()
    return url


@pytest.fixture
async def supervisor(
    ray_cluster: str, mosquitto: Broker, tmp_path: Path, url: str
) -> AsyncIterator[runtime.ActorHandle]:
    (tmp_path / "actors").mkdir()
    wiring = Wiring(
        database_url=url,
        actors=tmp_path / "actors",
        jwt_secret_file=tmp_path / "jwt",
        seal_keys_file=tmp_path / "keys",
        four_eyes="auto",
        cors_origins=(),
        mqtt=mosquitto.settings,
        history=tmp_path / "history",
        history_settings=HistorySettings(),
        keys_kept=timedelta(days=1),
        reports_kept=timedelta(days=1),
        device_records_kept=timedelta(days=31),
        shadow_plans=1,
        optimizers=tmp_path / "optimizers",
    )
    handle = runtime.spawn(Supervisor, SUPERVISOR, wiring.outside())
    yield handle
    await runtime.call(handle, "stop", deadline_s=60.0, actor_id=SUPERVISOR)
    runtime.kill(SUPERVISOR)


def kept_figures(url: str) -> set[str]:
    engine = open_engine(url)
    with reading(engine) as connection:
        kept = set(connection.execute(select(AGGREGATION_REALTIME.c.aggregation_id)).scalars())
    engine.dispose()
    return kept


async def epoch_of(name: str) -> int:
    epoch: int = await runtime.call(runtime.find(name), "ready", deadline_s=60.0, actor_id=name)
    return epoch


async def test_edits_start_restart_and_stop_what_they_touch(
    supervisor: runtime.ActorHandle, mosquitto: Broker, url: str
) -> None:
    book, database = SqlAssetBook(url), Database(url, SystemClock())
    resources = SqlResources(database, book)
    aggregations = SqlAggregations(database, book)
    view = MqttLiveView(mosquitto.settings, "view")
    view.start()
    await eventually(
        lambda: set(view.resources) == {"pv1", "pv2"} and set(view.aggregates) == {"one", "two"},
        within_s=WITHIN_S,
    )
    untouched = [resource_actor("pv2"), aggregate_actor("two")]
    before = [await epoch_of(name) for name in untouched]

    await resources.create(act("pv3"), [NewResource(definition=roof("pv3"))], paths=[""])
    await aggregations.add_members(act("one"), ["pv3"], None)
    await eventually(
        lambda: (
            "pv3" in view.resources
            and [m.id for m in view.aggregates["one"].members] == ["pv1", "pv3"]
        ),
        within_s=WITHIN_S,
    )

    await eventually(lambda: kept_figures(url) == {"one", "two"}, within_s=WITHIN_S)

    await aggregations.remove_member(act("one"), "pv3", None)
    await resources.retire(act("pv3"), 1)
    await aggregations.deactivate(act("one"), None)
    await eventually(
        lambda: set(view.resources) == {"pv1", "pv2"} and set(view.aggregates) == {"two"},
        within_s=WITHIN_S,
    )
    names = runtime.list_names()
    assert resource_actor("pv3") not in names
    assert aggregate_actor("one") not in names
    assert [await epoch_of(name) for name in untouched] == before

    await view.stop()
    await asyncio.to_thread(database.close)
    book.close()
