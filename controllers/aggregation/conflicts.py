"""What stands in the way of an aggregation's work, in words; one function per rule.

Blocking findings forbid activation. Warnings tell people where the running system will decide:
sharing a member is allowed, for instance, because one aggregate holds it at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from controllers.aggregation.instruction import INSTRUCTION_MACHINE, Instruction
from controllers.kernel.states import Quality, ResourceState
from controllers.kernel.wire import Wire
from controllers.park import AggregateDefinition, ResourceDefinition
from controllers.resources.kinds import build_twin

_ENDED = INSTRUCTION_MACHINE.terminal()
_UNTRUSTED = frozenset({Quality.STALE, Quality.FROZEN, Quality.MISSING})


class Severity(StrEnum):
    """What a conflict does."""

    BLOCKING = "blocking"
    WARNING = "warning"


class ConflictState(StrEnum):
    """Whether a conflict still stands."""

    OPEN = "open"
    RESOLVED = "resolved"


class FoundConflict(Wire):
    """One finding."""

    rule: str
    severity: Severity
    subject: str
    """What it is about: a member, another aggregation, a dispatch."""
    explanation: str
    resolution: str
    """What would end it."""


class Conflict(Wire):
    """A finding on record."""

    id: str
    aggregation_id: str
    rule: str
    severity: Severity
    subject: str
    explanation: str
    resolution: str
    state: ConflictState
    found_at: datetime
    seen_at: datetime
    """When it was found last."""
    resolved_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the rules look at."""

    aggregate: AggregateDefinition
    """The one in question, at work or not."""
    others: Mapping[str, AggregateDefinition]
    """All other aggregations that are not retired, by id."""
    active: frozenset[str]
    """Ids of aggregations at work; the one in question is looked at as if it were."""
    resources: Mapping[str, ResourceDefinition]
    """Resources in operation, by id."""
    states: Mapping[str, ResourceState] = field(default_factory=dict)
    live: bool = True
    """Whether the states are kept up; if not, nothing is said of telemetry."""
    instructions: Sequence[Instruction] = ()
    """Of all aggregations."""

    def definition(self, id_: str) -> AggregateDefinition | None:
        """Return an aggregation by id."""
        return self.aggregate if id_ == self.aggregate.id else self.others.get(id_)

    def below(self, id_: str) -> set[str]:
        """Return everything below an aggregation, resources and aggregations, by id."""
        reached: set[str] = set()
        frontier = [id_]
        while frontier:
            definition = self.definition(frontier.pop())
            if definition is not None:
                fresh = set(definition.members) - reached
                reached |= fresh
                frontier += sorted(fresh)
        return reached

    def leaves(self) -> list[ResourceDefinition]:
        """Return the resources below the one in question, each once."""
        below = self.below(self.aggregate.id)
        return [r for id_, r in self.resources.items() if id_ in below]


def find_conflicts(situation: Situation) -> list[FoundConflict]:
    """Return every finding, rule by rule; blocking ones first."""
    merged: dict[tuple[str, str], FoundConflict] = {}
    for rule in _RULES:
        for found in rule(situation):
            key = (found.rule, found.subject)
            merged[key] = _joined(merged[key], found) if key in merged else found
    return sorted(merged.values(), key=lambda c: c.severity is not Severity.BLOCKING)


def _joined(first: FoundConflict, second: FoundConflict) -> FoundConflict:
    """Return two findings of a rule about one subject as one."""
    severe = first if first.severity is Severity.BLOCKING else second
    return FoundConflict(
        rule=first.rule,
        severity=severe.severity,
        subject=first.subject,
        explanation=f"{first.explanation}; {second.explanation}",
        resolution=f"{first.resolution}; {second.resolution}",
    )


def circle_through(
    aggregation_id: str, members: Sequence[str], children: Mapping[str, Sequence[str]]
) -> list[str]:
    """Return the members through which an aggregation would contain itself.

    Args:
        aggregation_id: the aggregation.
        members: what it would list.
        children: members of every other aggregation, by id.
    """
    found = []
    for member in members:
        reached: set[str] = set()
        frontier = [member]
        while frontier:
            id_ = frontier.pop()
            if id_ not in reached:
                reached.add(id_)
                frontier += [] if id_ == aggregation_id else children.get(id_, [])
        if aggregation_id in reached:
            found.append(member)
    return found


