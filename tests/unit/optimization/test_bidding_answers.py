"""A bid is refused, explained, in time, or checked: what uses the future is not given out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from optimization.dispatch.physics import violations
from optimization.dispatch.plant import Load, Renewable
from optimization.dispatch.problem import ConnectionPoint, DispatchProblem, ReserveProduct
from optimization.dispatch.result import DispatchStatus
from optimization.dispatch.rules import ProblemRefusedError
from optimization.dispatch.storage import Battery
from optimization.uncertainty import couple
from optimization.uncertainty.apart import Apart
from optimization.uncertainty.foresight import ForesightError, anticipations
from optimization.uncertainty.problem import (
    BiddingProblem,
    CrossCorrelation,
    DayAhead,
    Forecast,
    Quantile,
    QuantileForecast,
    Scenario,
    Stage,
)
from optimization.uncertainty.result import Bid, BiddingResult, CurvePoint, Outcome
from optimization.uncertainty.scenarios import dispatch_in, drawn
from optimization.uncertainty.solve import solve_bidding
from tests.support.bidding_problems import COARSE, FINE, random_bidding

BATTERY = Battery(
    name="store",
    point="grid",
    max_charge_mw=2.0,
    max_discharge_mw=2.0,
    initial_mwh=1.0,
    max_mwh=2.0,
)
DISPATCH = DispatchProblem(
    step_h=(1.0, 1.0),
    points=(ConnectionPoint(name="grid", max_import_mw=1.0, max_export_mw=1.0),),
    batteries=(BATTERY,),
)


def scenario(name: str, **change: object) -> Scenario:
    values: dict[str, object] = {
        "name": name,
        "price_per_mwh": (50.0, 60.0),
        "shortage_price_per_mwh": (90.0, 90.0),
        "surplus_price_per_mwh": (20.0, 20.0),
    }
    return Scenario(**(values | change))  # type: ignore[arg-type]


def problem(*scenarios: Scenario, **change: object) -> BiddingProblem:
    values: dict[str, object] = {
        "dispatch": DISPATCH,
        "market": DayAhead(point="grid", limits=FINE),
        "scenarios": scenarios,
    }
    return BiddingProblem(**(values | change))  # type: ignore[arg-type]


def test_a_scenario_that_cannot_be_met_is_named_and_explained() -> None:
    needy = replace(DISPATCH, loads=(Load(name="hall", point="grid", demand_mw=(0.0, 0.0)),))
    result = solve_bidding(
        problem(scenario("calm"), scenario("cold", demand_mw={"hall": (3.0, 3.0)}), dispatch=needy)
    )
    assert result.status is DispatchStatus.INFEASIBLE
    assert result.bid is None
    assert result.reason.startswith("in cold: these cannot all hold: ")
    assert "store" in {conflict.name for conflict in result.contradiction}


def test_scenarios_that_only_contradict_together_are_said_to() -> None:
    # Before they part the store would have to be filled for one and emptied for the other.
    filled = scenario("filled", nodes=(0, 1), fixed_mw={"grid": (0.0, -3.0)})
    emptied = scenario("emptied", nodes=(0, 2), fixed_mw={"grid": (0.0, 3.0)})
    for one in (filled, emptied):
        assert solve_bidding(problem(one)).feasible
    result = solve_bidding(problem(filled, emptied))
    assert result.status is DispatchStatus.INFEASIBLE
    assert "no bid suits all scenarios" in result.reason
    apart = (replace(s, nodes=None) for s in (filled, emptied))
    assert solve_bidding(problem(*apart)).feasible


def test_without_time_there_is_no_bid_and_the_answer_says_so() -> None:
    result = solve_bidding(random_bidding(1), deadline_s=0.0)
    assert result.status is DispatchStatus.LATE
    assert result.bid is None
    assert "within 0 s" in result.reason


def test_told_to_stop_the_best_so_far_is_a_bid_in_the_venues_form() -> None:
    stated = random_bidding(
        5, n_scenarios=6, n_steps=12, kinds=("batteries", "generators"), n_each=3, limits=COARSE
    )
    result = solve_bidding(stated, gap_frac=0.0, watch=lambda told: np.isfinite(told.cost))
    assert result.status is DispatchStatus.INCUMBENT
    bid = _bid_of(result)
    assert anticipations(stated, drawn(stated), bid, result.outcomes) == ()
    for told, outcome in zip(drawn(stated), result.outcomes, strict=True):
        assert violations(dispatch_in(stated, told), outcome.schedules) == ()


def test_stopped_before_all_were_searched_together_the_bid_is_of_their_means() -> None:
    stated = random_bidding(4, n_scenarios=6, limits=COARSE, reserves=True)
    stated = replace(stated, risk_weight=0.4, confidence_frac=0.6)
    whole = solve_bidding(stated, gap_frac=1e-6)
    # One by one they tell no bound: it is known when the search of all begins.
    early = solve_bidding(stated, gap_frac=1e-6, watch=lambda told: np.isfinite(told.bound))
    assert early.status is DispatchStatus.INCUMBENT
    assert "not searched together in time" in early.reason
    assert anticipations(stated, drawn(stated), _bid_of(early), early.outcomes) == ()
    for told, outcome in zip(drawn(stated), early.outcomes, strict=True):
        assert violations(dispatch_in(stated, told), outcome.schedules) == ()
    assert early.bound is not None
    assert whole.objective is not None
    assert early.objective is not None
    assert early.bound <= whole.objective <= early.objective + 1e-3
    # What it is said to come to is what it comes to.
    judged = solve_bidding(stated, gap_frac=1e-6, bid=early.bid)
    assert judged.objective == pytest.approx(early.objective, rel=1e-5)
    assert judged.status is DispatchStatus.OPTIMAL


def _apart(stated: BiddingProblem) -> Apart:
    scenarios = drawn(stated)
    dispatches = {told.name: dispatch_in(stated, told) for told in scenarios}
    return Apart(stated, scenarios, dispatches, 1e-6, None, time.perf_counter() + 60.0)


def test_where_lots_cost_more_than_the_gap_the_answer_says_what() -> None:
    stated = random_bidding(1, n_scenarios=4)
    fine = solve_bidding(stated, gap_frac=1e-5)
    assert fine.status is DispatchStatus.OPTIMAL
    rough = replace(FINE, quantity_step_mw=0.7)
    result = solve_bidding(
        replace(stated, market=replace(stated.market, limits=rough)), gap_frac=1e-5
    )
    assert result.status is DispatchStatus.INCUMBENT
    assert result.objective is not None
    assert result.bound is not None
    assert result.objective - result.bound > 1e-5 * result.objective
    assert result.reason.startswith("bringing the bid onto the venue's lots costs ")
    cost = float(result.reason.split()[-1])
    assert cost == pytest.approx(result.objective - result.bound, rel=0.05)


def test_one_by_one_a_lower_price_never_sells_more() -> None:
    plant = Renewable(name="sun", point="grid", available_mw=(0.0, 0.0))
    dispatch = replace(
        DISPATCH, points=(ConnectionPoint(name="grid"),), batteries=(), renewables=(plant,)
    )
    bright = scenario("bright", price_per_mwh=(30.0, 30.0), available_mw={"sun": (3.0, 3.0)})
    stated = problem(bright, scenario("dark"), dispatch=dispatch)
    found = _apart(stated).first()
    assert found is not None
    assert [len(curve) for curve in found[0].curves] == [1, 1]
    assert found[0].curves[0][0].power_mw == pytest.approx(3.0)


@pytest.mark.parametrize("seed", range(10))
def test_one_by_one_no_bound_is_above_what_the_best_bid_comes_to(seed: int) -> None:
    stated = replace(
        random_bidding(seed, n_scenarios=5), risk_weight=seed / 10, confidence_frac=0.6
    )
    apart = _apart(stated)
    found = apart.first()
    assert found is not None
    objective = solve_bidding(stated, gap_frac=1e-6).objective
    assert objective is not None
    assert apart.bound <= objective + 1e-3
    assert sum(outcome.probability for outcome in found[1]) == pytest.approx(1.0)


def test_told_to_stop_before_there_is_any_there_is_none() -> None:
    result = solve_bidding(random_bidding(5), watch=lambda _: True)
    assert result.status is DispatchStatus.LATE
    assert result.bid is None


def _told_apart_late(seed: int) -> BiddingProblem:
    """Return a problem of four scenarios, all kinds of ties among them, from a forecast."""
    base = random_bidding(seed, kinds=("batteries", "generators", "loads"), reserves=True)
    quantities = (
        ("price", "", (20.0, 60.0, 120.0)),
        ("shortage_premium", "", (5.0, 30.0, 60.0)),
        ("demand", "load0", (0.2, 1.0, 1.6)),
    )
    forecast = Forecast(
        quantities=tuple(
            QuantileForecast(
                what=what,  # type: ignore[arg-type]
                name=name,
                quantiles=tuple(
                    Quantile(level=level, values=(value,) * 4)
                    for level, value in zip((0.1, 0.5, 0.9), values, strict=True)
                ),
            )
            for what, name, values in quantities
        ),
        n_drawn=40,
        stages=(Stage(branches=2), Stage(at_h=base.dispatch.step_h[0], branches=2)),
    )
    return replace(base, scenarios=(), forecast=forecast)


@pytest.mark.parametrize("seed", range(6))
def test_assets_do_the_same_until_scenarios_part(seed: int) -> None:
    stated = _told_apart_late(seed)
    result = solve_bidding(stated, gap_frac=1e-5)
    scenarios = drawn(stated)
    assert len(scenarios) == 4
    assert result.feasible
    told = tuple(replace(s, nodes=None) for s in scenarios)
    free = solve_bidding(replace(stated, forecast=None, scenarios=told), gap_frac=1e-5)
    assert free.objective is not None
    assert result.objective is not None
    assert free.objective <= result.objective + 1e-3


def test_an_answer_that_knows_the_future_is_not_given_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(couple, "_tie_nodes", lambda coupled: None)
    with pytest.raises(ForesightError, match="as if it knew"):
        solve_bidding(_told_apart_late(1))


def test_who_holds_reserve_is_decided_before_scenarios_part() -> None:
    # The hall's store holds it for less, but then has too little left where it turns cold.
    hall = ConnectionPoint(name="hall", parent="grid", max_import_mw=0.0, max_export_mw=0.0)
    small = replace(BATTERY, max_mwh=1.0, initial_mwh=0.5)
    product = ReserveProduct(
        name="up", direction="up", required_mw=(0.4, 0.0), max_mw=(0.4, 0.0), activation_frac=1.0
    )
    dispatch = replace(
        DISPATCH,
        points=(ConnectionPoint(name="grid"), hall),
        batteries=(
            replace(small, name="in the hall", point="hall"),
            replace(small, name="dear", wear_per_mwh=50.0),
        ),
        reserves=(product,),
    )
    cold = scenario("cold", nodes=(0, 1), fixed_mw={"hall": (0.0, -0.5)})
    mild = scenario("mild", nodes=(0, 2), fixed_mw={"hall": (0.0, 0.5)})
    result = solve_bidding(problem(mild, cold, dispatch=dispatch))
    for outcome in result.outcomes:
        assert outcome.schedules["dear"].reserve_mw["up"][0] == pytest.approx(0.4)
    alone = solve_bidding(problem(mild, dispatch=dispatch))
    assert "up" not in alone.outcomes[0].schedules["dear"].reserve_mw


def test_no_store_burns_energy_by_running_both_ways() -> None:
    lossy = replace(BATTERY, charge_efficiency=0.7, discharge_efficiency=0.7)
    paid_to_draw = {
        "price_per_mwh": (-200.0, -300.0),
        "shortage_price_per_mwh": (-150.0, -250.0),
        "surplus_price_per_mwh": (-250.0, -350.0),
    }
    stated = problem(
        scenario("a", **paid_to_draw),
        scenario("b", **(paid_to_draw | {"price_per_mwh": (-210.0, 20.0)})),
        dispatch=replace(DISPATCH, batteries=(lossy,)),
    )
    for gap_frac in (1.0, 1e-6):
        result = solve_bidding(stated, gap_frac=gap_frac)
        for told, outcome in zip(drawn(stated), result.outcomes, strict=True):
            assert violations(dispatch_in(stated, told), outcome.schedules) == ()


def _bid_of(result: BiddingResult) -> Bid:
    assert result.bid is not None
    return result.bid


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda b, o: (replace(b, curves=(*b.curves[:-1], b.curves[-1] * 4)), o), "point more"),
        (
            lambda b, o: (replace(b, curves=((replace(b.curves[0][0], power_mw=0.05),),) * 4), o),
            "off the venue's lot",
        ),
        (
            lambda b, o: (
                replace(b, curves=((replace(b.curves[0][0], price_per_mwh=0.005),),) * 4),
                o,
            ),
            "off the venue's tick",
        ),
        (
            lambda b, o: (
                replace(
                    b,
                    curves=(
                        (
                            replace(b.curves[0][0], power_mw=0.5),
                            replace(b.curves[0][0], price_per_mwh=10.0, power_mw=0.4),
                        ),
                    )
                    * 4,
                ),
                o,
            ),
            "falls with the price",
        ),
        (
            lambda b, o: (b, (replace(o[0], position_mw=(9.0,) * 4), *o[1:])),
            "position off the curve",
        ),
        (
            lambda b, o: (replace(b, reserve_mw={"up": (9.0,) * 4}), o),
            "up held is not what is sold",
        ),
    ],
    ids=["points", "lot", "tick", "falling", "position", "reserve"],
)
def test_the_check_finds_what_is_wrong(
    spoil: Callable[[Bid, tuple[Outcome, ...]], tuple[Bid, tuple[Outcome, ...]]], told: str
) -> None:
    stated = random_bidding(2, limits=COARSE, reserves=True)
    result = solve_bidding(stated)
    bid, outcomes = spoil(_bid_of(result), result.outcomes)
    found = anticipations(stated, drawn(stated), bid, outcomes)
    assert any(told in violation.what for violation in found)


def quantities(**change: object) -> tuple[QuantileForecast, ...]:
    price = QuantileForecast(
        what="price",
        quantiles=(
            Quantile(level=0.1, values=(10.0, 10.0)),
            Quantile(level=0.9, values=(90.0, 90.0)),
        ),
    )
    premium = QuantileForecast(
        what="shortage_premium", quantiles=(Quantile(level=0.5, values=(9.0, 9.0)),)
    )
    return (replace(price, **change), premium)  # type: ignore[arg-type]


def forecast(**change: object) -> BiddingProblem:
    values: dict[str, object] = {"quantities": quantities()} | change
    return problem(forecast=Forecast(**values))  # type: ignore[arg-type]


def fallen(first: float, second: float) -> tuple[Quantile, ...]:
    return (
        Quantile(level=0.1, values=(first, first)),
        Quantile(level=0.9, values=(first, second)),
    )


LIMITS = FINE
REFUSED: dict[str, tuple[BiddingProblem, str, str]] = {
    "nothing may happen": (problem(), "scenarios", "either these or a forecast"),
    "both sources": (
        replace(forecast(), scenarios=(scenario("a"),)),
        "scenarios",
        "either these or a forecast",
    ),
    "a name twice": (problem(scenario("a"), scenario("a")), "scenarios.name", "is used 2 times"),
    "an unknown plant": (
        problem(scenario("a", available_mw={"moon": (1.0, 1.0)})),
        "scenarios[a].available_mw",
        "must be the name of a renewable",
    ),
    "an unknown point": (
        problem(scenario("a"), market=DayAhead(point="moon", limits=LIMITS)),
        "market.point",
        "must be the name of a connection point",
    ),
    "a short series": (
        problem(scenario("a", available_mw={"moon": (1.0,)})),
        "scenarios[a].available_mw[moon]",
        "must hold one value for each of 2 steps",
    ),
    "a price the venue does not take": (
        problem(scenario("a", price_per_mwh=(50.0, 5000.0))),
        "scenarios[a].price_per_mwh[1]",
        "the venue takes -1000 to 4000",
    ),
    "an imbalance that earns both ways": (
        problem(scenario("a", surplus_price_per_mwh=(95.0, 20.0))),
        "scenarios[a].dispatch.commitments[day-ahead].up_price_per_mwh",
        "being off both ways would earn",
    ),
    "a tick the limits are not on": (
        problem(
            scenario("a"),
            market=DayAhead(point="grid", limits=replace(LIMITS, price_tick_per_mwh=0.3)),
        ),
        "market.limits.min_price_per_mwh",
        "must be a multiple of price_tick_per_mwh = 0.3",
    ),
    "limits upside down": (
        problem(
            scenario("a"),
            market=DayAhead(point="grid", limits=replace(LIMITS, max_price_per_mwh=-2000.0)),
        ),
        "market.limits.min_price_per_mwh",
        "must be below max_price_per_mwh = -2000",
    ),
    "no lot within the range": (
        problem(
            scenario("a"),
            market=DayAhead(
                point="grid",
                limits=replace(LIMITS, quantity_step_mw=1.0),
                min_mw=(0.2, 0.2),
                max_mw=(0.8, 0.8),
            ),
        ),
        "market.max_mw[0]",
        "leaves no whole lot of 1 MW",
    ),
    "risk alone": (problem(scenario("a"), risk_weight=1.0), "risk_weight", "below 1"),
    "nodes of another length": (
        problem(scenario("a", nodes=(1,))),
        "scenarios[a].nodes",
        "must hold one number for each of 2 steps",
    ),
    "nodes that meet again": (
        problem(scenario("a", nodes=(1, 3)), scenario("b", nodes=(2, 3))),
        "scenarios[b].nodes",
        "shares one with a in step 1 but none in step 0",
    ),
    "one node, two truths": (
        problem(
            scenario("a", nodes=(1, 2)),
            scenario("b", nodes=(1, 3), shortage_price_per_mwh=(99.0, 90.0)),
        ),
        "scenarios[b].nodes",
        "what is known then differs",
    ),
    "no price": (
        forecast(quantities=quantities()[1:]),
        "forecast.quantities",
        "must hold a forecast of price",
    ),
    "a forecast twice": (
        forecast(quantities=quantities() * 2),
        "forecast.quantities",
        "is forecast 2 times",
    ),
    "a forecast of nothing": (
        forecast(quantities=quantities(name="sun")),
        "forecast.quantities[0].name",
        "must be the name of nothing",
    ),
    "no quantile": (
        forecast(quantities=quantities(quantiles=())),
        "forecast.quantities[0].quantiles",
        "must hold at least one",
    ),
    "levels that fall": (
        forecast(quantities=quantities(quantiles=fallen(1.0, 2.0)[::-1])),
        "forecast.quantities[0].quantiles[1].level",
        "levels must rise",
    ),
    "quantiles that cross": (
        forecast(quantities=quantities(quantiles=fallen(5.0, 4.0))),
        "forecast.quantities[0].quantiles[1].values[1]",
        "must not be below that of level 0.1: 5",
    ),
    "a late first stage": (
        forecast(stages=(Stage(at_h=1.0),)),
        "forecast.stages",
        "the first must be at 0 h",
    ),
    "stages out of order": (
        forecast(stages=(Stage(branches=2), Stage(at_h=1.0, branches=2), Stage(at_h=1.0))),
        "forecast.stages",
        "at_h must rise",
    ),
    "a stage after the end": (
        forecast(stages=(Stage(), Stage(at_h=2.0, branches=2))),
        "forecast.stages",
        "must be before the end at 2 h",
    ),
    "too many leaves": (
        forecast(stages=(Stage(branches=100), Stage(at_h=1.0, branches=100))),
        "forecast.stages",
        "must not multiply to more than 1000",
    ),
    "a correlation with nobody": (
        forecast(cross_correlations=(CrossCorrelation(one=0, other=2, correlation=0.5),)),
        "forecast.cross_correlations[0]",
        "must be two places below 2",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_is_refused_by_field_and_rule(case: str) -> None:
    stated, field, rule = REFUSED[case]
    with pytest.raises(ProblemRefusedError) as refused:
        solve_bidding(stated)
    told = [(fault.field, fault.rule) for fault in refused.value.faults]
    assert any(field == name and rule in why for name, why in told), told


def test_correlations_that_contradict_are_refused() -> None:
    three = (*quantities(), replace(quantities()[1], what="surplus_discount"))
    pairs = tuple(
        CrossCorrelation(one=one, other=other, correlation=value)
        for one, other, value in ((0, 1, 0.9), (1, 2, 0.9), (0, 2, -0.9))
    )
    with pytest.raises(ProblemRefusedError, match="contradict one another"):
        solve_bidding(forecast(quantities=three, cross_correlations=pairs))


def test_reserve_is_what_the_poorest_scenario_can_hold() -> None:
    product = ReserveProduct(
        name="up", direction="up", max_mw=(2.0, 2.0), price_per_mw_h=(500.0, 500.0)
    )
    free = ConnectionPoint(name="grid")
    dispatch = replace(DISPATCH, points=(free,), reserves=(product,))
    rich = scenario("rich", reserve_price_per_mw_h={"up": (900.0, 900.0)})
    result = solve_bidding(problem(rich, scenario("poor"), dispatch=dispatch), gap_frac=1e-6)
    assert _bid_of(result).reserve_mw["up"] == pytest.approx((2.0, 2.0), abs=1e-4)
    paid = [outcome.cost_terms["reserves"] for outcome in result.outcomes]
    assert paid == pytest.approx([-3600.0, -2000.0], abs=0.1)


FLAT = Bid(curves=((CurvePoint(price_per_mwh=-1000.0, power_mw=0.5),),) * 2)


@pytest.mark.parametrize(
    ("bid", "field", "rule"),
    [
        (Bid(curves=FLAT.curves[:1]), "bid.curves", "a point for each of 2 steps"),
        (Bid(curves=(FLAT.curves[0], ())), "bid.curves", "a point for each of 2 steps"),
        (
            Bid(curves=(FLAT.curves[0], (CurvePoint(price_per_mwh=0.0, power_mw=1.0),))),
            "bid.curves[1]",
            "first point above the lowest price",
        ),
        (
            replace(FLAT, reserve_mw={"up": (1.0, 1.0)}),
            "bid.reserve_mw",
            "must be those of the products sold: none",
        ),
    ],
    ids=["a step short", "an empty curve", "a gap below", "a product not sold"],
)
def test_a_bid_for_another_problem_or_venue_is_refused(bid: Bid, field: str, rule: str) -> None:
    with pytest.raises(ProblemRefusedError) as refused:
        solve_bidding(problem(scenario("a")), bid=bid)
    told = [(fault.field, fault.rule) for fault in refused.value.faults]
    assert any(field == name and rule in why for name, why in told), told


def test_a_bid_handed_in_is_judged_as_it_is() -> None:
    result = solve_bidding(problem(scenario("a"), scenario("b")), bid=FLAT)
    assert _bid_of(result) == FLAT
    assert {outcome.position_mw for outcome in result.outcomes} == {(0.5, 0.5)}


def test_reserve_nobody_can_hold_is_infeasible_not_forgotten() -> None:
    product = ReserveProduct(name="up", direction="up", max_mw=(9.0, 9.0))
    dispatch = replace(DISPATCH, reserves=(product,))
    result = solve_bidding(
        problem(scenario("a"), dispatch=dispatch),
        bid=replace(FLAT, reserve_mw={"up": (9.0, 9.0)}),
    )
    assert result.status is DispatchStatus.INFEASIBLE
