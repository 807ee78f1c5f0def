"""The OptimizerStore on SQL.

Writing transactions follow one another, so of two people who promote one comes after the other.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, func, insert, select, update

from cluster.storage.database import Database
from cluster.storage.paging import page_of
from cluster.storage.tables.optimizers import OPTIMIZER_REVISION, OPTIMIZER_SCORES, OPTIMIZERS
from controllers.kernel.errors import ConflictError, NotFoundError, StaleVersionError
from controllers.optimizers.deployment import (
    MAX_STANDING,
    OPTIMIZER_MACHINE,
    Optimizer,
    OptimizerCode,
    OptimizerState,
    OptimizerStep,
    check_promotable,
)
from controllers.optimizers.scores import Outcome, Score, ScoreSummary, summary_of
from controllers.ports.acts import Act, Done
from controllers.ports.optimizers import OptimizerFilter
from controllers.ports.pages import Page, PageRequest

_MAX_SUMMED = 1000
_O, _S = OPTIMIZERS.c, OPTIMIZER_SCORES.c
_COLUMNS = [_O[name] for name in Optimizer.__struct_fields__]
_RAISE = update(OPTIMIZER_REVISION).values(revision=OPTIMIZER_REVISION.c.revision + 1)


class SqlOptimizers:
    """An OptimizerStore on a migrated database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def deploy(self, act: Act, name: str, code: OptimizerCode, note: str) -> Done[Optimizer]:
        """Store an optimizer; a removed one with the same content comes back."""

        def work(connection: Connection) -> Optimizer:
            now = self._database.clock.now()
            standing = connection.execute(_one(code.id)).mappings().one_or_none()
            if standing is None:
                optimizer = Optimizer(
                    id=code.id,
                    name=name,
                    file_name=code.file_name,
                    environment=code.environment,
                    sha256=hashlib.sha256(code.content).hexdigest(),
                    n_bytes=len(code.content),
                    note=note,
                    state=OptimizerState.DEPLOYED,
                    replaced=None,
                    reason=note,
                    version=1,
                    deployed_at=now,
                    deployed_by=act.principal,
                    changed_at=now,
                    changed_by=act.principal,
                )
                _require_room(connection)
                content = base64.b64encode(code.content).decode()
                connection.execute(insert(OPTIMIZERS), {**_row(optimizer), "content": content})
                return optimizer
            optimizer = optimizer_of(standing)
            if not OPTIMIZER_MACHINE.allows(optimizer.state, OptimizerStep.DEPLOY):
                message = f"this very file is deployed as {code.id}; it is {optimizer.state}"
                raise ConflictError(message, current=code.id)
            _require_room(connection)
            return store(
                connection, optimizer.after(OptimizerStep.DEPLOY, act.principal, note, now)
            )

        return await self._database.act(act, work, Optimizer)

    async def shadow(self, act: Act, seen_version: int | None, reason: str) -> Done[Optimizer]:
        """Let it solve every live problem, to be judged."""
        return await self._step(act, seen_version, OptimizerStep.SHADOW, reason)

    async def check_promotable(
        self, optimizer_id: str, seen_version: int, least_plans: int
    ) -> None:
        """Check what ``promote`` will, before a second person is asked."""

        def work(connection: Connection) -> None:
            optimizer = _find(connection, optimizer_id, seen_version)
            recent = _recent(connection, optimizer_id, least_plans)
            check_promotable(optimizer, recent, least_plans)

        await self._database.read(work)

    async def promote(
        self, act: Act, seen_version: int, reason: str, least_plans: int
    ) -> Done[Optimizer]:
        """Let its plans be dispatched; who was promoted before goes back into shadow."""

        def also(connection: Connection, optimizer: Optimizer) -> Optimizer:
            recent = _recent(connection, optimizer.id, least_plans)
            check_promotable(optimizer, recent, least_plans)
            before = _promoted(connection)
            if before is not None:
                told = f"{optimizer.id} was promoted"
                now = self._database.clock.now()
                store(connection, before.after(OptimizerStep.SUPERSEDE, act.principal, told, now))
            replaced = None if before is None else before.id
            return msgspec.structs.replace(optimizer, replaced=replaced)

        return await self._step(act, seen_version, OptimizerStep.PROMOTE, reason, also)

    async def roll_back(self, act: Act, seen_version: int | None, reason: str) -> Done[Optimizer]:
        """Take it out of force, into shadow; who was promoted before comes back, if it can."""

        def also(connection: Connection, optimizer: Optimizer) -> Optimizer:
            before = optimizer.replaced and _find(connection, optimizer.replaced)
            # If the roll-back itself is refused, this is undone with it.
            if before and OPTIMIZER_MACHINE.allows(before.state, OptimizerStep.RESTORE):
                told = f"{optimizer.id} was rolled back"
                now = self._database.clock.now()
                store(connection, before.after(OptimizerStep.RESTORE, act.principal, told, now))
            return optimizer

        return await self._step(act, seen_version, OptimizerStep.ROLL_BACK, reason, also)

    async def remove(self, act: Act, seen_version: int) -> Done[Optimizer]:
        """End it for good; its scores stay for as long as scores are kept."""
        return await self._step(act, seen_version, OptimizerStep.REMOVE, "")

    async def get(self, optimizer_id: str) -> Optimizer:
        """Return an optimizer."""
        return await self._database.read(lambda c: _find(c, optimizer_id))

    async def list(self, wanted: OptimizerFilter, request: PageRequest) -> Page[Optimizer]:
        """Return optimizers."""
        among = _O.state != OptimizerState.REMOVED.value
        if wanted.state is not None:
            among = _O.state == wanted.state.value
        return await self._database.read(
            lambda connection: page_of(
                connection,
                select(*_COLUMNS).where(among),
                request,
                sorts={name: _O[name] for name in ("deployed_at", "changed_at", "id")},
                default_sort="-deployed_at",
                id_column=_O.id,
                build=optimizer_of,
            )
        )

    async def scores(self, optimizer_id: str, request: PageRequest) -> Page[Score]:
        """Return its scores, newest first."""

        def work(connection: Connection) -> Page[Score]:
            _find(connection, optimizer_id)
            return page_of(
                connection,
                select(OPTIMIZER_SCORES).where(_S.optimizer_id == optimizer_id),
                request,
                sorts={"at": _S.at},
                default_sort="-at",
                id_column=_S.id,
                build=_score,
            )

        return await self._database.read(work)

    async def summary(self, optimizer_id: str) -> ScoreSummary:
        """Return what its newest scores say together."""

        def work(connection: Connection) -> ScoreSummary:
            _find(connection, optimizer_id)
            return summary_of(optimizer_id, _recent(connection, optimizer_id, _MAX_SUMMED))

        return await self._database.read(work)

    async def _step(
        self,
        act: Act,
        seen_version: int | None,
        step: OptimizerStep,
        reason: str,
        also: Callable[[Connection, Optimizer], Optimizer] = lambda _, optimizer: optimizer,
    ) -> Done[Optimizer]:
        def work(connection: Connection) -> Optimizer:
            standing = _find(connection, act.subject, seen_version)
            now = self._database.clock.now()
            changed = also(connection, standing).after(step, act.principal, reason, now)
            return store(connection, changed)

        return await self._database.act(act, work, Optimizer)


