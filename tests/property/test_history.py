"""Resampled energy is the same under any resolution, any splitting and any order of samples."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.history.buckets import STORED, Buckets, Tally
from controllers.history.resample import Samples, resample
from tests.support.history import FAR_US, edges_us, make_samples

SPAN_S = 600


@st.composite
def histories(draw: st.DrawFn) -> Samples:
    """Some samples with gaps, bad quality, signs of life and registers that rise."""
    at_s = sorted(draw(st.sets(st.integers(0, SPAN_S * 10 - 1), min_size=1, max_size=60)))
    n = len(at_s)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    repeat = rng.random(n) < 0.2
    usable = rng.random(n) < 0.9
    steps_kwh = rng.random(n) * rng.integers(0, 2, n)
    return make_samples(
        [s / 10 for s in at_s],
        np.where(repeat, np.nan, rng.normal(0.0, 100.0, n)),
        hold_s=rng.choice([2.0, 5.0, 60.0], n),
        is_repeat=repeat,
        is_usable=usable,
        soc_frac=np.where(repeat, np.nan, rng.random(n)),
        exported_kwh=np.where(repeat, np.nan, 1e6 + np.cumsum(steps_kwh)),
        imported_kwh=np.where(repeat, np.nan, np.cumsum(steps_kwh[::-1])),
    )


cuts = st.lists(st.integers(1, SPAN_S - 1), max_size=20, unique=True).map(
    lambda inner: edges_us(0, *sorted(inner), SPAN_S)
)


def assert_same(one: Buckets, other: Buckets) -> None:
    assert set(one.columns) == set(other.columns) == set(STORED)
    for name, values in one.columns.items():
        np.testing.assert_allclose(
            values, other.columns[name], rtol=1e-9, atol=1e-7, equal_nan=True, err_msg=name
        )


@given(samples=histories(), edges=cuts)
def test_any_cut_adds_up_to_the_whole(samples: Samples, edges: np.ndarray) -> None:
    whole = resample(samples, edges_us(0, SPAN_S), now_us=FAR_US)
    assert_same(resample(samples, edges, now_us=FAR_US).merged(edges_us(0, SPAN_S)), whole)


@given(samples=histories(), edges=cuts)
def test_asking_piece_by_piece_gives_the_same(samples: Samples, edges: np.ndarray) -> None:
    at_once = resample(samples, edges, now_us=FAR_US)
    tally = Tally(edges, STORED)
    for i in range(len(edges) - 1):
        piece = edges[i : i + 2]
        tally.add(piece[:-1], resample(samples, piece, now_us=FAR_US).columns)
    assert_same(tally.buckets(), at_once)


@given(samples=histories(), seed=st.integers(0, 2**32))
def test_order_and_repetition_of_samples_do_not_matter(samples: Samples, seed: int) -> None:
    rng = np.random.default_rng(seed)
    again = rng.integers(0, len(samples), len(samples) // 2)
    index = rng.permutation(np.concatenate([np.arange(len(samples)), again]))
    edges = edges_us(*range(0, SPAN_S + 1, 60))
    assert_same(
        resample(samples.taken(index), edges, now_us=FAR_US),
        resample(samples, edges, now_us=FAR_US),
    )


@given(samples=histories(), edges=cuts)
def test_registers_lose_and_invent_nothing(samples: Samples, edges: np.ndarray) -> None:
    buckets = resample(samples, edges, now_us=FAR_US)
    for name in ("exported_kwh", "imported_kwh"):
        readings = getattr(samples, name)[~np.isnan(getattr(samples, name))]
        expected = readings[-1] - readings[0] if len(readings) else 0.0
        counted = buckets.columns[name].sum() + buckets.columns[f"gap_{name}"].sum()
        assert counted == pytest.approx(expected, abs=1e-6)


@given(samples=histories(), edges=cuts)
def test_energy_is_the_integral_of_what_was_measured(samples: Samples, edges: np.ndarray) -> None:
    buckets = resample(samples, edges, now_us=FAR_US)
    # The same by hand, sample after sample.
    expected_kws, known_s, power_kw = 0.0, 0.0, np.nan
    at_s = (samples.at_us - edges[0]) / 1e6
    for i in range(len(samples)):
        if not samples.is_repeat[i]:
            power_kw = samples.power_kw[i]
        until_s = at_s[i + 1] if i + 1 < len(samples) else np.inf
        length_s = min(until_s, at_s[i] + samples.hold_s[i], SPAN_S) - at_s[i]
        if samples.is_usable[i] and not np.isnan(power_kw):
            expected_kws += power_kw * length_s
            known_s += length_s
    assert buckets.columns["power_kw.sum"].sum() == pytest.approx(expected_kws, abs=1e-5)
    assert buckets.columns["power_kw.s"].sum() == pytest.approx(known_s, abs=1e-6)


def test_every_field_of_samples_is_a_column_of_the_builder() -> None:
    samples = make_samples([0], [1.0])
    assert all(len(getattr(samples, f.name)) == 1 for f in fields(samples))
