"""The park's definition: resources, aggregates, connection and tariffs as plain values.

One function per rule, each returning problems with the dotted path of the field, so that a file
loader, an API and a form refuse the same mistakes in the same words.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from controllers.kernel.errors import Problem
from controllers.kernel.money import Currency
from controllers.kernel.wire import Identifier, Wire
from controllers.resources.kinds import TWINS
from controllers.resources.parameters import ParameterValue, check_parameters

PositiveKw = Annotated[float, msgspec.Meta(gt=0.0, le=1e7)]


class ResourceDefinition(Wire):
    """One resource as the park wants it."""

    id: Identifier
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    kind: str
    parameters: dict[str, ParameterValue] = {}
    consumption_positive: bool = False
    """The device counts drawn power as positive; its link turns the sign round."""
    fallback: str = "release"
    """What the device does when its command expires: hold, limit, zero or release."""
    fallback_limit_kw: Annotated[float, msgspec.Meta(ge=0.0, le=1e7)] | None = None
    latitude_deg: Annotated[float, msgspec.Meta(ge=-90.0, le=90.0)] | None = None
    longitude_deg: Annotated[float, msgspec.Meta(ge=-180.0, le=180.0)] | None = None


class AggregateDefinition(Wire):
    """One virtual power plant: members are resources or other aggregates, by id."""

    id: Identifier
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    members: Annotated[list[Identifier], msgspec.Meta(max_length=5000)]
    period_s: Annotated[float, msgspec.Meta(ge=0.1, le=60.0)] = 1.0
    """Length of one turn of the dispatch loop."""
    max_import_kw: PositiveKw | None = None
    max_export_kw: PositiveKw | None = None
    """Limits of the connection point this aggregate sits behind; magnitudes."""
    tolerance_frac: Annotated[float, msgspec.Meta(gt=0.0, le=0.5)] = 0.02
    tolerance_kw: Annotated[float, msgspec.Meta(gt=0.0, le=1e6)] = 5.0
    """Delivered means within the larger of both."""


class TariffDefinition(Wire):
    """Energy price from a local time of day on; the last row wraps to the first."""

    from_time: Annotated[str, msgspec.Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d(?!\n)$")]
    import_per_mwh: Annotated[float, msgspec.Meta(ge=-1e5, le=1e5)]
    export_per_mwh: Annotated[float, msgspec.Meta(ge=-1e5, le=1e5)]


class ParkDefinition(Wire):
    """A whole park."""

    id: Identifier
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    timezone: str
    currency: Currency
    resources: Annotated[list[ResourceDefinition], msgspec.Meta(min_length=1, max_length=10_000)]
    aggregates: Annotated[list[AggregateDefinition], msgspec.Meta(max_length=1000)]
    tariff: Annotated[list[TariffDefinition], msgspec.Meta(min_length=1, max_length=96)]
    valid_from: datetime | None = None

    def resource(self, id_: str) -> ResourceDefinition | None:
        """Return a resource by id."""
        return next((r for r in self.resources if r.id == id_), None)

    def aggregate(self, id_: str) -> AggregateDefinition | None:
        """Return an aggregate by id."""
        return next((a for a in self.aggregates if a.id == id_), None)

    def parents_of(self, member_id: str) -> list[str]:
        """Return the aggregates that list a member, in file order; the first is its home."""
        return [a.id for a in self.aggregates if member_id in a.members]

    def roots(self) -> list[AggregateDefinition]:
        """Return the aggregates that are nobody's member."""
        return [a for a in self.aggregates if not self.parents_of(a.id)]


def check_park(park: ParkDefinition) -> list[Problem]:
    """Return every broken rule of a park."""
    return [problem for rule in _RULES for problem in rule(park)]


def _known_zone(park: ParkDefinition) -> list[Problem]:
    try:
        ZoneInfo(park.timezone)
    except (ZoneInfoNotFoundError, ValueError):
        return [Problem(field="timezone", value=park.timezone, rule="must be an IANA zone name")]
    return []