def optimizer_of(row: RowMapping) -> Optimizer:
    """Return a row as an optimizer."""
    found: Any = {name: row[name] for name in Optimizer.__struct_fields__}
    return msgspec.convert(found, Optimizer)


def store(connection: Connection, optimizer: Optimizer) -> Optimizer:
    """Write a changed optimizer, and tell those who run them that something changed."""
    connection.execute(update(OPTIMIZERS).where(_O.id == optimizer.id).values(_row(optimizer)))
    connection.execute(_RAISE)
    return optimizer


def _row(optimizer: Optimizer) -> dict[str, Any]:
    return {**msgspec.structs.asdict(optimizer), "state": optimizer.state.value}


def _score(row: RowMapping) -> Score:
    return Score(**{**row, "outcome": Outcome(row["outcome"])})


def _one(optimizer_id: str) -> Any:
    return select(*_COLUMNS).where(_O.id == optimizer_id)


def _find(connection: Connection, optimizer_id: str, seen_version: int | None = None) -> Optimizer:
    row = connection.execute(_one(optimizer_id)).mappings().one_or_none()
    if row is None:
        raise NotFoundError("optimizer", optimizer_id)
    optimizer = optimizer_of(row)
    if seen_version is not None and optimizer.version != seen_version:
        raise StaleVersionError("the optimizer", optimizer.version)
    return optimizer


def _promoted(connection: Connection) -> Optimizer | None:
    query = select(*_COLUMNS).where(_O.state == OptimizerState.PROMOTED.value)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else optimizer_of(row)


def _recent(connection: Connection, optimizer_id: str, n: int) -> list[Score]:
    query = select(OPTIMIZER_SCORES).where(_S.optimizer_id == optimizer_id)
    newest = query.order_by(_S.at.desc(), _S.id.desc()).limit(n)
    return [_score(row) for row in connection.execute(newest).mappings()]


def _require_room(connection: Connection) -> None:
    standing = select(func.count()).where(_O.state != OptimizerState.REMOVED.value)
    n = connection.execute(standing).scalar_one()
    if n >= MAX_STANDING:
        raise ConflictError(f"{n} optimizers are deployed; remove some first", current=str(n))
