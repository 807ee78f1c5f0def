"""What stores do at given prices: exact, all of them at once.

The worth of stored energy falls with its amount. Going backwards in time, a step inserts two
segments into that falling curve, one for what it can draw and one for what it can inject, each at
its price; limits cut the ends off. What remains of a step is a rule: draw up to one level, inject
down to another. Going forwards, each store follows its rules.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optimization.checks import BoolArray, FloatArray, IntArray
from optimization.decomposed.stores import Stores
from optimization.dispatch.sparse.draft import column

_TINY_MWH = 1e-9
_COMPACT_STEPS = 6
"""Curves are tidied up after so many steps: each adds two segments, and tidying takes time."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Response:
    """What N stores do over T steps at given prices."""

    energy_mwh: FloatArray  # [N, T], at the end of each step
    power_mw: FloatArray  # [N, T], injection
    cost: FloatArray  # [N], without what power earns
    burning: bool
    """Some draw and inject at once, which is cheaper than they can."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Stores in coordinates in which energy only moves by choice; arrays [T, N].

    An energy in the frame is the energy less what must come and go, as an amount at the start.
    """

    stores: Stores
    scale: FloatArray
    shift: FloatArray
    low: FloatArray
    high: FloatArray
    into: FloatArray
    out: FloatArray

    def take(self, chosen: IntArray) -> Frame:
        """Return some of the stores."""
        arrays = (self.scale, self.shift, self.low, self.high, self.into, self.out)
        return Frame(self.stores.take(chosen), *(array[:, chosen] for array in arrays))

    @property
    def empty(self) -> BoolArray:
        """Tell which stores cannot keep their limits whatever they do [N]."""
        low, high = self.stores.initial_mwh, self.stores.initial_mwh
        found = np.zeros(len(low), dtype=np.bool_)
        for t in range(len(self.low)):
            low = np.maximum(low - self.out[t], self.low[t])
            high = np.minimum(high + self.into[t], self.high[t])
            found |= low > high + _TINY_MWH
        return found


def frame(stores: Stores) -> Frame:
    """Prepare stores for any number of prices."""
    scale = np.cumprod(stores.kept_frac, axis=1)
    shift = np.cumsum((stores.must_mwh() - stores.drain_mwh) / scale, axis=1)
    into = stores.into_mw * stores.gain * stores.step_h / scale
    out = stores.out_mw * stores.loss * stores.step_h / scale
    start = column(stores.initial_mwh)
    return Frame(
        stores,
        *(
            np.ascontiguousarray(values.T)
            for values in (
                scale,
                shift,
                np.maximum(stores.low_mwh / scale - shift, start - np.cumsum(out, axis=1)),
                np.minimum(stores.high_mwh / scale - shift, start + np.cumsum(into, axis=1)),
                into,
                out,
            )
        ),
    )


def respond(framed: Frame, price_per_mwh: FloatArray, *, one_way: bool = False) -> Response:
    """Return the cheapest schedule of each store, and its cost.

    Args:
        framed: the stores.
        price_per_mwh: [N, T], paid for each MWh injected.
        one_way: no store draws and injects at once. Where that would pay (energy is worth less
            than nothing) it only draws; without, it may do both, sharing its power, and the cost
            is a bound of what is possible.
    """
    stores = framed.stores
    wear = column(stores.wear_per_mwh)
    drawn = ((price_per_mwh + wear) / stores.gain).T * framed.scale
    injected = ((price_per_mwh - wear) / stores.loss).T * framed.scale
    into, out = framed.into, framed.out
    either = into + out
    both = (drawn < injected) & (into > 0) & (out > 0)
    if one_way and both.any():
        out = np.where(both, 0.0, out)
        either = into + out
    mean = (drawn * into + injected * out) / np.where(either > 0, either, 1.0)
    level = drawn < injected
    rules = _rules(
        framed,
        (into, np.where(level, mean, drawn)),
        (out, np.where(level, mean, injected)),
    )
    energy = _follow(framed, into, out, rules)
    moved = np.diff(energy, axis=0, prepend=stores.initial_mwh[None])
    share = np.where(both & ~one_way, (moved + out) / np.where(either > 0, either, 1.0), np.nan)
    mixed = ~np.isnan(share)
    taken = np.where(mixed, share * into, np.clip(moved, 0, None))
    given = np.where(mixed, (1 - share) * out, np.clip(-moved, 0, None))
    drawn_mw, injected_mw = (
        (flow * framed.scale).T / (per_mwh * stores.step_h)
        for flow, per_mwh in ((taken, stores.gain), (given, stores.loss))
    )
    energy_mwh = ((energy + framed.shift) * framed.scale).T
    terms = stores.cost_terms(energy_mwh, drawn_mw, injected_mw)
    return Response(
        energy_mwh=energy_mwh,
        power_mw=stores.must_mw + injected_mw - drawn_mw,
        cost=np.sum(list(terms.values()), axis=0),
        burning=bool(mixed.any()),
    )


