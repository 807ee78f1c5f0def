"""What comes of powers that somebody else decided: the rest of the schedule, its cost, or why not.

The assets' powers are held, within ``SNAP_MW``, in our own model; energies, commitments, reserve
and what preferences are missed follow at the least cost. Nothing that the other says of its plan is
taken on trust but the powers.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from optimization.checks import FloatArray
from optimization.dispatch.explain import in_words, named
from optimization.dispatch.fields import Series
from optimization.dispatch.problem import DispatchProblem
from optimization.dispatch.result import Conflict, DispatchResult, DispatchStatus
from optimization.dispatch.sparse.assemble import assemble
from optimization.dispatch.sparse.draft import Draft
from optimization.dispatch.sparse.extract import (
    breaches,
    cost_terms,
    netted,
    point_mw,
    schedules,
)
from optimization.highs import Ended
from optimization.highs_session import Session, fractional

SNAP_MW = 1e-5
"""Ten watts: what rounding and a solver's own tolerance may be off in a step."""
GIVEN = "the power it was given"

_GAP_FRAC = 1e-6


def follow(
    problem: DispatchProblem, power_mw: Mapping[str, Series], *, time_limit_s: float
) -> DispatchResult:
    """Return the schedules and the cost that given powers lead to.

    The status is ``incumbent`` where the powers can be followed, ``infeasible`` where they break
    physics or a limit, with ``contradiction`` and ``reason``, and ``late`` where that was not found
    out in time.

    Args:
        problem: checked.
        power_mw: by asset, one finite number per step; all assets, and no others.
        time_limit_s: for all of it.
    """
    begun = time.perf_counter()
    draft = assemble(problem)
    powers = {name: np.array(values, dtype=np.float64) for name, values in power_mw.items()}
    conflicts = _hold(draft, powers)
    if conflicts:
        return _refused(conflicts, begun)
    session = Session(draft.model)
    _hold_direction(draft, session, powers)
    solution = session.relax(time_limit_s=time_limit_s)
    if solution.values.size and fractional(solution.values, session.integers).any():
        left_s = begun + time_limit_s - time.perf_counter()
        solution = session.search(time_limit_s=max(left_s, 0.0), gap_frac=_GAP_FRAC)
    if solution.ended is Ended.INFEASIBLE:
        left_s = begun + time_limit_s - time.perf_counter()
        found = session.contradiction(time_limit_s=max(left_s, 0.0))
        return _refused(() if found is None else named(draft.model, *found), begun)
    if not solution.values.size:
        spent = time.perf_counter() - begun
        reason = f"what comes of it was not found out within {time_limit_s:g} s"
        return DispatchResult(status=DispatchStatus.LATE, solve_s=spent, reason=reason)
    values = netted(draft, solution.values)
    terms = cost_terms(draft, values)
    return DispatchResult(
        status=DispatchStatus.INCUMBENT,
        solve_s=time.perf_counter() - begun,
        schedules=schedules(draft, values),
        point_mw=point_mw(draft, values),
        cost=sum(terms.values()),
        cost_terms=terms,
        breaches=breaches(draft, values),
    )


def _refused(conflicts: tuple[Conflict, ...], begun: float) -> DispatchResult:
    # Where the relaxation holds together, only whole numbers can be in the way.
    reason = in_words(conflicts) if conflicts else "no way of switching on and off has these powers"
    return DispatchResult(
        status=DispatchStatus.INFEASIBLE,
        solve_s=time.perf_counter() - begun,
        reason=reason,
        contradiction=conflicts,
    )


def _hold(draft: Draft, powers: Mapping[str, FloatArray]) -> tuple[Conflict, ...]:
    """Add rows that hold each asset's power; return those assets that cannot move and should."""
    names = tuple(powers)
    places = {name: n for n, name in enumerate(names)}
    wanted = np.array([powers[name] for name in names]).reshape(len(names), draft.n_steps)
    for fixed_names, constant_mw in draft.constants:
        wanted[[places[name] for name in fixed_names]] -= constant_mw
    movable = sorted({places[n] for injection in draft.injections for n in injection.names})
    fixed = sorted(set(places.values()) - set(movable))
    conflicts = tuple(
        Conflict(name=names[n], what="cannot be moved", steps=tuple(off.tolist()))
        for n in fixed
        if (off := np.flatnonzero(np.abs(wanted[n]) > SNAP_MW)).size
    )
    if conflicts:
        return conflicts
    few = tuple(names[n] for n in movable)
    rows_of = np.full(len(names), -1)
    rows_of[movable] = np.arange(len(movable))
    rows = draft.model.rows(
        (len(movable), draft.n_steps),
        wanted[movable] - SNAP_MW,
        wanted[movable] + SNAP_MW,
        of=few,
        what=GIVEN,
    )
    for injection in draft.injections:
        mine = rows[rows_of[[places[name] for name in injection.names]]]
        draft.model.add(mine, injection.columns, injection.factor)
    return ()


def _hold_direction(draft: Draft, session: Session, powers: Mapping[str, FloatArray]) -> None:
    """Keep every store from burning energy by running both ways at once."""
    for store in draft.two_way:
        giving = np.array([powers[name] for name in store.names]) > 0
        for columns in (store.into[giving], store.out[~giving]):
            session.cap(columns, np.zeros(len(columns)))
