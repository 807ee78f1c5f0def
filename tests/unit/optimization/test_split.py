"""The split on cases small enough to check by hand, and one with 100,000 members."""

from __future__ import annotations

import numpy as np
import pytest

from optimization.split import split


def test_raising_takes_the_cheapest_first_and_lowering_the_dearest() -> None:
    members = {
        "min_kw": [-100.0, -100.0],
        "max_kw": [100.0, 100.0],
        "merit_per_mwh": [10.0, 20.0],
        "current_kw": [0.0, 0.0],
    }
    assert split(150.0, **members).setpoints_kw == pytest.approx([100.0, 50.0])
    assert split(-150.0, **members).setpoints_kw == pytest.approx([-50.0, -100.0])


def test_equal_merit_shares_by_headroom() -> None:
    result = split(60.0, min_kw=0.0, max_kw=[100.0, 50.0], current_kw=[0.0, 0.0])
    assert result.setpoints_kw == pytest.approx([40.0, 20.0])


def test_weights_share_like_connected_vessels() -> None:
    result = split(
        70.0, min_kw=0.0, max_kw=[100.0, 10.0, 100.0], current_kw=[0.0] * 3, weight=[2.0, 2.0, 1.0]
    )
    assert result.setpoints_kw == pytest.approx([40.0, 10.0, 20.0])


def test_member_of_weight_zero_moves_only_when_the_others_are_full() -> None:
    members = {"min_kw": 0.0, "max_kw": [50.0, 50.0], "current_kw": [0.0, 0.0]}
    assert split(40.0, **members, weight=[0.0, 1.0]).setpoints_kw == pytest.approx(
        [0.0, 40.0], abs=1e-6
    )
    assert split(70.0, **members, weight=[0.0, 1.0]).setpoints_kw == pytest.approx([20.0, 50.0])
    assert split(70.0, **members, weight=0.0).setpoints_kw == pytest.approx([35.0, 35.0])


def test_more_than_all_can_give_is_reported_and_not_hidden() -> None:
    result = split(500.0, min_kw=0.0, max_kw=[100.0, 50.0], current_kw=[0.0, 0.0])
    assert result.setpoints_kw.tolist() == [100.0, 50.0]
    assert result.unserved_kw == pytest.approx(350.0)
    result = split(-10.0, min_kw=0.0, max_kw=[100.0, 50.0], current_kw=[0.0, 0.0])
    assert result.setpoints_kw.tolist() == [0.0, 0.0]
    assert result.unserved_kw == pytest.approx(-10.0)


def test_ramp_narrows_the_reach_of_one_step() -> None:
    result = split(
        100.0,
        min_kw=0.0,
        max_kw=100.0,
        current_kw=[0.0, 50.0],
        merit_per_mwh=[1.0, 2.0],
        ramp_up_kw=[10.0, 30.0],
        ramp_down_kw=np.inf,
    )
    assert result.setpoints_kw == pytest.approx([10.0, 80.0])
    assert result.unserved_kw == pytest.approx(10.0)


def test_member_beyond_its_limit_comes_back_to_it_faster_than_its_ramp() -> None:
    result = split(
        0.0, min_kw=-10.0, max_kw=10.0, current_kw=[30.0], ramp_up_kw=1.0, ramp_down_kw=1.0
    )
    assert result.setpoints_kw.tolist() == [10.0]


def test_band_moves_a_member_to_an_edge_and_the_others_make_up() -> None:
    members = {
        "min_kw": [0.0, -100.0],
        "max_kw": [400.0, 100.0],
        "merit_per_mwh": [10.0, 50.0],
        "exclusion_low_kw": [0.0, 0.0],
        "exclusion_high_kw": [200.0, 0.0],
        "base_kw": [0.0, 0.0],
    }
    # Both sides are possible: a stopped unit stays stopped, a running one keeps running.
    assert split(90.0, current_kw=[0.0, 0.0], **members).setpoints_kw.tolist() == [0.0, 90.0]
    assert split(110.0, current_kw=[250.0, 0.0], **members).setpoints_kw.tolist() == [200.0, -90.0]
    # Only one side is possible.
    assert split(130.0, current_kw=[0.0, 0.0], **members).setpoints_kw.tolist() == [200.0, -70.0]


def test_unit_may_start_though_its_ramp_ends_inside_the_band() -> None:
    result = split(
        200.0,
        min_kw=0.0,
        max_kw=400.0,
        current_kw=[0.0],
        ramp_up_kw=1.0,
        ramp_down_kw=1.0,
        exclusion_low_kw=0.0,
        exclusion_high_kw=200.0,
    )
    assert result.setpoints_kw.tolist() == [200.0]
    result = split(
        0.0,
        min_kw=0.0,
        max_kw=400.0,
        current_kw=[200.0],
        ramp_up_kw=1.0,
        ramp_down_kw=1.0,
        exclusion_low_kw=0.0,
        exclusion_high_kw=200.0,
    )
    assert result.setpoints_kw.tolist() == [0.0]


