"""Every schedule obeys physics, its cost is the sum of its terms and its bound is below it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimization.dispatch.physics import violations
from optimization.dispatch.problem import DispatchProblem
from optimization.dispatch.result import DispatchResult
from optimization.dispatch.solve import solve_dispatch
from tests.support.dispatch_problems import KINDS, random_problem

GAP_FRAC = 1e-3
seeds = st.integers(min_value=0, max_value=2**32 - 1)
mixes = st.sets(st.sampled_from(KINDS), min_size=1).map(lambda chosen: tuple(sorted(chosen)))


def assert_sound(problem: DispatchProblem, result: DispatchResult) -> None:
    assert result.feasible, result.reason
    assert violations(problem, result.schedules) == ()
    assert result.cost is not None
    assert result.bound is not None
    assert result.cost == pytest.approx(sum(result.cost_terms.values()))
    assert result.bound <= result.cost
    total = np.sum([s.power_mw for s in result.schedules.values()], axis=0)
    expected = total + np.array(problem.points[0].fixed_mw)
    np.testing.assert_allclose(result.point_mw["grid"], expected, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, kinds=mixes)
def test_schedules_obey_physics(seed: int, kinds: tuple[str, ...]) -> None:
    problem = random_problem(seed, kinds=kinds)
    assert_sound(problem, solve_dispatch(problem, deadline_s=20.0, gap_frac=GAP_FRAC))


@pytest.mark.soak
@pytest.mark.timeout(1800)
@settings(max_examples=3000, deadline=None)
@given(seed=seeds, kinds=mixes, n_each=st.integers(min_value=1, max_value=4))
def test_thousands_of_schedules_obey_physics(
    seed: int, kinds: tuple[str, ...], n_each: int
) -> None:
    problem = random_problem(seed, kinds=kinds, n_each=n_each)
    assert_sound(problem, solve_dispatch(problem, deadline_s=20.0, gap_frac=GAP_FRAC))


@settings(max_examples=30, deadline=None)
@given(seed=seeds, price=st.floats(min_value=-200.0, max_value=-1.0))
def test_negative_and_equal_prices_never_run_a_battery_both_ways(seed: int, price: float) -> None:
    problem = random_problem(seed, kinds=("batteries", "vehicles"), reserves=False)
    prices = (price,) * problem.n_steps
    greedy = replace(
        problem, import_price_per_mwh=prices, export_price_per_mwh=prices, commitments=()
    )
    assert_sound(greedy, solve_dispatch(greedy, deadline_s=20.0, gap_frac=1e-6))


@settings(max_examples=20, deadline=None)
@given(seed=seeds, factor=st.floats(min_value=0.1, max_value=10.0))
def test_a_tampered_schedule_is_caught(seed: int, factor: float) -> None:
    problem = random_problem(seed, kinds=("batteries",))
    result = solve_dispatch(problem, deadline_s=20.0)
    name, schedule = next(iter(result.schedules.items()))
    shifted = replace(schedule, power_mw=tuple(p + factor for p in schedule.power_mw))
    assert violations(problem, {**result.schedules, name: shifted}) != ()
