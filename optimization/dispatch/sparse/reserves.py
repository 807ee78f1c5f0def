"""Reserve: power held ready by stores, fleets and running generators, deliverable for its time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optimization.checks import FloatArray, IntArray
from optimization.dispatch.problem import ReserveProduct
from optimization.dispatch.sparse.draft import Draft, Slack, Store, Units, column


def add_reserves(draft: Draft) -> None:
    """Add all products; what several of them hold shares one headroom."""
    for sign, direction in ((1.0, "up"), (-1.0, "down")):
        products = [p for p in draft.problem.reserves if p.direction == direction]
        if not products:
            continue
        for product in products:
            draft.held[product.name] = []
        for store in draft.reservable:
            _hold_in_store(draft, store, products, sign)
        for units in draft.units:
            _hold_in_units(draft, units, products, sign)
        for product in products:
            _add_product(draft, product)


def _columns(
    draft: Draft, product: ReserveProduct, names: tuple[str, ...], cost: FloatArray | float = 0.0
) -> IntArray:
    """Add reserve [N, T] of one product; zero for those who may not hold it."""
    able = [product.providers is None or name in product.providers for name in names]
    upper = np.where(column(np.array(able)), np.inf, 0.0)
    shape = (len(names), draft.n_steps)
    columns = draft.model.columns(shape, 0, upper, cost, term="reserves")
    draft.held[product.name].append((names, columns))
    return columns


def _hold_in_store(
    draft: Draft, store: Store, products: Sequence[ReserveProduct], sign: float
) -> None:
    """Hold within power and energy; the energy of a full call is there at both ends of a step."""
    model, shape = draft.model, store.energy.shape
    most = store.max_out_mw if sign > 0 else store.max_into_mw
    power = model.rows(shape, -np.inf, most)
    model.add(power, store.out, sign)
    model.add(power, store.into, -sign)
    # Energy per MWh called: what leaves the cells, or what enters them.
    per_mwh = column(1 / store.out_efficiency if sign > 0 else store.into_efficiency)
    limit = store.min_mwh if sign > 0 else store.max_mwh
    at_end = model.rows(shape, -np.inf, -sign * limit)
    model.add(at_end, store.energy, -sign)
    before = np.concatenate([limit[:, :1], limit[:, :-1]], axis=1)
    if sign > 0:
        before[:, 0] = np.minimum(before[:, 0], store.initial_mwh)
    else:
        before[:, 0] = np.maximum(before[:, 0], store.initial_mwh)
    room = -sign * before
    room[:, 0] += sign * store.initial_mwh
    at_start = model.rows(shape, -np.inf, room)
    model.add(at_start[:, 1:], store.energy[:, :-1], -sign)
    for product in products:
        called_h = product.activation_frac * draft.step_h
        wear = column(store.wear_per_mwh) * called_h
        held = _columns(draft, product, store.names, wear)
        model.add(power, held, 1)
        for rows in (at_end, at_start):
            model.add(rows, held, product.duration_h * per_mwh)
        if product.activation_frac > 0:
            model.add(store.recursion, held, sign * per_mwh * called_h)


def _hold_in_units(
    draft: Draft, units: Units, products: Sequence[ReserveProduct], sign: float
) -> None:
    """Hold between minimum and maximum and within the ramp from the step before."""
    model = draft.model
    slope = column(units.last_slope if sign > 0 else -units.first_slope)
    rows, n, t = units.upward if sign > 0 else units.downward
    floor = model.rows(units.above.shape, -np.inf, 0) if sign < 0 else None
    if floor is not None:
        model.add(floor, units.above, -1)
    for product in products:
        called_h = product.activation_frac * draft.step_h
        held = _columns(draft, product, units.names, slope * called_h)
        model.add(rows, held[n, t], 1)
        if floor is not None:
            model.add(floor, held, 1)


def _add_product(draft: Draft, product: ReserveProduct) -> None:
    """Sum what is held, pay for it, and demand what is required."""
    model, step_h, shape = draft.model, draft.step_h, (1, draft.n_steps)
    none = (0.0,) * draft.n_steps
    required = np.array(product.required_mw or none)
    most = np.inf if product.max_mw is None else [product.max_mw]
    paid = np.array(product.price_per_mw_h or none) * step_h
    called = product.activation_price_per_mwh * product.activation_frac * step_h
    total = model.columns(
        shape,
        0,
        most,
        -(paid + called),
        term="reserves",
        of=(product.name,),
        what="most that is paid for",
    )
    draft.sold[product.name] = total[0]
    sums = model.rows(shape, 0, 0)
    model.add(sums, total, -1)
    for _, columns in draft.held[product.name]:
        model.add(sums, columns, 1)
    demand = model.rows(shape, required, np.inf, of=(product.name,), what="required reserve")
    model.add(demand, total, 1)
    draft.required[product.name] = demand[0]
    price = product.shortfall_price_per_mw_h
    if price is not None:
        cost = (price * step_h)[None]
        short = model.columns(shape, 0, np.inf, cost, term="breaches")
        model.add(demand, short, 1)
        draft.slacks.append(
            Slack((product.name,), "reserve short of what is required", short, "MW", cost)
        )
