"""Who prevails over an aggregate's power, and how the reference moves."""

from __future__ import annotations

from datetime import timedelta

import pytest

from controllers.aggregation.target import (
    MAX_PARENTS,
    Limits,
    Parents,
    Want,
    advance,
    choose,
    settled,
    trimmed,
)
from controllers.kernel.states import Priority
from tests.support.small_plant import START, make_proposal

SECOND = timedelta(seconds=1)
OPEN = Limits(low_kw=-1e6, high_kw=1e6)


def make_want(owner: str = "a", **changes: object) -> Want:
    values: dict[str, object] = {
        "owner": owner,
        "priority": Priority.MARKET,
        "since": START,
        "target_kw": 100.0,
        "ramp_kw_per_min": 60.0,
        "instruction_id": owner,
    }
    return Want(**(values | changes))  # type: ignore[arg-type]


def test_higher_rank_prevails_then_who_came_first() -> None:
    late_reserve = make_want("r", priority=Priority.RESERVE, since=START + SECOND)
    early, late = make_want("early"), make_want("late", since=START + SECOND)
    assert choose([late, early, late_reserve]) is late_reserve
    assert choose([late, early]) is early
    assert choose([]) is None


def test_parents_proposals_are_taken_once_in_order_and_in_time() -> None:
    parents = Parents("vpp")
    assert parents.take(make_proposal(seq=2), START)
    assert not parents.take(make_proposal(seq=2), START)
    assert not parents.take(make_proposal(seq=1), START)
    assert not parents.take(make_proposal("other", seq=3), START)
    assert not parents.take(make_proposal(seq=3, expires_at=START), START)
    assert parents.take(make_proposal(epoch=2, seq=1, target_kw=70.0), START + SECOND)
    (want,) = parents.wants(START + SECOND)
    # A renewal does not lose its place in the queue.
    assert (want.target_kw, want.since) == (70.0, START)
    assert parents.holder(START + SECOND) == ("top", START + 10 * SECOND)
    assert parents.wants(START + 10 * SECOND) == []
    assert parents.holder(START + 10 * SECOND) == (None, None)


def test_parent_that_withdraws_loses_its_place() -> None:
    parents = Parents("vpp")
    parents.take(make_proposal(seq=1), START)
    parents.take(make_proposal(seq=2, target_kw=None), START + SECOND)
    assert parents.wants(START + SECOND) == []
    parents.take(make_proposal(seq=3), START + 2 * SECOND)
    assert parents.wants(START + 2 * SECOND)[0].since == START + 2 * SECOND


def test_too_many_parents_are_refused() -> None:
    parents = Parents("vpp")
    for i in range(MAX_PARENTS):
        assert parents.take(make_proposal(source_id=f"p{i}"), START)
    assert not parents.take(make_proposal(source_id="one too many"), START)


def test_bounds_nest_by_rank_and_the_stronger_one_wins_where_they_cross() -> None:
    parents = Parents("vpp")
    parents.take(
        make_proposal(source_id="a", target_kw=None, max_kw=50.0, priority=Priority.GRID_LIMIT),
        START,
    )
    parents.take(
        make_proposal(source_id="b", target_kw=None, min_kw=70.0, priority=Priority.MARKET), START
    )
    limits = parents.limits(OPEN, START)
    assert (limits.low_kw, limits.high_kw) == (50.0, 50.0)
    later = START + 10 * SECOND
    assert parents.limits(OPEN, later) == OPEN


def test_reference_starts_at_the_meter_and_moves_at_the_ramp() -> None:
    reference = None
    values = []
    for turn in range(4):
        reference = advance(
            reference,
            make_want(),
            limits=OPEN,
            measured_kw=98.0,
            tolerance_kw=1.0,
            now=START + turn * SECOND,
        )
        assert reference is not None
        values.append(reference.value_kw)
    assert values == pytest.approx([98.0, 99.0, 100.0, 100.0])
    assert reference is not None
    assert reference.arrived
    assert not settled(reference, START + 6 * SECOND, 5.0)
    assert settled(reference, START + 7 * SECOND, 5.0)


def test_new_owner_starts_at_the_meter_again() -> None:
    before = advance(
        None, make_want("a"), limits=OPEN, measured_kw=0.0, tolerance_kw=1.0, now=START
    )
    after = advance(
        before, make_want("b"), limits=OPEN, measured_kw=42.0, tolerance_kw=1.0, now=START + SECOND
    )
    assert after is not None
    assert (after.owner, after.value_kw) == ("b", 42.0)


def test_limits_hold_at_once_and_against_the_ramp() -> None:
    limits = Limits(low_kw=-10.0, high_kw=50.0)
    reference = advance(
        None, make_want(), limits=limits, measured_kw=300.0, tolerance_kw=1.0, now=START
    )
    assert reference is not None
    assert reference.value_kw == 50.0


def test_nobody_or_a_release_leaves_no_reference() -> None:
    reference = advance(
        None, make_want(), limits=OPEN, measured_kw=0.0, tolerance_kw=1.0, now=START
    )
    for want in (None, make_want(target_kw=None)):
        assert (
            advance(reference, want, limits=OPEN, measured_kw=0.0, tolerance_kw=1.0, now=START)
            is None
        )


def test_trim_is_bounded() -> None:
    reference = advance(
        None, make_want(), limits=OPEN, measured_kw=0.0, tolerance_kw=1.0, now=START
    )
    assert reference is not None
    for error_kw, trim_kw in ((10.0, 1.0), (1000.0, 20.0), (-1000.0, -20.0)):
        result = trimmed(reference, error_kw=error_kw, elapsed_s=1.0, per_s=0.1, most_kw=20.0)
        assert result.trim_kw == pytest.approx(trim_kw)
