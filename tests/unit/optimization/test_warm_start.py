"""A plan made anew begins where the one before ended, and comes to the same."""

from __future__ import annotations

import numpy as np
import pytest

from optimization.dispatch.previous import PreviousPlan
from optimization.dispatch.solve import solve_dispatch
from optimization.dispatch.sparse.assemble import assemble
from optimization.highs import SparseModel
from optimization.highs_session import Session
from optimization.warm_start import WarmStart
from tests.support.portfolio import one_step_later, portfolio

DEADLINE_S = 60.0


def stepwise(worth: list[float]) -> SparseModel:
    """Return a model that takes 1 where that is worth something, and one column beside."""
    model = SparseModel()
    taken = model.columns((1, 3), 0.0, 1.0, [[-value for value in worth]])
    model.columns((1,), 0.0, 1.0, 1.0)
    model.add(model.rows((1, 3), -np.inf, 2.0), taken, 1.0)
    return model


def kept(model: SparseModel) -> WarmStart:
    session, warm = Session(model), WarmStart()
    session.relax(time_limit_s=DEADLINE_S)
    warm.keep(model, 3, session.basis())
    return warm


def test_a_basis_moves_along_with_the_steps() -> None:
    warm = kept(stepwise([-1.0, -1.0, 1.0]))
    assert warm.basis is not None
    low, _, high, beside = warm.basis.col_status
    moved = warm.take(stepwise([-1.0, 1.0, 1.0]), np.array([1, 2, 3]))
    assert moved is not None
    assert low != high
    assert list(moved.col_status) == [low, high, high, beside]


def test_a_basis_is_given_once_and_only_to_a_model_alike() -> None:
    model, other = stepwise([1.0, 1.0, 1.0]), stepwise([1.0, 1.0, 1.0])
    other.columns((1,), 0.0, 1.0)
    assert kept(model).take(other, np.arange(3)) is None
    assert kept(model).take(model, np.arange(2)) is None
    warm = kept(model)
    assert warm.take(model, np.arange(3)) is not None
    assert warm.take(model, np.arange(3)) is None


def test_planning_anew_from_a_warm_start_costs_the_same_in_fewer_pivots() -> None:
    problem, warm = portfolio(10, 3, n_steps=24), WarmStart()
    result = solve_dispatch(problem, deadline_s=DEADLINE_S, warm=warm)
    later = one_step_later(problem, result)
    plan = PreviousPlan(result=result, step_h=problem.step_h, elapsed_h=problem.step_h[0])
    draft = assemble(later)
    basis = warm.take(draft.model, plan.places(draft.start_h, draft.end_h))
    assert basis is not None
    warmed, cold = Session(draft.model), Session(draft.model)
    warmed.resume(basis)
    bounds = [session.relax(time_limit_s=DEADLINE_S).bound for session in (warmed, cold)]
    assert bounds[0] == pytest.approx(bounds[1])
    assert warmed.n_pivots < cold.n_pivots / 3


def test_an_answer_is_the_same_with_and_without_a_warm_start() -> None:
    problem, warm = portfolio(8, 3, n_steps=24), WarmStart()
    result = solve_dispatch(problem, deadline_s=DEADLINE_S, gap_frac=1e-6, warm=warm)
    for _ in range(3):
        problem = one_step_later(problem, result)
        plan = PreviousPlan(result=result, step_h=problem.step_h, elapsed_h=problem.step_h[0])
        result, cold = (
            solve_dispatch(problem, deadline_s=DEADLINE_S, gap_frac=1e-6, previous=plan, warm=start)
            for start in (warm, None)
        )
        assert result.cost == pytest.approx(cold.cost, rel=3e-6)
