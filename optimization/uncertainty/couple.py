"""One model of all scenarios: their dispatch models side by side, tied by what is decided once.

The position of a step is one column per class of auction prices, none below that of a lower class:
so it depends on that price alone and rises with it. Reserve sold is the same everywhere. Where
scenarios cannot be told apart yet their assets do the same. The value at risk and what each
scenario costs beyond it price the tail (R. T. Rockafellar and S. Uryasev, Optimization of
conditional value-at-risk, Journal of Risk 2, 2000).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from optimization.checks import BoolArray, FloatArray, IntArray
from optimization.dispatch.problem import DispatchProblem
from optimization.dispatch.sparse.assemble import assemble
from optimization.dispatch.sparse.draft import Draft, Slack
from optimization.dispatch.sparse.extract import netted
from optimization.dispatch.sparse.storage import Exclusive
from optimization.highs import SparseModel
from optimization.uncertainty.curves import day_classes, to_ticks
from optimization.uncertainty.problem import BiddingProblem, Scenario
from optimization.uncertainty.result import tail
from optimization.uncertainty.scenarios import positions_between, probabilities


@dataclass(slots=True, eq=False)
class Coupled:
    """The model of S scenarios and where to find things in it."""

    problem: BiddingProblem
    scenarios: tuple[Scenario, ...]
    drafts: tuple[Draft, ...]
    model: SparseModel
    columns: tuple[IntArray, ...]
    """By scenario, where the columns of its draft stand."""
    probability: FloatArray  # [S]
    income: FloatArray
    """[S, T], of one MW sold."""
    ticks: IntArray
    """[S, T], auction price."""
    classes: IntArray
    """[S, T], of those prices."""
    between_mw: tuple[FloatArray, FloatArray]
    """Least and greatest position [T], whole lots."""
    position: IntArray
    """Columns [S, T]; scenarios share those of a class."""
    sold: dict[str, IntArray]
    """Columns [T] by reserve product that is sold before the day."""

    def parts(self, values: FloatArray) -> Iterator[tuple[Draft, FloatArray]]:
        """Yield each scenario's draft with its own values."""
        for draft, columns in zip(self.drafts, self.columns, strict=True):
            yield draft, values[columns]

    def costs(self, values: FloatArray) -> FloatArray:
        """Return what each scenario costs [S]."""
        dispatched = [
            float(draft.model.costs() @ part) + sum(draft.model.constants.values())
            for draft, part in self.parts(values)
        ]
        return np.asarray(dispatched - (self.income * values[self.position]).sum(axis=1))

    def objective(self, values: FloatArray) -> float:
        """Return mean cost and conditional value at risk, weighted."""
        costs, weight = self.costs(values), self.problem.risk_weight
        _, at_risk = tail(costs, self.probability, self.problem.confidence_frac)
        return float((1 - weight) * (self.probability @ costs) + weight * at_risk)

    def netted(self, values: FloatArray) -> FloatArray:
        """Return the values without import and export, or imbalance up and down, at once."""
        clean = values.copy()
        for draft, columns in zip(self.drafts, self.columns, strict=True):
            clean[columns] = netted(draft, clean[columns])
        return self.repositioned(clean, clean[self.position])

    def repositioned(self, values: FloatArray, position_mw: FloatArray) -> FloatArray:
        """Return the values with other positions [S, T]; imbalance takes what differs."""
        moved = values.copy()
        moved[self.position] = position_mw
        for (draft, part), columns, taken in zip(
            self.parts(moved), self.columns, position_mw, strict=True
        ):
            off = part[draft.net[self.problem.market.point]] - taken
            above, below = imbalance(draft, self.problem.market.name)
            moved[columns[above.columns[0]]] = np.maximum(off, 0.0)
            moved[columns[below.columns[0]]] = np.maximum(-off, 0.0)
        return moved


def imbalance(draft: Draft, market: str) -> tuple[Slack, Slack]:
    """Return what is injected above and below the position."""
    above, below = (slack for slack in draft.slacks if slack.names == (market,))
    return above, below


