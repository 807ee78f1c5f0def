"""Any bidding problem: a bid the venue takes and that knows no future; information pays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from optimization.dispatch.fields import series
from optimization.dispatch.physics import violations
from optimization.dispatch.problem import Commitment
from optimization.dispatch.result import DispatchStatus
from optimization.dispatch.solve import solve_dispatch
from optimization.uncertainty.foresight import anticipations
from optimization.uncertainty.problem import BiddingProblem, Scenario
from optimization.uncertainty.result import Bid, BiddingResult
from optimization.uncertainty.scenarios import dispatch_in, drawn, probabilities
from optimization.uncertainty.solve import solve_bidding
from tests.support.bidding_problems import COARSE, FINE, random_bidding
from tests.support.dispatch_problems import KINDS

GAP_FRAC = 1e-6
SLACK = 1e-3
MIXED = ("batteries", "generators", "renewables")


def solved(problem: BiddingProblem, bid: Bid | None = None) -> tuple[BiddingResult, float]:
    """Return the result and its objective."""
    result = solve_bidding(problem, deadline_s=30.0, gap_frac=GAP_FRAC, bid=bid)
    assert result.feasible, result.reason
    assert result.objective is not None
    return result, result.objective


@pytest.mark.parametrize("limits", [FINE, COARSE], ids=["fine", "coarse"])
@pytest.mark.parametrize("seed", range(100))
def test_bids_are_in_form_know_no_future_and_can_be_followed(seed: int, limits: object) -> None:
    problem = random_bidding(seed, n_scenarios=4, limits=limits, reserves=seed % 3 == 0)  # type: ignore[arg-type]
    problem = replace(problem, risk_weight=(seed % 4) / 4, confidence_frac=0.6)
    result, objective = solved(problem)
    scenarios = drawn(problem)
    assert result.bid is not None
    assert anticipations(problem, scenarios, result.bid, result.outcomes) == ()
    for curve in result.bid.curves:
        assert len(curve) <= problem.market.limits.max_points
        assert sorted(p.price_per_mwh for p in curve) == [p.price_per_mwh for p in curve]
        assert sorted(p.power_mw for p in curve) == [p.power_mw for p in curve]
    for scenario, outcome in zip(scenarios, result.outcomes, strict=True):
        assert violations(dispatch_in(problem, scenario), outcome.schedules) == ()
        assert outcome.cost == pytest.approx(sum(outcome.cost_terms.values()))
    assert result.bound is not None
    assert result.bound <= objective + 1e-9


def _alone(problem: BiddingProblem, scenario: Scenario, bid: Bid | None = None) -> float:
    return solved(replace(problem, scenarios=(scenario,), risk_weight=0.0), bid)[1]


@pytest.mark.parametrize(
    "kinds", [("batteries", "renewables", "loads"), MIXED, KINDS], ids="+".join
)
@pytest.mark.parametrize("seed", range(8))
def test_one_scenario_is_the_dispatch_problem(seed: int, kinds: tuple[str, ...]) -> None:
    problem = random_bidding(seed, kinds=kinds)
    first = problem.scenarios[0]
    price = np.array(first.price_per_mwh)
    scenario = replace(
        first,
        shortage_price_per_mwh=series(price + 40.0),
        surplus_price_per_mwh=series(price - 40.0),
    )
    problem = replace(problem, scenarios=(scenario,))
    dispatch = dispatch_in(problem, scenario)
    # Being off costs more than the auction pays, so what is injected is what is sold.
    at_auction = replace(
        dispatch,
        commitments=(),
        import_price_per_mwh=series(price + (problem.dispatch.import_price_per_mwh or ())),
        export_price_per_mwh=series(price),
    )
    expected = solve_dispatch(at_auction, deadline_s=30.0, gap_frac=GAP_FRAC)
    assert expected.status is DispatchStatus.OPTIMAL
    assert solved(problem)[1] == pytest.approx(expected.cost, rel=1e-5, abs=SLACK)


@pytest.mark.parametrize("seed", range(25))
def test_information_and_scenarios_are_worth_something(seed: int) -> None:
    kinds = MIXED if seed % 2 else ("batteries", "renewables", "loads")
    problem = random_bidding(seed, kinds=kinds)
    # Else each scenario by itself would have limits of its own.
    market = replace(problem.market, min_mw=(-5.0,) * 4, max_mw=(5.0,) * 4)
    problem = replace(problem, market=market)
    result, objective = solved(problem)
    share = probabilities(problem.scenarios)
    perfect = share @ [_alone(problem, scenario) for scenario in problem.scenarios]
    assert perfect <= objective + SLACK + GAP_FRAC * abs(objective)
    by_mean = solved(replace(problem, scenarios=(_mean(problem, share),)))[0].bid
    _, of_mean = solved(problem, by_mean)
    assert of_mean >= objective - SLACK - 3 * GAP_FRAC * abs(objective)
    # Judged on what it was made for, a bid costs what it was said to.
    _, again = solved(problem, result.bid)
    assert again == pytest.approx(objective, rel=1e-5, abs=SLACK)


def _mean(problem: BiddingProblem, share: np.ndarray) -> Scenario:
    def mean(rows: list[tuple[float, ...]]) -> tuple[float, ...]:
        return series(share @ np.array(rows))

    scenarios = problem.scenarios
    return Scenario(
        name="mean",
        price_per_mwh=mean([s.price_per_mwh for s in scenarios]),
        shortage_price_per_mwh=mean([s.shortage_price_per_mwh for s in scenarios]),
        surplus_price_per_mwh=mean([s.surplus_price_per_mwh or () for s in scenarios]),
        available_mw={
            name: mean([s.available_mw[name] for s in scenarios])
            for name in scenarios[0].available_mw
        },
        demand_mw={
            name: mean([s.demand_mw[name] for s in scenarios]) for name in scenarios[0].demand_mw
        },
    )


@pytest.mark.parametrize("seed", range(25))
def test_the_tail_shrinks_and_the_mean_grows_with_the_weight_of_risk(seed: int) -> None:
    problem = replace(random_bidding(seed, n_scenarios=5), confidence_frac=0.7)
    results = [solved(replace(problem, risk_weight=w))[0] for w in (0.0, 0.25, 0.5, 0.75, 0.95)]
    tails = [result.conditional_value_at_risk for result in results]
    means = [result.expected_cost for result in results]
    for values, way in ((tails, -1), (means, 1)):
        assert None not in values
        steps = way * np.diff(np.array(values, dtype=np.float64))
        assert (steps >= -0.02).all(), values
    for tail, mean in zip(tails, means, strict=True):
        assert tail is not None
        assert mean is not None
        assert tail >= mean - 1e-9


@pytest.mark.parametrize("seed", range(12))
def test_reserve_is_sold_once_and_only_where_it_pays(seed: int) -> None:
    problem = random_bidding(seed, reserves=True)
    result, objective = solved(problem)
    assert result.bid is not None
    assert set(result.bid.reserve_mw) == {"up", "down"}
    without = replace(problem, dispatch=replace(problem.dispatch, reserves=()))
    assert objective <= solved(without)[1] + SLACK
    for product in problem.dispatch.reserves:
        assert (np.array(result.bid.reserve_mw[product.name]) <= np.array(product.max_mw)).all()


@pytest.mark.parametrize("seed", range(12))
def test_coarser_lots_and_fewer_stairs_never_help(seed: int) -> None:
    problem = random_bidding(seed)
    _, fine = solved(problem)
    coarse = replace(problem, market=replace(problem.market, limits=COARSE, max_stairs=3))
    assert solved(coarse)[1] >= fine - SLACK


def test_other_promises_stand_beside_the_market() -> None:
    problem = random_bidding(3)
    promise = Commitment(
        name="promise",
        point="hall",
        power_mw=(-0.5,) * 4,
        up_price_per_mwh=(4.0,) * 4,
        down_price_per_mwh=(4.0,) * 4,
    )
    problem = replace(problem, dispatch=replace(problem.dispatch, commitments=(promise,)))
    result, _ = solved(problem)
    for outcome in result.outcomes:
        assert outcome.cost_terms["commitments"] >= -1e-6
        off = np.array(outcome.injected_mw) - outcome.position_mw
        scenario = next(s for s in problem.scenarios if s.name == outcome.name)
        paid = np.where(
            off > 0, scenario.surplus_price_per_mwh or (), scenario.shortage_price_per_mwh
        )
        settled = -(paid * off) @ np.array(problem.dispatch.step_h)
        assert outcome.cost_terms["imbalance"] == pytest.approx(settled, abs=1e-6)
