"""Large portfolios: in time, stopped when told, copies as one, contradictions explained."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from optimization.decomposed.answers import mix
from optimization.decomposed.pool import Here
from optimization.decomposed.portfolio import decidable, divide
from optimization.decomposed.recover import follow
from optimization.decomposed.search import Decomposition, decomposition, is_large
from optimization.dispatch.physics import violations
from optimization.dispatch.problem import ConnectionPoint, DispatchProblem, ReserveProduct
from optimization.dispatch.result import DispatchResult, DispatchStatus
from optimization.dispatch.search import Search
from optimization.dispatch.solve import solve_dispatch
from optimization.dispatch.storage import Fleet, Vehicle
from optimization.highs_session import Progress
from tests.support.portfolio import portfolio

GAP_FRAC = 1e-3


def large() -> DispatchProblem:
    return portfolio(420, 3, n_steps=24)


def by_price(problem: DispatchProblem, within_s: float = 30.0) -> Decomposition:
    search = decomposition(
        problem, due=time.perf_counter() + within_s, gap_frac=GAP_FRAC, pool=Here(), least=1
    )
    assert search is not None
    return search


def answered(problem: DispatchProblem) -> DispatchResult:
    search = by_price(problem)
    search.run()
    return search.result(0.0)


def test_a_large_portfolio_costs_what_one_model_says() -> None:
    problem = large()
    assert is_large(problem)
    result = solve_dispatch(problem, deadline_s=40.0, gap_frac=GAP_FRAC)
    assert result.status is DispatchStatus.OPTIMAL
    assert violations(problem, result.schedules) == ()
    search = Search(problem, time.perf_counter() + 40.0, 1e-4, None, None)
    search.run()
    expected = search.result(0.0)
    assert expected.cost is not None
    assert result.cost == pytest.approx(expected.cost, rel=1.2 * GAP_FRAC)
    assert result.bound is not None
    assert result.bound <= expected.cost
    np.testing.assert_allclose(result.price_per_mwh, expected.price_per_mwh, atol=5.0)


def test_where_nothing_couples_two_rounds_are_enough() -> None:
    problem = portfolio(60, 0, n_steps=24)
    free = replace(
        problem,
        points=(replace(problem.points[0], max_import_mw=1e4, max_export_mw=1e4),),
        export_price_per_mwh=problem.import_price_per_mwh,
    )
    asked: list[Progress] = []
    search = decomposition(
        free,
        due=time.perf_counter() + 30.0,
        gap_frac=GAP_FRAC,
        pool=Here(),
        watch=lambda progress: bool(asked.append(progress)),
        least=1,
    )
    assert search is not None
    search.run()
    assert search.result(0.0).status is DispatchStatus.OPTIMAL
    assert len({progress.bound for progress in asked}) <= 2


def test_what_stores_do_that_follow_a_mixture_stands_at_their_point() -> None:
    problem = portfolio(30, 0, n_steps=24)
    parted = divide(problem, problem.batteries)
    up = np.array([problem.import_price_per_mwh])
    prices = np.stack([up, up.mean() - (up - up.mean())])
    mixture = [mix(block, prices, np.full((len(block.starts), 2), 0.5)) for block in parted.blocks]
    assert max(float(mixed.excess_mw.max()) for mixed in mixture) > 0.1
    followed = follow(parted, mixture, 0)
    net_mw = np.sum([s.power_mw for s in followed.schedules.values()], axis=0)
    left = followed.problem
    assert left.batteries == ()
    np.testing.assert_allclose(left.points[0].fixed_mw, net_mw + problem.points[0].fixed_mw)
    some = follow(parted, mixture, 10)
    assert len(some.problem.batteries) == 10
    assert set(some.schedules) | {b.name for b in some.problem.batteries} == set(followed.schedules)


def test_stores_that_are_the_same_are_decided_as_one() -> None:
    problem = portfolio(30, 0, n_steps=24)
    copies = tuple(
        replace(store, name=f"{store.name} no. {n}")
        for store in problem.batteries
        for n in range(5)
    )
    grid = problem.points[0]
    many = replace(
        problem,
        points=(
            replace(
                grid,
                max_import_mw=5 * grid.max_import_mw,
                max_export_mw=5 * grid.max_export_mw,
                fixed_mw=tuple(5 * power for power in grid.fixed_mw or ()),
            ),
        ),
        batteries=copies,
    )
    assert len(divide(many, decidable(many)).members) == 30
    result, single = answered(many), answered(problem)
    assert violations(many, result.schedules) == ()
    assert single.cost is not None
    assert result.cost == pytest.approx(5 * single.cost, rel=2 * GAP_FRAC)


def test_each_of_the_same_stores_is_told_its_own_breach() -> None:
    hurried = Vehicle(
        name="v",
        point="grid",
        departure_h=1.0,
        max_charge_mw=0.01,
        initial_mwh=0.0,
        max_mwh=0.1,
        target_mwh=0.05,
    )
    problem = replace(
        portfolio(20, 0, n_steps=24),
        vehicles=tuple(replace(hurried, name=f"v{n}") for n in range(4)),
        breach_price_per_mwh=1000.0,
    )
    result = answered(problem)
    assert {breach.name for breach in result.breaches} == {"v0", "v1", "v2", "v3"}
    for breach in result.breaches:
        assert breach.amount == pytest.approx(0.04)
        assert breach.cost == pytest.approx(40.0)


def test_the_deadline_holds() -> None:
    problem, begun = large(), time.process_time()
    result = solve_dispatch(problem, deadline_s=0.2, gap_frac=0.0)
    assert time.process_time() - begun < 5.0
    assert result.status in (DispatchStatus.INCUMBENT, DispatchStatus.LATE)


def test_told_to_stop_it_answers_with_the_best_so_far() -> None:
    told: list[Progress] = []

    def watch(progress: Progress) -> bool:
        told.append(progress)
        return np.isfinite(progress.cost)

    problem = large()
    result = solve_dispatch(problem, deadline_s=60.0, gap_frac=0.0, watch=watch)
    assert result.feasible
    assert result.gap_frac is not None
    assert result.gap_frac < 0.02
    assert violations(problem, result.schedules) == ()
    assert [p.bound for p in told] == sorted(p.bound for p in told)


def test_limits_that_no_store_can_keep_are_explained() -> None:
    problem = large()
    stuck = Fleet(
        name="stuck",
        point="grid",
        min_mw=(0.0,) * 24,
        max_mw=(0.0,) * 24,
        initial_mwh=1.0,
        min_mwh=(2.0,) * 24,
        max_mwh=(3.0,) * 24,
    )
    result = solve_dispatch(replace(problem, fleets=(stuck,)), deadline_s=30.0)
    assert result.status is DispatchStatus.INFEASIBLE
    assert {conflict.name for conflict in result.contradiction} == {"stuck"}


def test_a_connection_too_small_for_its_load_is_explained() -> None:
    problem = portfolio(40, 0, n_steps=24)
    grid = problem.points[0]
    small = replace(problem, points=(replace(grid, max_import_mw=0.5 * grid.max_import_mw),))
    search = decomposition(
        small, due=time.perf_counter() + 20.0, gap_frac=GAP_FRAC, pool=Here(), least=1
    )
    assert search is None, "a sample of it has no solution either: one model will explain"
    assert solve_dispatch(small).status is DispatchStatus.INFEASIBLE


def test_where_every_store_has_limits_of_its_own_one_model_is_better() -> None:
    problem = portfolio(40, 0, n_steps=24)
    own = tuple(
        ConnectionPoint(name=f"at {b.name}", parent="grid", max_import_mw=1.0)
        for b in problem.batteries
    )
    scattered = replace(
        problem,
        points=(*problem.points, *own),
        batteries=tuple(replace(b, point=f"at {b.name}") for b in problem.batteries),
    )
    for asked, expected in ((problem, True), (scattered, False)):
        search = decomposition(
            asked, due=time.perf_counter() + 20.0, gap_frac=GAP_FRAC, pool=Here(), least=1
        )
        assert (search is not None) is expected


def test_who_may_hold_reserve_or_has_a_budget_stays_with_the_rest() -> None:
    problem = portfolio(4, 0, n_steps=24)
    first, second, *_ = problem.batteries
    assert decidable(problem) == problem.batteries
    reserve = ReserveProduct(name="r", direction="up", providers=(first.name,))
    tight = replace(second, max_discharge_mwh=0.5)
    changed = replace(
        problem, reserves=(reserve,), batteries=(first, tight, *problem.batteries[2:])
    )
    assert decidable(changed) == problem.batteries[2:]