def couple(
    problem: BiddingProblem,
    scenarios: tuple[Scenario, ...],
    dispatches: Mapping[str, DispatchProblem],
    exclusive: Sequence[Exclusive],
    n_classes: int,
) -> Coupled:
    """Build the model.

    Args:
        problem: checked.
        scenarios: [S], drawn.
        dispatches: by scenario, checked.
        exclusive: by scenario, as ``assemble`` takes it.
        n_classes: most positions in a step.
    """
    probability, step_h = probabilities(scenarios), np.array(problem.dispatch.step_h)
    drafts = tuple(
        assemble(dispatches[scenario.name], steps)
        for scenario, steps in zip(scenarios, exclusive, strict=True)
    )
    model = SparseModel()
    places = [
        model.embed(draft.model, weight=(1 - problem.risk_weight) * float(share))
        for draft, share in zip(drafts, probability, strict=True)
    ]
    price = np.array([scenario.price_per_mwh for scenario in scenarios])
    ticks, income = to_ticks(price, problem.market.limits), price * step_h
    between_mw = positions_between(problem, dispatches)
    worth = (1 - problem.risk_weight) * probability[:, None] * income
    classes = day_classes(ticks, probability, n_classes)
    position = _add_positions(model, classes, worth, between_mw)
    for draft, (_, rows), sold in zip(drafts, places, position, strict=True):
        model.add(rows[draft.promised[problem.market.name]], sold, -1)
    columns = tuple(columns for columns, _ in places)
    coupled = Coupled(
        problem=problem,
        scenarios=scenarios,
        drafts=drafts,
        model=model,
        columns=columns,
        probability=probability,
        income=income,
        ticks=ticks,
        classes=classes,
        between_mw=between_mw,
        position=position,
        sold=_tie_reserve(model, drafts, columns),
    )
    _tie_nodes(coupled)
    if problem.risk_weight > 0:
        _add_tail(coupled)
    return coupled


def _add_positions(
    model: SparseModel, classes: IntArray, worth: FloatArray, between_mw: tuple[FloatArray, ...]
) -> IntArray:
    """Add the positions of each step by class of prices, rising."""
    low, high = between_mw
    position = np.zeros(classes.shape, dtype=np.int64)
    for step, place in enumerate(classes.T):
        value = np.bincount(place, weights=worth[:, step])
        taken = model.columns(value.shape, low[step], high[step], -value)
        rising = model.rows((len(value) - 1,), 0.0, np.inf)
        model.add(rising, taken[1:], 1)
        model.add(rising, taken[:-1], -1)
        position[:, step] = taken[place]
    return position


def _tie_reserve(
    model: SparseModel, drafts: Sequence[Draft], columns: Sequence[IntArray]
) -> dict[str, IntArray]:
    """Let all scenarios hold the same of what is sold before the day; return that."""
    sold = {}
    for product in drafts[0].problem.reserves:
        if product.max_mw is not None:
            held = [c[draft.sold[product.name]] for draft, c in zip(drafts, columns, strict=True)]
            sold[product.name] = held[0]
            for other in held[1:]:
                _tie(model, held[0], other)
    return sold


def _tie(model: SparseModel, one: IntArray, other: IntArray) -> None:
    rows = model.rows(one.shape, 0.0, 0.0)
    model.add(rows, one, 1)
    model.add(rows, other, -1)


def _tie_nodes(coupled: Coupled) -> None:
    """Let assets do the same in scenarios that cannot be told apart yet."""
    for members, steps in shared_nodes(coupled.scenarios):
        first, *others = (
            [coupled.columns[s][block] for block in _decisions(coupled.drafts[s])] for s in members
        )
        for other in others:
            for one_block, other_block in zip(first, other, strict=True):
                _tie(coupled.model, one_block[:, steps], other_block[:, steps])


def _decisions(draft: Draft) -> Iterator[IntArray]:
    """Yield columns [N, T] of what assets do."""
    yield from (injection.columns for injection in draft.injections)
    yield from (columns for _, columns in draft.running)
    yield from (columns for parts in draft.held.values() for _, columns in parts)


def shared_nodes(scenarios: Sequence[Scenario]) -> list[tuple[tuple[int, ...], BoolArray]]:
    """Return groups of scenarios and the steps [T] in which just they cannot be told apart."""
    steps_of: dict[tuple[int, ...], list[int]] = defaultdict(list)
    n_steps = len(scenarios[0].price_per_mwh)
    for step in range(n_steps):
        members: dict[int, list[int]] = defaultdict(list)
        for place, scenario in enumerate(scenarios):
            if scenario.nodes is not None:
                members[scenario.nodes[step]].append(place)
        for group in members.values():
            if len(group) > 1:
                steps_of[tuple(group)].append(step)
    return [(group, np.isin(np.arange(n_steps), steps)) for group, steps in steps_of.items()]


def _add_tail(coupled: Coupled) -> None:
    """Price what scenarios cost beyond the value at risk."""
    problem, model, n = coupled.problem, coupled.model, len(coupled.drafts)
    edge = model.columns((1,), -np.inf, np.inf, problem.risk_weight)
    rest = 1 - problem.confidence_frac
    beyond = model.columns((n,), 0.0, np.inf, problem.risk_weight * coupled.probability / rest)
    constants = np.array([sum(draft.model.constants.values()) for draft in coupled.drafts])
    rows = model.rows((n,), -np.inf, -constants)
    model.add(rows, edge, -1)
    model.add(rows, beyond, -1)
    model.add(rows[:, None], coupled.position, -coupled.income)
    for row, draft, columns in zip(rows, coupled.drafts, coupled.columns, strict=True):
        costs = draft.model.costs()
        priced = np.flatnonzero(costs)
        model.add(row, columns[priced], costs[priced])
