"""Bids against formulations written anew, a closed form, and prices that were really paid."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from cluster.day.entsoe import parse_prices
from optimization.dispatch.fields import Series, series
from optimization.dispatch.plant import CostPoint, Generator, Renewable
from optimization.dispatch.problem import ConnectionPoint, DispatchProblem
from optimization.dispatch.storage import Battery
from optimization.uncertainty.problem import (
    BiddingProblem,
    DayAhead,
    Forecast,
    Quantile,
    QuantileForecast,
    Scenario,
    Stage,
    VenueLimits,
)
from optimization.uncertainty.result import Bid
from optimization.uncertainty.scenarios import drawn, probabilities
from optimization.uncertainty.solve import solve_bidding
from tests.support.bidding_problems import FINE
from tests.support.real_data import ENTSOE, needs

BATTERY = Battery(
    name="store",
    point="grid",
    max_charge_mw=2.0,
    max_discharge_mw=1.5,
    initial_mwh=1.0,
    max_mwh=3.0,
    charge_efficiency=0.9,
    discharge_efficiency=0.85,
    wear_per_mwh=2.0,
    terminal_value_per_mwh=30.0,
)
ENGINE = Generator(
    name="engine",
    point="grid",
    min_mw=0.5,
    max_mw=3.0,
    curve=(CostPoint(power_mw=0.5, cost_per_h=60.0), CostPoint(power_mw=3.0, cost_per_h=330.0)),
    initial_h=-5.0,
)
FEE = 3.0


def tiny(seed: int, *, risk_weight: float, n_scenarios: int = 4) -> BiddingProblem:
    """Return two steps with a battery, a plant and few prices, negative ones among them."""
    rng = np.random.default_rng(seed)
    scenarios = []
    for i in range(n_scenarios):
        price = rng.choice([-60.0, 20.0, 50.0, 120.0], 2)
        middle, spread = price + rng.normal(0, 30, 2), rng.choice([0.0, 15.0], 2)
        scenarios.append(
            Scenario(
                name=f"s{i}",
                weight=float(rng.uniform(0.5, 2.0)),
                price_per_mwh=series(price),
                shortage_price_per_mwh=series(middle + spread),
                surplus_price_per_mwh=series(middle - spread),
                available_mw={"sun": series(rng.uniform(0.0, 3.0, 2))},
            )
        )
    return BiddingProblem(
        dispatch=DispatchProblem(
            step_h=(1.0, 0.5),
            points=(ConnectionPoint(name="grid", max_import_mw=4.0, max_export_mw=4.0),),
            import_price_per_mwh=(FEE, FEE),
            batteries=(BATTERY,),
            renewables=(Renewable(name="sun", point="grid", available_mw=(1.0, 1.0)),),
        ),
        market=DayAhead(point="grid", limits=FINE, min_mw=(-4.0, -4.0), max_mw=(4.0, 4.0)),
        scenarios=tuple(scenarios),
        risk_weight=risk_weight,
        confidence_frac=0.7,
    )


class _Written:
    """A mixed-integer model written down name by name."""

    def __init__(self) -> None:
        self.index: dict[tuple[object, ...], int] = {}
        self.low: list[float] = []
        self.high: list[float] = []
        self.whole: list[int] = []
        self.cost: dict[int, float] = {}
        self.rows: list[tuple[dict[int, float], float, float]] = []

    def new(self, *name: object, low: float = 0.0, high: float = np.inf, whole: int = 0) -> int:
        self.index[name] = len(self.low)
        self.low.append(low)
        self.high.append(high)
        self.whole.append(whole)
        return self.index[name]

    def row(self, terms: dict[int, float], low: float, high: float) -> None:
        self.rows.append((terms, low, high))

    def solve(self) -> float:
        n = len(self.low)
        matrix, cost = np.zeros((len(self.rows), n)), np.zeros(n)
        for r, (terms, _, _) in enumerate(self.rows):
            for c, value in terms.items():
                matrix[r, c] = value
        for c, value in self.cost.items():
            cost[c] = value
        outcome = milp(
            cost,
            integrality=np.array(self.whole),
            bounds=Bounds(np.array(self.low), np.array(self.high)),
            constraints=LinearConstraint(
                matrix, [low for _, low, _ in self.rows], [high for _, _, high in self.rows]
            ),
            options={"mip_rel_gap": 1e-9},
        )
        assert outcome.success, outcome.message
        return float(outcome.fun)


def written_cost(problem: BiddingProblem) -> float:
    """Return the optimum of the same problem, written for one battery and one plant."""
    m, step_h, b = _Written(), problem.dispatch.step_h, BATTERY
    weight = sum(s.weight for s in problem.scenarios)
    edge = m.new("edge", low=-np.inf)
    risk, rest = problem.risk_weight, 1 - problem.confidence_frac
    m.cost[edge] = risk
    for s in problem.scenarios:
        share = s.weight / weight
        total, beyond = m.new("cost", s.name, low=-np.inf), m.new("beyond", s.name)
        m.cost[total], m.cost[beyond] = (1 - risk) * share, risk * share / rest
        m.row({total: 1, edge: -1, beyond: -1}, -np.inf, 0)
        bill = {total: -1.0}
        surplus = s.surplus_price_per_mwh or s.shortage_price_per_mwh
        for t, hours in enumerate(step_h):
            taken = m.new("position", s.name, t, low=-4, high=4)
            into = m.new("in", s.name, t, high=b.max_charge_mw)
            out = m.new("out", s.name, t, high=b.max_discharge_mw)
            way = m.new("way", s.name, t, high=1, whole=1)
            stored = m.new("stored", s.name, t, high=b.max_mwh)
            sun = m.new("sun", s.name, t, high=s.available_mw["sun"][t])
            above, below = m.new("above", s.name, t), m.new("below", s.name, t)
            drawn_mw, given = m.new("import", s.name, t, high=4), m.new("export", s.name, t, high=4)
            m.row({into: 1, way: -b.max_charge_mw}, -np.inf, 0)
            m.row({out: 1, way: b.max_discharge_mw}, -np.inf, b.max_discharge_mw)
            before = {m.index["stored", s.name, t - 1]: -1.0} if t else {}
            start = 0.0 if t else b.initial_mwh
            flow = {into: -hours * b.charge_efficiency, out: hours / b.discharge_efficiency}
            m.row({stored: 1.0, **before, **flow}, start, start)
            m.row({out: 1, into: -1, sun: 1, given: -1, drawn_mw: 1}, 0, 0)
            m.row({given: 1, drawn_mw: -1, taken: -1, above: -1, below: 1}, 0, 0)
            bill[taken] = -s.price_per_mwh[t] * hours
            bill[above] = -surplus[t] * hours
            bill[below] = s.shortage_price_per_mwh[t] * hours
            bill[drawn_mw] = FEE * hours
            bill[into] = bill[out] = b.wear_per_mwh * hours
        bill[m.index["stored", s.name, len(step_h) - 1]] = -b.terminal_value_per_mwh
        kept = b.terminal_value_per_mwh * b.initial_mwh
        m.row(bill, -kept, -kept)
    for one, other in product(problem.scenarios, repeat=2):
        for t in range(len(step_h)):
            if one.name != other.name and one.price_per_mwh[t] <= other.price_per_mwh[t]:
                places = (m.index["position", s.name, t] for s in (other, one))
                higher, lower = places
                equal = one.price_per_mwh[t] == other.price_per_mwh[t]
                m.row({higher: 1, lower: -1}, 0, 0 if equal else np.inf)
    return m.solve()


@pytest.mark.parametrize("risk_weight", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("seed", range(25))
def test_objective_equals_that_of_a_model_written_anew(seed: int, risk_weight: float) -> None:
    problem = tiny(seed, risk_weight=risk_weight)
    result = solve_bidding(problem, gap_frac=1e-8)
    assert result.feasible
    assert result.objective == pytest.approx(written_cost(problem), rel=1e-5, abs=1e-3)


def test_a_plant_without_flexibility_sells_the_newsvendors_quantile() -> None:
    # Short costs 30 more than the auction pays, long 10 less: sell what 3 of 4 cases exceed.
    dispatch = DispatchProblem(
        step_h=(1.0,),
        points=(ConnectionPoint(name="grid"),),
        renewables=(Renewable(name="sun", point="grid", available_mw=(0.0,)),),
    )
    scenarios = tuple(
        Scenario(
            name=f"{mw}",
            price_per_mwh=(50.0,),
            shortage_price_per_mwh=(80.0,),
            surplus_price_per_mwh=(40.0,),
            available_mw={"sun": (float(mw),)},
        )
        for mw in range(1, 10)
    )
    problem = BiddingProblem(
        dispatch=dispatch, market=DayAhead(point="grid", limits=FINE), scenarios=scenarios
    )
    result = solve_bidding(problem)
    assert result.bid is not None
    ((only,),) = result.bid.curves
    assert only.power_mw == pytest.approx(3.0)
    cautious = solve_bidding(replace(problem, risk_weight=0.99, confidence_frac=0.8))
    assert cautious.bid is not None
    assert cautious.bid.curves[0][0].power_mw < only.power_mw


@pytest.mark.parametrize("seed", range(20))
def test_what_is_tied_costs_what_the_best_of_all_common_first_moves_costs(seed: int) -> None:
    """Two scenarios that part after the first step: try the store's first move on a fine grid."""
    problem = tiny(seed, risk_weight=0.0, n_scenarios=2)
    one, other = problem.scenarios
    shared = {
        "price_per_mwh": one.price_per_mwh,
        "shortage_price_per_mwh": (one.shortage_price_per_mwh[0], other.shortage_price_per_mwh[1]),
        "surplus_price_per_mwh": (
            (one.surplus_price_per_mwh or (0.0,))[0],
            (other.surplus_price_per_mwh or (0.0, 0.0))[1],
        ),
        "available_mw": {"sun": (one.available_mw["sun"][0], other.available_mw["sun"][1])},
    }
    alike = (replace(one, nodes=(0, 1)), replace(other, nodes=(0, 2), **shared))
    tied = solve_bidding(replace(problem, scenarios=alike), gap_frac=1e-8)
    free = solve_bidding(
        replace(problem, scenarios=tuple(replace(s, nodes=None) for s in alike)), gap_frac=1e-8
    )
    assert tied.objective is not None
    assert free.objective is not None
    assert tied.objective >= free.objective - 1e-4
    first = [outcome.schedules["store"].power_mw[0] for outcome in tied.outcomes]
    assert first[0] == pytest.approx(first[1], abs=1e-5)
    # Any other move of both in the first step, the rest as good as can be, costs no less.
    for move in np.linspace(-2.0, 1.5, 8):
        energy = 1.0 - move * (0.9 if move < 0 else 1 / 0.85)
        if not 0 <= energy <= 3.0:
            continue
        held = replace(
            BATTERY,
            max_charge_mw=max(-move, 0.0),
            max_discharge_mw=max(move, 0.0),
        )
        assert _with_first_move(problem, alike, held, energy, move) >= tied.objective - 1e-3


