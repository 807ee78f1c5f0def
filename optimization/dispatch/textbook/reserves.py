"""Chapter four: reserve held by stores and generators, and what is required of it."""

from __future__ import annotations

from collections.abc import Sequence

from optimization.dispatch.plant import Generator
from optimization.dispatch.problem import ReserveProduct
from optimization.dispatch.storage import Battery, Fleet
from optimization.dispatch.textbook.page import Expr, Page


def held_by(page: Page, asset: Battery | Fleet | Generator) -> list[tuple[ReserveProduct, Expr]]:
    """Write the reserve of each product an asset may hold."""
    held = []
    for product in page.problem.reserves:
        if product.providers is None or asset.name in product.providers:
            r = page.var(f"{asset.name} holds {product.name}")
            for t in page.T:
                page.reserve[product.name][t] += r[t]
            held.append((product, r))
    return held


def hold_in_store(
    page: Page,
    store: Battery | Fleet,
    *,
    net: Expr,
    limits: tuple[Sequence[float], Sequence[float]],
    energy: tuple[Expr, float, Sequence[float], Sequence[float]],
    efficiency: tuple[float, float],
    wear: float,
) -> list[Expr]:
    """Write that power and energy of a full call are there; return the energy of expected calls.

    Args:
        page: to write on.
        store: who holds.
        net: injection in each step.
        limits: least and greatest injection in each step.
        energy: at the end of each step, at the start, least and greatest.
        efficiency: into and out of the cells.
        wear: cost per MWh called.
    """
    held = held_by(page, store)
    level, initial, least, most = energy
    called: list[Expr] = [0.0 for _ in page.T]
    for t in page.T:
        up = sum(r[t] for product, r in held if product.direction == "up")
        down = sum(r[t] for product, r in held if product.direction == "down")
        page.rule(net[t] + up <= limits[1][t])
        page.rule(net[t] - down >= limits[0][t])
        drawn = sum(
            product.duration_h * r[t] / efficiency[1]
            for product, r in held
            if product.direction == "up"
        )
        stored = sum(
            product.duration_h * r[t] * efficiency[0]
            for product, r in held
            if product.direction == "down"
        )
        before = initial if t == 0 else level[t - 1]
        least_before = min(least[0], initial) if t == 0 else least[t - 1]
        most_before = max(most[0], initial) if t == 0 else most[t - 1]
        if held:
            page.rule(level[t] - drawn >= least[t])
            page.rule(level[t] + stored <= most[t])
            page.rule(before - drawn >= least_before)
            page.rule(before + stored <= most_before)
        for product, r in held:
            mwh = product.activation_frac * page.h[t] * r[t]
            up_share = -1 / efficiency[1] if product.direction == "up" else efficiency[0]
            called[t] += up_share * mwh
            page.cost += wear * mwh
    return called


def requirements(page: Page) -> None:
    """Write that what is held covers what is required, and what it earns."""
    for product in page.problem.reserves:
        total = page.var(f"{product.name} total")
        short = page.var(f"{product.name} short")
        required, paid = page.given(product.required_mw), page.given(product.price_per_mw_h)
        for t in page.T:
            page.rule(total[t] == page.reserve[product.name][t])
            if product.max_mw is not None:
                page.rule(total[t] <= product.max_mw[t])
            if product.shortfall_price_per_mw_h is None:
                page.rule(short[t] == 0)
            else:
                page.cost += product.shortfall_price_per_mw_h * page.h[t] * short[t]
            page.rule(total[t] + short[t] >= required[t])
            called = product.activation_frac * product.activation_price_per_mwh
            page.cost -= page.h[t] * (paid[t] + called) * total[t]
