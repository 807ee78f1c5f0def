"""Curves are staircases on the venue's ticks and lots that stay close to the positions wanted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from optimization.uncertainty.curves import (
    lots_within,
    on_ticks,
    power_at,
    price_classes,
    venue_curve,
)
from optimization.uncertainty.problem import VenueLimits
from optimization.uncertainty.result import CurvePoint, tail

LIMITS = VenueLimits(
    min_price_per_mwh=-500.0,
    max_price_per_mwh=4000.0,
    price_tick_per_mwh=0.1,
    quantity_step_mw=0.1,
    max_points=4,
)
WIDE = (-100.0, 100.0)


def curve_of(
    prices: list[float], powers: list[float], limits: VenueLimits = LIMITS
) -> tuple[CurvePoint, ...]:
    ticks = np.rint(np.array(prices) / limits.price_tick_per_mwh).astype(np.int64)
    return venue_curve(ticks, np.arange(len(prices)), np.array(powers), WIDE, limits)


def test_a_curve_steps_half_way_between_prices_on_a_tick() -> None:
    curve = curve_of([10.0, 20.1, 20.2], [-1.0, 0.5, 2.0])
    assert [(p.price_per_mwh, p.power_mw) for p in curve] == [
        (-500.0, -1.0),
        (15.1, 0.5),
        (20.2, 2.0),
    ]
    assert [power_at(curve, price) for price in (-500.0, 15.0, 15.1, 20.1, 20.2, 4000.0)] == [
        -1.0,
        -1.0,
        0.5,
        0.5,
        2.0,
        2.0,
    ]


def test_positions_that_share_a_lot_make_one_point() -> None:
    curve = curve_of([1.0, 2.0, 3.0], [0.96, 1.0, 1.04])
    assert [p.power_mw for p in curve] == [1.0]


def test_nothing_is_told_as_nothing() -> None:
    assert str(curve_of([1.0], [-0.01])[0].power_mw) == "0.0"


def test_a_position_beyond_what_is_allowed_is_cut() -> None:
    ticks, classes = np.array([1, 2]), np.array([0, 1])
    curve = venue_curve(ticks, classes, np.array([-9.0, 9.0]), (-1.0, 2.0), LIMITS)
    assert [p.power_mw for p in curve] == [-1.0, 2.0]


@pytest.mark.parametrize("seed", range(200))
def test_any_positions_become_a_curve_the_venue_takes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, most = int(rng.integers(1, 12)), int(rng.integers(1, 6))
    limits = replace(
        LIMITS,
        max_points=most,
        quantity_step_mw=float(rng.choice([0.1, 1.0, 2.5])),
        price_tick_per_mwh=float(rng.choice([0.01, 0.1, 5.0])),
    )
    ticks = rng.integers(-10, 30, n)
    classes = price_classes(ticks, rng.dirichlet(np.ones(n)), most)
    powers = np.sort(rng.normal(0.0, 5.0, most).round(int(rng.integers(0, 4))))[classes]
    curve = venue_curve(ticks, classes, powers, (-5.0, 5.0), limits)
    prices, taken = np.array([(p.price_per_mwh, p.power_mw) for p in curve]).T
    assert len(curve) <= limits.max_points
    assert (np.diff(prices) > 0).all()
    assert (np.diff(taken) > 0).all()
    assert prices[0] == limits.min_price_per_mwh
    for values, unit in ((prices, limits.price_tick_per_mwh), (taken, limits.quantity_step_mw)):
        assert values / unit == pytest.approx(np.rint(values / unit), abs=1e-6)
    assert np.abs(taken).max() <= 5.0
    at = [power_at(curve, tick * limits.price_tick_per_mwh) for tick in ticks]
    assert at == pytest.approx(np.clip(powers, -5.0, 5.0), abs=limits.quantity_step_mw / 2 + 1e-9)


@pytest.mark.parametrize("seed", range(50))
def test_classes_rise_with_the_price_and_share_the_probability(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ticks, most = rng.integers(0, 40, 200), int(rng.integers(1, 8))
    probability = np.full(200, 1 / 200)
    classes = price_classes(ticks, probability, most)
    assert sorted(set(classes)) == list(range(most))
    order = np.argsort(ticks, kind="stable")
    assert (np.diff(classes[order]) >= 0).all()
    for tick in set(ticks):
        assert len(set(classes[ticks == tick])) == 1
    assert np.bincount(classes) / 200 == pytest.approx(np.full(most, 1 / most), abs=0.08)


def test_as_many_prices_as_classes_have_one_each_however_unlikely() -> None:
    classes = price_classes(np.array([5, 1, 9, 5]), np.array([0.001, 0.99, 0.001, 0.008]), 3)
    assert classes.tolist() == [1, 0, 2, 1]


def test_prices_are_moved_to_the_nearest_the_venue_knows() -> None:
    prices = np.array([-900.0, 1.04, 1.06, 9999.0])
    assert on_ticks(prices, LIMITS).tolist() == [-500.0, 1.0, 1.1, 4000.0]


def test_lots_lie_within_their_range() -> None:
    low, high = lots_within(np.array([-0.25, 0.3, 0.01]), np.array([0.25, 0.3, 0.09]), LIMITS)
    assert low.tolist() == [-0.2, 0.3, 0.1]
    assert high.tolist() == [0.2, 0.3, 0.0]


def test_the_tail_is_the_mean_of_the_worst_and_counts_the_edge_in_part() -> None:
    costs, probability = np.array([1.0, 10.0, 4.0]), np.array([0.5, 0.1, 0.4])
    assert tail(costs, probability, 0.0) == pytest.approx((1.0, 3.1))
    assert tail(costs, probability, 0.9) == pytest.approx((10.0, 10.0))
    assert tail(costs, probability, 0.8) == pytest.approx((4.0, 7.0))


@pytest.mark.parametrize("seed", range(20))
def test_the_tail_is_the_least_of_edge_plus_mean_excess(seed: int) -> None:
    rng = np.random.default_rng(seed)
    costs, probability = rng.normal(size=9), rng.dirichlet(np.ones(9))
    confidence = float(rng.uniform(0.0, 0.99))
    least = min(
        edge + probability @ np.maximum(costs - edge, 0.0) / (1 - confidence) for edge in costs
    )
    assert tail(costs, probability, confidence)[1] == pytest.approx(least)
