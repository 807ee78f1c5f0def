"""Divides a problem: stores that prices alone can decide, and the rest with the network."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import groupby
from typing import Any

import numpy as np

from optimization.checks import FloatArray, IntArray
from optimization.decomposed.response import Frame, frame
from optimization.decomposed.stores import Store, as_stores
from optimization.dispatch.problem import DispatchProblem
from optimization.dispatch.sparse.draft import Draft
from optimization.dispatch.sparse.network import homes_of
from optimization.dispatch.storage import Battery, Fleet, HeatStore, Vehicle

N_GROUPS = 256
"""About so many groups are told apart by the model that finds the prices."""
_BLOCK = 512
"""About so many stores answer at once: their arrays stay in the processor's cache."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Different stores of one kind [N], each standing for some that are the same."""

    framed: Frame
    copies: FloatArray  # [N]
    home: IntArray  # [N], place of its connection point
    starts: IntArray  # [G], first store of each group
    group_home: IntArray  # [G]

    @property
    def sizes(self) -> IntArray:
        """Return the number of different stores in each group [G]."""
        return np.diff(np.append(self.starts, len(self.home)))

    def sums(self, values: FloatArray) -> FloatArray:
        """Return sums by group of what each store does [N, ...], all copies counted."""
        copies = self.copies.reshape(-1, *[1] * (values.ndim - 1))
        return np.asarray(np.add.reduceat(values * copies, self.starts, axis=0))


@dataclass(frozen=True, slots=True, eq=False)
class Portfolio:
    """A problem in two parts."""

    problem: DispatchProblem
    core: DispatchProblem
    """Everything but the stores that prices decide."""
    homes: tuple[str, ...]
    """Connection points, among those with columns of their own, with such stores behind them."""
    members: tuple[tuple[Store, ...], ...]
    """The same stores together, in the order of the blocks."""
    blocks: tuple[Block, ...]

    @property
    def group_home(self) -> IntArray:
        """Return the place of each group's connection point."""
        return np.concatenate([block.group_home for block in self.blocks])

    def power_range(self) -> tuple[FloatArray, FloatArray]:
        """Return the least and most injection [P, T] of the stores behind each home."""
        least, most = np.zeros((2, len(self.homes), self.problem.n_steps))
        for block in self.blocks:
            stores, copies = block.framed.stores, block.copies[:, None]
            np.add.at(least, block.home, copies * (stores.must_mw - stores.into_mw))
            np.add.at(most, block.home, copies * (stores.must_mw + stores.out_mw))
        return least, most


def decidable(problem: DispatchProblem) -> tuple[Store, ...]:
    """Return the stores that prices alone can decide."""
    held = {asset.name for asset in problem.assets if _may_hold(problem, asset.name)}
    fed = {unit.heat_store for unit in problem.generators}
    end_h = sum(problem.step_h)
    return (
        *(
            asset
            for asset in problem.batteries
            if asset.name not in held and asset.max_discharge_mwh >= asset.max_discharge_mw * end_h
        ),
        *problem.vehicles,
        *(asset for asset in problem.heat_stores if asset.name not in fed),
        *(asset for asset in problem.fleets if asset.name not in held),
    )


def _may_hold(problem: DispatchProblem, name: str) -> bool:
    return any(p.providers is None or name in p.providers for p in problem.reserves)


def divide(problem: DispatchProblem, stores: Sequence[Store]) -> Portfolio:
    """Divide a problem.

    Args:
        problem: checked.
        stores: those to be decided by prices, at least one.
    """
    home, names = homes_of(problem), {store.name for store in stores}
    same: dict[Store, list[Store]] = defaultdict(list)
    for store in stores:
        same[replace(store, name="", point=home[store.point])].append(store)
    kinds = (Battery, Vehicle, HeatStore, Fleet)
    order = sorted(same, key=lambda s: (kinds.index(type(s)), s.point, _hours(s)))
    homes = tuple(sorted({store.point for store in order}))
    size = math.ceil(len(order) / N_GROUPS)
    draft, places = Draft(problem=problem), {name: place for place, name in enumerate(homes)}
    return Portfolio(
        problem,
        replace(problem, **by_kind(s for s in all_stores(problem) if s.name not in names)),
        homes,
        tuple(tuple(same[store]) for store in order),
        tuple(
            _block(draft, chunk, [len(same[store]) for store in chunk], places, size)
            for chunk in _chunks(order, max(_BLOCK // size, 1) * size)
        ),
    )


def all_stores(problem: DispatchProblem) -> tuple[Store, ...]:
    """Return the stores of a problem."""
    return (*problem.batteries, *problem.vehicles, *problem.heat_stores, *problem.fleets)


def by_kind(stores: Iterable[Store]) -> dict[str, Any]:
    """Return stores as the fields of a problem that hold them."""
    stores = tuple(stores)
    return {
        "batteries": tuple(store for store in stores if isinstance(store, Battery)),
        "vehicles": tuple(store for store in stores if isinstance(store, Vehicle)),
        "heat_stores": tuple(store for store in stores if isinstance(store, HeatStore)),
        "fleets": tuple(store for store in stores if isinstance(store, Fleet)),
    }


def times(store: Store, factor: float) -> Store:
    """Return a store with all its power and energy multiplied."""
    scaled: dict[str, object] = {}
    for item in fields(store):
        value = getattr(store, item.name)
        extensive = item.name.endswith(("_mw", "_mwh")) and "_per_" not in item.name
        if extensive and isinstance(value, tuple):
            scaled[item.name] = tuple(factor * number for number in value)
        elif extensive and value is not None:
            scaled[item.name] = factor * value
    return replace(store, **scaled)  # type: ignore[arg-type] # each field keeps its type


def _hours(store: Store) -> float:
    """Return how long a store lasts: those alike belong in one group."""
    match store:
        case Battery() | Vehicle():
            return store.max_mwh / max(store.max_charge_mw, 1e-9)
        case HeatStore():
            return store.max_mwh / max(*store.max_draw_mw, 1e-9)
        case Fleet():
            return max(store.max_mwh) / max(*store.max_mw, 1e-9)


def _chunks(order: Sequence[Store], size: int) -> Iterator[Sequence[Store]]:
    for _, kind in groupby(order, type):
        stores = list(kind)
        yield from (stores[i : i + size] for i in range(0, len(stores), size))


def _block(
    draft: Draft, stores: Sequence[Store], copies: list[int], places: dict[str, int], size: int
) -> Block:
    home = np.array([places[store.point] for store in stores])
    starts: list[int] = []
    for place, at in enumerate(home):
        if not starts or place - starts[-1] >= size or home[starts[-1]] != at:
            starts.append(place)
    return Block(
        frame(as_stores(draft, stores)),
        np.array(copies, dtype=np.float64),
        home,
        np.array(starts),
        home[starts],
    )