def _with_first_move(
    problem: BiddingProblem,
    scenarios: tuple[Scenario, ...],
    held: Battery,
    energy: float,
    move: float,
) -> float:
    """Return the cost when the store makes a move in the first step, whatever comes."""
    point = replace(problem.dispatch.points[0], fixed_mw=(move, 0.0))
    # A store that is asleep in the first step stands for one that has made its move.
    awake = replace(BATTERY, name="later", initial_mwh=energy)
    free = replace(problem, scenarios=tuple(replace(s, nodes=None) for s in scenarios))
    steps = []
    for step, batteries in ((0, ()), (1, (awake,))):
        dispatch = replace(
            free.dispatch,
            step_h=(free.dispatch.step_h[step],),
            import_price_per_mwh=(FEE,),
            points=(replace(point, fixed_mw=((move, 0.0)[step],)),),
            batteries=batteries,
            renewables=(replace(free.dispatch.renewables[0], available_mw=(1.0,)),),
        )
        alone = replace(
            free,
            dispatch=dispatch,
            market=replace(free.market, min_mw=(-4.0,), max_mw=(4.0,)),
            scenarios=tuple(
                replace(
                    s,
                    price_per_mwh=(s.price_per_mwh[step],),
                    shortage_price_per_mwh=(s.shortage_price_per_mwh[step],),
                    surplus_price_per_mwh=((s.surplus_price_per_mwh or (0, 0))[step],),
                    available_mw={"sun": (s.available_mw["sun"][step],)},
                )
                for s in free.scenarios
            ),
        )
        result = solve_bidding(alone, gap_frac=1e-8)
        assert result.objective is not None
        steps.append(result.objective)
    wear = held.wear_per_mwh * abs(move) * problem.dispatch.step_h[0]
    # Each part counts energy left from its own start on.
    return sum(steps) + wear - BATTERY.terminal_value_per_mwh * (energy - BATTERY.initial_mwh)


