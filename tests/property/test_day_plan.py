"""Laws that every day plan keeps, on random problems of every asset mix."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from optimization.day_plan import (
    Batteries,
    DayPlanProblem,
    DayPlanResult,
    FlexibleLoads,
    Gensets,
    Renewables,
)
from optimization.day_solver import solve_day
from tests.support.day_plans import KINDS, random_problem

TOLERANCE = 1e-5
mixes = st.lists(st.sampled_from(KINDS), min_size=1, unique=True).map(tuple)
seeds = st.integers(0, 2**31)
on_random_problems = given(seed=seeds, kinds=mixes)
few = settings(max_examples=40, deadline=None)


def solved(seed: int, kinds: tuple[str, ...]) -> tuple[DayPlanProblem, DayPlanResult]:
    problem = random_problem(seed, kinds=kinds, n_steps=12)
    result = solve_day(problem, deadline_s=20.0)
    assert result.feasible, result.reason
    return problem, result


@few
@on_random_problems
def test_power_balances_within_every_limit(seed: int, kinds: tuple[str, ...]) -> None:
    problem, result = solved(seed, kinds)
    total = problem.fixed_mw + sum(result.power_mw.values())
    np.testing.assert_allclose(result.grid_mw, total, atol=TOLERANCE)
    assert result.grid_mw.max() <= problem.max_export_mw + TOLERANCE
    assert result.grid_mw.min() >= -problem.max_import_mw - TOLERANCE
    for limit in problem.limits:
        net = sum(result.power_mw[name] for name in limit.members)
        assert np.all(net <= limit.max_export_mw + TOLERANCE)
        assert np.all(net >= -limit.max_import_mw - TOLERANCE)


@few
@on_random_problems
def test_cost_is_what_the_schedule_costs_and_not_below_the_bound(
    seed: int, kinds: tuple[str, ...]
) -> None:
    problem, result = solved(seed, kinds)
    bought = np.maximum(-result.grid_mw, 0.0) * problem.step_h
    sold = np.maximum(result.grid_mw, 0.0) * problem.step_h
    carbon = problem.carbon_kg_co2_per_mwh * problem.carbon_price_per_kg_co2
    assert abs(result.cost_terms["import"] - bought @ problem.import_price_per_mwh) < 1e-3
    assert abs(result.cost_terms["export"] + sold @ problem.export_price_per_mwh) < 1e-3
    assert abs(result.cost_terms["carbon"] - bought @ carbon) < 1e-3
    assert abs(result.cost - sum(result.cost_terms.values())) < 1e-6
    assert result.bound <= result.cost + 1e-4


@few
@given(seed=seeds)
def test_batteries_run_one_way_and_conserve_energy(seed: int) -> None:
    problem, result = solved(seed, ("batteries", "renewables"))
    (batteries,) = (g for g in problem.groups if isinstance(g, Batteries))
    for i, name in enumerate(batteries.names):
        power, stored = result.power_mw[name], result.stored_mwh[name]
        assert power.max() <= batteries.max_discharge_mw[i] + TOLERANCE
        assert power.min() >= -batteries.max_charge_mw[i] - TOLERANCE
        charged = np.maximum(-power, 0.0) * batteries.charge_efficiency[i]
        taken = np.maximum(power, 0.0) / batteries.discharge_efficiency[i]
        kept = stored[:-1] * (1 - batteries.standing_loss_frac_per_h[i]) ** problem.step_h
        expected = kept + (charged - taken) * problem.step_h
        # Only a battery that runs one way at a time fits its net power.
        np.testing.assert_allclose(stored[1:], expected, atol=TOLERANCE)
        assert stored.min() >= min(batteries.min_mwh[i], stored[0] * 0.9) - TOLERANCE
        assert stored.max() <= max(batteries.max_mwh[i], stored[0]) + TOLERANCE


@few
@given(seed=seeds)
def test_gensets_keep_their_minimum_times_and_limits(seed: int) -> None:
    problem, result = solved(seed, ("gensets", "renewables"))
    (gensets,) = (g for g in problem.groups if isinstance(g, Gensets))
    ends = np.cumsum(problem.step_h)
    starts = ends - problem.step_h
    for i, name in enumerate(gensets.names):
        on, power = result.running[name], result.power_mw[name]
        assert np.all(power <= np.where(on, gensets.max_mw[i], 0.0) + TOLERANCE)
        assert np.all(power >= np.where(on, gensets.min_mw[i], 0.0) - TOLERANCE)
        since_h, state = -abs(gensets.initial_h[i]), gensets.initial_h[i] > 0
        for t in range(problem.n_steps):
            if on[t] != state:
                least = gensets.min_up_h[i] if state else gensets.min_down_h[i]
                assert starts[t] - since_h >= least - TOLERANCE
                since_h, state = starts[t], on[t]


@few
@given(seed=seeds)
def test_renewables_and_loads_stay_within_what_they_can_do(seed: int) -> None:
    problem, result = solved(seed, ("renewables", "flexible"))
    for group in problem.groups:
        for i, name in enumerate(group.names):
            power = result.power_mw[name]
            if isinstance(group, Renewables):
                assert np.all(power <= group.available_mw[i] + TOLERANCE)
                assert np.all(power >= -TOLERANCE)
            if isinstance(group, FlexibleLoads):
                assert np.all(-power >= group.demand_mw[i] - group.max_less_mw[i] - TOLERANCE)
                assert np.all(-power <= group.demand_mw[i] + group.max_more_mw[i] + TOLERANCE)
