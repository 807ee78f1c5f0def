"""What raises the bound changes no answer: islands with and without it cost the same."""

from __future__ import annotations

import numpy as np
import pytest

from cluster.solve.pglib import decode_pglib
from optimization.dispatch.fields import series
from optimization.dispatch.plant import CostPoint, Generator, Renewable, StartCost
from optimization.dispatch.problem import ConnectionPoint, DispatchProblem, ReserveProduct
from optimization.dispatch.result import DispatchStatus
from optimization.dispatch.solve import solve_dispatch
from optimization.dispatch.sparse.assemble import assemble
from optimization.dispatch.sparse.cover import cover_rows
from optimization.dispatch.storage import Battery
from optimization.dispatch.textbook.model import solve_textbook
from optimization.highs_session import Session
from optimization.rounding_cuts import rounding_cuts
from tests.support.real_data import RTS_GMLC, needs

GAP_FRAC = 1e-8
N_STEPS = 8
LIMIT_S = 60.0


def island(seed: int) -> DispatchProblem:
    """Return generators, wind and a battery that must carry a load and a reserve alone."""
    rng = np.random.default_rng(seed)
    step_h = rng.choice([0.5, 1.0], N_STEPS)
    generators = tuple(_generator(rng, i) for i in range(5))
    wind_mw = rng.uniform(0.0, 4.0, N_STEPS)
    capacity_mw = sum(unit.max_mw for unit in generators if unit.initial_h > 0)
    load_mw = capacity_mw * rng.uniform(0.4, 0.85, N_STEPS)
    return DispatchProblem(
        step_h=series(step_h),
        points=(
            ConnectionPoint(
                name="island",
                max_import_mw=float(rng.choice([0.0, 2.0])),
                max_export_mw=0.0,
                fixed_mw=series(-load_mw),
            ),
        ),
        import_price_per_mwh=(300.0,) * N_STEPS,
        export_price_per_mwh=(0.0,) * N_STEPS,
        reserves=(
            ReserveProduct(name="raise", direction="up", required_mw=series(0.05 * load_mw)),
        ),
        generators=generators,
        renewables=(Renewable(name="wind", point="island", available_mw=series(wind_mw)),),
        batteries=(
            Battery(
                name="store",
                point="island",
                max_charge_mw=1.0,
                max_discharge_mw=1.0,
                initial_mwh=2.0,
                max_mwh=4.0,
                charge_efficiency=0.9,
                discharge_efficiency=0.9,
            ),
        ),
    )


def _generator(rng: np.random.Generator, i: int) -> Generator:
    most = float(rng.choice([10.0, 12.0, 20.0, 35.0]))
    least, slope = most * rng.uniform(0.3, 0.6), rng.uniform(20.0, 90.0)
    middle, base = (least + most) / 2, rng.uniform(200.0, 900.0)
    on = i < 4
    return Generator(
        name=f"unit{i}",
        point="island",
        min_mw=least,
        max_mw=most,
        curve=(
            CostPoint(power_mw=least, cost_per_h=base),
            CostPoint(power_mw=middle, cost_per_h=base + slope * (middle - least)),
            CostPoint(power_mw=most, cost_per_h=base + 1.2 * slope * (most - least)),
        ),
        starts=(StartCost(off_h=1.0, cost=rng.uniform(50.0, 400.0)),),
        min_up_h=float(rng.choice([0.5, 1.0, 3.0])),
        min_down_h=float(rng.choice([0.5, 1.0, 2.0])),
        ramp_up_mw_per_h=most,
        ramp_down_mw_per_h=most,
        start_mw=least + 0.3 * (most - least),
        stop_mw=least + 0.4 * (most - least),
        initial_h=6.0 if on else -6.0,
        initial_mw=middle if on else 0.0,
    )


def strengthened(problem: DispatchProblem, rounds: int = 6) -> tuple[Session, float, float, int]:
    """Return a session with cuts, the bound before and after, and how many cuts there are."""
    draft = assemble(problem)
    rows, session = cover_rows(draft), Session(draft.model)
    relaxed = session.relax(time_limit_s=LIMIT_S)
    before = relaxed.bound
    session.demand(rows)
    assert session.relax(time_limit_s=LIMIT_S).bound == pytest.approx(before, rel=1e-7)
    n_cuts = 0
    for _ in range(rounds):
        cuts = list(rounding_cuts(rows, relaxed.values))
        session.demand(cuts)
        n_cuts += len(cuts)
        relaxed = session.relax(time_limit_s=LIMIT_S)
    return session, before, relaxed.bound, n_cuts


def test_no_cut_removes_the_cheapest_schedule() -> None:
    n_cuts = 0
    for seed in range(12):
        problem = island(seed)
        session, _, _, n = strengthened(problem)
        plain = Session(assemble(problem).model)
        expected = plain.search(time_limit_s=LIMIT_S, gap_frac=GAP_FRAC)
        found = session.search(time_limit_s=LIMIT_S, gap_frac=GAP_FRAC)
        assert found.ended is expected.ended, seed
        assert found.bound == pytest.approx(expected.bound, rel=1e-6), seed
        n_cuts += n
    assert n_cuts > 20


@pytest.mark.parametrize("seed", range(8))
def test_an_island_costs_what_the_textbook_says(seed: int) -> None:
    problem = island(seed)
    result = solve_dispatch(problem, deadline_s=LIMIT_S, gap_frac=1e-7)
    assert result.status is DispatchStatus.OPTIMAL, result.reason
    expected = solve_textbook(problem, gap_frac=1e-7).cost
    assert result.cost == pytest.approx(expected, rel=1e-5)


@needs("PGLib-UC", RTS_GMLC)
def test_cuts_raise_the_bound_of_a_library_instance() -> None:
    problem = decode_pglib((RTS_GMLC / "2020-07-06.json").read_bytes())
    _, before, after, _ = strengthened(problem, rounds=2)
    known = 3_729_194.93
    assert before < 0.9985 * known < 0.999 * known < after <= known
