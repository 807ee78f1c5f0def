"""The Supervisor: makes the live actors those the park's definition wants.

Once a second it reads the wanted park, compares it with the live names and takes the steps that
``controllers.supervision.reconcile`` lists. Each step is idempotent, so a supervisor that dies in
the middle is followed by one that goes on from what it finds. Kill switches that are wanted but
were not yet taken by an actor are applied here, so a wanted stop does not get lost with the
request that asked for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from actors import runtime
from actors.aggregate import AggregateActor
from actors.alarms import AlarmActor
from actors.deployed.actor import DeployedOptimizerActor
from actors.devices import DevicesActor
from actors.fleet import FleetActor
from actors.historian import HistorianActor
from actors.links.clearing import clear_state
from actors.optimizer import OptimizerActor
from actors.outside import Outside
from actors.recorder import RecorderActor
from actors.resource import ResourceActor
from controllers.kernel.errors import NotFoundError, ParkgridError, StorageUnavailableError
from controllers.kernel.wire import decode, encode
from controllers.park import ParkDefinition
from controllers.ports.actors import ActorStore
from controllers.ports.optimizers import OptimizerLedger
from controllers.ports.registry import ParkRegistry
from controllers.supervision import (
    AGGREGATE_PREFIX,
    ALARMS,
    DEVICES,
    HISTORIAN,
    OPTIMIZER,
    OPTIMIZER_PREFIX,
    RECORDER,
    RESOURCE_PREFIX,
    SUPERVISOR,
    Step,
    StepKind,
    alarm_subjects,
    reconcile,
    resource_actor,
    turned_devices,
    wanted_actors,
)

logger = logging.getLogger(__name__)

PERIOD_S = 1.0
STARTS_PER_CPU = 2
"""Actors that may be on their way at once."""
START_LIMIT_S = 20.0
"""After so long an actor on its way no longer keeps others waiting."""
CHECKPOINT_MAX_BYTES = 16_777_216
FLEET_KIND = "fleet"


class Supervisor:
    """Reconciles for ever; restartable at any moment.

    Args:
        outside: handed on to the actors it starts.
    """

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._registry: ParkRegistry | None = None
        self._park: ParkDefinition | None = None
        self._version = -1
        self._ledger: OptimizerLedger | None = None
        self._optimizers: tuple[str, ...] = ()
        self._revision = -1
        self._store: ActorStore | None = None
        self._epoch = 0
        self._digests: dict[str, str] = {}
        self._kills_applied: frozenset[str] = frozenset()
        self._problem = ""
        self._starting: set[asyncio.Task[None]] = set()
        self._converged = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def converged(self, deadline_s: float) -> bool:
        """Wait until every wanted actor has been started; tell whether it came to that."""
        try:
            await asyncio.wait_for(self._converged.wait(), deadline_s)
        except TimeoutError:
            return False
        return True

    async def health(self) -> dict[str, int | float | str | bool]:
        """Return the version of the park in force and what stands in the way, if anything."""
        return {
            "ready": self._converged.is_set(),
            "park_version": self._version,
            "actors": len(self._digests),
            "problem": self._problem,
        }

    async def stop(self) -> None:
        """Stop reconciling and end every actor in order."""
        self._task.cancel()
        names = await asyncio.to_thread(runtime.list_names)
        await asyncio.gather(*(self._stop_actor(name) for name in names if name != SUPERVISOR))

    async def _run(self) -> None:
        while True:
            problem = ""
            try:
                await self._turn()
            except StorageUnavailableError as error:
                problem = str(error)
            except Exception as error:
                logger.exception("a turn of the supervisor failed")
                problem = f"{type(error).__name__}: {error}"
            if problem and not self._problem:
                logger.warning("the wanted park cannot be reached: %s", problem)
            self._problem = problem
            await asyncio.sleep(PERIOD_S)

    async def _turn(self) -> None:
        store = await self._restored()
        registry, park = await self._read()
        await self._read_optimizers()
        steps = reconcile(self._wanted(park), await self._live())
        for step in steps:
            await self._take(step, park)
        if steps:
            await asyncio.to_thread(store.commit, self._epoch, encode(self._digests), [])
        self._converged.set()
        await self._apply_kills(registry, park)

    async def _restored(self) -> ActorStore:
        # What each live actor was built from is remembered, or a definition that changed while no
        # supervisor was alive would go unnoticed.
        if self._store is None:
            store = await asyncio.to_thread(self._outside.open_store, SUPERVISOR)
            self._epoch = await asyncio.to_thread(store.acquire)
            checkpoint = await asyncio.to_thread(store.load)
            self._digests = (
                decode(checkpoint, dict[str, str], max_bytes=CHECKPOINT_MAX_BYTES)
                if checkpoint
                else {}
            )
            self._store = store
        return self._store

    async def _read(self) -> tuple[ParkRegistry, ParkDefinition]:
        if self._registry is None:
            self._registry = await asyncio.to_thread(self._outside.open_registry)
        version = await asyncio.to_thread(self._registry.version)
        if self._park is None or version != self._version:
            self._park = await asyncio.to_thread(self._registry.load)
            self._version = version
        return self._registry, self._park

    async def _read_optimizers(self) -> None:
        if self._ledger is None:
            self._ledger = await asyncio.to_thread(self._outside.open_optimizers)
        revision = await asyncio.to_thread(self._ledger.revision)
        if revision != self._revision:
            running = await asyncio.to_thread(self._ledger.running)
            self._optimizers = tuple(optimizer.id for optimizer in running)
            self._revision = revision

    def _wanted(self, park: ParkDefinition) -> dict[str, str]:
        return wanted_actors(park, self._optimizers)

    async def _live(self) -> dict[str, str | None]:
        names = await asyncio.to_thread(runtime.list_names)
        return {name: self._digests.get(name) for name in names if name != SUPERVISOR}

    async def _take(self, step: Step, park: ParkDefinition) -> None:
        if step.kind is StepKind.STOP:
            await self._stop_actor(step.name)
            self._digests.pop(step.name, None)
            if step.name not in self._wanted(park):
                await clear_state(self._outside.mqtt, step.name)
        else:
            await self._start_in_turn(step.name, park)
            self._digests[step.name] = self._wanted(park)[step.name]
            self._kills_applied = frozenset()
        logger.info("%s %s", step.kind, step.name)

    async def _start_in_turn(self, name: str, park: ParkDefinition) -> None:
        # Ray starts processes in the order in which they are asked for, one or two per core at a
        # time. Were all actors asked for at once, the API would have to wait for the last of them.
        if len(self._starting) >= await asyncio.to_thread(runtime.n_cpus) * STARTS_PER_CPU:
            _, self._starting = await asyncio.wait(
                self._starting, return_when=asyncio.FIRST_COMPLETED
            )
        handle = await asyncio.to_thread(self._start_actor, name, park)
        self._starting.add(asyncio.create_task(_first_answer(handle, name)))

    async def _stop_actor(self, name: str) -> None:
        try:
            await runtime.call(runtime.find(name), "stop", actor_id=name)
        except ParkgridError as error:
            logger.warning("%s did not stop in order: %s", name, error)
        await asyncio.to_thread(runtime.kill, name)

    def _start_actor(self, name: str, park: ParkDefinition) -> runtime.ActorHandle:
        outside = self._outside
        if name == RECORDER:
            return runtime.spawn(RecorderActor, name, outside.open_sink)
        if name == DEVICES:
            return runtime.spawn(DevicesActor, name, park.id, outside.mqtt, outside.open_devices)
        if name == HISTORIAN:
            return runtime.spawn(
                HistorianActor,
                name,
                park.id,
                turned_devices(park),
                outside.mqtt,
                outside.open_history,
                outside.history,
            )
        if name == ALARMS:
            return runtime.spawn(
                AlarmActor,
                name,
                alarm_subjects(park),
                outside.mqtt,
                outside.open_store,
                outside.open_alarms,
                outside.notice_networks,
            )
        if name == OPTIMIZER:
            return runtime.spawn(OptimizerActor, name, park, outside.open_optimizers)
        if name.startswith(OPTIMIZER_PREFIX):
            return self._start_optimizer(name)
        if name.startswith(AGGREGATE_PREFIX):
            id_ = name.removeprefix(AGGREGATE_PREFIX)
            return runtime.spawn(AggregateActor, name, park, id_, outside.mqtt, outside.open_store)
        definition = park.resource(name.removeprefix(RESOURCE_PREFIX))
        if definition is None:
            raise NotFoundError("resource", name)
        class_ = FleetActor if definition.kind == FLEET_KIND else ResourceActor
        homes = tuple(park.parents_of(definition.id))
        return runtime.spawn(
            class_, name, park.id, definition, homes, outside.mqtt, outside.open_store
        )

    def _start_optimizer(self, name: str) -> runtime.ActorHandle:
        if self._ledger is None:
            raise NotFoundError("actor", name)
        code = self._ledger.code(name.removeprefix(OPTIMIZER_PREFIX))
        return runtime.spawn(DeployedOptimizerActor, name, code, self._outside.optimizers)

    async def _apply_kills(self, registry: ParkRegistry, park: ParkDefinition) -> None:
        # A retired resource keeps its switch, in case a park file brings it back.
        known = {resource.id for resource in park.resources}
        wanted = await asyncio.to_thread(registry.killed) & known
        for resource_id in sorted(wanted - self._kills_applied):
            name = resource_actor(resource_id)
            await runtime.call(runtime.find(name), "kill", SUPERVISOR, "wanted stop", actor_id=name)
        self._kills_applied = wanted


async def _first_answer(handle: runtime.ActorHandle, name: str) -> None:
    with contextlib.suppress(ParkgridError):
        await runtime.call(handle, "health", deadline_s=START_LIMIT_S, actor_id=name)