def _circular_nesting(s: Situation) -> Iterator[FoundConflict]:
    children = {id_: other.members for id_, other in s.others.items()}
    for member in circle_through(s.aggregate.id, s.aggregate.members, children):
        yield FoundConflict(
            rule="circular_nesting",
            severity=Severity.BLOCKING,
            subject=member,
            explanation=f"{s.aggregate.id} contains itself by way of {member}",
            resolution=f"remove {member} from {s.aggregate.id}, or {s.aggregate.id} from below it",
        )


def _members_at_work(s: Situation) -> Iterator[FoundConflict]:
    idle = [m for m in s.aggregate.members if m not in s.resources and m not in s.active]
    severity = Severity.BLOCKING if len(idle) == len(s.aggregate.members) else Severity.WARNING
    if not s.aggregate.members:
        yield FoundConflict(
            rule="members_at_work",
            severity=severity,
            subject=s.aggregate.id,
            explanation=f"{s.aggregate.id} has no members",
            resolution="add a resource or an active aggregation",
        )
    for member in idle:
        yield FoundConflict(
            rule="members_at_work",
            severity=severity,
            subject=member,
            explanation=f"{member} is retired or inactive, so it counts for nothing",
            resolution=f"activate {member} first, or remove it",
        )


def _shared_member(s: Situation) -> Iterator[FoundConflict]:
    """A member of two active aggregations, directly or by different ways."""
    for member in s.aggregate.members:
        holders = [i for i, o in s.others.items() if i in s.active and member in o.members]
        if holders:
            yield FoundConflict(
                rule="shared_member",
                severity=Severity.WARNING,
                subject=member,
                explanation=f"{member} is also a member of {', '.join(holders)}; one of them counts"
                " and commands it at a time",
                resolution=f"remove {member} from all but one, or accept that headroom is held by"
                " whoever commands first",
            )


def _listed_above_and_below(s: Situation) -> Iterator[FoundConflict]:
    for member in s.aggregate.members:
        ways = [
            way
            for way in s.aggregate.members
            if way != member and s.definition(way) is not None and member in s.below(way)
        ]
        if ways:
            yield FoundConflict(
                rule="listed_above_and_below",
                severity=Severity.WARNING,
                subject=member,
                explanation=f"{member} is a direct member of {s.aggregate.id} and below"
                f" {', '.join(ways)}: it is reached by one way at a time",
                resolution=f"remove {member} from {s.aggregate.id} or from below {ways[0]}",
            )


def _capacity_oversold(s: Situation) -> Iterator[FoundConflict]:
    """The connection carries less than the members can bring, one alone or all together."""
    twins = {r.id: build_twin(r.kind, r.parameters) for r in s.leaves()}
    ways = (
        ("export", s.aggregate.max_export_kw, {i: max(t.high_kw, 0.0) for i, t in twins.items()}),
        ("import", s.aggregate.max_import_kw, {i: max(-t.low_kw, 0.0) for i, t in twins.items()}),
    )
    for way, limit_kw, powers_kw in ways:
        if limit_kw is None:
            continue
        for id_, power_kw in powers_kw.items():
            if power_kw > limit_kw:
                yield FoundConflict(
                    rule="capacity_oversold",
                    severity=Severity.BLOCKING,
                    subject=id_,
                    explanation=f"{id_} alone can {way} {power_kw:g} kW; the connection of"
                    f" {s.aggregate.id} carries {limit_kw:g} kW",
                    resolution=f"raise max_{way}_kw, lower the rating of {id_}, or remove it",
                )
        total_kw = sum(powers_kw.values())
        if total_kw > limit_kw:
            yield FoundConflict(
                rule="capacity_oversold",
                severity=Severity.WARNING,
                subject=f"max_{way}_kw",
                explanation=f"together the members can {way} {total_kw:g} kW; the connection of"
                f" {s.aggregate.id} carries {limit_kw:g} kW and its guard will hold them back",
                resolution=f"raise max_{way}_kw, or sell no more than it carries",
            )
    yield from _nested_limits(s)


def _nested_limits(s: Situation) -> Iterator[FoundConflict]:
    for member in s.aggregate.members:
        inner = s.others.get(member)
        for way in ("export", "import"):
            name = f"max_{way}_kw"
            outer_kw: float | None = getattr(s.aggregate, name)
            inner_kw: float | None = None if inner is None else getattr(inner, name)
            if outer_kw is not None and inner_kw is not None and inner_kw > outer_kw:
                yield FoundConflict(
                    rule="capacity_oversold",
                    severity=Severity.WARNING,
                    subject=member,
                    explanation=f"{member} may {way} {inner_kw:g} kW, more than the {outer_kw:g} kW"
                    f" of {s.aggregate.id} above it",
                    resolution=f"lower {name} of {member}",
                )


