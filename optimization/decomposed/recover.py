"""From a mixture of answers to a schedule: most stores follow it, some are planned anew.

In a mixture a store may draw and inject in the same step. Held to one direction it injects a little
more than the mixture says; the stores where that is most, and the rest of the problem with its
commitments, are then planned together around what all others do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from optimization.checks import BoolArray
from optimization.decomposed.answers import Mixed
from optimization.decomposed.portfolio import Block, Portfolio, all_stores, by_kind, times
from optimization.decomposed.stores import Store
from optimization.dispatch.fields import series
from optimization.dispatch.problem import DispatchProblem
from optimization.dispatch.result import DispatchBreach, DispatchResult, Schedule
from optimization.dispatch.sparse.extract import BREACH, breach


@dataclass(slots=True)
class Followed:
    """What stores that follow a mixture do and cost."""

    schedules: dict[str, Schedule]
    cost_terms: dict[str, float]
    breaches: list[DispatchBreach]
    problem: DispatchProblem
    """What is left to be planned around them; stores that are the same are one there."""
    crowds: dict[str, tuple[Store, ...]]
    """Who these are, by the name of that one."""

    def complete(self, found: DispatchResult) -> DispatchResult:
        """Return an answer to the problem left as one to the whole; its proof is not."""
        schedules, terms = {**found.schedules, **self.schedules}, dict(found.cost_terms)
        missed = [*self.breaches]
        for name, same in self.crowds.items():
            share = _share(schedules[name], len(same))
            schedules.update((store.name, share) for store in same)
        for one in found.breaches:
            same = self.crowds.get(one.name, ())
            names, n = [store.name for store in same] or [one.name], max(len(same), 1)
            missed += [
                replace(one, name=i, amount=one.amount / n, cost=one.cost / n) for i in names
            ]
        for term, cost in self.cost_terms.items():
            terms[term] = terms.get(term, 0.0) + cost
        return replace(
            found,
            schedules=schedules,
            cost=sum(terms.values()),
            cost_terms=terms,
            breaches=tuple(missed),
        )


def follow(portfolio: Portfolio, mixture: list[Mixed], n_free: int) -> Followed:
    """Return what all stores but some do.

    Args:
        portfolio: the problem in two parts.
        mixture: by block.
        n_free: so many different stores are to be planned anew.
    """
    problem = portfolio.problem
    excess = [
        block.copies * np.abs(mixed.excess_mw).sum(axis=1)
        for block, mixed in zip(portfolio.blocks, mixture, strict=True)
    ]
    order = np.argsort(-np.concatenate(excess), kind="stable")
    free = np.zeros(len(order), dtype=np.bool_)
    free[order[:n_free]] = True
    fixed_mw = np.zeros((len(portfolio.homes), problem.n_steps))
    crowds = {portfolio.members[n][0].name: portfolio.members[n] for n in np.flatnonzero(free)}
    stand_ins = [times(same[0], float(len(same))) for same in crowds.values()]
    found = Followed({}, defaultdict(float), [], problem, crowds)
    first = 0
    for block, mixed in zip(portfolio.blocks, mixture, strict=True):
        end = first + len(block.copies)
        _add(found, block, mixed, portfolio.members[first:end], ~free[first:end])
        power = mixed.power_mw * (block.copies * ~free[first:end])[:, None]
        np.add.at(fixed_mw, block.home, power)
        first = end
    behind = dict(zip(portfolio.homes, fixed_mw, strict=True))
    found.problem = replace(
        problem,
        points=tuple(
            replace(point, fixed_mw=series(np.add(behind[point.name], point.fixed_mw or 0.0)))
            if point.name in behind
            else point
            for point in problem.points
        ),
        **by_kind((*all_stores(portfolio.core), *stand_ins)),
    )
    return found


def _share(schedule: Schedule, n: int) -> Schedule:
    """Return what each of some stores does that together do something."""
    if n == 1:
        return schedule
    energy = None if schedule.energy_mwh is None else series(np.divide(schedule.energy_mwh, n))
    return replace(schedule, power_mw=series(np.divide(schedule.power_mw, n)), energy_mwh=energy)


def _add(
    found: Followed,
    block: Block,
    mixed: Mixed,
    members: Sequence[tuple[Store, ...]],
    chosen: BoolArray,
) -> None:
    """Add what the chosen stores of a block do."""
    stores = block.framed.stores
    terms = stores.cost_terms(mixed.energy_mwh, mixed.into_mw, mixed.out_mw)
    for term, cost in terms.items():
        found.cost_terms[term] += float((cost * block.copies)[chosen].sum())
    levels = np.hstack([stores.initial_mwh[:, None], mixed.energy_mwh])
    for n in np.flatnonzero(chosen).tolist():
        schedule = Schedule(power_mw=series(mixed.power_mw[n]), energy_mwh=series(levels[n]))
        found.schedules.update((store.name, schedule) for store in members[n])
    for level in stores.levels:
        missed = level.missed_mwh(mixed.energy_mwh)
        late = (missed.max(axis=1) > BREACH) & chosen & bool(level.what)
        for n in np.flatnonzero(late).tolist():
            amount, price = (
                row[level.price_per_mwh[n] > 0] for row in (missed[n], level.price_per_mwh[n])
            )
            found.breaches += [
                breach(store.name, level.what, "MWh", amount, float(amount @ price))
                for store in members[n]
            ]
