"""Every kind of store in one form, as arrays: what the response to prices computes with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from optimization.checks import FloatArray, IntArray
from optimization.dispatch.sparse.draft import Draft, column, stacked, stacked_series
from optimization.dispatch.sparse.storage import battery_band, energy_due, plugged_frac
from optimization.dispatch.storage import Battery, Fleet, HeatStore, Vehicle

Store = Battery | Vehicle | HeatStore | Fleet


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Level:
    """A level of energy that a store had better not cross; arrays [N, T]."""

    what: str
    term: str
    sign: float
    """1 where energy below it is missed, -1 where energy above it is."""
    level_mwh: FloatArray
    price_per_mwh: FloatArray

    def missed_mwh(self, energy_mwh: FloatArray) -> FloatArray:
        """Return by how much energy [N, T] misses the level where that has a price."""
        missed = np.clip(self.sign * (self.level_mwh - energy_mwh), 0, None)
        return np.asarray(missed * (self.price_per_mwh > 0))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stores:
    """N stores over T steps; arrays [N, T] unless said otherwise.

    Energy at the end of a step is what is kept of the energy before, less ``drain_mwh``, plus
    ``gain`` per MWh drawn, less ``loss`` per MWh injected.
    """

    step_h: FloatArray  # [T]
    initial_mwh: FloatArray  # [N]
    kept_frac: FloatArray
    drain_mwh: FloatArray
    low_mwh: FloatArray
    high_mwh: FloatArray
    must_mw: FloatArray
    """Injected whatever is decided."""
    into_mw: FloatArray
    """Most that can be drawn beyond."""
    out_mw: FloatArray
    """Most that can be injected beyond."""
    gain: FloatArray
    loss: FloatArray
    wear_per_mwh: FloatArray  # [N]
    terminal_value_per_mwh: FloatArray  # [N]
    levels: tuple[Level, ...] = ()

    def __len__(self) -> int:
        """Return the number of stores, N."""
        return len(self.initial_mwh)

    def take(self, chosen: IntArray) -> Stores:
        """Return some of the stores."""
        parts = {
            item.name: getattr(self, item.name)[chosen]
            for item in fields(self)
            if item.name not in ("step_h", "levels")
        }
        levels = tuple(
            replace(
                level,
                level_mwh=level.level_mwh[chosen],
                price_per_mwh=level.price_per_mwh[chosen],
            )
            for level in self.levels
        )
        return Stores(step_h=self.step_h, levels=levels, **parts)

    def must_mwh(self) -> FloatArray:
        """Return what the power that must be changes of the stored energy in each step."""
        per_mw = np.where(self.must_mw < 0, self.gain, self.loss)
        return np.asarray(-self.must_mw * per_mw * self.step_h)

    def flows_mw(self, energy_mwh: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return what is drawn and injected beyond the must, one way at a time.

        Args:
            energy_mwh: at the end of each step.
        """
        before = np.hstack([column(self.initial_mwh), energy_mwh[:, :-1]])
        change = energy_mwh - self.kept_frac * before + self.drain_mwh - self.must_mwh()
        into = np.clip(change / (self.gain * self.step_h), 0, self.into_mw)
        return into, np.clip(-change / (self.loss * self.step_h), 0, self.out_mw)

    def cost_terms(
        self, energy_mwh: FloatArray, into_mw: FloatArray, out_mw: FloatArray
    ) -> dict[str, FloatArray]:
        """Return, by term, what each store costs [N]."""
        moved = (into_mw + out_mw + np.abs(self.must_mw)) @ self.step_h
        used = self.initial_mwh - energy_mwh[:, -1]
        terms = {"wear": self.wear_per_mwh * moved, "stored": self.terminal_value_per_mwh * used}
        for level in self.levels:
            cost = (level.missed_mwh(energy_mwh) * level.price_per_mwh).sum(axis=1)
            terms[level.term] = terms.get(level.term, 0.0) + cost
        return terms


def as_stores(draft: Draft, group: Sequence[Store]) -> Stores:
    """Return stores of one kind as arrays.

    Args:
        draft: tells horizon and breach price.
        group: not empty, all of one kind.
    """
    match group[0]:
        case Battery():
            return _batteries(draft, [asset for asset in group if isinstance(asset, Battery)])
        case Vehicle():
            return _vehicles(draft, [asset for asset in group if isinstance(asset, Vehicle)])
        case HeatStore():
            return _heat_stores(draft, [asset for asset in group if isinstance(asset, HeatStore)])
        case Fleet():
            return _fleets(draft, [asset for asset in group if isinstance(asset, Fleet)])


