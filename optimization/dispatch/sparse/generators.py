"""The block of generators: tight unit commitment.

Three indicators per step (running, started, stopped), of which only the first needs branching: the
other two follow from it. Minimum times are sums of starts and stops (facets of the commitment
polytope), power is counted above the minimum and bounded by everything a start before or a stop
after leaves of it, cost is a convex combination of the points of the curve, and the discount of a
warm start belongs to an interval from a stop to the next start, which makes the relaxed cost of
starts exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optimization.checks import BoolArray, FloatArray, IntArray
from optimization.dispatch.plant import Generator
from optimization.dispatch.sparse.draft import (
    EPS_H,
    Draft,
    Injection,
    Most,
    Names,
    Units,
    column,
    names_of,
    stacked,
)

_Block = tuple[IntArray, IntArray, IntArray]
_TINY = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class _Machines:
    """What the parts of the block share; arrays [N] unless said otherwise."""

    group: Sequence[Generator]
    names: Names
    ran: FloatArray  # 1 where running at the start
    span_mw: FloatArray  # between minimum and maximum
    initial_mw: FloatArray  # above the minimum
    up_mw: FloatArray  # [N, T], ramp within a step
    down_mw: FloatArray  # [N, T]
    start_mw: FloatArray  # [N, T], most above the minimum in the step of a start
    stop_mw: FloatArray  # [N, T], most above the minimum before a stop at the start of a step
    last_mw: FloatArray  # [N, T], the same with reserve, which need not ramp down
    on: IntArray  # [N, T], columns from here
    started: IntArray
    stopped: IntArray
    above: IntArray


def add_generators(draft: Draft) -> None:
    """Add all generators."""
    group = draft.problem.generators
    if not group:
        return
    names, model = names_of(group), draft.model
    on, started, stopped = _add_commitment(draft, group)
    span = stacked(group, "max_mw") - stacked(group, "min_mw")
    above = model.columns(
        on.shape, 0, column(span), of=names, what="range between minimum and maximum power"
    )
    ran = (stacked(group, "initial_h") > 0).astype(np.float64)
    least = stacked(group, "min_mw")
    up, down = (
        np.minimum(column(stacked(group, name)) * draft.step_h, column(span))
        for name in ("ramp_up_mw_per_h", "ramp_down_mw_per_h")
    )
    stop = column(stacked(group, "stop_mw") - least)
    machines = _Machines(
        group=group,
        names=names,
        ran=ran,
        span_mw=span,
        initial_mw=np.clip(stacked(group, "initial_mw") - least, 0, span) * ran,
        up_mw=up,
        down_mw=down,
        start_mw=np.minimum(column(stacked(group, "start_mw") - least), up),
        stop_mw=np.minimum(stop, down),
        last_mw=np.broadcast_to(np.minimum(stop, column(span)), on.shape),
        on=on,
        started=started,
        stopped=stopped,
        above=above,
    )
    slopes = _add_cost(draft, machines)
    _add_starts(draft, machines)
    capacity, most = _add_capacity(draft, machines)
    upward = [capacity, _add_ramp_up(draft, machines)]
    downward = _add_ramp_down(draft, machines)
    draft.injections += [Injection(names, above, 1.0), Injection(names, on, column(least))]
    draft.running.append((names, on))
    for n, unit in enumerate(group):
        if unit.heat_store is not None:
            rows = draft.heat_rows[unit.heat_store]
            heat = unit.heat_per_mw * draft.step_h
            model.add(rows, above[n], -heat)
            model.add(rows, on[n], -heat * least[n])
    draft.units.append(Units(names, on, above, _joined(upward), downward, *slopes, most))


def _joined(blocks: list[_Block]) -> _Block:
    rows, units, steps = (np.concatenate(part) for part in zip(*blocks, strict=True))
    return rows, units, steps


def _add_commitment(draft: Draft, group: Sequence[Generator]) -> tuple[IntArray, ...]:
    """Add running, started and stopped [N, T] with their logic and minimum times."""
    model, names = draft.model, names_of(group)
    shape = (len(group), draft.n_steps)
    initial, least_up, least_down = (
        stacked(group, name) for name in ("initial_h", "min_up_h", "min_down_h")
    )
    was_on = initial > 0
    forced_h = np.where(was_on, least_up, least_down) - np.abs(initial)
    forced = draft.start_h < column(forced_h) - EPS_H
    must_run = column(stacked(group, "must_run")) > 0
    on = model.columns(
        shape,
        (forced & was_on[:, None]) | must_run,
        ~forced | was_on[:, None],
        integer=True,
        of=names,
        what="must run or stand still",
    )
    started = model.columns(shape, 0, ~must_run | ~was_on[:, None])
    stopped = model.columns(shape, 0, ~must_run, column(stacked(group, "stop_cost")), term="starts")
    change = np.zeros(shape)
    change[:, 0] = was_on
    logic = model.rows(shape, change, change)
    model.add(logic, on, 1)
    model.add(logic[:, 1:], on[:, :-1], -1)
    model.add(logic, started, -1)
    model.add(logic, stopped, 1)
    stay_on = model.rows(shape, -np.inf, 0, of=names, what="minimum time running")
    stay_off = model.rows(shape, -np.inf, 1, of=names, what="minimum time at a standstill")
    model.add(stay_on, on, -1)
    model.add(stay_off, on, 1)
    for rows, begun, least_h in (
        (stay_on, started, least_up),
        (stay_off, stopped, least_down),
    ):
        n, t, s = np.nonzero(draft.begun_within(least_h))
        model.add(rows[n, t], begun[n, s], 1)
    return on, started, stopped


def _add_cost(draft: Draft, machines: _Machines) -> tuple[FloatArray, FloatArray]:
    """Price running by the cost curve; return the slopes of its first and last segment [N]."""
    model, group, step_h = draft.model, machines.group, draft.step_h
    base = np.array([unit.curve[0].cost_per_h for unit in group])
    model.price(machines.on, column(base) * step_h, term="fuel")
    first, last = np.zeros(len(group)), np.zeros(len(group))
    bent = []
    for n, unit in enumerate(group):
        power = np.array([point.power_mw for point in unit.curve])
        cost = np.array([point.cost_per_h for point in unit.curve])
        if len(power) > 1:
            slopes = np.diff(cost) / np.diff(power)
            first[n], last[n] = slopes[0], slopes[-1]
        if len(power) > 2:
            bent.append((n, power[1:] - power[0], cost[1:] - cost[0]))
    straight = np.ones(len(group), dtype=np.bool_)
    straight[[n for n, _, _ in bent]] = False
    model.price(machines.above[straight], column(first[straight]) * step_h, term="fuel")
    if bent:
        _add_curves(draft, machines, bent)
    return first, last


def _add_curves(
    draft: Draft, machines: _Machines, bent: list[tuple[int, FloatArray, FloatArray]]
) -> None:
    """Write power above the minimum as a combination of the points of each curve."""
    model, units = draft.model, np.array([n for n, _, _ in bent])
    shape = (len(bent), draft.n_steps)
    equals, within = model.rows(shape, 0, 0), model.rows(shape, -np.inf, 0)
    model.add(equals, machines.above[units], -1)
    model.add(within, machines.on[units], -1)
    for place in range(max(len(power) for _, power, _ in bent)):
        some = np.array([i for i, (_, power, _) in enumerate(bent) if place < len(power)])
        power = np.array([bent[i][1][place] for i in some])
        cost = np.array([bent[i][2][place] for i in some])
        share = model.columns(
            (len(some), draft.n_steps), 0, 1, column(cost) * draft.step_h, term="fuel"
        )
        model.add(equals[some], share, column(power))
        model.add(within[some], share, 1)


def _add_starts(draft: Draft, machines: _Machines) -> None:
    """Price a start as cold, with a discount for each interval from a stop that ends warm."""
    model, start_h = draft.model, draft.start_h
    cold = np.array([unit.starts[-1].cost if unit.starts else 0.0 for unit in machines.group])
    model.price(machines.started, column(cold), term="starts")
    for n, unit in enumerate(machines.group):
        if not unit.starts or unit.starts[0].cost >= unit.starts[-1].cost:
            continue
        off_h = start_h[None, :] - start_h[:, None]  # from the stop [T] to the start [T]
        long_enough = (off_h > EPS_H) & (off_h >= unit.min_down_h - EPS_H)
        s, t = np.nonzero(long_enough & (_discount(unit, off_h) > 0))
        interval = model.columns(s.shape, 0, 1, -_discount(unit, off_h[s, t]), term="starts")
        ends = model.rows((draft.n_steps,), -np.inf, 0)
        begins = model.rows((draft.n_steps,), -np.inf, 0)
        model.add(ends[t], interval, 1)
        model.add(begins[s], interval, 1)
        model.add(ends, machines.started[n], -1)
        model.add(begins, machines.stopped[n], -1)
        if unit.initial_h < 0:
            off_h = start_h - unit.initial_h
            t = np.flatnonzero((off_h >= unit.min_down_h - EPS_H) & (_discount(unit, off_h) > 0))
            interval = model.columns(t.shape, 0, 1, -_discount(unit, off_h[t]), term="starts")
            model.add(ends[t], interval, 1)
            model.add(model.rows((1,), -np.inf, 1)[[0] * len(t)], interval, 1)


def _discount(unit: Generator, off_h: FloatArray) -> FloatArray:
    """Return what a start after so long at a standstill costs less than a cold one."""
    since = [start.off_h for start in unit.starts]
    costs = np.array([start.cost for start in unit.starts])
    place = np.searchsorted(since, off_h + EPS_H, side="right") - 1
    return np.asarray(costs[-1] - costs[np.clip(place, 0, None)])


def _add_capacity(draft: Draft, machines: _Machines) -> tuple[_Block, Most]:
    """Bound power above the minimum by the starts before and the stop after each step.

    A start and a stop that the minimum time keeps apart share one row; others need two.

    Returns:
        The rows, and what the first row of each step leaves of the maximum.
    """
    model, span = draft.model, machines.span_mw
    n_units, n_steps = machines.on.shape
    least_up = stacked(machines.group, "min_up_h")[:, None, None]
    # What a start at s, and ramps since, leave below the maximum in step t: [N, T, T].
    cumulated = np.cumsum(machines.up_mw, axis=1)
    reach = machines.start_mw[:, None, :] + cumulated[:, :, None] - cumulated[:, None, :]
    missing = np.clip(span[:, None, None] - reach, 0, None)
    age_h = draft.end_h[:, None] - draft.start_h[None, :]  # at the end of t
    past = age_h > draft.step_h[:, None] + EPS_H
    starts = past[None] & (age_h[None] < least_up - EPS_H)
    starts |= np.eye(n_steps, dtype=np.bool_)[None]
    rows = model.rows((n_units, n_steps), -np.inf, 0, of=machines.names, what="maximum power")
    model.add(rows, machines.above, 1)
    model.add(rows, machines.on, -column(span))
    n, t, s = np.nonzero(starts & (missing > _TINY))
    model.add(rows[n, t], machines.started[n, s], missing[n, t, s])
    full = span + stacked(machines.group, "min_mw")
    place = np.indices((n_units, n_steps)).reshape(2, -1)
    most = [
        (machines.on.ravel(), place[1], full[place[0]]),
        (machines.started[n, s], t, -missing[n, t, s]),
    ]

    n, t = np.nonzero(machines.last_mw[:, 1:] < column(span) - _TINY)
    start, stop = machines.start_mw[n, t], machines.last_mw[n, t + 1]
    apart = draft.step_h[t] < least_up[n, 0, 0] - EPS_H
    leaves = np.where(apart, span[n] - stop, np.clip(start - stop, 0, None))
    model.add(rows[n, t], machines.stopped[n, t + 1], leaves)
    most.append((machines.stopped[n, t + 1], t, -leaves))
    n, t, start, stop = n[~apart], t[~apart], start[~apart], stop[~apart]
    own = model.rows(n.shape, -np.inf, 0)
    model.add(own, machines.above[n, t], 1)
    model.add(own, machines.on[n, t], -span[n])
    model.add(own, machines.stopped[n, t + 1], span[n] - stop)
    model.add(own, machines.started[n, t], np.clip(stop - start, 0, None))
    block = (
        np.concatenate([rows.ravel(), own]),
        np.concatenate([place[0], n]),
        np.concatenate([place[1], t]),
    )
    columns, steps, mw = (np.concatenate(part) for part in zip(*most, strict=True))
    return block, (columns, steps, mw)


def _add_ramp_up(draft: Draft, machines: _Machines) -> _Block:
    """Limit the rise from step to step, to less in the step of a start."""
    model, span = draft.model, column(machines.span_mw)
    n, t = np.nonzero(machines.up_mw < span - _TINY)
    reach, start = machines.up_mw[n, t], machines.start_mw[n, t]
    first = t == 0
    rows = model.rows(n.shape, -np.inf, machines.initial_mw[n] * first)
    model.add(rows, machines.above[n, t], 1)
    model.add(rows, machines.on[n, t], -reach)
    model.add(rows, machines.started[n, t], reach - start)
    model.add(rows[~first], machines.above[n[~first], t[~first] - 1], -1)
    return rows, n, t


def _add_ramp_down(draft: Draft, machines: _Machines) -> _Block:
    """Limit the fall from step to step, to less where a stop follows."""
    model, span = draft.model, column(machines.span_mw)
    binding: BoolArray = machines.down_mw < span - _TINY
    binding[:, 0] |= (machines.ran > 0) & (machines.stop_mw[:, 0] < machines.span_mw - _TINY)
    n, t = np.nonzero(binding)
    reach, stop = machines.down_mw[n, t], machines.stop_mw[n, t]
    first = t == 0
    rows = model.rows(n.shape, -np.inf, (reach * machines.ran[n] - machines.initial_mw[n]) * first)
    model.add(rows, machines.above[n, t], -1)
    model.add(rows, machines.stopped[n, t], reach - stop)
    later, unit, step = rows[~first], n[~first], t[~first]
    model.add(later, machines.above[unit, step - 1], 1)
    model.add(later, machines.on[unit, step - 1], -reach[~first])
    return rows, n, t
