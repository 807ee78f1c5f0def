"""Chapter three: unit commitment with three binaries and categories of starts."""

from __future__ import annotations

from math import inf, isfinite

from optimization.dispatch.plant import Generator
from optimization.dispatch.textbook.page import Expr, Page
from optimization.dispatch.textbook.reserves import held_by

_EPS_H = 1e-9


def generator(page: Page, g: Generator) -> None:
    """Write commitment, cost curve, ramps, starts and reserve of a generator."""
    on, started, stopped = (page.binary(f"{g.name} {what}") for what in ("on", "up", "down"))
    above = page.var(f"{g.name} above")
    ran = float(g.initial_h > 0)
    initial = min(max(g.initial_mw - g.min_mw, 0.0), g.max_mw - g.min_mw) * ran
    forced_h = (g.min_up_h if ran else g.min_down_h) - abs(g.initial_h)
    for t in page.T:
        page.rule(on[t] - (ran if t == 0 else on[t - 1]) == started[t] - stopped[t])
        page.rule(started[t] + stopped[t] <= 1)
        if page.start[t] < forced_h - _EPS_H:
            page.rule(on[t] == ran)
        if g.must_run:
            page.rule(on[t] == 1)
        for begun, least_h, state in (
            (started, g.min_up_h, on[t]),
            (stopped, g.min_down_h, 1 - on[t]),
        ):
            young = [s for s in page.T[:t] if page.start[t] - page.start[s] < least_h - _EPS_H]
            page.rule(sum(begun[s] for s in [*young, t]) <= state)
        page.cost += g.stop_cost * stopped[t]
        page.inject(g.point, t, above[t] + g.min_mw * on[t])
        if g.heat_store is not None:
            page.heat[g.heat_store][t] += g.heat_per_mw * (above[t] + g.min_mw * on[t])
    _curve(page, g, on, above)
    _starts(page, g, started, stopped)
    up, down = _reserve(page, g)
    _limits(page, g, (on, started, stopped, above), (up, down), (ran, initial))


def _curve(page: Page, g: Generator, on: Expr, above: Expr) -> None:
    """Write cost as a convex combination of the points of the curve."""
    shares = [page.var(f"{g.name} share {i}") for i in range(len(g.curve))]
    for t in page.T:
        page.rule(sum(share[t] for share in shares) == on[t])
        power = sum(point.power_mw * share[t] for point, share in zip(g.curve, shares, strict=True))
        page.rule(above[t] + g.min_mw * on[t] == power)
        for point, share in zip(g.curve, shares, strict=True):
            page.cost += page.h[t] * point.cost_per_h * share[t]


def _starts(page: Page, g: Generator, started: Expr, stopped: Expr) -> None:
    """Write that a start belongs to one category, a warm one only after a recent stop."""
    if not g.starts:
        return
    kinds = [page.binary(f"{g.name} start {i}") for i in range(len(g.starts))]
    for t in page.T:
        page.rule(sum(kind[t] for kind in kinds) == started[t])
        for i, (kind, start) in enumerate(zip(kinds, g.starts, strict=True)):
            page.cost += start.cost * kind[t]
            if i == len(kinds) - 1:
                continue
            low = 0.0 if i == 0 else start.off_h
            high = g.starts[i + 1].off_h
            recent = [
                stopped[s]
                for s in page.T[:t]
                if low - _EPS_H <= page.start[t] - page.start[s] < high - _EPS_H
            ]
            before = g.initial_h < 0 and low - _EPS_H <= page.start[t] - g.initial_h < high - _EPS_H
            page.rule(kind[t] <= sum(recent) + float(before))


def _reserve(page: Page, g: Generator) -> tuple[list[Expr], list[Expr]]:
    held = held_by(page, g)
    slopes = [
        (b.cost_per_h - a.cost_per_h) / (b.power_mw - a.power_mw)
        for a, b in zip(g.curve[:-1], g.curve[1:], strict=True)
    ] or [0.0]
    for product, r in held:
        for t in page.T:
            mwh = product.activation_frac * page.h[t] * r[t]
            page.cost += (slopes[-1] if product.direction == "up" else -slopes[0]) * mwh
    up, down = (
        [sum(r[t] for product, r in held if product.direction == way) for t in page.T]
        for way in ("up", "down")
    )
    return up, down


def _limits(
    page: Page,
    g: Generator,
    columns: tuple[Expr, Expr, Expr, Expr],
    reserve: tuple[list[Expr], list[Expr]],
    initially: tuple[float, float],
) -> None:
    """Write maximum, ramps, and the limits of the steps of a start and before a stop."""
    on, started, stopped, above = columns
    up, down = reserve
    ran, initial = initially
    span = g.max_mw - g.min_mw
    for t in page.T:
        page.rule(above[t] + up[t] <= span * on[t])
        page.rule(above[t] - down[t] >= 0)
        before, was_on = (initial, ran) if t == 0 else (above[t - 1], on[t - 1])
        start, stop = min(g.start_mw - g.min_mw, span), min(g.stop_mw - g.min_mw, span)
        page.rule(above[t] + up[t] <= span * on[t] - (span - start) * started[t])
        page.rule(before <= span * was_on - (span - stop) * stopped[t])
        if t > 0:
            page.rule(above[t - 1] + up[t - 1] <= span * was_on - (span - stop) * stopped[t])
        rise, fall = (
            rate * page.h[t] if isfinite(rate) else inf
            for rate in (g.ramp_up_mw_per_h, g.ramp_down_mw_per_h)
        )
        if rise < span:
            page.rule(above[t] + up[t] - before <= rise)
        if fall < span:
            page.rule(before - above[t] + down[t] <= fall)
