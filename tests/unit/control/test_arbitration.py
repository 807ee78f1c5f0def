"""Bounds nest by priority, a target pins, and everybody learns their fate."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from controllers.control.arbitration import UNTIL_LIFTED, Arbitration, arbitrate
from controllers.kernel.states import Priority, Proposal
from tests.support.cycles import START
from tests.support.plain_twin import make_envelope

P = Priority


def wish(source: str, priority: Priority, target_kw: float | None = None, **given: Any) -> Proposal:
    values = {
        "member_id": "res1",
        "epoch": 1,
        "seq": 1,
        "valid_from": START,
        "expires_at": START + timedelta(seconds=10),
    }
    return Proposal(source_id=source, priority=priority, target_kw=target_kw, **(values | given))


def result(*proposals: Proposal, **envelope: float) -> Arbitration:
    return arbitrate(make_envelope(**envelope), proposals, START)


def outcomes(arbitration: Arbitration) -> dict[str, tuple[str, float | None]]:
    return {c.source_id: (c.outcome, c.granted_kw) for c in arbitration.contenders}


def test_nobody_proposing_leaves_the_resource_free() -> None:
    arbitration = result()
    assert arbitration.setpoint_kw is None
    assert arbitration.contenders == []


def test_a_lone_target_wins() -> None:
    arbitration = result(wish("vpp", P.MARKET, 40.0))
    assert arbitration.setpoint_kw == 40.0
    assert outcomes(arbitration) == {"vpp": ("won", 40.0)}


def test_a_target_beyond_the_envelope_is_clipped_and_says_so() -> None:
    arbitration = result(wish("vpp", P.MARKET, 400.0))
    assert arbitration.setpoint_kw == 100.0
    assert outcomes(arbitration) == {"vpp": ("clipped", 100.0)}
    assert "its own envelope" in arbitration.contenders[0].reason


def test_bounds_of_higher_priority_clip_the_target_of_lower() -> None:
    arbitration = result(wish("vpp", P.MARKET, 80.0), wish("grid", P.GRID_LIMIT, max_kw=30.0))
    assert arbitration.setpoint_kw == 30.0
    assert arbitration.authority is P.GRID_LIMIT
    assert outcomes(arbitration) == {"grid": ("narrowed", None), "vpp": ("clipped", 30.0)}
    assert "limited by grid" in arbitration.contenders[1].reason


def test_bounds_of_lower_priority_do_not_touch_a_higher_target() -> None:
    arbitration = result(wish("vpp", P.MARKET, 80.0), wish("home", P.COMFORT, max_kw=30.0))
    assert arbitration.setpoint_kw == 80.0
    assert outcomes(arbitration)["home"] == ("lost", 80.0)


def test_bounds_of_lower_priority_that_the_target_keeps_count_as_kept() -> None:
    arbitration = result(wish("vpp", P.MARKET, 20.0), wish("home", P.COMFORT, max_kw=30.0))
    assert outcomes(arbitration)["home"] == ("narrowed", None)


def test_contradicting_bounds_collapse_onto_the_higher_one() -> None:
    arbitration = result(
        wish("grid", P.GRID_LIMIT, max_kw=30.0),
        wish("island", P.ISLANDING, min_kw=50.0),
        wish("vpp", P.MARKET, 80.0),
    )
    assert arbitration.setpoint_kw == 30.0
    assert outcomes(arbitration)["island"] == ("clipped", None)


def test_a_person_outranks_the_market_but_not_the_grid() -> None:
    arbitration = result(
        wish("vpp", P.MARKET, 80.0),
        wish("operator:ann", P.OPERATOR, -60.0),
        wish("grid", P.GRID_LIMIT, min_kw=-50.0),
    )
    assert arbitration.setpoint_kw == -50.0
    assert outcomes(arbitration)["vpp"] == ("lost", -50.0)
    assert "operator:ann (operator) decides" in arbitration.contenders[-1].reason


@pytest.mark.parametrize("reverse", [False, True], ids=["first first", "last first"])
def test_equals_are_settled_by_start_then_name_whatever_their_order(reverse: bool) -> None:
    early = wish("zeta", P.MARKET, 10.0, valid_from=START - timedelta(seconds=5))
    late = [wish("alpha", P.MARKET, 20.0), wish("beta", P.MARKET, 30.0)]
    proposals = [early, *late]
    arbitration = result(*(reversed(proposals) if reverse else proposals))
    assert [c.source_id for c in arbitration.contenders] == ["zeta", "alpha", "beta"]
    assert arbitration.setpoint_kw == 10.0


def test_what_is_not_yet_valid_or_has_expired_takes_no_part() -> None:
    arbitration = result(
        wish("early", P.SAFETY, 1.0, valid_from=START + timedelta(seconds=1)),
        wish("over", P.SAFETY, 2.0, expires_at=START),
        wish("vpp", P.MARKET, 3.0),
    )
    assert list(outcomes(arbitration)) == ["vpp"]


def test_within_safety_bounds_act_before_targets() -> None:
    hold = wish("guard:hold", P.SAFETY, 50.0, valid_from=START - timedelta(hours=1))
    kill = wish("guard:kill", P.SAFETY, 0.0, min_kw=0.0, max_kw=0.0, expires_at=UNTIL_LIFTED)
    arbitration = result(hold, kill, wish("vpp", P.MARKET, 80.0))
    assert arbitration.setpoint_kw == 0.0
    assert arbitration.authority is P.SAFETY
    assert next(c.until for c in arbitration.contenders if c.source_id == "guard:kill") is None


def test_a_release_leaves_nothing_to_lower_targets() -> None:
    arbitration = result(wish("guard", P.SAFETY, release=True), wish("vpp", P.MARKET, 80.0))
    assert arbitration.setpoint_kw is None
    assert outcomes(arbitration) == {"guard": ("won", None), "vpp": ("lost", None)}


def test_of_equals_a_target_outranks_a_release() -> None:
    free = wish("a", P.SAFETY, release=True, valid_from=START - timedelta(hours=1))
    assert result(free, wish("b", P.SAFETY, 20.0)).setpoint_kw == 20.0


def test_safety_bounds_outlive_a_release() -> None:
    free = wish("a", P.SAFETY, release=True)
    limit = wish("b", P.SAFETY, min_kw=-10.0, max_kw=10.0)
    assert result(free, limit, natural_kw=60.0).setpoint_kw == 10.0


def test_a_refused_target_does_not_count_but_its_bounds_do() -> None:
    proposals = [wish("vpp2", P.MARKET, 90.0, max_kw=70.0), wish("vpp1", P.MARKET, 80.0)]
    arbitration = arbitrate(make_envelope(), proposals, START, refused={"vpp2": "held by vpp1"})
    assert arbitration.setpoint_kw == 70.0
    assert outcomes(arbitration) == {"vpp1": ("clipped", 70.0), "vpp2": ("refused", None)}


@pytest.mark.parametrize(
    ("natural_kw", "previous_kw", "expected_kw"),
    [
        (20.0, None, None),
        (40.0, None, 30.0),
        (29.9, 30.0, 29.9),
        (20.0, 30.0, None),
    ],
    ids=["inside: free", "outside: held", "barely inside after holding: kept", "well inside"],
)
def test_bounds_alone_act_where_the_resource_would_leave_them(
    natural_kw: float, previous_kw: float | None, expected_kw: float | None
) -> None:
    envelope = make_envelope(natural_kw=natural_kw, min_kw=0.0)
    limit = wish("grid", P.GRID_LIMIT, max_kw=30.0)
    arbitration = arbitrate(envelope, [limit], START, previous_kw=previous_kw)
    assert arbitration.setpoint_kw == expected_kw


def test_safety_bounds_act_where_the_resource_could_leave_them() -> None:
    limit = wish("guard", P.SAFETY, min_kw=-10.0, max_kw=10.0)
    assert result(limit, natural_kw=0.0).setpoint_kw == 0.0
    assert result(limit, min_kw=-5.0, max_kw=5.0).setpoint_kw is None
