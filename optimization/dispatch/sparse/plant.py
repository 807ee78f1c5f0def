"""Blocks of renewables, electrolysers and loads."""

from __future__ import annotations

import numpy as np

from optimization.dispatch.sparse.draft import (
    EPS_H,
    Draft,
    Injection,
    column,
    names_of,
    stacked,
    stacked_series,
)


def add_renewables(draft: Draft) -> None:
    """Add all renewables, which take at most what is available."""
    group = draft.problem.renewables
    if not group:
        return
    names, n_steps = names_of(group), draft.n_steps
    available = stacked_series(group, "available_mw", n_steps)
    # Curtailment is what is available less what is taken: a constant and a refund.
    cost = column(stacked(group, "curtailment_cost_per_mwh")) * draft.step_h
    power = draft.model.columns(
        available.shape,
        stacked_series(group, "must_take_mw", n_steps),
        available,
        -cost,
        term="curtailment",
        of=names,
        what="available power",
    )
    draft.model.constant("curtailment", float((cost * available).sum()))
    draft.injections.append(Injection(names, power, 1))


def add_electrolysers(draft: Draft) -> None:
    """Add all electrolysers, with a commitment where they have a minimum or pay for starts."""
    group = draft.problem.electrolysers
    if not group:
        return
    model, n_steps = draft.model, draft.n_steps
    names, shape = names_of(group), (len(group), n_steps)
    least, most = stacked(group, "min_mw"), stacked(group, "max_mw")
    start_cost = stacked(group, "start_cost")
    worth = stacked_series(group, "value_per_mwh", n_steps) * draft.step_h
    power = model.columns(
        shape, 0, column(most), -worth, term="products", of=names, what="draw limits"
    )
    chosen = np.flatnonzero((least > 0) | (start_cost > 0))
    few, size = tuple(names[n] for n in chosen), (len(chosen), n_steps)
    on = model.columns(size, 0, 1, integer=True)
    started = model.columns(size, 0, 1, column(start_cost[chosen]), term="starts")
    was_on = np.zeros(size)
    was_on[:, 0] = stacked(group, "running")[chosen]
    logic = model.rows(size, -np.inf, was_on)
    model.add(logic, on, 1)
    model.add(logic[:, 1:], on[:, :-1], -1)
    model.add(logic, started, -1)
    for limit, low, high in ((least, 0.0, np.inf), (most, -np.inf, 0.0)):
        rows = model.rows(size, low, high)
        model.add(rows, power[chosen], 1)
        model.add(rows, on, -column(limit[chosen]))
    target = stacked(group, "target_mwh")
    bound = np.flatnonzero(target > 0)
    wanting = tuple(names[n] for n in bound)
    missing = draft.preference(
        wanting, "energy missing to its target", (len(bound), 1), per_h=False
    )
    rows = model.rows((len(bound), 1), column(target[bound]), np.inf)
    model.add(rows, power[bound], draft.step_h)
    model.add(rows, missing, 1)
    draft.injections.append(Injection(names, power, -1))
    draft.running.append((few, on))


def add_loads(draft: Draft) -> None:
    """Add all loads; those that cannot move are constants."""
    loads = draft.problem.loads
    if not loads:
        return
    draft.constants.append((names_of(loads), -stacked_series(loads, "demand_mw", draft.n_steps)))
    group = [load for load in loads if load.max_less_mw is not None or load.owed_mwh > 0]
    if not group:
        return
    model, step_h, n_steps = draft.model, draft.step_h, draft.n_steps
    names, shape = names_of(group), (len(group), n_steps)
    most_less, most_more = (
        stacked_series(group, name, n_steps) for name in ("max_less_mw", "max_more_mw")
    )
    cost = column(stacked(group, "interruption_cost_per_mwh")) * step_h
    less = model.columns(
        shape, 0, most_less, cost, term="interruption", of=names, what="interruption limit"
    )
    more = model.columns(shape, 0, most_more, of=names, what="limit of making up")
    owed = model.columns(shape, 0, np.inf)
    either = (most_less > 0) & (most_more > 0)
    shared = model.rows((int(either.sum()),), -np.inf, 1)
    model.add(shared, less[either], 1 / most_less[either])
    model.add(shared, more[either], 1 / most_more[either])

    debt, rebound = stacked(group, "owed_mwh"), stacked(group, "rebound_frac")
    recursion = draft.recursion(names, owed, debt, np.zeros(len(group)))
    model.add(recursion, less, -column(rebound) * step_h)
    model.add(recursion, more, step_h)
    window = stacked(group, "window_h")
    still_due = draft.end_h < column(window) - EPS_H
    late = draft.preference(names, "energy owed after its window", shape)
    returned = model.rows(shape, -np.inf, np.where(still_due, column(debt), 0.0))
    model.add(returned, owed, 1)
    model.add(returned, late, -1)
    recent = draft.ended_within(window)
    # Nothing is owed beyond the horizon: a plan may not end on credit.
    recent[:, -1, :] = False
    n, t, s = np.nonzero(recent & (rebound > 0)[:, None, None])
    model.add(returned[n, t], less[n, s], -rebound[n] * step_h[s])
    _add_pauses(draft, names, (less, most_less), stacked(group, "max_interruption_h"))
    draft.injections += [Injection(names, less, 1), Injection(names, more, -1)]


def _add_pauses(
    draft: Draft,
    names: tuple[str, ...],
    less: tuple[np.ndarray, np.ndarray],
    longest_h: np.ndarray,
) -> None:
    """Let at least as much time pass without an interruption as one may last."""
    columns, most = less
    chosen = np.flatnonzero(np.isfinite(longest_h))
    few = tuple(names[n] for n in chosen)
    rows = draft.model.rows(
        (len(chosen), draft.n_steps),
        -np.inf,
        column(longest_h[chosen]),
        of=few,
        what="longest interruption",
    )
    n, t, s = np.nonzero(draft.ended_within(2 * longest_h[chosen]))
    used = most[chosen[n], s] > 0
    n, t, s = n[used], t[used], s[used]
    draft.model.add(rows[n, t], columns[chosen[n], s], draft.step_h[s] / most[chosen[n], s])
