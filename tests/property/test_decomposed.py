"""By prices: each store's answer is the cheapest, every bound holds, schedules can be followed."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from optimization.decomposed.answers import answer, mix
from optimization.decomposed.pool import Here
from optimization.decomposed.portfolio import divide
from optimization.decomposed.response import frame, respond
from optimization.decomposed.search import decomposition
from optimization.decomposed.stores import as_stores
from optimization.dispatch.fields import INF, series
from optimization.dispatch.physics import violations
from optimization.dispatch.problem import ConnectionPoint, DispatchProblem
from optimization.dispatch.result import DispatchResult
from optimization.dispatch.search import Search
from optimization.dispatch.sparse.assemble import assemble
from optimization.dispatch.sparse.draft import Draft
from optimization.highs_session import Progress, Session
from tests.support.dispatch_problems import KINDS, random_problem

GAP_FRAC = 1e-3
STORES = ("batteries", "vehicles", "heat_stores", "fleets")
seeds = st.integers(min_value=0, max_value=2**32 - 1)


def at_prices(seed: int, kind: str, mean_price: float) -> DispatchProblem:
    """Return a problem without limits, in which importing costs what exporting earns."""
    problem = random_problem(seed, kinds=(kind,), n_each=3, reserves=False)
    price = series(np.random.default_rng(seed).normal(mean_price, 60.0, problem.n_steps))
    stores = [replace(store, point="grid") for store in getattr(problem, kind)]
    if kind == "batteries":
        stores = [replace(store, max_discharge_mwh=INF) for store in stores]
    return DispatchProblem(
        step_h=problem.step_h,
        points=(ConnectionPoint(name="grid"),),
        import_price_per_mwh=price,
        export_price_per_mwh=price,
        breach_price_per_mwh=2000.0,
        **{kind: tuple(stores)},
    )


def crowded(seed: int, kinds: tuple[str, ...], n_each: int) -> DispatchProblem:
    """Return a random problem of many assets behind limits that bind now and then."""
    problem = random_problem(seed, kinds=kinds, n_each=n_each)
    wide = np.random.default_rng(seed).uniform(0.25, 0.6) * n_each
    return replace(
        problem,
        points=tuple(
            replace(p, max_import_mw=p.max_import_mw * wide, max_export_mw=p.max_export_mw * wide)
            for p in problem.points
        ),
        # Every other one can be decided by prices; the rest holds the reserve.
        batteries=tuple(
            replace(b, max_discharge_mwh=INF) if i % 2 else b
            for i, b in enumerate(problem.batteries)
        ),
        commitments=problem.commitments if seed % 2 else (),
        reserves=tuple(
            replace(r, providers=tuple(b.name for b in problem.batteries[::2]))
            for r in problem.reserves
        ),
    )


def in_one_model(problem: DispatchProblem) -> DispatchResult:
    search = Search(problem, time.perf_counter() + 20.0, 1e-4, None, None)
    search.run()
    assume(search.best is not None)
    return search.result(0.0)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, kind=st.sampled_from(STORES), mean_price=st.sampled_from([60.0, -20.0]))
def test_an_answer_costs_what_the_relaxed_model_says(
    seed: int, kind: str, mean_price: float
) -> None:
    problem = at_prices(seed, kind, mean_price)
    stores = as_stores(Draft(problem=problem), getattr(problem, kind))
    paid = np.array(problem.export_price_per_mwh)
    found = respond(frame(stores), np.broadcast_to(paid, stores.must_mw.shape))
    earned = found.power_mw @ (paid * stores.step_h)
    expected = Session(assemble(problem).model).relax(time_limit_s=10.0).bound
    assert (found.cost - earned).sum() == pytest.approx(expected, rel=1e-6, abs=1e-5)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, kind=st.sampled_from(STORES), mean_price=st.sampled_from([60.0, -20.0]))
def test_a_mixture_of_answers_can_be_followed(seed: int, kind: str, mean_price: float) -> None:
    problem = at_prices(seed, kind, mean_price)
    (block,) = divide(problem, getattr(problem, kind)).blocks
    prices = np.random.default_rng(seed).normal(mean_price, 60.0, (2, 1, problem.n_steps))
    mixed = mix(block, prices, np.full((len(block.starts), 2), 0.5))
    stores = block.framed.stores
    assert (mixed.excess_mw >= -1e-9).all()
    assert (np.minimum(mixed.into_mw, mixed.out_mw) <= 1e-9).all()
    before = np.hstack([stores.initial_mwh[:, None], mixed.energy_mwh[:, :-1]])
    gained = stores.must_mwh() - stores.drain_mwh + stores.gain * mixed.into_mw * stores.step_h
    gained -= stores.loss * mixed.out_mw * stores.step_h
    np.testing.assert_allclose(mixed.energy_mwh, before * stores.kept_frac + gained, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, kind=st.sampled_from(STORES), mean_price=st.sampled_from([60.0, -20.0]))
def test_no_schedule_that_can_be_followed_is_cheaper_than_the_bound(
    seed: int, kind: str, mean_price: float
) -> None:
    problem = at_prices(seed, kind, mean_price)
    (block,) = divide(problem, getattr(problem, kind)).blocks
    price = np.array([problem.export_price_per_mwh])
    found = answer(block, price)
    cost, power = found.one_way
    assert (found.least <= cost - power @ (price[0] * problem.step_h) + 1e-6).all()


@pytest.mark.timeout(300)
@settings(max_examples=12, deadline=None)
@given(seed=seeds, kinds=st.sampled_from([STORES, ("batteries", "renewables", "loads"), KINDS]))
def test_every_bound_holds_and_every_schedule_obeys_physics(
    seed: int, kinds: tuple[str, ...]
) -> None:
    problem = crowded(seed, kinds, n_each=3 if kinds == KINDS else 24)
    expected = in_one_model(problem)
    told: list[float] = []

    def watch(progress: Progress) -> bool:
        told.append(progress.bound)
        return False

    search = decomposition(
        problem,
        due=time.perf_counter() + 20.0,
        gap_frac=GAP_FRAC,
        pool=Here(),
        watch=watch,
        least=1,
    )
    assert search is not None
    search.run()
    result = search.result(0.0)
    assert expected.cost is not None
    assert expected.bound is not None
    assert result.cost is not None
    assert result.gap_frac is not None
    tiny = 1e-6 * max(abs(expected.cost), 1.0)
    assert told == sorted(told)
    assert max(told) <= expected.cost + tiny
    assert result.cost >= expected.bound - tiny
    assert violations(problem, result.schedules) == ()
    assert set(result.schedules) == {asset.name for asset in problem.assets}
    assert result.cost == pytest.approx(sum(result.cost_terms.values()))
    told_mw = np.sum([s.power_mw for s in result.schedules.values()], axis=0)
    told_mw += np.sum([p.fixed_mw for p in problem.points if p.fixed_mw is not None], axis=0)
    np.testing.assert_allclose(result.point_mw["grid"], told_mw, atol=1e-5)
    missed = sum(breach.cost for breach in result.breaches)
    if not problem.commitments:
        assert missed == pytest.approx(result.cost_terms.get("breaches", 0.0), rel=1e-3, abs=1e-2)
    assert result.gap_frac <= GAP_FRAC or result.status != "optimal"
    if not problem.generators:
        assert result.cost <= expected.cost + 2 * GAP_FRAC * max(abs(expected.cost), 1.0)
