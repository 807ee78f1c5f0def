"""Blocks of what stores energy: batteries, vehicles, heat stores and fleets.

Storage is recursive: energy at the end of a step from the end of the step before. What a store
takes and gives share its power, ``into / I + out / O <= 1``, and get a binary only at the steps the
caller names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from optimization.checks import BoolArray, FloatArray, IntArray
from optimization.dispatch.sparse.draft import (
    EPS_H,
    Draft,
    Injection,
    Names,
    Store,
    add_exclusion,
    column,
    names_of,
    stacked,
    stacked_series,
)
from optimization.dispatch.storage import Battery, Vehicle

Exclusive = Mapping[str, BoolArray]
"""By asset, the steps [T] at which the two directions get a binary."""


def add_batteries(draft: Draft, exclusive: Exclusive) -> None:
    """Add all batteries: shared power, recursive energy, wear, depth, floor and cycle budget."""
    group = draft.problem.batteries
    if not group:
        return
    names, shape = names_of(group), (len(group), draft.n_steps)
    initial, loss = stacked(group, "initial_mwh"), stacked(group, "standing_loss_frac_per_h")
    store = _two_way(
        draft,
        names,
        limits=(
            np.broadcast_to(column(stacked(group, "max_charge_mw")), shape),
            np.broadcast_to(column(stacked(group, "max_discharge_mw")), shape),
        ),
        band=battery_band(draft, group),
        initial=initial,
        loss=loss,
        efficiency=(stacked(group, "charge_efficiency"), stacked(group, "discharge_efficiency")),
        wear=stacked(group, "wear_per_mwh"),
        terminal=stacked(group, "terminal_value_per_mwh"),
        exclusive=exclusive,
    )
    draft.reservable.append(store)
    budget = stacked(group, "max_discharge_mwh")
    bounded = np.flatnonzero(np.isfinite(budget))
    few = tuple(names[n] for n in bounded)
    rows = draft.model.rows(
        (len(bounded), 1), -np.inf, column(budget[bounded]), of=few, what="cycle budget"
    )
    draft.model.add(rows, store.out[bounded], draft.step_h)
    _add_levels(draft, store)


def battery_band(draft: Draft, group: Sequence[Battery]) -> tuple[FloatArray, FloatArray]:
    """Return least and most energy [N, T] at the end of each step."""
    # A store found outside its limits need not be driven back, but may not go further out.
    kept = (1 - column(stacked(group, "standing_loss_frac_per_h"))) ** draft.end_h
    idle = column(stacked(group, "initial_mwh")) * kept
    return (
        np.minimum(column(stacked(group, "min_mwh")), idle),
        np.maximum(column(stacked(group, "max_mwh")), idle),
    )


def _add_levels(draft: Draft, store: Store) -> None:
    """Price the energy missing to the emergency floor and to the depth where cells age faster."""
    group, model = draft.problem.batteries, draft.model
    floor, deep = stacked(group, "floor_mwh"), stacked(group, "deep_mwh")
    for level, chosen in (
        (floor, np.flatnonzero(floor > stacked(group, "min_mwh"))),
        (deep, np.flatnonzero(deep * stacked(group, "deep_cost_per_mwh_h") > 0)),
    ):
        names, shape = tuple(store.names[n] for n in chosen), (len(chosen), draft.n_steps)
        if level is floor:
            missing = draft.preference(names, "energy below its emergency floor", shape)
        else:
            cost = column(stacked(group, "deep_cost_per_mwh_h")[chosen]) * draft.step_h
            missing = model.columns(shape, 0, np.inf, cost, term="wear")
        rows = model.rows(shape, column(level[chosen]), np.inf, of=names, what="level")
        model.add(rows, store.energy[chosen], 1)
        model.add(rows, missing, 1)


def add_vehicles(draft: Draft, exclusive: Exclusive) -> None:
    """Add all vehicles; outside their stay they have no power and keep their energy."""
    group = draft.problem.vehicles
    if not group:
        return
    plugged = plugged_frac(draft, group)
    names, initial = names_of(group), stacked(group, "initial_mwh")
    most, least = stacked(group, "max_mwh"), stacked(group, "min_mwh")
    charge, efficiency = stacked(group, "max_charge_mw"), stacked(group, "charge_efficiency")
    store = _two_way(
        draft,
        names,
        limits=(
            column(charge) * plugged,
            column(stacked(group, "max_discharge_mw")) * plugged,
        ),
        band=(
            np.broadcast_to(column(np.minimum(least, initial)), plugged.shape),
            np.broadcast_to(column(most), plugged.shape),
        ),
        initial=initial,
        loss=np.zeros(len(group)),
        efficiency=(efficiency, stacked(group, "discharge_efficiency")),
        wear=stacked(group, "wear_per_mwh"),
        terminal=np.zeros(len(group)),
        exclusive=exclusive,
    )
    last, due = energy_due(draft, group)
    missing = draft.preference(names, "energy missing at departure", (len(group), 1), per_h=False)
    rows = draft.model.rows((len(group), 1), column(due), np.inf, of=names, what="energy due")
    draft.model.add(rows[:, 0], store.energy[np.arange(len(group)), last], 1)
    draft.model.add(rows, missing, 1)


def plugged_frac(draft: Draft, group: Sequence[Vehicle]) -> FloatArray:
    """Return the share [N, T] of each step during which each vehicle is plugged in."""
    since = np.maximum(column(stacked(group, "arrival_h")), draft.start_h)
    until = np.minimum(column(stacked(group, "departure_h")), draft.end_h)
    return np.asarray(np.clip(until - since, 0, draft.step_h) / draft.step_h)


def energy_due(draft: Draft, group: Sequence[Vehicle]) -> tuple[IntArray, FloatArray]:
    """Return the last step [N] of each stay, and the energy [N] wanted at its end."""
    arrival, departure = stacked(group, "arrival_h"), stacked(group, "departure_h")
    # Who leaves after the horizon owes at its end only what cannot be charged later.
    later_h = np.clip(departure - np.maximum(arrival, draft.end_h[-1]), 0, None)
    speed_mw = stacked(group, "max_charge_mw") * stacked(group, "charge_efficiency")
    due = np.clip(stacked(group, "target_mwh") - later_h * speed_mw, 0, None)
    plugged = plugged_frac(draft, group)
    last = np.array([int(np.flatnonzero(f > EPS_H).max(initial=0)) for f in plugged])
    return last, due


def _two_way(
    draft: Draft,
    names: Names,
    *,
    limits: tuple[FloatArray, FloatArray],
    band: tuple[FloatArray, FloatArray],
    initial: FloatArray,
    loss: FloatArray,
    efficiency: tuple[FloatArray, FloatArray],
    wear: FloatArray,
    terminal: FloatArray,
    exclusive: Exclusive,
) -> Store:
    model, step_h = draft.model, draft.step_h
    shape = limits[0].shape
    cost = column(wear) * step_h
    into = model.columns(shape, 0, limits[0], cost, term="wear", of=names, what="charge limit")
    out = model.columns(shape, 0, limits[1], cost, term="wear", of=names, what="discharge limit")
    worth = np.zeros(shape)
    worth[:, -1] = -terminal
    model.constant("stored", float(terminal @ initial))
    energy = model.columns(
        shape, band[0], band[1], worth, term="stored", of=names, what="energy limits"
    )
    recursion = draft.recursion(names, energy, initial, loss)
    model.add(recursion, into, -column(efficiency[0]) * step_h)
    model.add(recursion, out, step_h / column(efficiency[1]))
    either = (limits[0] > 0) & (limits[1] > 0)
    shared = model.rows((int(either.sum()),), -np.inf, 1)
    for columns, limit in ((into, limits[0]), (out, limits[1])):
        model.add(shared, columns[either], 1 / limit[either])
    for n, name in enumerate(names):
        if name in exclusive:
            steps = np.flatnonzero(exclusive[name] & either[n])
            add_exclusion(
                model,
                (into[n, steps], limits[0][n, steps]),
                (out[n, steps], limits[1][n, steps]),
            )
    draft.injections += [Injection(names, out, 1), Injection(names, into, -1)]
    draft.energies.append((names, energy, initial))
    store = Store(names, into, out, energy, recursion, *limits, *band, initial, *efficiency, wear)
    draft.two_way.append(store)
    return store


def add_heat_stores(draft: Draft) -> None:
    """Add all heat stores with their heat pumps; both ends of the band are comfort."""
    group = draft.problem.heat_stores
    if not group:
        return
    model, n_steps = draft.model, draft.n_steps
    names, shape = names_of(group), (len(group), n_steps)
    power = model.columns(
        shape,
        stacked_series(group, "min_draw_mw", n_steps),
        stacked_series(group, "max_draw_mw", n_steps),
        of=names,
        what="draw limits",
    )
    initial, terminal = stacked(group, "initial_mwh"), stacked(group, "terminal_value_per_mwh")
    worth = np.zeros(shape)
    worth[:, -1] = -terminal
    model.constant("stored", float(terminal @ initial))
    heat = model.columns(shape, -np.inf, np.inf, worth, term="stored")
    demand = stacked_series(group, "heat_demand_mw", n_steps) * draft.step_h
    loss = stacked(group, "standing_loss_frac_per_h")
    recursion = draft.recursion(names, heat, initial, loss, demand)
    model.add(recursion, power, -stacked_series(group, "cop", n_steps) * draft.step_h)
    for what, sign, limit in (
        ("heat below the store's minimum", 1.0, "min_mwh"),
        ("heat above the store's maximum", -1.0, "max_mwh"),
    ):
        outside = draft.preference(names, what, shape)
        band = model.rows(shape, sign * column(stacked(group, limit)), np.inf)
        model.add(band, heat, sign)
        model.add(band, outside, 1)
    draft.injections.append(Injection(names, power, -1))
    draft.energies.append((names, heat, initial))
    draft.heat_rows.update(zip(names, recursion, strict=True))


def add_fleets(draft: Draft) -> None:
    """Add all fleets: an envelope of power and of stored energy, without losses."""
    group = draft.problem.fleets
    if not group:
        return
    model, step_h, n_steps = draft.model, draft.step_h, draft.n_steps
    names, shape = names_of(group), (len(group), n_steps)
    least, most = (stacked_series(group, name, n_steps) for name in ("min_mw", "max_mw"))
    cost = column(stacked(group, "cost_per_mwh")) * step_h
    flows: list[IntArray] = []
    for low, high in ((-most, -least), (least, most)):
        flows.append(
            model.columns(
                shape,
                np.maximum(low, 0),
                np.maximum(high, 0),
                cost,
                term="wear",
                of=names,
                what="power envelope",
            )
        )
    into, out = flows
    initial, terminal = stacked(group, "initial_mwh"), stacked(group, "terminal_value_per_mwh")
    worth = np.zeros(shape)
    worth[:, -1] = -terminal
    model.constant("stored", float(terminal @ initial))
    band = tuple(stacked_series(group, name, n_steps) for name in ("min_mwh", "max_mwh"))
    energy = model.columns(
        shape, band[0], band[1], worth, term="stored", of=names, what="energy envelope"
    )
    drain = -stacked_series(group, "inflow_mw", n_steps) * step_h
    recursion = draft.recursion(names, energy, initial, np.zeros(len(group)), drain)
    model.add(recursion, into, -step_h)
    model.add(recursion, out, step_h)
    draft.injections += [Injection(names, out, 1), Injection(names, into, -1)]
    draft.energies.append((names, energy, initial))
    one = np.ones(len(group))
    draft.reservable.append(
        Store(
            names,
            into,
            out,
            energy,
            recursion,
            -least,
            most,
            band[0],
            band[1],
            initial,
            one,
            one,
            stacked(group, "cost_per_mwh"),
        )
    )
