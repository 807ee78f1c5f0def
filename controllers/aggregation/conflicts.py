"""Which aggregates of a park share a member, in words; one function per rule.

Sharing is allowed: at run time one aggregate holds the member and only it counts and commands it.
What is found here tells people where that will happen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from controllers.park import AggregateDefinition, ParkDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedMember:
    """A member whose headroom several aggregates might want at a time."""

    member_id: str
    home: str
    """Counts it while nobody holds it."""
    others: tuple[str, ...]
    explanation: str


def shared_members(park: ParkDefinition) -> list[SharedMember]:
    """Return every shared member, rule by rule."""
    return [found for rule in _RULES for found in rule(park)]


def _listed_twice(park: ParkDefinition) -> list[SharedMember]:
    ids = [r.id for r in park.resources] + [a.id for a in park.aggregates]
    found = []
    for member_id in ids:
        parents = park.parents_of(member_id)
        if len(parents) > 1:
            home, *others = parents
            words = (
                f"{member_id} is a member of {', '.join(parents)}: {home} counts it by default,"
                " another only while it holds it"
            )
            found.append(
                SharedMember(
                    member_id=member_id, home=home, others=tuple(others), explanation=words
                )
            )
    return found


def _listed_above_and_below(park: ParkDefinition) -> list[SharedMember]:
    """A member of an aggregate that is also, directly, a member of one further up."""
    found = []
    for upper in park.aggregates:
        for member_id in upper.members:
            below = [a.id for a in _nested(park, upper) if member_id in a.members]
            if below:
                words = (
                    f"{member_id} is a direct member of {upper.id} and of {', '.join(below)} inside"
                    f" {upper.id}: it is reached by one way at a time"
                )
                found.append(
                    SharedMember(
                        member_id=member_id,
                        home=park.parents_of(member_id)[0],
                        others=tuple(dict.fromkeys([upper.id, *below])),
                        explanation=words,
                    )
                )
    return found


def _nested(park: ParkDefinition, upper: AggregateDefinition) -> list[AggregateDefinition]:
    found: dict[str, AggregateDefinition] = {}
    frontier = list(upper.members)
    while frontier:
        inner = park.aggregate(frontier.pop())
        if inner is not None and inner.id not in found:
            found[inner.id] = inner
            frontier += inner.members
    return list(found.values())


_RULES: tuple[Callable[[ParkDefinition], list[SharedMember]], ...] = (
    _listed_twice,
    _listed_above_and_below,
)