@dataclass(slots=True)
class _Worth:
    """Falling curves of N stores: segments [N, K] of one worth each, between K + 1 ends."""

    ends: FloatArray
    worth: FloatArray

    def insert(
        self, into: tuple[FloatArray, FloatArray], out: tuple[FloatArray, FloatArray]
    ) -> tuple[FloatArray, FloatArray]:
        """Insert two segments, given as width and worth [N]; return the levels they stand at."""
        n, k = self.worth.shape
        below_first, below_second = np.ones((2, n, k + 1), dtype=np.bool_)
        np.less_equal(self.worth, column(into[1]), out=below_first[:, :k])
        np.less_equal(self.worth, column(out[1]), out=below_second[:, :k])
        first, second = below_first.argmax(axis=1), below_second.argmax(axis=1)
        rows = np.arange(n)
        levels = self.ends[rows, first], self.ends[rows, second]
        # What stands before the first moves by one width, what stands after the second by the
        # other; each overwrites the ones before where it applies.
        ends = np.empty((n, k + 3))
        np.subtract(self.ends, column(into[0]), out=ends[:, : k + 1])
        np.copyto(ends[:, 1 : k + 2], self.ends, where=below_first)
        np.add(self.ends, column(out[0]), out=ends[:, 2:], where=below_second)
        worth = np.empty((n, k + 2))
        worth[:, :k] = self.worth
        np.copyto(worth[:, 1 : k + 1], self.worth, where=below_first[:, :k])
        np.copyto(worth[:, 2:], self.worth, where=below_second[:, :k])
        worth[rows, first] = into[1]
        worth[rows, second + 1] = out[1]
        self.ends, self.worth = ends, worth
        return levels

    def cut(self, low: FloatArray, high: FloatArray) -> None:
        """Cut the ends off outside limits [N]; segments outside are left with no width."""
        np.clip(self.ends, column(low), column(high), out=self.ends)

    def compact(self) -> None:
        """Drop segments at the ends that have no width in any curve."""
        k = self.worth.shape[1]
        low, high = self.ends[:, :1], self.ends[:, -1:]
        first = np.clip((self.ends <= low).sum(axis=1) - 1, 0, k - 1)
        last = k + 1 - (self.ends >= high).sum(axis=1)
        n_left = max(int((last - first).max()), 1)
        if n_left < k:
            place = column(first) + np.arange(n_left + 1)
            self.ends = np.take_along_axis(self.ends, np.minimum(place, k), axis=1)
            self.worth = np.take_along_axis(self.worth, np.minimum(place[:, :-1], k - 1), axis=1)

    def bend(self, level: FloatArray, below: FloatArray, above: FloatArray) -> None:
        """Add to the worth below and above a level, all [N]."""
        k = self.worth.shape[1]
        level = np.clip(level, self.ends[:, 0], self.ends[:, -1])
        before = (self.ends[:, 1:-1] < column(level)).sum(axis=1)
        place = np.arange(k + 2)
        after = place > column(before)
        ends = np.take_along_axis(self.ends, place - after, axis=1)
        ends[np.arange(len(ends)), before + 1] = level
        self.worth = np.take_along_axis(self.worth, place[:-1] - after[:, :-1], axis=1)
        self.worth += np.where(after[:, :-1], column(above), column(below))
        self.ends = ends


def _rules(
    framed: Frame, into: tuple[FloatArray, FloatArray], out: tuple[FloatArray, FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """Return the levels [T, N] up to which each store draws and down to which it injects."""
    stores, n_steps = framed.stores, len(framed.low)
    curve = _Worth(
        np.stack([framed.low[-1], framed.high[-1]], axis=1),
        column(stores.terminal_value_per_mwh * framed.scale[-1]),
    )
    up_to, down_to = np.empty_like(framed.low), np.empty_like(framed.low)
    for t in range(n_steps - 1, -1, -1):
        for level in stores.levels:
            price = level.price_per_mwh[:, t] * framed.scale[t]
            if price.any():
                place = level.level_mwh[:, t] / framed.scale[t] - framed.shift[t]
                none = np.zeros(len(price))
                curve.bend(
                    np.where(price > 0, place, framed.low[t]),
                    price if level.sign > 0 else none,
                    none if level.sign > 0 else -price,
                )
        up_to[t], down_to[t] = curve.insert((into[0][t], into[1][t]), (out[0][t], out[1][t]))
        if t:
            curve.cut(framed.low[t - 1], framed.high[t - 1])
        if t % _COMPACT_STEPS == 0:
            curve.compact()
    return up_to, down_to


def _follow(
    framed: Frame, into: FloatArray, out: FloatArray, rules: tuple[FloatArray, FloatArray]
) -> FloatArray:
    """Return the energy [T, N] in the frame of stores that follow their rules."""
    energy = np.empty_like(into)
    now = framed.stores.initial_mwh
    for t, (up_to, down_to) in enumerate(zip(*rules, strict=True)):
        drawn = np.minimum(now + into[t], up_to)
        injected = np.maximum(now - out[t], down_to)
        now = np.where(now < up_to, drawn, np.where(now > down_to, injected, now))
        energy[t] = now
    return energy
