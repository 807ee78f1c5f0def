"""Dispatch problems: time to a proven gap of 0.1 %, beside the textbook form in the same run.

The textbook form is the same problem in Pyomo with a binary per store and step and plain unit
commitment, solved by the same HiGHS; the writing of its model is not timed. Time
of the processor is told beside time by the clock, for machines that do other things as well.
"""

from __future__ import annotations

import resource
import sys
import time
from math import isfinite
from statistics import geometric_mean

from cluster.solve.pglib import decode_pglib
from cluster.solve.workers import workers
from optimization.decomposed.pool import Pool
from optimization.dispatch.previous import PreviousPlan
from optimization.dispatch.problem import DispatchProblem
from optimization.dispatch.result import DispatchResult
from optimization.dispatch.solve import solve_dispatch
from optimization.dispatch.textbook.model import solve_textbook
from optimization.warm_start import WarmStart
from tests.benchmarks.figures import figure, load_average, note, report
from tests.support.portfolio import one_step_later, portfolio
from tests.support.real_data import RTS_GMLC

_GAP_FRAC = 1e-3
_LIMIT_S = 120.0
_N_WORKERS = 2


def solved(
    problem: DispatchProblem,
    previous: PreviousPlan | None = None,
    *,
    limit_s: float = _LIMIT_S,
    pool: Pool | None = None,
    warm: WarmStart | None = None,
) -> tuple[DispatchResult, dict[str, object], float]:
    """Return the result, what is told about it, and the seconds it took."""
    cpu_s, begun = time.process_time(), time.perf_counter()
    result = solve_dispatch(
        problem,
        deadline_s=limit_s,
        gap_frac=_GAP_FRAC,
        previous=previous,
        pool=pool,
        warm=warm,
    )
    spent_s, cpu_s = time.perf_counter() - begun, time.process_time() - cpu_s
    told: dict[str, object] = {
        "status": result.status.value,
        "objective": None if result.cost is None else round(result.cost, 2),
        "gap_percent": None if result.gap_frac is None else round(100 * result.gap_frac, 4),
        "cpu_s": round(cpu_s, 3),
        "load_average": load_average(),
    }
    return result, told, spent_s


def beside_textbook(
    problem: DispatchProblem, engine: dict[str, object], limit_s: float
) -> dict[str, object]:
    """Return the figures of the textbook form, and how many times less the engine takes."""
    answer = solve_textbook(problem, gap_frac=_GAP_FRAC, time_limit_s=limit_s)
    found = isfinite(answer.cost)
    gap_frac = (answer.cost - answer.bound) / max(abs(answer.cost), 1e-6) if found else 0.0
    # What the textbook form had not proven yet would take it longer: the ratio is the least it is.
    engine_s = float(str(engine["cpu_s"])) if engine["status"] == "optimal" else limit_s
    return {
        "objective": round(answer.cost, 2) if found else None,
        "gap_percent": round(100 * gap_frac, 4) if found else None,
        "solve_s": round(answer.solve_s, 2),
        "cpu_s": round(answer.cpu_s, 2),
        "times_the_engine_by_cpu": round(answer.cpu_s / engine_s, 2),
    }


def with_workers(problem: DispatchProblem, limit_s: float) -> dict[str, object]:
    """Return the figures of a large portfolio, computed here and by two workers.

    The time of the workers counts their start, not that of Ray; processor time is that of this
    process alone.
    """
    _, told, here_s = solved(problem, limit_s=limit_s)
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    figures = told | {
        "time": figure(here_s, "s", must=120.0, aim=30.0),
        "memory": figure(peak_gib, "GiB", must=6.0),
    }
    with workers(_N_WORKERS) as pool:
        _, told, there_s = solved(problem, limit_s=limit_s, pool=pool)
        _, again, again_s = solved(problem, limit_s=limit_s, pool=pool)
    figures[f"workers_{_N_WORKERS}"] = told | {
        "time": figure(there_s, "s"),
        "times_as_fast": round(here_s / there_s, 2),
        "once_they_run": again | {"time": figure(again_s, "s")},
        "times_as_fast_once_they_run": round(here_s / again_s, 2),
    }
    return figures


def main(*, smoke: bool) -> None:
    """Print the figures of portfolios small and large, of a re-plan and of unit commitment."""
    limit_s = 5.0 if smoke else _LIMIT_S
    figures: dict[str, object] = {}
    problem = portfolio(10, 2, n_steps=24) if smoke else portfolio(100, 10)
    warm = WarmStart()
    result, told, spent_s = solved(problem, warm=warm)
    figures["resources_100"] = told | {
        "time": figure(spent_s, "s", must=2.0, aim=0.5),
        "textbook": beside_textbook(problem, told, limit_s),
    }
    note("resources_100", figures["resources_100"])
    previous = PreviousPlan(result=result, step_h=problem.step_h, elapsed_h=problem.step_h[0])
    _, told, spent_s = solved(one_step_later(problem, result), previous, warm=warm)
    figures["replan_100"] = told | {"time": figure(spent_s, "s", must=0.5, aim=0.1)}
    note("replan_100", figures["replan_100"])
    _, told, spent_s = solved(portfolio(20, 2, n_steps=24) if smoke else portfolio(1000, 20))
    figures["resources_1000"] = told | {"time": figure(spent_s, "s", must=15.0, aim=5.0)}
    note("resources_1000", figures["resources_1000"])
    figures["resources_10000"] = with_workers(
        portfolio(450, 2, n_steps=24) if smoke else portfolio(10_000, 20), limit_s
    )
    note("resources_10000", figures["resources_10000"])
    ratios = []
    for file in sorted(RTS_GMLC.glob("*.json"))[: 1 if smoke else None]:
        problem = decode_pglib(file.read_bytes())
        _, told, spent_s = solved(problem, limit_s=limit_s)
        beside = beside_textbook(problem, told, limit_s)
        figures[f"rts_gmlc_{file.stem}"] = told | {"time": figure(spent_s, "s"), "textbook": beside}
        note(file.stem, figures[f"rts_gmlc_{file.stem}"])
        ratios.append(float(str(beside["times_the_engine_by_cpu"])))
    if ratios:
        figures["rts_gmlc_times_the_engine_by_cpu"] = round(geometric_mean(ratios), 1)
    report(figures)


if __name__ == "__main__":
    main(smoke="--smoke" in sys.argv)