def _unique_ids(park: ParkDefinition) -> list[Problem]:
    seen: set[str] = set()
    problems = []
    paths = [(f"resources[{i}].id", r.id) for i, r in enumerate(park.resources)]
    paths += [(f"aggregates[{i}].id", a.id) for i, a in enumerate(park.aggregates)]
    for path, id_ in paths:
        if id_ in seen:
            problems.append(Problem(field=path, value=id_, rule="is used twice; ids are unique"))
        seen.add(id_)
    return problems


def check_resource(resource: ResourceDefinition, *, path: str = "") -> list[Problem]:
    """Return every broken rule of one resource.

    Args:
        resource: a definition whose shape is right.
        path: prefix of the fields in problems, e.g. ``resources[2].``.
    """
    twin = TWINS.get(resource.kind)
    if twin is None:
        rule = f"must be one of {', '.join(sorted(TWINS))}"
        problems = [Problem(field=f"{path}kind", value=resource.kind, rule=rule)]
    else:
        inner = f"{path}parameters."
        values, found = check_parameters(twin.PARAMETERS, resource.parameters, path=inner)
        problems = found or twin.check(values, path=inner)
    return problems + _unfit_fallback(resource, path)


def _unfit_fallback(resource: ResourceDefinition, path: str) -> list[Problem]:
    field, value = f"{path}fallback", resource.fallback
    if value not in ("hold", "limit", "zero", "release"):
        return [Problem(field=field, value=value, rule="must be one of hold, limit, zero, release")]
    if (value == "limit") != (resource.fallback_limit_kw is not None):
        rule = "fallback_limit_kw goes with fallback: limit, and only with it"
        return [Problem(field=field, value=value, rule=rule)]
    return []


def _sound_resources(park: ParkDefinition) -> list[Problem]:
    return [
        problem
        for i, resource in enumerate(park.resources)
        for problem in check_resource(resource, path=f"resources[{i}].")
    ]


def _some_members(park: ParkDefinition) -> list[Problem]:
    if not park.aggregates:
        return [Problem(field="aggregates", value=[], rule="must hold at least one")]
    return [
        Problem(field=f"aggregates[{i}].members", value=[], rule="must hold at least one")
        for i, aggregate in enumerate(park.aggregates)
        if not aggregate.members
    ]


def _known_members(park: ParkDefinition) -> list[Problem]:
    known = {r.id for r in park.resources} | {a.id for a in park.aggregates}
    problems = []
    for i, aggregate in enumerate(park.aggregates):
        for j, member in enumerate(aggregate.members):
            path = f"aggregates[{i}].members[{j}]"
            if member not in known:
                rule = "must be a resource or aggregate of this park"
                problems.append(Problem(field=path, value=member, rule=rule))
            elif aggregate.members.index(member) != j:
                problems.append(Problem(field=path, value=member, rule="is listed twice"))
    return problems


def _no_circles(park: ParkDefinition) -> list[Problem]:
    children = {a.id: a.members for a in park.aggregates}
    problems = []
    for i, aggregate in enumerate(park.aggregates):
        reached: set[str] = set()
        frontier = list(aggregate.members)
        while frontier:
            member = frontier.pop()
            if member not in reached:
                reached.add(member)
                frontier += children.get(member, [])
        if aggregate.id in reached:
            rule = "must not contain itself, directly or through another aggregate"
            problems.append(
                Problem(field=f"aggregates[{i}].members", value=aggregate.id, rule=rule)
            )
    return problems


def _tariff_in_order(park: ParkDefinition) -> list[Problem]:
    times = [row.from_time for row in park.tariff]
    if times != sorted(set(times)):
        return [Problem(field="tariff", value=times, rule="from_time must rise from row to row")]
    return []


_RULES: tuple[Callable[[ParkDefinition], list[Problem]], ...] = (
    _known_zone,
    _unique_ids,
    _sound_resources,
    _some_members,
    _known_members,
    _no_circles,
    _tariff_in_order,
)
