"""Gathers what the rules about conflicts look at, and what runs on an aggregation."""

from __future__ import annotations

import asyncio

from controllers.aggregation.conflicts import Situation
from controllers.aggregation.instruction import INSTRUCTION_MACHINE, Instruction
from controllers.assets.records import AggregateRecord, AggregateStatus, ResourceStatus
from controllers.kernel.errors import ConflictError, NotFoundError
from controllers.park import ResourceDefinition
from serve_apps.web.deps import ApiDeps

_MAX_INSTRUCTIONS = 1000
_ENDED = INSTRUCTION_MACHINE.terminal()


def require_aggregation(deps: ApiDeps, aggregation_id: str) -> AggregateRecord:
    """Return an aggregation, at work or not.

    Raises:
        NotFoundError: the park has none of that id.
    """
    record = deps.assets.aggregates.get(aggregation_id)
    if record is None:
        raise NotFoundError("aggregation", aggregation_id)
    return record


async def situation_of(deps: ApiDeps, record: AggregateRecord) -> Situation:
    """Return an aggregation among all others, with live states and standing dispatches.

    Raises:
        ActorUnavailableError: an aggregation that shares members does not answer.
    """
    id_ = record.definition.id
    others = {
        other.definition.id: other
        for other in deps.assets.aggregates.values()
        if other.status is not AggregateStatus.RETIRED and other.definition.id != id_
    }
    situation = Situation(
        aggregate=record.definition,
        others={key: other.definition for key, other in others.items()},
        active=frozenset(
            key for key, r in {**others, id_: record}.items() if r.status is AggregateStatus.ACTIVE
        ),
        resources={
            key: r.definition
            for key, r in deps.assets.resources.items()
            if r.status is ResourceStatus.ACTIVE
        },
        states=deps.live.resources,
        live=deps.live.connected,
    )
    below = situation.below(id_)
    concerned = [
        key
        for key in sorted(situation.active)
        if key == id_ or key in below or below & situation.below(key)
    ]
    books = await asyncio.gather(*(standing_instructions(deps, key) for key in concerned))
    instructions = [instruction for book in books for instruction in book]
    return Situation(
        aggregate=situation.aggregate,
        others=situation.others,
        active=situation.active,
        resources=situation.resources,
        states=situation.states,
        live=situation.live,
        instructions=instructions,
    )


async def standing_instructions(deps: ApiDeps, aggregation_id: str) -> list[Instruction]:
    """Return the dispatches of an active aggregation that have not ended.

    Raises:
        ActorUnavailableError: it does not answer.
    """
    found = await deps.control.instructions(aggregation_id, _MAX_INSTRUCTIONS)
    return [instruction for instruction in found if instruction.state not in _ENDED]


async def require_idle(deps: ApiDeps, aggregation_id: str) -> None:
    """Refuse while dispatches stand.

    Raises:
        ConflictError: some do; names them.
        ActorUnavailableError: nobody knows.
    """
    standing = await standing_instructions(deps, aggregation_id)
    if standing:
        ids = ", ".join(instruction.id for instruction in standing)
        message = f"dispatches stand: {ids}; cancel them or wait for their end"
        raise ConflictError(message, current=standing[0].id)


def resources_below(deps: ApiDeps, aggregation_id: str) -> list[ResourceDefinition]:
    """Return the resources that an aggregation reaches by way of active ones, each once."""
    aggregates = deps.assets.aggregates
    reached: set[str] = set()
    frontier = [aggregation_id]
    while frontier:
        id_ = frontier.pop()
        record = aggregates.get(id_)
        counts = id_ == aggregation_id or (
            record is not None and record.status is AggregateStatus.ACTIVE
        )
        if record is not None and counts:
            fresh = set(record.definition.members) - reached
            reached |= fresh
            frontier += sorted(fresh)
    return [
        record.definition
        for id_, record in deps.assets.resources.items()
        if id_ in reached and record.status is ResourceStatus.ACTIVE
    ]