def _batteries(draft: Draft, group: Sequence[Battery]) -> Stores:
    shape = (len(group), draft.n_steps)
    low, high = battery_band(draft, group)
    floor, deep = stacked(group, "floor_mwh"), stacked(group, "deep_mwh")
    kept = np.where(floor > stacked(group, "min_mwh"), draft.problem.breach_price_per_mwh, 0.0)
    below_floor = Level(
        what="energy below its emergency floor",
        term="breaches",
        sign=1.0,
        level_mwh=_spread(floor, shape),
        price_per_mwh=column(kept) * draft.step_h,
    )
    below_deep = Level(
        what="",
        term="wear",
        sign=1.0,
        level_mwh=_spread(deep, shape),
        price_per_mwh=column(stacked(group, "deep_cost_per_mwh_h") * (deep > 0)) * draft.step_h,
    )
    return Stores(
        step_h=draft.step_h,
        initial_mwh=stacked(group, "initial_mwh"),
        kept_frac=(1 - column(stacked(group, "standing_loss_frac_per_h"))) ** draft.step_h,
        drain_mwh=np.zeros(shape),
        low_mwh=low,
        high_mwh=high,
        must_mw=np.zeros(shape),
        into_mw=_spread(stacked(group, "max_charge_mw"), shape),
        out_mw=_spread(stacked(group, "max_discharge_mw"), shape),
        gain=_spread(stacked(group, "charge_efficiency"), shape),
        loss=_spread(1 / stacked(group, "discharge_efficiency"), shape),
        wear_per_mwh=stacked(group, "wear_per_mwh"),
        terminal_value_per_mwh=stacked(group, "terminal_value_per_mwh"),
        levels=_priced(below_floor, below_deep),
    )


def _vehicles(draft: Draft, group: Sequence[Vehicle]) -> Stores:
    shape = (len(group), draft.n_steps)
    plugged, initial = plugged_frac(draft, group), stacked(group, "initial_mwh")
    last, due = energy_due(draft, group)
    price = np.zeros(shape)
    price[np.arange(len(group)), last] = draft.problem.breach_price_per_mwh * (due > 0)
    target = Level(
        what="energy missing at departure",
        term="breaches",
        sign=1.0,
        level_mwh=_spread(due, shape),
        price_per_mwh=price,
    )
    return Stores(
        step_h=draft.step_h,
        initial_mwh=initial,
        kept_frac=np.ones(shape),
        drain_mwh=np.zeros(shape),
        low_mwh=_spread(np.minimum(stacked(group, "min_mwh"), initial), shape),
        high_mwh=_spread(stacked(group, "max_mwh"), shape),
        must_mw=np.zeros(shape),
        into_mw=column(stacked(group, "max_charge_mw")) * plugged,
        out_mw=column(stacked(group, "max_discharge_mw")) * plugged,
        gain=_spread(stacked(group, "charge_efficiency"), shape),
        loss=_spread(1 / stacked(group, "discharge_efficiency"), shape),
        wear_per_mwh=stacked(group, "wear_per_mwh"),
        terminal_value_per_mwh=np.zeros(len(group)),
        levels=_priced(target),
    )


def _heat_stores(draft: Draft, group: Sequence[HeatStore]) -> Stores:
    shape, n_steps = (len(group), draft.n_steps), draft.n_steps
    least, most = (stacked_series(group, f"{end}_draw_mw", n_steps) for end in ("min", "max"))
    price = np.broadcast_to(draft.problem.breach_price_per_mwh * draft.step_h, shape)
    outside = [
        Level(
            what=f"heat {where} the store's {limit}imum",
            term="breaches",
            sign=sign,
            level_mwh=_spread(stacked(group, f"{limit}_mwh"), shape),
            price_per_mwh=price,
        )
        for where, limit, sign in (("below", "min", 1.0), ("above", "max", -1.0))
    ]
    return Stores(
        step_h=draft.step_h,
        initial_mwh=stacked(group, "initial_mwh"),
        kept_frac=(1 - column(stacked(group, "standing_loss_frac_per_h"))) ** draft.step_h,
        drain_mwh=stacked_series(group, "heat_demand_mw", n_steps) * draft.step_h,
        low_mwh=np.full(shape, -np.inf),
        high_mwh=np.full(shape, np.inf),
        must_mw=-least,
        into_mw=most - least,
        out_mw=np.zeros(shape),
        gain=stacked_series(group, "cop", n_steps),
        loss=np.ones(shape),
        wear_per_mwh=np.zeros(len(group)),
        terminal_value_per_mwh=stacked(group, "terminal_value_per_mwh"),
        levels=tuple(outside),
    )


def _fleets(draft: Draft, group: Sequence[Fleet]) -> Stores:
    shape, n_steps = (len(group), draft.n_steps), draft.n_steps
    least, most = (stacked_series(group, name, n_steps) for name in ("min_mw", "max_mw"))
    must = np.clip(0.0, least, most)
    return Stores(
        step_h=draft.step_h,
        initial_mwh=stacked(group, "initial_mwh"),
        kept_frac=np.ones(shape),
        drain_mwh=-stacked_series(group, "inflow_mw", n_steps) * draft.step_h,
        low_mwh=stacked_series(group, "min_mwh", n_steps),
        high_mwh=stacked_series(group, "max_mwh", n_steps),
        must_mw=must,
        into_mw=must - least,
        out_mw=most - must,
        gain=np.ones(shape),
        loss=np.ones(shape),
        wear_per_mwh=stacked(group, "cost_per_mwh"),
        terminal_value_per_mwh=stacked(group, "terminal_value_per_mwh"),
    )


def _spread(values: FloatArray, shape: tuple[int, int]) -> FloatArray:
    return np.broadcast_to(column(values), shape)


def _priced(*levels: Level) -> tuple[Level, ...]:
    return tuple(level for level in levels if (level.price_per_mwh > 0).any())
