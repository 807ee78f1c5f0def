"""First prices: those of the same problem with few stores, each in the place of many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from optimization.checks import FloatArray
from optimization.decomposed.portfolio import Portfolio, by_kind, times
from optimization.decomposed.stores import Store
from optimization.dispatch.reach import reachable
from optimization.dispatch.sparse.assemble import assemble
from optimization.dispatch.sparse.draft import Draft
from optimization.dispatch.sparse.network import homes_of
from optimization.dispatch.sparse.storage import (
    add_batteries,
    add_fleets,
    add_heat_stores,
    add_vehicles,
)
from optimization.highs import Ended
from optimization.highs_session import Session, Watch

_PER_ROOT = 2.5
"""So many stores stand for all, times the root of how many there are: more make better prices, and
take longer."""


def first_duals(
    portfolio: Portfolio, *, time_limit_s: float, watch: Watch | None = None
) -> FloatArray | None:
    """Return duals of all rows of the rest; None when there was no time or no solution."""
    problem = portfolio.problem
    draft = assemble(portfolio.core, reach=reachable(problem))
    model, n_rows, home = draft.model, draft.model.n_rows, homes_of(problem)
    stores = _few(portfolio.members)
    points = {store.name: home[store.point] for store in stores}
    few = Draft(problem=replace(problem, **by_kind(stores)), model=model, reach=draft.reach)
    add_batteries(few, {})
    add_vehicles(few, {})
    add_heat_stores(few)
    add_fleets(few)
    for injection in few.injections:
        rows = np.stack([draft.balance[points[name]] for name in injection.names])
        model.add(rows, injection.columns, -np.asarray(injection.factor))
    session = Session(model, watch)
    solution = session.relax(time_limit_s=time_limit_s)
    return session.row_duals()[:n_rows] if solution.ended is Ended.OPTIMAL else None


def _few(members: Sequence[tuple[Store, ...]]) -> list[Store]:
    """Return the middle one of each stretch of stores, as large as the stretch."""
    n = math.ceil(_PER_ROOT * math.sqrt(len(members)))
    stretches = np.array_split(np.arange(len(members)), min(n, len(members)))
    return [
        times(members[part[len(part) // 2]][0], float(sum(len(members[i]) for i in part)))
        for part in stretches
    ]
