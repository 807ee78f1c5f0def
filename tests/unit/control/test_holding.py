"""A resource listed by several aggregates follows one of them at a time."""

from __future__ import annotations

import pytest

from controllers.kernel.states import Priority
from tests.support.cycles import Cycles, published, sent


def fate(run: Cycles, source: str) -> str:
    return next(c.outcome for c in run.state.contenders if c.source_id == source)


def test_the_first_to_come_holds_until_its_targets_end() -> None:
    run = Cycles.warm()
    run.deliver(50.0, source="vpp2")
    assert run.state.holder == "vpp2"
    run.propose(-50.0, source="vpp1", after_s=6.0)  # home, but later
    assert (run.state.holder, fate(run, "vpp1")) == ("vpp2", "refused")
    assert run.state.command is not None
    assert run.state.command.setpoint_kw == 50.0
    decision = run.obey(after_s=5.0)  # vpp2 has expired, vpp1 lives on
    assert run.state.holder == "vpp1"
    assert [c.setpoint_kw for c in sent(decision)] == [-50.0]


def test_a_renewal_keeps_the_hold() -> None:
    run = Cycles.warm()
    run.propose(50.0, source="vpp2")
    run.propose(-50.0, source="vpp1", after_s=4.0)
    run.propose(55.0, source="vpp2", after_s=1.0)
    state = published(run.sample(0.0, after_s=7.0))[0]
    assert state.holder == "vpp2"
    assert state.holder_until == run.state.proposals["vpp2"].proposal.expires_at


def test_higher_priority_takes_the_resource_over_and_gives_it_back() -> None:
    run = Cycles.warm()
    run.propose(50.0, source="vpp1", lifetime_s=60.0)
    run.propose(-30.0, source="vpp2", priority=Priority.RESERVE, after_s=1.0)
    assert (run.state.holder, fate(run, "vpp1")) == ("vpp2", "refused")
    run.sample(0.0, after_s=11.0)
    assert (run.state.holder, fate(run, "vpp1")) == ("vpp1", "won")


def test_a_holder_that_comes_down_to_an_equal_rank_stays() -> None:
    run = Cycles.warm()
    run.propose(50.0, source="vpp1", lifetime_s=60.0)
    run.propose(-30.0, source="vpp2", priority=Priority.RESERVE, after_s=1.0)
    run.propose(-30.0, source="vpp2", priority=Priority.MARKET, after_s=1.0)
    assert run.state.holder == "vpp2"


def test_of_those_waiting_the_longest_waiting_follows_however_often_it_renewed() -> None:
    run = Cycles.warm()
    run.propose(50.0, source="vpp0", lifetime_s=5.0)
    run.propose(-10.0, source="vpp3", after_s=1.0)
    run.propose(-20.0, source="vpp1", after_s=1.0)  # home, but later
    run.propose(-10.0, source="vpp3", after_s=1.0)
    run.sample(0.0, after_s=3.0)
    assert run.state.holder == "vpp3"


def test_of_those_waiting_equally_long_the_home_follows() -> None:
    run = Cycles.warm()  # home is vpp1
    run.propose(50.0, source="vpp2", lifetime_s=5.0)
    run.propose(-10.0, source="vpp0", after_s=1.0)
    run.propose(-20.0, source="vpp1")
    run.sample(0.0, after_s=5.0)
    assert run.state.holder == "vpp1"


def test_bounds_alone_hold_nothing() -> None:
    run = Cycles.warm()
    run.propose(None, source="vpp2", max_kw=20.0)
    assert run.state.holder is None
    run.propose(50.0, source="vpp1", after_s=1.0)
    assert run.state.holder == "vpp1"
    assert run.state.command is not None
    assert run.state.command.setpoint_kw == 20.0


def test_nobody_holds_when_all_targets_have_ended() -> None:
    run = Cycles.warm()
    run.propose(50.0)
    state = published(run.sample(0.0, after_s=10.0))[0]
    assert (state.holder, state.holder_until) == (None, None)


@pytest.mark.parametrize(
    ("change", "counter"),
    [
        ({"member_id": "res2"}, "proposals_misdirected"),
        ({"source": "guard:kill"}, "proposals_malformed"),
        ({"target_kw": float("nan")}, "proposals_malformed"),
        ({"min_kw": 5.0, "max_kw": 4.0}, "proposals_malformed"),
        ({"seq": 0}, "proposals_outdated"),
        ({"epoch": 0, "seq": 10**6}, "proposals_outdated"),
        ({"lifetime_s": 10_000.0}, "proposals_too_long"),
        ({"source": "vpp9", "lifetime_s": -1.0}, "proposals_expired"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_proposal_is_counted_and_changes_nothing(
    change: dict[str, object], counter: str
) -> None:
    run = Cycles.warm()
    run.propose(50.0)
    before = run.state.proposals
    run.propose(**({"target_kw": 10.0, "after_s": 1.0} | change))  # type: ignore[arg-type]
    assert run.state.counters[counter] == 1
    assert run.state.proposals == before
    assert run.state.command is not None
    assert run.state.command.setpoint_kw == 50.0


def test_naive_instants_in_a_proposal_are_refused() -> None:
    run = Cycles.warm()
    run.propose(50.0, valid_from=run.now.replace(tzinfo=None))
    assert run.state.counters["proposals_malformed"] == 1


def test_sources_are_bounded_and_forgotten_in_time() -> None:
    run = Cycles.warm()
    for i in range(70):
        run.propose(None, source=f"vpp{i}", max_kw=90.0)
    assert len(run.state.proposals) == 64
    assert run.state.counters["proposals_too_many"] == 6
    run.tick(after_s=80.0)
    assert run.state.proposals == {}


def test_a_proposal_that_has_expired_withdraws_what_its_source_said_before() -> None:
    run = Cycles.warm()
    run.propose(50.0)
    run.propose(None, lifetime_s=0.0, after_s=1.0)
    assert run.state.holder is None
    assert run.state.command is not None
    assert run.state.command.setpoint_kw is None
