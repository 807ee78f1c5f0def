"""Refuses a problem that makes no sense, with everything that is wrong, before any solver runs."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import get_args, get_type_hints

import numpy as np

from optimization.checks import ProblemError
from optimization.dispatch.fields import Plain, Range
from optimization.dispatch.plant import Electrolyser, Generator, Load, Renewable
from optimization.dispatch.problem import (
    Asset,
    ConnectionPoint,
    DispatchProblem,
    ReserveProduct,
)
from optimization.dispatch.reach import unmet
from optimization.dispatch.storage import Battery, Fleet, HeatStore, Vehicle

MAX_STEPS = 10_000
MAX_ASSETS = 100_000
MAX_NAME = 200
_KINDS = (
    "points",
    "commitments",
    "reserves",
    "batteries",
    "vehicles",
    "heat_stores",
    "fleets",
    "renewables",
    "generators",
    "electrolysers",
    "loads",
)
_PROVIDERS = ("batteries", "fleets", "generators")
_TINY = 1e-9


class ProblemRefusedError(Exception):
    """A problem breaks rules; nothing was solved.

    Args:
        faults: each with field, value and rule.
    """

    def __init__(self, faults: Sequence[ProblemError]) -> None:
        super().__init__("; ".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


def check(problem: DispatchProblem) -> None:
    """Check everything.

    Raises:
        ProblemRefusedError: with all faults that can be told apart; relations between values are
            looked at only when each value by itself is right.
    """
    faults = [*_sizes(problem)] or [*out_of_range(problem, "", problem.n_steps)]
    faults += _names(problem)
    if not faults:
        faults += _relations(problem)
    if not faults:
        faults += unmet(problem)
    if faults:
        raise ProblemRefusedError(faults)


def _sizes(problem: DispatchProblem) -> Iterator[ProblemError]:
    if not 1 <= problem.n_steps <= MAX_STEPS:
        yield ProblemError("step_h", problem.n_steps, f"must hold 1 to {MAX_STEPS} steps")
    if len(problem.assets) > MAX_ASSETS:
        yield ProblemError("assets", len(problem.assets), f"must not be more than {MAX_ASSETS}")


@cache
def _ranges(kind: type[object]) -> dict[str, Range]:
    """Return the range of each numeric field of a class."""
    hints = get_type_hints(kind, include_extras=True)
    found = {name: _range_in(hint) for name, hint in hints.items()}
    return {name: allowed for name, allowed in found.items() if allowed is not None}


def _range_in(hint: object) -> Range | None:
    if isinstance(hint, Range):
        return hint
    return next((r for part in get_args(hint) if (r := _range_in(part)) is not None), None)


def out_of_range(part: Plain, path: str, n_steps: int) -> Iterator[ProblemError]:
    """Yield a fault for each number of a part that is outside the range of its field.

    Args:
        part: with all parts it holds.
        path: to it, ending in a dot, or empty.
        n_steps: length of a series.
    """
    ranges = _ranges(type(part))  # type: ignore[arg-type] # a class is hashable
    for item in dataclasses.fields(part):
        value = getattr(part, item.name)
        here = f"{path}{item.name}"
        if item.name in ranges and isinstance(value, Mapping):
            for name, values in value.items():
                yield from _numbers(values, f"{here}[{name}]", ranges[item.name], n_steps)
        elif item.name in ranges and value is not None:
            yield from _numbers(value, here, ranges[item.name], n_steps)
        elif isinstance(value, Plain):
            yield from out_of_range(value, f"{here}.", n_steps)
        elif isinstance(value, tuple) and value and isinstance(value[0], Plain):
            for place, member in enumerate(value):
                label = getattr(member, "name", "") or place
                yield from out_of_range(member, f"{here}[{label}].", n_steps)


def _numbers(value: object, path: str, allowed: Range, n_steps: int) -> Iterator[ProblemError]:
    if not allowed.per_step:
        if not isinstance(value, int | float) or not allowed.holds(value):
            yield ProblemError(path, value, allowed.rule)
        return
    if not isinstance(value, tuple) or len(value) != n_steps:
        size = len(value) if isinstance(value, tuple) else value
        yield ProblemError(path, size, f"must hold one value for each of {n_steps} steps")
        return
    strange = [i for i, number in enumerate(value) if not isinstance(number, int | float)]
    wrong = strange or np.flatnonzero(~allowed.hold(np.array(value, dtype=np.float64)))
    for step in wrong[:1]:
        yield ProblemError(f"{path}[{step}]", value[step], allowed.rule)


def _names(problem: DispatchProblem) -> Iterator[ProblemError]:
    for kinds in (_KINDS[:1], _KINDS[1:]):
        members = [(kind, part.name) for kind in kinds for part in getattr(problem, kind)]
        times = Counter(name for _, name in members)
        for kind, name in members:
            if not 0 < len(name) <= MAX_NAME:
                yield ProblemError(f"{kind}.name", name, f"must have 1 to {MAX_NAME} characters")
        for name, n in times.items():
            if n > 1:
                yield ProblemError("name", name, f"is used {n} times; names are unique")
    yield from _tree(problem.points)
    yield from _references(problem)


def _references(problem: DispatchProblem) -> Iterator[ProblemError]:
    points = {point.name for point in problem.points}
    for kind in _KINDS[3:]:
        for asset in getattr(problem, kind):
            yield from _known(f"{kind}[{asset.name}].point", asset.point, points)
    for promise in problem.commitments:
        yield from _known(f"commitments[{promise.name}].point", promise.point, points)
    stores = {store.name for store in problem.heat_stores}
    for unit in problem.generators:
        if unit.heat_store is not None:
            path = f"generators[{unit.name}].heat_store"
            yield from _known(path, unit.heat_store, stores, "a heat store")
    able = {a.name for kind in _PROVIDERS for a in getattr(problem, kind)}
    for product in problem.reserves:
        for name in product.providers or ():
            path = f"reserves[{product.name}].providers"
            yield from _known(path, name, able, "a battery, fleet or generator")


def _known(
    path: str, name: str, known: set[str], what: str = "a connection point"
) -> Iterator[ProblemError]:
    if name not in known:
        yield ProblemError(path, name, f"must be the name of {what}")


def _tree(points: tuple[ConnectionPoint, ...]) -> Iterator[ProblemError]:
    parents = {point.name: point.parent for point in points}
    roots = [name for name, parent in parents.items() if parent is None]
    if len(roots) != 1:
        yield ProblemError("points.parent", roots, "exactly one point has none: the grid's")
    for name, parent in parents.items():
        seen, above = {name}, parent
        while above is not None and above in parents and above not in seen:
            seen.add(above)
            above = parents[above]
        if above is not None:
            rule = "must lead to the grid" if above in seen else "must be a connection point"
            yield ProblemError(f"points[{name}].parent", parent, rule)


def _relations(problem: DispatchProblem) -> Iterator[ProblemError]:
    for promise in problem.commitments:
        prices = zip(promise.up_price_per_mwh, promise.down_price_per_mwh, strict=True)
        sums = [up + down for up, down in prices]
        if min(sums) < -_TINY:
            path = f"commitments[{promise.name}].up_price_per_mwh"
            rule = "with the down price must not be below 0: being off both ways would earn"
            yield ProblemError(path, min(sums), rule)
    for product in problem.reserves:
        yield from _product(product)
    for kind in _KINDS[3:]:
        for asset in getattr(problem, kind):
            for name, value, rule in _asset(asset):
                yield ProblemError(f"{kind}[{asset.name}].{name}", value, rule)


def _product(product: ReserveProduct) -> Iterator[ProblemError]:
    path = f"reserves[{product.name}].max_mw"
    pays = product.price_per_mw_h is not None and max(product.price_per_mw_h) > 0
    if product.max_mw is None:
        if pays or product.activation_frac > 0:
            yield ProblemError(path, None, "is required where holding is paid or reserve is called")
        return
    required = product.required_mw or (0.0,) * len(product.max_mw)
    if any(most < least for most, least in zip(product.max_mw, required, strict=True)):
        yield ProblemError(path, min(product.max_mw), "must not be below required_mw")


_Broken = Iterator[tuple[str, object, str]]


_ORDERED: Mapping[type[Asset], tuple[tuple[str, str], ...]] = {
    Battery: (("min_mwh", "max_mwh"), ("floor_mwh", "max_mwh")),
    Vehicle: (("min_mwh", "max_mwh"), ("target_mwh", "max_mwh"), ("initial_mwh", "max_mwh")),
    HeatStore: (("min_mwh", "max_mwh"), ("min_draw_mw", "max_draw_mw")),
    Fleet: (("min_mw", "max_mw"), ("min_mwh", "max_mwh")),
    Renewable: (("must_take_mw", "available_mw"),),
    Generator: (("min_mw", "max_mw"), ("min_mw", "start_mw"), ("min_mw", "stop_mw")),
    Electrolyser: (("min_mw", "max_mw"),),
    Load: (("max_less_mw", "demand_mw"),),
}
"""Fields of which the first must not exceed the second."""


def _asset(asset: Asset) -> _Broken:
    for lower, upper in _ORDERED[type(asset)]:
        if getattr(asset, lower) is not None:
            yield from _ordered(asset, lower, upper)
    if isinstance(asset, Vehicle) and asset.departure_h <= asset.arrival_h:
        rule = f"must be after arrival_h = {asset.arrival_h:g}"
        yield "departure_h", asset.departure_h, rule
    if isinstance(asset, Generator):
        yield from _generator(asset)


def _ordered(asset: Asset, lower: str, upper: str) -> _Broken:
    low, high = getattr(asset, lower), getattr(asset, upper)
    pairs: Iterable[tuple[float, float]] = (
        zip(low, high, strict=True) if isinstance(low, tuple) else [(low, high)]
    )
    for step, (least, most) in enumerate(pairs):
        if least > most + _TINY:
            place = f"[{step}]" if isinstance(low, tuple) else ""
            yield f"{lower}{place}", least, f"must not exceed {upper} = {most:g}"
            return


def _generator(unit: Generator) -> _Broken:
    if unit.initial_h == 0:
        rule = "must not be 0: positive is hours running, negative hours at a standstill"
        yield "initial_h", 0.0, rule
    yield from _curve(unit)
    off_h = [start.off_h for start in unit.starts]
    costs = [start.cost for start in unit.starts]
    if any(later <= earlier for earlier, later in pairwise(off_h)):
        yield "starts", off_h, "off_h must rise"
    if any(later < earlier for earlier, later in pairwise(costs)):
        yield "starts", costs, "cost must not fall with the time at a standstill"


def _curve(unit: Generator) -> _Broken:
    power = [point.power_mw for point in unit.curve]
    cost = [point.cost_per_h for point in unit.curve]
    if not power:
        yield "curve", 0, "must hold at least one point"
        return
    if abs(power[0] - unit.min_mw) > _TINY or abs(power[-1] - unit.max_mw) > _TINY:
        yield "curve", power, "must reach from min_mw to max_mw"
        return
    widths = [b - a for a, b in pairwise(power)]
    if any(width <= 0 for width in widths):
        yield "curve", power, "power_mw must rise"
        return
    slopes = [(b - a) / w for a, b, w in zip(cost[:-1], cost[1:], widths, strict=True)]
    for earlier, later in pairwise(slopes):
        if later < earlier - 1e-6 * max(abs(earlier), 1.0):
            yield (
                "curve",
                slopes,
                "must be convex: no MW may cost less than the one before",
            )
            return
