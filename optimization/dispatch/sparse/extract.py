"""From the values of a solved model to schedules, cost terms and breaches."""

from __future__ import annotations

import numpy as np

from optimization.checks import BoolArray, FloatArray
from optimization.dispatch.fields import Series, series
from optimization.dispatch.result import DispatchBreach, Schedule
from optimization.dispatch.sparse.draft import Draft
from optimization.dispatch.sparse.network import carbon_cost

BOTH_WAYS_MW = 1e-6
BREACH = 1e-6
"""Less than this is not told."""


def both_ways(draft: Draft, values: FloatArray) -> dict[str, BoolArray]:
    """Return, by store, the steps [T] at which it takes and gives at once."""
    found = {}
    for store in draft.two_way:
        offends = np.minimum(values[store.into], values[store.out]) > BOTH_WAYS_MW
        for n in np.flatnonzero(offends.any(axis=1)):
            found[store.names[n]] = offends[n]
    return found


def netted(draft: Draft, values: FloatArray) -> FloatArray:
    """Return the values without import and export at the same time, which nothing forbade."""
    clean = values.copy()
    both = np.minimum(clean[draft.grid_import], clean[draft.grid_export])
    clean[draft.grid_import] -= both
    clean[draft.grid_export] -= both
    return clean


def cost_terms(draft: Draft, values: FloatArray) -> dict[str, float]:
    """Return what a solution costs by term; carbon apart from import."""
    terms = draft.model.cost_terms(values)
    carbon = float(values[draft.grid_import] @ carbon_cost(draft.problem))
    if draft.problem.carbon_kg_co2_per_mwh is not None:
        terms["carbon"] = carbon
        terms["import"] -= carbon
    # Adding zero turns -0.0 into 0.0.
    return {term: cost + 0.0 for term, cost in sorted(terms.items())}


def schedules(draft: Draft, values: FloatArray) -> dict[str, Schedule]:
    """Return what each asset does."""
    power = {asset.name: np.zeros(draft.n_steps) for asset in draft.problem.assets}
    for names, constant_mw in draft.constants:
        for name, row in zip(names, constant_mw, strict=True):
            power[name] += row
    for injection in draft.injections:
        parts = np.asarray(injection.factor) * values[injection.columns]
        for name, row in zip(injection.names, parts, strict=True):
            power[name] += row
    energy: dict[str, Series] = {}
    for names, columns, initial in draft.energies:
        levels = np.hstack([initial[:, None], values[columns]])
        energy.update((name, series(row)) for name, row in zip(names, levels, strict=True))
    running: dict[str, tuple[bool, ...]] = {}
    for names, columns in draft.running:
        states = values[columns] > 0.5
        running.update((n, tuple(row.tolist())) for n, row in zip(names, states, strict=True))
    reserve = _reserve(draft, values)
    return {
        name: Schedule(
            power_mw=series(row),
            energy_mwh=energy.get(name),
            running=running.get(name),
            reserve_mw=reserve.get(name, {}),
        )
        for name, row in power.items()
    }


def _reserve(draft: Draft, values: FloatArray) -> dict[str, dict[str, Series]]:
    found: dict[str, dict[str, Series]] = {}
    for product, parts in draft.held.items():
        for names, columns in parts:
            for name, row in zip(names, values[columns], strict=True):
                if row.max() > BREACH:
                    found.setdefault(name, {})[product] = series(row)
    return found


def grid_prices(draft: Draft, duals: FloatArray) -> Series:
    """Return the marginal price of energy at the grid, by duals of all rows."""
    grid = next(point.name for point in draft.problem.points if point.parent is None)
    return series(-duals[draft.balance[grid]] / draft.step_h + 0.0)


def reserve_prices(draft: Draft, duals: FloatArray) -> dict[str, Series]:
    """Return the marginal price of each product's requirement, by duals of all rows."""
    return {name: series(duals[rows] / draft.step_h + 0.0) for name, rows in draft.required.items()}


def point_mw(draft: Draft, values: FloatArray) -> dict[str, Series]:
    """Return the net injection of each point that has limits or promises, and of the grid's."""
    return {name: series(values[columns]) for name, columns in sorted(draft.net.items())}


def breaches(draft: Draft, values: FloatArray) -> tuple[DispatchBreach, ...]:
    """Return the preferences that were missed at a price."""
    found: list[DispatchBreach] = []
    for slack in draft.slacks:
        missed, cost = values[slack.columns], (values[slack.columns] * slack.cost).sum(axis=1)
        chosen = np.flatnonzero((missed.max(axis=1, initial=0) > BREACH) & (cost > 0))
        found += [
            breach(slack.names[n], slack.what, slack.unit, missed[n], float(cost[n]))
            for n in chosen
        ]
    return tuple(found)


def breach(name: str, what: str, unit: str, missed: FloatArray, cost: float) -> DispatchBreach:
    """Return a breach; ``missed`` is by step, or one number where steps do not matter."""
    steps = np.flatnonzero(missed > BREACH) if len(missed) > 1 else np.zeros(0, dtype=np.int64)
    return DispatchBreach(
        name=name,
        what=what,
        amount=float(missed.max()),
        unit=unit,
        steps=tuple(steps.tolist()),
        cost=cost,
    )
