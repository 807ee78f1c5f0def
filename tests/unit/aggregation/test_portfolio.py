"""Live sums: who is counted, what silence does, and what the columns add up to."""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np
import pytest

from controllers.aggregation.portfolio import MemberSpec, Portfolio
from controllers.aggregation.settings import AggregateSettings
from controllers.kernel.states import (
    AggregateState,
    Contender,
    Health,
    Priority,
    Quality,
    ResourceState,
)
from tests.support.small_plant import START, make_envelope, make_resource_state


def make_portfolio(*homes: str) -> Portfolio:
    """Return a portfolio of ``vpp`` with members r0, r1 ... of the given homes."""
    members = [
        MemberSpec(id=f"r{i}", kind="resource", home=home, rated_kw=100.0)
        for i, home in enumerate(homes)
    ]
    return Portfolio("vpp", members, AggregateSettings())


def make_aggregate_state(**changes: object) -> AggregateState:
    """Return a nested aggregate's state."""
    values: dict[str, object] = {
        "id": "r0",
        "epoch": 1,
        "seq": 1,
        "published_at": START,
        "power_kw": 40.0,
        "sigma_kw": 3.0,
        "coverage_frac": 0.5,
        "rated_kw": 300.0,
        "quality": Quality.UNCERTAIN,
        "health": Health.DEGRADED,
        "envelope": make_envelope(-10.0, 90.0),
        "target_kw": None,
        "instruction_id": None,
        "oldest_measured_at": START - timedelta(hours=1),
        "newest_measured_at": START,
    }
    return AggregateState(**(values | changes))  # type: ignore[arg-type]


def test_older_repeated_and_foreign_states_change_nothing() -> None:
    portfolio = make_portfolio("vpp")
    assert portfolio.update(make_resource_state("r0", epoch=2, seq=5, power_kw=7.0))
    assert not portfolio.update(make_resource_state("r0", epoch=2, seq=5, power_kw=8.0))
    assert not portfolio.update(make_resource_state("r0", epoch=2, seq=4, power_kw=8.0))
    assert not portfolio.update(make_resource_state("r0", epoch=1, seq=9, power_kw=8.0))
    assert not portfolio.update(make_resource_state("stranger"))
    assert portfolio.sums(START).power_kw == 7.0
    assert portfolio.update(make_resource_state("r0", epoch=3, seq=1, power_kw=9.0))
    assert portfolio.sums(START).power_kw == 9.0


def test_sums_add_up_and_uncertainties_add_in_squares() -> None:
    portfolio = make_portfolio("vpp", "vpp")
    first = make_envelope(
        -50.0, 100.0, ramp_up_kw_per_min=10.0, merit_per_mwh=10.0, dead_band_kw=3.0, natural_kw=5.0
    )
    second = make_envelope(
        0.0, 50.0, ramp_up_kw_per_min=20.0, merit_per_mwh=50.0, dead_band_kw=1.0, reserve_up_kw=9.0
    )
    portfolio.update(make_resource_state("r0", power_kw=30.0, sigma_kw=3.0, envelope=first))
    portfolio.update(make_resource_state("r1", power_kw=-10.0, sigma_kw=4.0, envelope=second))
    sums = portfolio.sums(START)
    assert (sums.power_kw, sums.sigma_kw, sums.coverage_frac) == (20.0, 5.0, 1.0)
    assert (sums.rated_kw, sums.n_fresh) == (200.0, 2)
    assert (sums.quality, sums.health) == (Quality.GOOD, Health.OK)
    envelope = sums.envelope
    assert (envelope.min_kw, envelope.max_kw) == (-50.0, 150.0)
    assert (envelope.ramp_up_kw_per_min, envelope.natural_kw) == (30.0, 5.0)
    assert (envelope.energy_up_kwh, envelope.reserve_up_kw) == (200.0, 9.0)
    assert envelope.dead_band_kw == 1.0
    assert envelope.merit_per_mwh == pytest.approx((10.0 * 150 + 50.0 * 50) / 200)


def test_silent_member_keeps_its_last_power_but_offers_nothing() -> None:
    portfolio = make_portfolio("vpp", "vpp")
    envelope = make_envelope(-60.0, 60.0, natural_kw=2.0)
    portfolio.update(make_resource_state("r0", power_kw=30.0, envelope=envelope))
    later = START + timedelta(seconds=10)
    portfolio.update(make_resource_state("r1", power_kw=5.0, measured_at=later, published_at=later))
    sums = portfolio.sums(later)
    assert sums.power_kw == 35.0
    assert sums.believed_kw == 2.0 + 5.0
    assert sums.sigma_kw == pytest.approx(math.hypot(120.0 / math.sqrt(12.0), 1.0))
    assert (sums.envelope.min_kw, sums.envelope.max_kw) == (30.0 - 100.0, 30.0 + 100.0)
    assert (sums.coverage_frac, sums.n_fresh) == (0.5, 1)
    assert (sums.quality, sums.health) == (Quality.UNCERTAIN, Health.DEGRADED)
    assert sums.oldest_measured_at == START
    assert sums.newest_measured_at == later


