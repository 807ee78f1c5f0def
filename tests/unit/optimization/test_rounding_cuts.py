"""Cuts by rounding: they cut the relaxed point off and no point in whole numbers."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from optimization.rounding_cuts import Row, rounding_cuts


def random_row(rng: np.random.Generator, n: int) -> Row:
    coefficients = rng.choice([5.0, 12.0, 20.0, 55.0, 76.0, -10.0, 33.3], n)
    most = coefficients[coefficients > 0].sum()
    return Row(np.arange(n), coefficients, float(rng.uniform(0.1, 0.9) * most))


@pytest.mark.parametrize("seed", range(40))
def test_a_cut_removes_the_relaxed_point_and_no_whole_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    row = random_row(rng, 8)
    relaxed = rng.choice([0.0, 1.0, rng.uniform()], 8)
    points = np.array(list(product([0.0, 1.0], repeat=8)))
    kept = points[points @ row.coefficients >= row.least]
    for cut in rounding_cuts([row], relaxed):
        assert cut.coefficients @ relaxed[cut.columns] < cut.least - 1e-6
        assert (kept[:, cut.columns] @ cut.coefficients >= cut.least - 1e-6).all()


def test_a_fraction_of_a_generator_is_rounded_up() -> None:
    # 25 MW from machines of 10 MW: three must run, where two and a half would do.
    row = Row(np.arange(4), np.full(4, 10.0), 25.0)
    (cut,) = rounding_cuts([row], np.array([1.0, 1.0, 0.5, 0.0]))
    assert cut.least / cut.coefficients == pytest.approx([3.0] * 4)


def test_a_whole_point_is_left_alone() -> None:
    row = Row(np.arange(3), np.array([10.0, 20.0, 30.0]), 25.0)
    assert not list(rounding_cuts([row], np.array([1.0, 1.0, 0.0])))