SPANISH = ENTSOE / "ES_day_ahead_price.xml"


def _real_days() -> np.ndarray:
    """Return four days of prices [4, 24], means of hours."""
    prices = parse_prices(SPANISH.read_text(), SPANISH.name).prices
    per_hour = 3_600 // int(prices.period.total_seconds())
    known = np.array([float(price) for price in prices.values if price is not None])
    return known.reshape(4, 24, per_hour).mean(axis=2)


def _day(forecast: Forecast | None, scenarios: tuple[Scenario, ...] = ()) -> BiddingProblem:
    hours = np.arange(24)
    sun = 4.0 * np.clip(np.sin((hours - 6) / 12 * np.pi), 0.0, None)
    return BiddingProblem(
        dispatch=DispatchProblem(
            step_h=(1.0,) * 24,
            points=(ConnectionPoint(name="grid", max_import_mw=5.0, max_export_mw=5.0),),
            import_price_per_mwh=(FEE,) * 24,
            batteries=(BATTERY,),
            generators=(ENGINE,),
            renewables=(Renewable(name="sun", point="grid", available_mw=series(sun)),),
        ),
        market=DayAhead(
            point="grid",
            limits=VenueLimits(
                min_price_per_mwh=-500.0,
                max_price_per_mwh=4000.0,
                price_tick_per_mwh=0.01,
                quantity_step_mw=0.1,
                max_points=200,
            ),
        ),
        forecast=forecast,
        scenarios=scenarios,
    )


