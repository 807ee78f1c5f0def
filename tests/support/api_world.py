"""The API in process over fakes and a real SQLite, with everything a test may turn."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from fastapi import FastAPI

from actors.notices.guard import AddressGuard, UnresolvedError
from cluster.storage.aggregations import SqlAggregations
from cluster.storage.alarm_records import fold_alarms
from cluster.storage.alarms import SqlAlarms
from cluster.storage.asset_book import SqlAssetBook
from cluster.storage.database import Database
from cluster.storage.device_upkeep import SqlUpkeep
from cluster.storage.devices import SqlDevices
from cluster.storage.dispatches import SqlDispatches
from cluster.storage.findings import SqlFindings
from cluster.storage.history.opening import HistoryFolder
from cluster.storage.history.writing import HistoryFiles
from cluster.storage.operations import SqlOperations
from cluster.storage.optimizers import SqlOptimizers
from cluster.storage.registry import SqlParkRegistry
from cluster.storage.resources import SqlResources
from cluster.storage.templates import SqlTemplates
from controllers.kernel.ids import SequentialIds
from controllers.kernel.timebase import ManualClock
from controllers.park import ParkDefinition
from controllers.ports.actors import OutboxRecord
from controllers.ports.history import HistorySettings
from controllers.ports.operations import AuditEntry
from serve_apps.api import build_api
from serve_apps.web.access_tokens import Tokens
from serve_apps.web.deps import ApiDeps, ApiSettings
from serve_apps.web.permissions import Role
from tests.support.accounts import PASSWORD, account_stores, insert_accounts, make_account
from tests.support.alarms import AlarmCycles, LogicDesk, ReversingBox
from tests.support.audit import newest_entries
from tests.support.databases import migrated_sqlite
from tests.support.fakes import FakeActorHealth, FakeControlPlane, FakeLiveView, FakeOperationsStore
from tests.support.live_states import (
    NOW,
    make_aggregate_state,
    make_park,
    make_resource_state,
)

__all__ = ["PASSWORD", "World", "assert_problem", "open_world"]


@dataclass(kw_only=True)
class World:
    """Everything a test may turn."""

    app: FastAPI
    client: httpx.AsyncClient
    clock: ManualClock
    live: FakeLiveView
    control: FakeControlPlane
    actors: FakeActorHealth
    store: FakeOperationsStore
    database: Database
    """Holds what is not faked."""
    past: HistoryFiles
    """Writes the history that the API reads."""
    assets: SqlAssetBook
    desk: LogicDesk
    tokens: Tokens

    def token(self, role: str = Role.OPERATOR) -> str:
        """Return an access token of the user named like their role."""
        return self.tokens.issue(role)[0]

    def auth(self, role: str = Role.OPERATOR, **more: str) -> dict[str, str]:
        """Return request headers of a role, and more."""
        return {"Authorization": f"Bearer {self.token(role)}", **more}

    async def audited(self, action: str) -> list[AuditEntry]:
        """Return the entries of an action in the database, newest first."""
        entries = await newest_entries(SqlOperations(self.database), 200)
        return [entry for entry in entries if entry.action == action]

    async def dispatch(
        self,
        key: str = "k1",
        aggregation: str = "site",
        role: str = Role.OPERATOR,
        **changes: object,
    ) -> httpx.Response:
        """Post a dispatch of 500 kW for ten minutes."""
        body = {"target_kw": 500.0, "duration_s": 600, "reason": "peak", **changes}
        return await self.client.post(
            f"/api/vpp/aggregations/{aggregation}/dispatch",
            json=body,
            headers=self.auth(role, **{"Idempotency-Key": key}),
        )


@asynccontextmanager
async def _open_database(
    park: ParkDefinition, clock: ManualClock
) -> AsyncIterator[tuple[Database, SqlAssetBook]]:
    with tempfile.TemporaryDirectory() as folder:
        url = migrated_sqlite(Path(folder) / "parkgrid.sqlite")
        registry = SqlParkRegistry(url, clock)
        registry.save(park)
        registry.close()
        database, assets = Database(url, clock), SqlAssetBook(url)
        try:
            yield database, assets
        finally:
            assets.close()
            await asyncio.to_thread(database.close)


def _recorder(database: Database) -> Callable[[list[OutboxRecord]], Awaitable[None]]:
    async def record(records: list[OutboxRecord]) -> None:
        await database.write(lambda group: fold_alarms(group.connection, records))

    return record


async def _resolve(host: str, port: int) -> list[str]:
    """Resolve without a network: numbers to themselves, ``*.inside`` to where nobody may go."""
    if host.endswith(".unknown"):
        raise UnresolvedError(f"{host} cannot be resolved")
    if host.replace(".", "").isdigit() or ":" in host:
        return [host]
    return ["10.0.0.7"] if host.endswith(".inside") else ["93.184.216.34"]


@asynccontextmanager
async def _open_history(clock: ManualClock) -> AsyncIterator[tuple[HistoryFiles, HistoryFolder]]:
    settings = HistorySettings()
    with tempfile.TemporaryDirectory() as folder:
        writer = HistoryFiles(Path(folder) / "history", settings, clock)
        try:
            yield writer, HistoryFolder(Path(folder) / "history", settings, clock)
        finally:
            writer.rotate()


@asynccontextmanager
async def open_world(settings: ApiSettings) -> AsyncIterator[World]:
    """Yield a world whose park has a battery, a roof and a garage in two nested aggregates."""
    clock = ManualClock(NOW)
    park = make_park()
    live = FakeLiveView()
    live.put(
        make_resource_state("bess1"),
        make_resource_state("pv1", kind="pv", power_kw=120.0, contenders=[]),
        make_aggregate_state("site"),
        make_aggregate_state("stores"),
    )
    control = FakeControlPlane(park, clock)
    actors = FakeActorHealth()
    users = [make_account(role, [role], NOW) for role in Role]
    users.append(make_account("gone", ["admin"], NOW, disabled=True))
    users.append(make_account("part", ["operator"], NOW, scope=["stores"]))
    users.append(make_account("everything", list(Role), NOW))
    store = FakeOperationsStore(clock)
    ids = SequentialIds()
    async with (
        _open_database(park, clock) as (database, assets),
        _open_history(clock) as (past, history),
    ):
        await insert_accounts(database, users)
        desk = LogicDesk(AlarmCycles(resources=2, also=("bess1",)), _recorder(database))
        deps = ApiDeps(
            park=assets.park,
            live=live,
            control=control,
            store=store,
            actors=actors,
            dispatches=SqlDispatches(database),
            breakers={"store": lambda: 1},
            queues={"database_writes": lambda: 5},
            **account_stores(database),
            devices=SqlDevices(database, ids),
            assets=assets,
            resources=SqlResources(database, assets),
            aggregations=SqlAggregations(database, assets),
            findings=SqlFindings(database, assets, ids),
            templates=SqlTemplates(database),
            optimizers=SqlOptimizers(database),
            history=history,
            upkeep=SqlUpkeep(database),
            alarms=SqlAlarms(database, ReversingBox()),
            alarm_desk=desk,
            guard=AddressGuard(resolve=_resolve),
            clock=clock,
            ids=ids,
            settings=settings,
        )
        app = build_api(deps)
        await app.state.accounts.load()
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://park") as client:
            yield World(
                app=app,
                client=client,
                clock=clock,
                live=live,
                control=control,
                actors=actors,
                store=store,
                database=database,
                past=past,
                assets=assets,
                desk=desk,
                tokens=app.state.tokens,
            )


def assert_problem(response: httpx.Response, status: int, name: str) -> dict[str, object]:
    """Check that an answer is a well-formed problem document and return it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, object] = response.json()
    assert body["type"] == f"urn:parkgrid:problem:{name}"
    assert body["status"] == status
    assert body["request_id"] == response.headers["x-request-id"]
    return body
