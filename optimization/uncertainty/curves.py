"""Price-quantity curves in the form a venue takes, and what they take at a price.

A curve is a staircase that never falls: from each point's price on its position is taken. Prices of
scenarios are put into few classes of like probability, for many stairs on few scenarios would fit
what is chance; each class has one position. Between two classes the curve steps half-way, on a
tick; positions go to the nearest lots, which keeps their order.
"""

from __future__ import annotations

import numpy as np

from optimization.checks import FloatArray, IntArray
from optimization.uncertainty.problem import VenueLimits
from optimization.uncertainty.result import Curve, CurvePoint

_EPS = 1e-6
_DIGITS = 9
"""Decimals that are kept: a product of whole numbers and a tick is to look like one."""


def to_ticks(price_per_mwh: FloatArray, limits: VenueLimits) -> IntArray:
    """Return prices as whole numbers of ticks, the nearest."""
    return np.rint(price_per_mwh / limits.price_tick_per_mwh).astype(np.int64)


def on_ticks(price_per_mwh: FloatArray, limits: VenueLimits) -> FloatArray:
    """Return the nearest prices the venue knows."""
    within = np.clip(price_per_mwh, limits.min_price_per_mwh, limits.max_price_per_mwh)
    return np.round(to_ticks(within, limits) * limits.price_tick_per_mwh, _DIGITS)


def lots_within(
    low_mw: FloatArray, high_mw: FloatArray, limits: VenueLimits
) -> tuple[FloatArray, FloatArray]:
    """Return the least and the greatest whole lot in each range; the least is above where none."""
    step = limits.quantity_step_mw
    least, most = np.ceil(low_mw / step - _EPS), np.floor(high_mw / step + _EPS)
    return np.round(least * step, _DIGITS), np.round(most * step, _DIGITS)


def price_classes(ticks: IntArray, probability: FloatArray, most: int) -> IntArray:
    """Return the class [S] of each price, from 0, rising with it.

    Args:
        ticks: [S], prices.
        probability: [S].
        most: at most so many classes; no more than that prices have one each.
    """
    prices, rank = np.unique(ticks, return_inverse=True)
    if len(prices) <= most:
        return rank
    share = np.bincount(rank, weights=probability)
    middle = np.cumsum(share) - share / 2
    _, place = np.unique(np.floor(most * middle / share.sum()), return_inverse=True)
    return np.asarray(place[rank])


def venue_curve(
    ticks: IntArray,
    classes: IntArray,
    power_mw: FloatArray,
    between_mw: tuple[float, float],
    limits: VenueLimits,
) -> Curve:
    """Return the curve that takes positions at prices, to the nearest lot.

    Args:
        ticks: [S], prices.
        classes: [S], of the prices.
        power_mw: [S], alike in a class and not falling with it.
        between_mw: least and greatest position, both whole lots.
        limits: of the venue.
    """
    step = limits.quantity_step_mw
    # Adding zero turns -0.0 into 0.0.
    lots = np.clip(np.round(np.rint(power_mw / step) * step, _DIGITS), *between_mw) + 0.0
    points = [CurvePoint(price_per_mwh=limits.min_price_per_mwh, power_mw=float(lots.min()))]
    for upper in range(1, int(classes.max()) + 1):
        power = float(lots[classes == upper].max())
        if power <= points[-1].power_mw:
            continue
        # Above the lower price, at most at the higher one, however close they are.
        below, above = ticks[classes == upper - 1].max(), ticks[classes == upper].min()
        price = round(-(-(int(below) + int(above)) // 2) * limits.price_tick_per_mwh, _DIGITS)
        points.append(CurvePoint(price_per_mwh=price, power_mw=power))
    return tuple(points)


def day_classes(ticks: IntArray, probability: FloatArray, most: int) -> IntArray:
    """Return the classes [S, T] of prices, step by step."""
    return np.stack([price_classes(at, probability, most) for at in ticks.T], axis=1)


def day_curves(
    ticks: IntArray,
    classes: IntArray,
    power_mw: FloatArray,
    between_mw: tuple[FloatArray, FloatArray],
    limits: VenueLimits,
) -> tuple[Curve, ...]:
    """Return a curve per step; all arrays are [S, T], but the range [T] of positions."""
    low, high = between_mw
    return tuple(
        venue_curve(
            ticks[:, step],
            classes[:, step],
            power_mw[:, step],
            (float(low[step]), float(high[step])),
            limits,
        )
        for step in range(ticks.shape[1])
    )


def power_at(curve: Curve, price_per_mwh: float) -> float:
    """Return the position a curve takes at a price the venue knows."""
    taken = curve[0].power_mw
    for point in curve:
        if point.price_per_mwh > price_per_mwh + _EPS:
            break
        taken = point.power_mw
    return taken
