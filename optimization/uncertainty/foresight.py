"""Judges a bid and its outcomes by what could be known: from the answer, without a model.

A position is what the step's curve takes at the auction's price, so it depends on nothing else, and
curves never fall; reserve is sold once; what assets do in scenarios that cannot be told apart yet
is the same. Curves are held against the venue's limits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations, pairwise

import numpy as np

from optimization.dispatch.fields import Series
from optimization.dispatch.physics import TOLERANCE, Violation
from optimization.dispatch.result import Schedule
from optimization.uncertainty.curves import power_at
from optimization.uncertainty.problem import BiddingProblem, Scenario, VenueLimits
from optimization.uncertainty.result import Bid, Curve, Outcome

_EPS = 1e-6
_Breach = tuple[str, str, int, float]
"""Name, rule, step and by how much."""


class ForesightError(Exception):
    """An answer uses what it cannot know, or is not in the venue's form; it is not given out.

    Args:
        found: what is wrong with it.
    """

    def __init__(self, found: tuple[Violation, ...]) -> None:
        super().__init__("; ".join(f"{v.name}: {v.what} in step {v.step}" for v in found))
        self.found = found


def anticipations(
    problem: BiddingProblem,
    scenarios: tuple[Scenario, ...],
    bid: Bid,
    outcomes: tuple[Outcome, ...],
    *,
    tolerance: float = TOLERANCE,
) -> tuple[Violation, ...]:
    """Return where a bid or its outcomes use what cannot be known, or break the venue's limits.

    Args:
        problem: checked.
        scenarios: drawn, one per outcome.
        bid: handed in.
        outcomes: one per scenario.
        tolerance: in MW.
    """
    limits = problem.market.limits
    found = [
        *(fault for step, curve in enumerate(bid.curves) for fault in _form(step, curve, limits)),
        *(fault for outcome in outcomes for fault in _positions(outcome, bid)),
        *(fault for outcome in outcomes for fault in _reserve(outcome, bid)),
    ]
    found += _told_apart(scenarios, outcomes)
    return tuple(
        Violation(name=name, what=what, step=step, amount=amount)
        for name, what, step, amount in found
        if not amount <= tolerance
    )


def _form(step: int, curve: Curve, limits: VenueLimits) -> Iterator[_Breach]:
    name = "curve"
    prices, powers = [p.price_per_mwh for p in curve], [p.power_mw for p in curve]
    yield name, "point more than the venue takes", step, float(len(curve) - limits.max_points)
    yield name, "first point above the lowest price", step, prices[0] - limits.min_price_per_mwh
    yield name, "price above the venue's", step, max(prices) - limits.max_price_per_mwh
    for values, unit, what in (
        (prices, limits.price_tick_per_mwh, "price off the venue's tick"),
        (powers, limits.quantity_step_mw, "position off the venue's lot"),
    ):
        lots = np.array(values) / unit
        off = np.abs(lots - np.rint(lots))
        yield name, what, step, float(np.where(off > _EPS * np.maximum(1, abs(lots)), 1, 0).max())
    for one, other in pairwise(prices):
        yield name, "price that does not rise", step, float(other <= one)
    for low, high in pairwise(powers):
        yield name, "position that falls with the price", step, low - high


def _positions(outcome: Outcome, bid: Bid) -> Iterator[_Breach]:
    for step, (curve, price) in enumerate(zip(bid.curves, outcome.price_per_mwh, strict=True)):
        off = abs(outcome.position_mw[step] - power_at(curve, price))
        yield outcome.name, "position off the curve", step, off


def _reserve(outcome: Outcome, bid: Bid) -> Iterator[_Breach]:
    for product, sold in bid.reserve_mw.items():
        held = np.zeros(len(sold))
        for schedule in outcome.schedules.values():
            held += schedule.reserve_mw.get(product, 0.0)
        off = np.abs(held - sold)
        worst = int(np.argmax(off))
        yield outcome.name, f"{product} held is not what is sold", worst, float(off[worst])


def _told_apart(
    scenarios: tuple[Scenario, ...], outcomes: tuple[Outcome, ...]
) -> Iterator[_Breach]:
    """Compare each two scenarios up to the step in which they part."""
    by_first: dict[int, list[tuple[Outcome, tuple[int, ...]]]] = defaultdict(list)
    for scenario, outcome in zip(scenarios, outcomes, strict=True):
        if scenario.nodes is not None:
            by_first[scenario.nodes[0]].append((outcome, scenario.nodes))
    for group in by_first.values():
        for (one, here), (other, there) in combinations(group, 2):
            apart = np.flatnonzero(np.not_equal(here, there))
            yield from _alike(one, other, int(apart[0]) if len(apart) else len(here))


def _alike(one: Outcome, other: Outcome, n_steps: int) -> Iterator[_Breach]:
    for name, schedule in one.schedules.items():
        for what, (did, did_as_well) in _doings(schedule, other.schedules[name], n_steps):
            off = np.abs(np.subtract(did, did_as_well))
            if len(off):
                worst = int(np.argmax(off))
                told = f"{name} {what} as if it knew {other.name} from {one.name}"
                yield one.name, told, worst, float(off[worst])


def _doings(
    one: Schedule, other: Schedule, n_steps: int
) -> Iterator[tuple[str, tuple[Series, Series]]]:
    """Yield what an asset does in the first steps of two scenarios."""
    none = (0.0,) * n_steps
    yield "runs", (one.power_mw[:n_steps], other.power_mw[:n_steps])
    if one.running is not None and other.running is not None:
        states = (tuple(map(float, s.running or ())) for s in (one, other))
        first, second = (state[:n_steps] for state in states)
        yield "is on", (first, second)
    for product in {*one.reserve_mw, *other.reserve_mw}:
        held = (one.reserve_mw.get(product, none), other.reserve_mw.get(product, none))
        yield f"holds {product}", (held[0][:n_steps], held[1][:n_steps])