def _incompatible_kinds(s: Situation) -> Iterator[FoundConflict]:
    """Members that cannot do together what an aggregation is for: move power both ways."""
    leaves = s.leaves()
    if not leaves:
        return
    kinds = sorted({r.kind for r in leaves})
    twins = [build_twin(r.kind, r.parameters) for r in leaves]
    if all(twin.high_kw <= twin.low_kw for twin in twins):
        yield FoundConflict(
            rule="incompatible_kinds",
            severity=Severity.BLOCKING,
            subject=s.aggregate.id,
            explanation="no member can change its power at all",
            resolution="add a member that can",
        )
    elif set(kinds) <= {"pv", "wind"}:
        yield FoundConflict(
            rule="incompatible_kinds",
            severity=Severity.WARNING,
            subject=s.aggregate.id,
            explanation=f"members of {', '.join(kinds)} only can be turned down, never up",
            resolution="add storage or a flexible load to follow targets both ways",
        )
    slow = [r.id for r, t in zip(leaves, twins, strict=True) if _is_slow(t.rated_kw, r)]
    if slow and len(slow) < len(leaves):
        yield FoundConflict(
            rule="incompatible_kinds",
            severity=Severity.WARNING,
            subject=slow[0],
            explanation=f"{', '.join(slow)} must run or rest for many minutes at a time; a loop of"
            f" {s.aggregate.period_s:g} s cannot turn it to and fro",
            resolution="let faster members follow and keep it for long windows",
        )


def _is_slow(rated_kw: float, resource: ResourceDefinition) -> bool:
    if resource.kind != "chp":
        return False
    times = (resource.parameters.get(n, 30.0) for n in ("min_up_min", "min_down_min"))
    return any(float(t) >= 1.0 for t in times) and rated_kw > 0.0


def _overlapping_windows(s: Situation) -> Iterator[FoundConflict]:
    """Dispatches of two aggregations that want the same member at the same time."""
    standing = [i for i in s.instructions if i.state not in _ENDED]
    ours = [i for i in standing if i.aggregate_id == s.aggregate.id]
    below = s.below(s.aggregate.id)
    for theirs in standing:
        if theirs.aggregate_id == s.aggregate.id or s.definition(theirs.aggregate_id) is None:
            continue
        shared = sorted((below & s.below(theirs.aggregate_id)) | (below & {theirs.aggregate_id}))
        if not shared:
            continue
        rivals = [i for i in ours if i.start_at < theirs.end_at and theirs.start_at < i.end_at]
        taking_over = s.aggregate.id not in s.active and theirs.aggregate_id not in below
        if rivals or taking_over:
            yield FoundConflict(
                rule="overlapping_windows",
                severity=Severity.BLOCKING,
                subject=theirs.id,
                explanation=f"dispatch {theirs.id} of {theirs.aggregate_id} has {', '.join(shared)}"
                f" until {theirs.end_at.isoformat(timespec='seconds')}"
                + (f"; {rivals[0].id} wants it at the same time" if rivals else ""),
                resolution=f"wait for its end, cancel it, or remove {shared[0]}",
            )


def _missing_telemetry(s: Situation) -> Iterator[FoundConflict]:
    if not s.live:
        return
    for resource in s.leaves():
        state = s.states.get(resource.id)
        if state is None or state.measured_at is None or state.quality in _UNTRUSTED:
            quality = "never came" if state is None or state.measured_at is None else state.quality
            yield FoundConflict(
                rule="missing_telemetry",
                severity=Severity.WARNING,
                subject=resource.id,
                explanation=f"telemetry of {resource.id}: {quality}; it counts as rated power only"
                " and is not dispatched",
                resolution="look at the device and its connection",
            )


_RULES: tuple[Callable[[Situation], Iterator[FoundConflict]], ...] = (
    _circular_nesting,
    _members_at_work,
    _shared_member,
    _listed_above_and_below,
    _capacity_oversold,
    _incompatible_kinds,
    _overlapping_windows,
    _missing_telemetry,
)