def test_limit_that_ends_inside_the_band_stops_at_its_edge() -> None:
    members = {"exclusion_low_kw": 0.0, "exclusion_high_kw": 200.0}
    derated = split(150.0, min_kw=-50.0, max_kw=150.0, current_kw=[0.0], **members)
    assert derated.setpoints_kw.tolist() == [0.0]
    assert derated.unserved_kw == pytest.approx(150.0)
    must_run = split(0.0, min_kw=100.0, max_kw=400.0, current_kw=[300.0], **members)
    assert must_run.setpoints_kw.tolist() == [200.0]
    nowhere = split(0.0, min_kw=50.0, max_kw=150.0, current_kw=[120.0], **members)
    assert nowhere.setpoints_kw.tolist() == [120.0]


def test_members_inside_their_dead_band_keep_their_set_point() -> None:
    result = split(
        112.0,
        min_kw=0.0,
        max_kw=[100.0, 100.0, 100.0],
        current_kw=[50.0, 30.0, 20.0],
        dead_band_kw=[10.0, 3.0, 10.0],
    )
    assert result.setpoints_kw == pytest.approx([50.0, 42.0, 20.0])


def test_change_smaller_than_every_dead_band_goes_to_one_member() -> None:
    result = split(51.0, min_kw=0.0, max_kw=100.0, current_kw=[20.0, 30.0], dead_band_kw=[5.0, 2.0])
    assert result.setpoints_kw == pytest.approx([20.0, 31.0])
    result = split(49.0, min_kw=0.0, max_kw=100.0, current_kw=[20.0, 30.0], dead_band_kw=[5.0, 2.0])
    assert result.setpoints_kw == pytest.approx([20.0, 29.0])


def test_unchanged_target_changes_nothing() -> None:
    current = [20.0, 30.0, -7.0]
    result = split(43.0, min_kw=-10.0, max_kw=100.0, current_kw=current, dead_band_kw=1.0)
    assert result.setpoints_kw.tolist() == current


def test_many_lumpy_members_switch_as_few_as_needed() -> None:
    n, lump_kw = 50_000, 2.0
    rng = np.random.default_rng(7)
    running = rng.random(n) < 0.4
    current = np.where(running, lump_kw, 0.0)
    result = split(
        float(current.sum()) + 100 * lump_kw,
        min_kw=0.0,
        max_kw=lump_kw,
        current_kw=current,
        base_kw=0.0,
        exclusion_low_kw=0.0,
        exclusion_high_kw=lump_kw,
    )
    assert set(np.unique(result.setpoints_kw)) == {0.0, lump_kw}
    assert int((result.setpoints_kw != current).sum()) == 100
    assert result.unserved_kw == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("weighted", [False, True], ids=["by merit", "by weight"])
def test_a_hundred_thousand_members_add_up_to_the_target(weighted: bool) -> None:
    n = 100_000
    rng = np.random.default_rng(3)
    low, high = -rng.uniform(0, 10, n), rng.uniform(0, 10, n)
    current = np.clip(rng.normal(0, 3, n), low, high)
    upper = np.where(rng.random(n) < 0.3, 1.5, 0.0)
    merit = np.full(n, 5.0) if weighted else rng.uniform(0, 200, n)
    for target_kw in (123_456.7, -98_765.4):
        result = split(
            target_kw,
            min_kw=low,
            max_kw=high,
            current_kw=current,
            merit_per_mwh=merit,
            exclusion_low_kw=0.0,
            exclusion_high_kw=upper,
            dead_band_kw=0.1,
            weight=rng.random(n) if weighted else None,
        )
        x = result.setpoints_kw
        assert abs(x.sum() - target_kw) <= 1e-6
        assert ((x >= low) & (x <= high)).all()
        assert not ((x > 0.0) & (x < upper)).any()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"min_kw": [2.0]}, r"min_kw\[0\]"),
        ({"max_kw": [np.nan]}, "max_kw"),
        ({"current_kw": [np.inf]}, "current_kw"),
        ({"ramp_up_kw": -1.0}, "ramps"),
        ({"merit_per_mwh": np.nan}, "merit_per_mwh"),
    ],
)
def test_senseless_input_is_refused_by_name(change: dict[str, object], named: str) -> None:
    arguments: dict[str, object] = {"min_kw": [0.0], "max_kw": [1.0], "current_kw": [0.5]}
    with pytest.raises(ValueError, match=named):
        split(0.5, **(arguments | change))  # type: ignore[arg-type]
