"""Any split: nobody beyond a limit or inside a band, and exact whenever it can be."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from optimization.split import FloatArray, split

TOLERANCE_KW = 1e-6
kw = st.floats(-1e4, 1e4, allow_nan=False).map(lambda value: round(value, 3))


@st.composite
def members(draw: st.DrawFn) -> dict[str, FloatArray]:
    """Up to 8 members with ordered limits and bands that touch their interval or not."""
    n = draw(st.integers(1, 8))
    rows = [sorted(draw(st.lists(kw, min_size=4, max_size=4))) for _ in range(n)]
    has_band = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    lower = np.array([row[1] for row in rows])
    upper = np.array([row[2] if b else row[1] for row, b in zip(rows, has_band, strict=True)])
    merits = st.sampled_from([0.0, 10.0, 10.0, 50.0])
    return {
        "min_kw": np.array([row[0] for row in rows]),
        "max_kw": np.array([row[3] for row in rows]),
        "exclusion_low_kw": lower,
        "exclusion_high_kw": upper,
        "current_kw": np.array(draw(st.lists(kw, min_size=n, max_size=n))),
        "base_kw": np.array(draw(st.lists(kw, min_size=n, max_size=n))),
        "merit_per_mwh": np.array(draw(st.lists(merits, min_size=n, max_size=n))),
        "dead_band_kw": np.array(
            draw(st.lists(st.sampled_from([0.0, 1.0, 500.0]), min_size=n, max_size=n))
        ),
        "weight": np.array(
            draw(st.lists(st.sampled_from([0.0, 1e-3, 1.0, 7.0]), min_size=n, max_size=n))
        ),
    }


def least_possible_gap_kw(target_kw: float, m: dict[str, FloatArray]) -> float:
    """Try every choice of sides, slowly and independently of the code under test."""
    sides = [
        [(low, high)] if lower == upper else [(low, lower), (upper, high)]
        for low, lower, upper, high in zip(
            m["min_kw"], m["exclusion_low_kw"], m["exclusion_high_kw"], m["max_kw"], strict=True
        )
    ]
    gaps = []
    for chosen in itertools.product(*sides):
        low, high = sum(side[0] for side in chosen), sum(side[1] for side in chosen)
        gaps.append(max(low - target_kw, target_kw - high, 0.0))
    return min(gaps)


@settings(max_examples=300, deadline=None)
@given(m=members(), target_kw=st.floats(-1e5, 1e5))
def test_split_leaves_open_only_what_no_choice_of_sides_could_serve(
    m: dict[str, FloatArray], target_kw: float
) -> None:
    result = split(target_kw, **m)
    x = result.setpoints_kw
    assert (x >= m["min_kw"]).all()
    assert (x <= m["max_kw"]).all()
    assert not ((x > m["exclusion_low_kw"]) & (x < m["exclusion_high_kw"])).any()
    assert abs(x.sum() + result.unserved_kw - target_kw) <= TOLERANCE_KW
    assert abs(abs(result.unserved_kw) - least_possible_gap_kw(target_kw, m)) <= TOLERANCE_KW


@settings(max_examples=200, deadline=None)
@given(m=members(), share=st.floats(0.0, 1.0), ramp_kw=st.floats(0.0, 2e3))
def test_split_without_bands_stays_within_the_ramp_and_meets_what_the_ramp_reaches(
    m: dict[str, FloatArray], share: float, ramp_kw: float
) -> None:
    m["exclusion_high_kw"] = m["exclusion_low_kw"]
    m["current_kw"] = np.clip(m["current_kw"], m["min_kw"], m["max_kw"])
    low = np.maximum(m["min_kw"], m["current_kw"] - ramp_kw)
    high = np.minimum(m["max_kw"], m["current_kw"] + ramp_kw)
    target_kw = float(low.sum() + share * (high - low).sum())
    result = split(target_kw, **m, ramp_up_kw=ramp_kw, ramp_down_kw=ramp_kw)
    assert (result.setpoints_kw >= low).all()
    assert (result.setpoints_kw <= high).all()
    assert abs(result.unserved_kw) <= TOLERANCE_KW


@settings(max_examples=200, deadline=None)
@given(m=members(), rise_kw=st.floats(-1e5, 1e5))
def test_no_member_moves_while_a_cheaper_one_has_headroom(
    m: dict[str, FloatArray], rise_kw: float
) -> None:
    base = np.clip(m["base_kw"], m["min_kw"], m["max_kw"])
    result = split(
        float(base.sum()) + rise_kw,
        min_kw=m["min_kw"],
        max_kw=m["max_kw"],
        current_kw=base,
        merit_per_mwh=m["merit_per_mwh"],
    )
    moved = result.setpoints_kw - base
    if rise_kw >= 0:
        rank, room = m["merit_per_mwh"], m["max_kw"] - result.setpoints_kw
    else:
        rank, room, moved = -m["merit_per_mwh"], result.setpoints_kw - m["min_kw"], -moved
    assert (moved >= -TOLERANCE_KW).all()
    for i in np.flatnonzero(moved > TOLERANCE_KW):
        assert (room[rank < rank[i]] <= TOLERANCE_KW).all()
