"""What other processes are handed: picklable factories that open the chosen implementations there.

Actors and Serve replicas may not import this package; they get these as values of the types that
``controllers.ports`` and ``serve_apps.web.deps`` declare.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from actors.calls import ActorCalls
from actors.handles import RayAlarmDesk, RayControlPlane
from actors.healths import RayActorHealth
from actors.links.mqtt import MqttSettings
from actors.live_view import MqttLiveView
from actors.logs import log_to_stderr
from actors.notices.guard import AddressGuard
from actors.outside import Outside
from cluster.secret_box import FileSecretBox
from cluster.settings import FourEyes, read_secret
from cluster.storage.actor_store import open_actor_store
from cluster.storage.aggregations import SqlAggregations
from cluster.storage.alarm_source import open_alarm_source
from cluster.storage.alarms import SqlAlarms
from cluster.storage.api_keys import SqlApiKeys
from cluster.storage.approvals import SqlApprovals
from cluster.storage.asset_book import SqlAssetBook
from cluster.storage.database import Database
from cluster.storage.device_ledger import open_device_ledger
from cluster.storage.device_upkeep import SqlUpkeep
from cluster.storage.devices import SqlDevices
from cluster.storage.dispatches import SqlDispatches
from cluster.storage.findings import SqlFindings
from cluster.storage.history.opening import HistoryFolder, open_history_writer
from cluster.storage.lockouts import RedisLockouts
from cluster.storage.operations import SqlOperations
from cluster.storage.optimizer_ledger import open_optimizer_ledger
from cluster.storage.optimizers import SqlOptimizers
from cluster.storage.quotas import LimitsQuotas
from cluster.storage.records import open_record_sink
from cluster.storage.redis import SharedRedis, open_redis, ping
from cluster.storage.registry import open_registry
from cluster.storage.replica import Replica
from cluster.storage.resources import SqlResources
from cluster.storage.sessions import SqlSessions
from cluster.storage.templates import SqlTemplates
from cluster.storage.users import SqlAccounts
from controllers.alarms.addresses import parse_networks
from controllers.history.carbon import GridFactor
from controllers.kernel.ids import RandomIds
from controllers.kernel.timebase import SystemClock
from controllers.ports.history import HistorySettings
from serve_apps.app import OpenDeps
from serve_apps.web.deps import ApiDeps, ApiSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """Where everything is, for the processes of one park."""

    database_url: str = field(repr=False)
    database_read_url: str | None = field(default=None, repr=False)
    """Of a read replica."""
    redis_url: str | None = field(default=None, repr=False)
    actors: Path
    """Directory of the actors' durable state."""
    jwt_secret_file: Path
    seal_keys_file: Path
    """For ``FileSecretBox``, which opens and seals what stores keep secret."""
    four_eyes: FourEyes
    shadow_plans: int
    cors_origins: tuple[str, ...]
    mqtt: MqttSettings
    history: Path
    """Directory of the history's files."""
    history_settings: HistorySettings
    optimizers: Path
    """Directory of what belongs to deployed optimizers."""
    keys_kept: timedelta
    reports_kept: timedelta
    device_records_kept: timedelta
    grid_factors: tuple[GridFactor, ...] = ()
    notice_networks: tuple[str, ...] = ()

    def outside(self) -> Outside:
        """Return what the actors are built from."""
        return Outside(
            mqtt=self.mqtt,
            open_store=functools.partial(
                open_actor_store, str(self.actors), documents_kept=self.reports_kept
            ),
            open_registry=functools.partial(open_registry, self.database_url),
            open_devices=functools.partial(open_device_ledger, self.database_url),
            open_sink=functools.partial(
                open_record_sink,
                self.database_url,
                keys_kept=self.keys_kept,
                device_records_kept=self.device_records_kept,
            ),
            open_history=functools.partial(
                open_history_writer, str(self.history), self.history_settings
            ),
            history=self.history_settings,
            open_alarms=functools.partial(
                open_alarm_source,
                self.database_url,
                functools.partial(FileSecretBox, self.seal_keys_file),
            ),
            open_optimizers=functools.partial(open_optimizer_ledger, self.database_url),
            optimizers=self.optimizers,
            notice_networks=self.notice_networks,
        )

    def api(self) -> OpenDeps:
        """Return what builds the parts of an API replica."""
        return functools.partial(_open_api, self)


def _open_api(wiring: Wiring) -> tuple[ApiDeps, AbstractAsyncContextManager[object]]:
    log_to_stderr("api")
    clock = SystemClock()
    ids = RandomIds(clock)
    assets = SqlAssetBook(wiring.database_url)
    helpers: dict[str, Callable[[], Awaitable[None]]] = {}
    replica = None
    if wiring.database_read_url is not None:
        replica = Replica(wiring.database_read_url)
        helpers["read-replica"] = replica.ping
    redis = shared = None
    if wiring.redis_url is not None:
        redis = open_redis(wiring.redis_url)
        shared = SharedRedis(redis)
        helpers["redis"] = functools.partial(ping, redis)
    history = HistoryFolder(wiring.history, wiring.history_settings, clock)
    helpers["history"] = history.ping
    database = Database(wiring.database_url, clock, replica=replica)
    settings = ApiSettings(
        jwt_secret=read_secret(wiring.jwt_secret_file),
        four_eyes=wiring.four_eyes,
        shadow_plans=wiring.shadow_plans,
        cors_origins=wiring.cors_origins,
    )
    calls = ActorCalls()
    live = MqttLiveView(wiring.mqtt, ids.new("parkgrid-api"))
    deps = ApiDeps(
        park=assets.park,
        live=live,
        actors=RayActorHealth(),
        breakers={
            "store": database.n_breakers_open,
            "actors": calls.n_breakers_open,
            "redis": lambda: 0 if shared is None else shared.n_breakers_open(),
        },
        queues={"database_writes": database.n_waiting},
        control=RayControlPlane(calls),
        alarms=SqlAlarms(database, FileSecretBox(wiring.seal_keys_file)),
        alarm_desk=RayAlarmDesk(calls),
        guard=AddressGuard(parse_networks(wiring.notice_networks)),
        store=SqlOperations(database),
        dispatches=SqlDispatches(database),
        assets=assets,
        resources=SqlResources(database, assets),
        aggregations=SqlAggregations(database, assets),
        findings=SqlFindings(database, assets, ids),
        templates=SqlTemplates(database),
        helpers=helpers,
        devices=SqlDevices(database, ids),
        upkeep=SqlUpkeep(database),
        history=history,
        accounts=SqlAccounts(database),
        sessions=SqlSessions(database),
        keys=SqlApiKeys(database),
        grid_factors=wiring.grid_factors,
        approvals=SqlApprovals(database),
        optimizers=SqlOptimizers(database),
        quotas=LimitsQuotas(shared, clock),
        lockouts=RedisLockouts(
            shared, n_free=settings.login_free_attempts, max_wait_s=settings.login_max_wait_s
        ),
        clock=clock,
        ids=ids,
        settings=settings,
    )

    @asynccontextmanager
    async def life() -> AsyncIterator[None]:
        live.start()
        following = asyncio.create_task(assets.follow())
        try:
            yield
        finally:
            following.cancel()
            await live.stop()
            await asyncio.to_thread(database.close)
            if redis is not None:
                await redis.aclose()
            assets.close()

    return deps, life()
