"""Resampling: means by time, gaps that show, registers that add up."""

from __future__ import annotations

import numpy as np
import pytest

from controllers.history.buckets import Buckets, check_columns, read_off
from controllers.history.resample import resample
from controllers.kernel.errors import DomainError
from tests.support.history import FAR_US, edges_us, make_samples


def column(buckets: Buckets, name: str) -> list[float]:
    return [float(value) for value in read_off(buckets, [name])[name]]


def test_mean_is_weighted_by_the_time_each_sample_stood() -> None:
    samples = make_samples([0, 1, 4], [10.0, 20.0, -40.0])
    buckets = resample(samples, edges_us(0, 5), now_us=FAR_US)
    assert column(buckets, "power_kw") == pytest.approx([(10 + 3 * 20 - 40) / 5])
    assert column(buckets, "power_kw_min") == [-40.0]
    assert column(buckets, "power_kw_max") == [20.0]
    assert column(buckets, "energy_kwh") == pytest.approx([30 / 3600])
    assert column(buckets, "injected_kwh") == pytest.approx([70 / 3600])
    assert column(buckets, "drawn_kwh") == pytest.approx([40 / 3600])
    assert column(buckets, "n_samples") == [3.0]


def test_silence_is_a_gap_and_no_value_is_made_up() -> None:
    samples = make_samples([0, 20], [10.0, 30.0], hold_s=5.0)
    buckets = resample(samples, edges_us(0, 10, 20, 30), now_us=FAR_US)
    assert column(buckets, "coverage_frac") == [0.5, 0.0, 0.5]
    power_kw = column(buckets, "power_kw")
    assert (power_kw[0], power_kw[2]) == (10.0, 30.0)
    assert np.isnan(power_kw[1])
    assert np.isnan(column(buckets, "energy_kwh")[1])


def test_signs_of_life_carry_the_last_reading_on() -> None:
    samples = make_samples(
        [0, 4, 8, 12], [10.0, np.nan, np.nan, 20.0], is_repeat=[False, True, True, False]
    )
    buckets = resample(samples, edges_us(0, 12), now_us=FAR_US)
    assert column(buckets, "power_kw") == [10.0]
    assert column(buckets, "coverage_frac") == [1.0]
    assert column(buckets, "n_samples") == [1.0]


def test_a_sign_of_life_that_overtook_a_measurement_does_not_bring_the_old_power_back() -> None:
    samples = make_samples([0, 1.0, 1.05], [10.0, 20.0, np.nan], is_repeat=[False, False, True])
    buckets = resample(samples, edges_us(1, 3), now_us=FAR_US)
    assert column(buckets, "power_kw") == [20.0]


def test_bad_quality_is_not_covered() -> None:
    samples = make_samples([0, 2], [10.0, 10.0], is_usable=[True, False], is_good=[True, False])
    buckets = resample(samples, edges_us(0, 4), now_us=FAR_US)
    assert column(buckets, "coverage_frac") == [0.5]
    assert column(buckets, "good_frac") == [0.5]


def test_nothing_is_known_of_the_future() -> None:
    samples = make_samples([0], [10.0])
    now_us = int(edges_us(2)[0])
    buckets = resample(samples, edges_us(0, 4), now_us=now_us)
    assert column(buckets, "coverage_frac") == [0.5]


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"is_live": [False, True]}, 2.0),
        ({"is_live": [True, False]}, 1.0),
        ({"epoch": [2, 1]}, 1.0),
        ({"seq": [4, 5]}, 2.0),
        ({"is_repeat": [False, True], "seq": [4, 5]}, 1.0),
    ],
    ids=["live before backfill", "live before backfill, first", "epoch", "seq", "measurement"],
)
def test_of_two_samples_at_one_instant_one_counts(changes: dict[str, object], kept: float) -> None:
    buckets = resample(make_samples([1, 1], [1.0, 2.0], **changes), edges_us(0, 5), now_us=FAR_US)
    assert column(buckets, "power_kw") == [kept]
    assert column(buckets, "n_samples") == [1.0]


def test_registers_are_split_at_the_edge_between_two_readings() -> None:
    samples = make_samples([0, 4, 8], [0.0] * 3, exported_kwh=[100.0, 104.0, 112.0])
    buckets = resample(samples, edges_us(0, 5, 8), now_us=FAR_US)
    assert column(buckets, "exported_kwh") == pytest.approx([6.0, 6.0])
    assert column(buckets, "gap_exported_kwh") == [0.0, 0.0]


def test_what_registers_counted_in_a_gap_is_kept_apart() -> None:
    samples = make_samples([0, 4, 64], [1.0] * 3, exported_kwh=[100.0, 104.0, 150.0])
    buckets = resample(samples, edges_us(0, 30, 60, 90), now_us=FAR_US)
    assert column(buckets, "exported_kwh") == pytest.approx([4.0, 0.0, 0.0])
    assert column(buckets, "gap_exported_kwh") == [0.0, 0.0, 46.0]


def test_a_register_that_falls_counts_nothing() -> None:
    samples = make_samples([0, 4, 8], [0.0] * 3, imported_kwh=[100.0, 2.0, 5.0])
    buckets = resample(samples, edges_us(0, 8), now_us=FAR_US)
    assert column(buckets, "imported_kwh") == pytest.approx([3.0])


def test_without_samples_nothing_is_known() -> None:
    buckets = resample(make_samples([], []), edges_us(0, 5, 10), now_us=FAR_US)
    assert column(buckets, "coverage_frac") == [0.0, 0.0]
    assert np.isnan(column(buckets, "power_kw")).all()


def test_merging_cuts_no_interval() -> None:
    buckets = resample(make_samples([0], [1.0]), edges_us(0, 5, 10), now_us=FAR_US)
    with pytest.raises(ValueError, match="cut in two"):
        buckets.merged(edges_us(0, 7))


def test_an_unknown_column_is_refused_and_known_ones_are_named() -> None:
    assert check_columns(["soc_frac", "coverage_frac", "soc_frac"]) == ("soc_frac", "coverage_frac")
    with pytest.raises(DomainError, match=r"must be of .*soc_frac"):
        check_columns(["power"])
