"""The fast face against the textbook in Pyomo, on every asset mix, and against scipy's solver."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from cluster.solve.pglib import decode_pglib
from optimization.dispatch.problem import DispatchProblem
from optimization.dispatch.result import DispatchStatus
from optimization.dispatch.solve import solve_dispatch
from optimization.dispatch.sparse.assemble import assemble
from optimization.dispatch.textbook.model import solve_textbook
from optimization.highs_session import Session
from tests.support.dispatch_problems import KINDS, random_problem
from tests.support.real_data import RTS_GMLC, needs

GAP_FRAC = 1e-7
MIXES = [
    *((kind,) for kind in KINDS),
    ("batteries", "generators"),
    ("vehicles", "fleets", "renewables"),
    KINDS,
]


def engine_cost(problem: DispatchProblem) -> float:
    result = solve_dispatch(problem, deadline_s=30.0, gap_frac=GAP_FRAC)
    assert result.status is DispatchStatus.OPTIMAL, result.reason
    assert result.cost is not None
    return result.cost


def scipy_cost(problem: DispatchProblem) -> float:
    everywhere = np.ones(problem.n_steps, dtype=np.bool_)
    stores = (*problem.batteries, *problem.vehicles)
    model = assemble(problem, {store.name: everywhere for store in stores}).model
    outcome = milp(
        model.costs(),
        integrality=model.integers(),
        bounds=Bounds(*model.bounds()),
        constraints=LinearConstraint(model.matrix(), *model.row_bounds()),
        options={"mip_rel_gap": GAP_FRAC},
    )
    assert outcome.success, outcome.message
    return float(outcome.fun) + sum(model.constants.values())


@pytest.mark.parametrize("kinds", MIXES, ids="+".join)
@pytest.mark.parametrize("seed", range(6))
def test_cost_equals_the_textbook(kinds: tuple[str, ...], seed: int) -> None:
    problem = random_problem(seed, kinds=kinds)
    expected = solve_textbook(problem, gap_frac=GAP_FRAC).cost
    assert engine_cost(problem) == pytest.approx(expected, rel=1e-5, abs=1e-4)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kinds", MIXES, ids="+".join)
def test_cost_equals_the_textbook_many_times(kinds: tuple[str, ...]) -> None:
    for seed in range(1000, 1100):
        problem = random_problem(seed, kinds=kinds)
        expected = solve_textbook(problem, gap_frac=GAP_FRAC).cost
        assert engine_cost(problem) == pytest.approx(expected, rel=1e-5, abs=1e-4), seed


@pytest.mark.parametrize("seed", range(12))
def test_cost_equals_scipy(seed: int) -> None:
    problem = random_problem(seed, n_steps=4, n_each=1)
    assert engine_cost(problem) == pytest.approx(scipy_cost(problem), rel=1e-5, abs=1e-4)


@needs("PGLib-UC", RTS_GMLC)
@pytest.mark.parametrize(
    ("name", "relaxed", "known"),
    [("2020-01-27", 1_205_494.5062, 1_237_504.84), ("2020-07-06", 3_720_622.0011, 3_729_194.93)],
)
def test_a_library_instance_lies_between_its_bounds(
    name: str, relaxed: float, known: float
) -> None:
    # The relaxation of the library's reference model bounds ours, which bounds a known schedule.
    data = (RTS_GMLC / f"{name}.json").read_bytes()
    model = assemble(decode_pglib(data)).model
    bound = Session(model).relax(time_limit_s=50.0).bound
    assert relaxed <= bound <= known
