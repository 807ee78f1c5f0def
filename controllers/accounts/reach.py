"""How far an account reaches: some aggregates and everything below them, or the whole park.

Whoever reaches only a part of the park cannot tell the rest from what does not exist.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from controllers.park import ParkDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """A part of the park."""

    aggregates: frozenset[str]
    resources: frozenset[str]

    def __and__(self, other: Reach) -> Reach:
        return Reach(
            aggregates=self.aggregates & other.aggregates,
            resources=self.resources & other.resources,
        )


def reach_below(park: ParkDefinition, aggregate_ids: Iterable[str]) -> Reach:
    """Return the aggregates named and everything below them; unknown ids reach nothing."""
    members = {aggregate.id: aggregate.members for aggregate in park.aggregates}
    resources: set[str] = set()
    aggregates: set[str] = set()
    frontier = [id_ for id_ in aggregate_ids if id_ in members]
    while frontier:
        id_ = frontier.pop()
        if id_ in members and id_ not in aggregates:
            aggregates.add(id_)
            frontier += members[id_]
        elif id_ not in members:
            resources.add(id_)
    return Reach(aggregates=frozenset(aggregates), resources=frozenset(resources))


def both(left: Reach | None, right: Reach | None) -> Reach | None:
    """Return what two reaches share; None is the whole park."""
    if left is None or right is None:
        return right if left is None else left
    return left & right
