"""Reconciling the wanted actors with the live ones, as a pure function of both.

What is wanted comes from the park's definition; what is live from the actors' names and the digest
each was built with. The result is a list of steps, each idempotent, in the order in which they
should be taken: first stop what is no longer wanted, then start what is missing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from controllers.alarms.events import AlarmSubjects
from controllers.kernel.wire import encode
from controllers.park import AggregateDefinition, ParkDefinition, ResourceDefinition

RESOURCE_PREFIX = "resource:"
AGGREGATE_PREFIX = "aggregate:"
OPTIMIZER_PREFIX = "optimizer:"
ALARMS = "alarms"
OPTIMIZER = "optimizer"
RECORDER = "recorder"
HISTORIAN = "historian"
DEVICES = "devices"
SUPERVISOR = "supervisor"


def resource_actor(resource_id: str) -> str:
    """Return the name of a resource's actor."""
    return f"{RESOURCE_PREFIX}{resource_id}"


def aggregate_actor(aggregate_id: str) -> str:
    """Return the name of an aggregate's actor."""
    return f"{AGGREGATE_PREFIX}{aggregate_id}"


def optimizer_actor(optimizer_id: str) -> str:
    """Return the name of a deployed optimizer's actor."""
    return f"{OPTIMIZER_PREFIX}{optimizer_id}"


class StepKind(StrEnum):
    """What to do with an actor."""

    STOP = "stop"
    START = "start"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One idempotent step towards the wanted set."""

    kind: StepKind
    name: str


def turned_devices(park: ParkDefinition) -> frozenset[str]:
    """Return the ids of devices that count drawn power as positive."""
    return frozenset(r.id for r in park.resources if r.consumption_positive)


def wanted_actors(park: ParkDefinition, optimizer_ids: Iterable[str] = ()) -> dict[str, str]:
    """Return actor name to digest of what it must be built from.

    The digest covers everything the actor is constructed with, so a changed definition shows as a
    changed digest.

    Args:
        park: as defined.
        optimizer_ids: of the deployed optimizers that run; under an id nothing ever changes.
    """
    wanted = {
        resource_actor(r.id): _digest(park.id, r, park.parents_of(r.id)) for r in park.resources
    }
    wanted |= {
        aggregate_actor(a.id): _digest(park.id, a, [park.parents_of(m) for m in a.members])
        for a in park.aggregates
    }
    wanted |= {optimizer_actor(id_): _digest(park.id, id_, []) for id_ in optimizer_ids}
    wanted[OPTIMIZER] = _digest(park.id, park, [])
    wanted[ALARMS] = _digest(park.id, ALARMS, alarm_subjects(park))
    wanted[RECORDER] = _digest(park.id, RECORDER, [])
    wanted[DEVICES] = _digest(park.id, DEVICES, [])
    wanted[HISTORIAN] = _digest(park.id, HISTORIAN, sorted(turned_devices(park)))
    return wanted


def alarm_subjects(park: ParkDefinition) -> AlarmSubjects:
    """Return what the alarms of a park can be about."""
    return AlarmSubjects(
        park_id=park.id,
        park_name=park.name,
        resources=[(resource.id, resource.kind) for resource in park.resources],
        aggregates=[aggregate.id for aggregate in park.aggregates],
    )


def reconcile(wanted: Mapping[str, str], live: Mapping[str, str | None]) -> list[Step]:
    """Return the steps from the live set to the wanted one.

    Args:
        wanted: actor name to digest.
        live: actor name to the digest it was built with; None when it has not answered yet, which
            is no reason to touch it.
    """
    stale = sorted(
        name
        for name, digest in live.items()
        if name not in wanted or (digest is not None and digest != wanted[name])
    )
    missing = sorted(name for name in wanted if name not in live or name in stale)
    return [Step(kind=StepKind.STOP, name=name) for name in stale] + [
        Step(kind=StepKind.START, name=name) for name in missing
    ]


def leaf_resources(park: ParkDefinition, aggregate_id: str) -> list[str]:
    """Return the ids of all resources below an aggregate, each once, in file order."""
    below: set[str] = set()
    frontier = [aggregate_id]
    while frontier:
        aggregate = park.aggregate(frontier.pop())
        if aggregate is not None:
            fresh = set(aggregate.members) - below
            below |= fresh
            frontier += fresh
    return [r.id for r in park.resources if r.id in below]


def _digest(
    park_id: str,
    part: ResourceDefinition | AggregateDefinition | ParkDefinition | str,
    extra: object,
) -> str:
    return hashlib.sha256(encode([park_id, part, extra])).hexdigest()