def _quantiles(middle: np.ndarray, off: dict[float, float]) -> tuple[Quantile, ...]:
    return tuple(Quantile(level=level, values=series(middle + by)) for level, by in off.items())


def _yesterday_forecast(days: np.ndarray, *, seed: int, n_kept: int) -> Forecast:
    """Return prices like yesterday's, off by as much as they were the days before."""
    errors = (days[1:3] - days[:2]).ravel()
    levels = (0.05, 0.25, 0.5, 0.75, 0.95)
    off = dict(zip(levels, np.quantile(errors, levels).tolist(), strict=True))
    sun = np.array(_day(None).dispatch.renewables[0].available_mw)
    return Forecast(
        quantities=(
            QuantileForecast(what="price", quantiles=_quantiles(days[2], off)),
            QuantileForecast(
                what="shortage_premium", quantiles=_quantiles(np.full(24, 25.0), {0.5: 0.0})
            ),
            QuantileForecast(
                what="surplus_discount", quantiles=_quantiles(np.full(24, 25.0), {0.5: 0.0})
            ),
            QuantileForecast(
                what="available",
                name="sun",
                quantiles=tuple(
                    Quantile(level=level, values=series(share * sun))
                    for level, share in ((0.05, 0.2), (0.5, 0.7), (0.95, 1.0))
                ),
            ),
        ),
        stages=(Stage(branches=n_kept),),
        n_drawn=200,
        seed=seed,
    )


def _mean(scenarios: tuple[Scenario, ...]) -> Scenario:
    share = probabilities(scenarios)

    def mean(rows: list[Series]) -> Series:
        return series(share @ np.array(rows))

    return Scenario(
        name="mean",
        price_per_mwh=mean([s.price_per_mwh for s in scenarios]),
        shortage_price_per_mwh=mean([s.shortage_price_per_mwh for s in scenarios]),
        surplus_price_per_mwh=mean([s.surplus_price_per_mwh or () for s in scenarios]),
        available_mw={"sun": mean([s.available_mw["sun"] for s in scenarios])},
    )


def _expected_cost(problem: BiddingProblem, bid: Bid | None) -> float:
    result = solve_bidding(problem, bid=bid)
    assert result.expected_cost is not None
    return result.expected_cost


@needs("ENTSO-E", SPANISH)
def test_a_bid_from_yesterdays_prices_earns_on_the_real_day() -> None:
    days = _real_days()
    bid = solve_bidding(_day(_yesterday_forecast(days, seed=0, n_kept=15))).bid
    assert bid is not None
    real = Scenario(
        name="real",
        price_per_mwh=series(days[3]),
        shortage_price_per_mwh=series(days[3] + 25.0),
        surplus_price_per_mwh=series(days[3] - 25.0),
    )
    nothing = Bid(curves=tuple((replace(c[0], power_mw=0.0),) for c in bid.curves))
    told = _day(None, (real,))
    perfect, kept, idle = (_expected_cost(told, some) for some in (None, bid, nothing))
    assert perfect <= kept < idle


@needs("ENTSO-E", SPANISH)
def test_on_fresh_draws_scenarios_beat_their_mean() -> None:
    days = _real_days()
    forecast = _yesterday_forecast(days, seed=0, n_kept=30)
    by_scenarios = solve_bidding(_day(forecast)).bid
    by_mean = solve_bidding(_day(None, (_mean(drawn(_day(forecast))),))).bid
    fresh = _day(None, drawn(_day(_yesterday_forecast(days, seed=7, n_kept=60))))
    assert _expected_cost(fresh, by_scenarios) < _expected_cost(fresh, by_mean)