def test_republished_value_is_not_fresh() -> None:
    portfolio = make_portfolio("vpp")
    later = START + timedelta(seconds=10)
    portfolio.update(make_resource_state("r0", measured_at=START, published_at=later))
    assert portfolio.sums(later).quality is Quality.STALE
    assert portfolio.sums(later).health is Health.FAILED


@pytest.mark.parametrize("quality", [Quality.STALE, Quality.FROZEN, Quality.MISSING])
def test_member_that_distrusts_its_own_meter_is_not_covered(quality: Quality) -> None:
    portfolio = make_portfolio("vpp")
    portfolio.update(make_resource_state("r0", quality=quality))
    assert portfolio.sums(START).coverage_frac == 0.0


def test_member_never_heard_of_is_missing_with_the_spread_of_its_rating() -> None:
    sums = make_portfolio("vpp").sums(START)
    assert (sums.power_kw, sums.coverage_frac) == (0.0, 0.0)
    assert sums.sigma_kw == pytest.approx(200.0 / math.sqrt(12.0))
    assert sums.quality is Quality.MISSING
    assert sums.oldest_measured_at is None


@pytest.mark.parametrize(
    ("home", "holder", "until_s", "counted"),
    [
        ("vpp", None, None, True),
        ("vpp", "vpp", 10, True),
        ("vpp", "other", 10, False),
        ("vpp", "other", -1, True),
        ("other", None, None, False),
        ("other", "vpp", 10, True),
        ("other", "vpp", -1, False),
        ("other", "third", 10, False),
        ("other", "vpp", None, True),
    ],
)
def test_holder_rule(home: str, holder: str | None, until_s: int | None, counted: bool) -> None:
    portfolio = make_portfolio(home)
    until = None if until_s is None else START + timedelta(seconds=until_s)
    portfolio.update(make_resource_state("r0", power_kw=9.0, holder=holder, holder_until=until))
    assert portfolio.sums(START).power_kw == (9.0 if counted else 0.0)
    assert portfolio.sums(START).rated_kw == (100.0 if counted else 0.0)


def test_our_proposals_fate_and_a_strangers_rank_are_known() -> None:
    portfolio = make_portfolio("vpp")
    fates = [
        Contender(
            source_id=source,
            priority=priority,
            outcome=outcome,
            target_kw=50.0,
            granted_kw=granted,
            until=None,
            reason="",
        )
        for source, priority, outcome, granted in (
            ("other", Priority.RESERVE, "won", 50.0),
            ("vpp", Priority.MARKET, "refused", None),
        )
    ]
    portfolio.update(make_resource_state("r0", holder="other", contenders=fates))
    assert portfolio.holder_priority.tolist() == [4.0]
    assert portfolio.asked_kw.tolist() == [50.0]
    assert np.isnan(portfolio.granted_kw).all()
    assert portfolio.denied.tolist() == [True]


def test_nested_aggregate_brings_its_own_coverage_and_freshness() -> None:
    members = [MemberSpec(id="r0", kind="aggregate", home="vpp", rated_kw=1.0)]
    portfolio = Portfolio("vpp", members, AggregateSettings())
    portfolio.update(make_aggregate_state())
    sums = portfolio.sums(START)
    assert (sums.power_kw, sums.rated_kw, sums.coverage_frac) == (40.0, 300.0, 0.5)
    assert (sums.quality, sums.health) == (Quality.UNCERTAIN, Health.DEGRADED)
    assert sums.n_fresh == 1


def test_all_members_stopped_shows_as_killed() -> None:
    portfolio = make_portfolio("vpp", "vpp")
    portfolio.update(make_resource_state("r0", killed=True))
    assert not portfolio.sums(START).killed
    portfolio.update(make_resource_state("r1", killed=True))
    assert portfolio.sums(START).killed


def test_envelope_with_crossed_limits_is_read_as_its_lower_end() -> None:
    portfolio = make_portfolio("vpp")
    portfolio.update(make_resource_state("r0", envelope=make_envelope(20.0, 10.0)))
    envelope = portfolio.sums(START).envelope
    assert (envelope.min_kw, envelope.max_kw) == (20.0, 20.0)


def test_state_type_does_not_matter_to_the_order_of_states() -> None:
    portfolio = make_portfolio("vpp")
    state: ResourceState | AggregateState = make_aggregate_state(epoch=2)
    assert portfolio.update(state)
    assert not portfolio.update(make_resource_state("r0", epoch=1))
