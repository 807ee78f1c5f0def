"""Scenarios have the forecast's margins and correlations; few stand for many with least loss."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.special import ndtri

from optimization.dispatch.fields import series
from optimization.dispatch.plant import Renewable
from optimization.dispatch.problem import ConnectionPoint, DispatchProblem
from optimization.uncertainty.problem import (
    BiddingProblem,
    CrossCorrelation,
    DayAhead,
    Forecast,
    Quantile,
    QuantileForecast,
    Stage,
)
from optimization.uncertainty.reduction import grow, select
from optimization.uncertainty.sampling import at_ranks, draw_ranks
from optimization.uncertainty.scenarios import drawn, probabilities
from tests.support.bidding_problems import FINE

N = 20_000


def test_ranks_are_uniform_and_fade_as_their_time_says() -> None:
    middle_h = np.array([0.5, 1.5, 2.0, 6.0])
    ranks = draw_ranks(
        np.random.default_rng(1), N, middle_h, np.array([2.0, 8.0]), np.array([[1, 0.6], [0.6, 1]])
    )
    assert ranks.shape == (N, 2, 4)
    assert np.quantile(ranks, [0.1, 0.5, 0.9]) == pytest.approx([0.1, 0.5, 0.9], abs=0.01)
    errors = _normal(ranks)
    for k, fade_h in enumerate((2.0, 8.0)):
        expected = np.exp(-np.abs(np.subtract.outer(middle_h, middle_h)) / fade_h)
        assert np.corrcoef(errors[:, k].T) == pytest.approx(expected, abs=0.03)


def test_errors_that_fade_alike_are_correlated_as_told() -> None:
    cross = np.array([[1.0, -0.7], [-0.7, 1.0]])
    ranks = draw_ranks(np.random.default_rng(2), N, np.arange(3.0), np.array([3.0, 3.0]), cross)
    errors = _normal(ranks)
    for t in range(3):
        assert np.corrcoef(errors[:, 0, t], errors[:, 1, t])[0, 1] == pytest.approx(-0.7, abs=0.02)


def test_fully_dependent_forecasts_have_the_same_ranks() -> None:
    ranks = draw_ranks(
        np.random.default_rng(3), 50, np.arange(4.0), np.array([3.0, 3.0]), np.ones((2, 2))
    )
    assert ranks[:, 0] == pytest.approx(ranks[:, 1])


def _normal(ranks: np.ndarray) -> np.ndarray:
    return np.asarray(ndtri(ranks))


def test_values_lie_between_the_quantiles_and_never_beyond() -> None:
    levels, values = np.array([0.1, 0.5, 0.9]), np.array([[1.0], [2.0], [6.0]])
    ranks = np.array([[0.0], [0.1], [0.3], [0.7], [0.95]])
    assert at_ranks(ranks, levels, values)[:, 0] == pytest.approx([1.0, 1.0, 1.5, 4.0, 6.0])


def _left(distance: np.ndarray, probability: np.ndarray, kept: list[int]) -> float:
    return float(probability @ distance[:, kept].min(axis=1))


@pytest.mark.parametrize("seed", range(30))
def test_each_selection_is_the_best_next_one_and_the_nearest_inherits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, probability = rng.normal(size=(7, 3)), rng.dirichlet(np.ones(7))
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    kept, place = select(distance, probability, 4)
    for n in range(4):
        before = list(kept[:n])
        options = [_left(distance, probability, [*before, u]) for u in range(7)]
        assert options[kept[n]] == pytest.approx(min(options))
    assert (distance[np.arange(7), kept[place]] == distance[:, kept].min(axis=1)).all()


@pytest.mark.parametrize("seed", range(10))
def test_one_kept_is_the_optimum_and_four_are_near_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, probability = rng.normal(size=(8, 2)), rng.dirichlet(np.ones(8))
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    for n, most in ((1, 1.0), (4, 1.35)):
        kept, _ = select(distance, probability, n)
        best = min(_left(distance, probability, list(some)) for some in combinations(range(8), n))
        assert _left(distance, probability, list(kept)) <= most * best + 1e-12


def test_repeated_scenarios_are_kept_once() -> None:
    points = np.array([[0.0], [1.0], [0.0], [1.0], [0.0]])
    kept, place = select(np.abs(points - points.T), np.full(5, 0.2), 4)
    assert sorted(points[kept, 0]) == [0.0, 1.0]
    assert (points[kept[place]] == points).all()


def test_a_tree_shares_what_is_known_and_parts_once() -> None:
    rng = np.random.default_rng(5)
    values, known_from = rng.normal(size=(60, 6)), np.array([0, 0, 1, 1, 2, 2])
    tree = grow(values, np.ones(6), known_from, [3, 2, 2])
    assert len(tree.values) == 12
    assert tree.probability.sum() == pytest.approx(1.0)
    for one, other in combinations(range(12), 2):
        same = tree.nodes[one] == tree.nodes[other]
        # Once apart, apart for good; in one node, the same numbers.
        assert (np.diff(same.astype(int)) <= 0).all()
        alike = tree.values[one] == tree.values[other]
        assert (alike[known_from < same.sum()]).all()
    rows = {tuple(row) for row in values[:, :2]}
    assert {tuple(row) for row in tree.values[:, :2]} <= rows


def test_a_tree_of_as_many_leaves_as_scenarios_loses_nothing() -> None:
    values = np.random.default_rng(6).normal(size=(9, 4))
    tree = grow(values, np.ones(4), np.zeros(4, dtype=np.int64), [9])
    assert sorted(map(tuple, tree.values)) == sorted(map(tuple, values))
    assert tree.probability == pytest.approx(np.full(9, 1 / 9))


def _forecast(**change: object) -> Forecast:
    def quantiles(middle: float, spread: float) -> tuple[Quantile, ...]:
        return tuple(
            Quantile(level=level, values=(middle + side * spread,) * 4)
            for level, side in ((0.05, -1.0), (0.5, 0.0), (0.95, 1.0))
        )

    quantities = (
        QuantileForecast(what="price", quantiles=quantiles(50.0, 30.0)),
        QuantileForecast(what="shortage_premium", quantiles=quantiles(20.0, 10.0)),
        QuantileForecast(what="surplus_discount", quantiles=quantiles(15.0, 5.0)),
        QuantileForecast(what="available", name="sun", quantiles=quantiles(3.0, 2.0)),
    )
    return Forecast(**({"quantities": quantities, "n_drawn": 80} | change))  # type: ignore[arg-type]


def bidding(forecast: Forecast) -> BiddingProblem:
    dispatch = DispatchProblem(
        step_h=(1.0,) * 4,
        points=(ConnectionPoint(name="grid"),),
        renewables=(Renewable(name="sun", point="grid", available_mw=series(np.full(4, 3.0))),),
    )
    return BiddingProblem(
        dispatch=dispatch, market=DayAhead(point="grid", limits=FINE), forecast=forecast
    )


def test_a_forecast_becomes_scenarios_the_same_ones_for_the_same_seed() -> None:
    problem = bidding(_forecast(stages=(Stage(branches=10),)))
    scenarios = drawn(problem)
    assert scenarios == drawn(problem)
    assert scenarios != drawn(bidding(_forecast(stages=(Stage(branches=10),), seed=1)))
    assert len(scenarios) == 10
    assert probabilities(scenarios).sum() == pytest.approx(1.0)
    for scenario in scenarios:
        price = np.array(scenario.price_per_mwh)
        assert (np.round(price, 2) == price).all()
        assert scenario.surplus_price_per_mwh is not None
        assert (np.array(scenario.shortage_price_per_mwh) >= price + 9.99).all()
        assert (np.array(scenario.surplus_price_per_mwh) <= price - 9.99).all()
        assert (np.array(scenario.available_mw["sun"]) >= 1.0).all()


def test_stages_make_scenarios_that_share_nodes_and_what_is_known_there() -> None:
    stages = (Stage(branches=3), Stage(at_h=2.0, branches=2))
    scenarios = drawn(bidding(_forecast(stages=stages)))
    assert len(scenarios) == 6
    assert {len({s.nodes[t] for s in scenarios if s.nodes}) for t in (0, 1)} == {3}
    assert {len({s.nodes[t] for s in scenarios if s.nodes}) for t in (2, 3)} == {6}
    for one, other in combinations(scenarios, 2):
        assert one.nodes is not None
        assert other.nodes is not None
        if one.nodes[0] == other.nodes[0]:
            assert one.price_per_mwh == other.price_per_mwh
            assert one.available_mw["sun"][:2] == other.available_mw["sun"][:2]
            assert one.available_mw["sun"][2:] != other.available_mw["sun"][2:]


def test_a_stage_in_which_no_step_begins_tells_nothing() -> None:
    idle = (Stage(branches=3), Stage(at_h=0.25, branches=5), Stage(at_h=1.0, branches=2))
    without = (Stage(branches=3), Stage(at_h=1.0, branches=2))
    assert len(drawn(bidding(_forecast(stages=idle)))) == 6
    assert len(drawn(bidding(_forecast(stages=without)))) == 6


def test_without_a_discount_imbalance_has_one_price() -> None:
    forecast = _forecast()
    few = tuple(q for q in forecast.quantities if q.what != "surplus_discount")
    assert drawn(bidding(_forecast(quantities=few)))[0].surplus_price_per_mwh is None


def test_prices_go_up_together_with_the_sun_only_where_told() -> None:
    pair = (CrossCorrelation(one=0, other=3, correlation=-0.9),)
    every = (Stage(branches=400),)
    scenarios = drawn(bidding(_forecast(cross_correlations=pair, stages=every, n_drawn=400)))
    prices = [s.price_per_mwh[0] for s in scenarios]
    sun = [s.available_mw["sun"][0] for s in scenarios]
    assert np.corrcoef(prices, sun)[0, 1] == pytest.approx(-0.9, abs=0.1)
