"""Step, dead-band, exclusion band and ramp of a set-point."""

from __future__ import annotations

import pytest

from controllers.control.shaping import ramp_time_s, ramp_to_send, shape
from tests.support.plain_twin import make_envelope


def shaped(
    kw: float,
    *,
    previous: float | None = None,
    bounds: tuple[float, float] = (-100.0, 100.0),
    band: tuple[float, float] = (0.0, 0.0),
    dead_band: float = 0.0,
) -> float | None:
    envelope = make_envelope(exclusion_low_kw=band[0], exclusion_high_kw=band[1])
    return shape(
        kw,
        low_kw=bounds[0],
        high_kw=bounds[1],
        envelope=envelope,
        dead_band_kw=dead_band,
        step_kw=0.1,
        previous_kw=previous,
    )


@pytest.mark.parametrize(
    ("kw", "expected"), [(12.34, 12.3), (-12.36, -12.4), (0.30000000000000004, 0.3)]
)
def test_a_setpoint_is_a_multiple_of_the_step(kw: float, expected: float) -> None:
    assert shaped(kw) == expected


def test_rounding_never_leaves_the_bounds() -> None:
    assert shaped(12.38, bounds=(-100.0, 12.38)) == 12.38


@pytest.mark.parametrize(
    ("kw", "expected"), [(50.4, 50.0), (51.0, 51.0), (49.1, 50.0)], ids=["less", "full", "below"]
)
def test_changes_within_the_dead_band_are_not_worth_sending(kw: float, expected: float) -> None:
    assert shaped(kw, previous=50.0, dead_band=1.0) == expected


def test_the_dead_band_does_not_excuse_from_new_bounds() -> None:
    assert shaped(49.8, previous=50.0, dead_band=1.0, bounds=(0.0, 49.8)) == 49.8


@pytest.mark.parametrize(
    ("kw", "bounds", "expected"),
    [
        (-2.0, (-100.0, 100.0), 0.0),
        (-4.0, (-100.0, 100.0), -6.0),
        (-4.0, (-5.0, 100.0), 0.0),
        (-2.0, (-100.0, -1.0), -6.0),
        (-2.0, (-5.0, -1.0), None),
        (-6.0, (-100.0, 100.0), -6.0),
    ],
    ids=["nearer off", "nearer on", "only off", "only on", "neither", "on the edge"],
)
def test_no_setpoint_lies_in_the_exclusion_band(
    kw: float, bounds: tuple[float, float], expected: float | None
) -> None:
    assert shaped(kw, bounds=bounds, band=(-6.0, 0.0)) == expected


def test_off_is_allowed_even_inside_a_band_around_zero() -> None:
    assert shaped(0.0, band=(-2.0, 2.0)) == 0.0
    assert shaped(0.5, band=(-2.0, 2.0)) == 2.0


def test_noise_around_the_middle_of_the_band_makes_no_chatter() -> None:
    setpoint = shaped(-3.2, band=(-6.0, 0.0))
    seen = set()
    for kw in (-2.9, -3.1, -2.8, -3.2, -2.7):
        setpoint = shaped(kw, previous=setpoint, band=(-6.0, 0.0))
        seen.add(setpoint)
    assert seen == {-6.0}
    assert shaped(-2.0, previous=-6.0, band=(-6.0, 0.0)) == 0.0


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [(None, 60.0), (6.0, 6.0), (600.0, 60.0), (float("inf"), 60.0), (0.0, 60.0)],
)
def test_the_slower_ramp_counts(wanted: float | None, expected: float) -> None:
    envelope = make_envelope(ramp_up_kw_per_min=60.0, ramp_down_kw_per_min=30.0)
    assert ramp_to_send(10.0, 0.0, envelope, wanted) == expected


def test_falling_uses_the_falling_ramp_and_no_ramp_means_none() -> None:
    envelope = make_envelope(ramp_up_kw_per_min=60.0, ramp_down_kw_per_min=30.0)
    assert ramp_to_send(-10.0, 0.0, envelope, None) == 30.0
    assert ramp_to_send(-10.0, 0.0, make_envelope(ramp_down_kw_per_min=0.0), None) is None
    assert ramp_time_s(-10.0, 20.0, 30.0) == 60.0
    assert ramp_time_s(-10.0, 20.0, None) == 0.0
