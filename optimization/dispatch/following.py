"""What comes of powers that somebody else decided: the rest of the schedule, its cost, or why not.

The assets' powers are fixed in our own model; energies, commitments, reserve and what preferences
are missed follow at the least cost. Nothing that the other says of its plan is taken on trust but
the powers.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from optimization.checks import BoolArray, FloatArray
from optimization.dispatch.explain import in_words, named
from optimization.dispatch.fields import Series
from optimization.dispatch.physics import TOLERANCE
from optimization.dispatch.problem import DispatchProblem
from optimization.dispatch.result import Conflict, DispatchResult, DispatchStatus
from optimization.dispatch.sparse.assemble import assemble
from optimization.dispatch.sparse.draft import Draft, Injection
from optimization.dispatch.sparse.extract import (
    breaches,
    cost_terms,
    netted,
    point_mw,
    schedules,
)
from optimization.highs import Ended, Labelled
from optimization.highs_session import Session, fractional

SNAP_MW = 1e-5
"""Ten watts: by so much a power may be beyond its own limits; it is cut to them."""
SLACK = TOLERANCE / 2
"""In MW, MWh and hours: by so much what follows from powers may exceed its limits, since what is
rounded in every step adds up."""
GIVEN = "the power it was given"

_GAP_FRAC = 1e-6
_ROUNDED_ROWS = ("cycle budget", "longest interruption")


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
    due = time.perf_counter() + time_limit_s
    for play_mw in (0.0, SNAP_MW):
        result = _attempt(problem, power_mw, play_mw, due)
        # With some play it takes far longer, so that comes second.
        if result.status is not DispatchStatus.INFEASIBLE:
            break
    return replace(result, solve_s=time.perf_counter() - due + time_limit_s)


def _attempt(
    problem: DispatchProblem, power_mw: Mapping[str, Series], play_mw: float, due: float
) -> DispatchResult:
    draft = assemble(problem)
    powers = {name: np.array(values, dtype=np.float64) for name, values in power_mw.items()}
    for names, constant_mw in draft.constants:
        for name, row in zip(names, constant_mw, strict=True):
            powers[name] = powers[name] - row
    _add_rows(draft, powers, play_mw)
    session = Session(draft.model)
    conflicts = (*_unmovable(draft, powers), *_fix(draft, session, powers, play_mw))
    if conflicts:
        return _refused(conflicts)
    _fix_states(draft, session, powers)
    _forgive_rounding(draft, session)
    solution = session.relax(time_limit_s=_left_s(due))
    if solution.values.size and fractional(solution.values, session.integers).any():
        solution = session.search(time_limit_s=_left_s(due), gap_frac=_GAP_FRAC)
    if solution.ended is Ended.INFEASIBLE:
        found = session.contradiction(time_limit_s=_left_s(due)) if play_mw else None
        return _refused(() if found is None else named(draft.model, *found))
    if not solution.values.size:
        reason = "there was no time to find out what comes of it"
        return DispatchResult(status=DispatchStatus.LATE, solve_s=0.0, reason=reason)
    values = netted(draft, solution.values)
    terms = cost_terms(draft, values)
    return DispatchResult(
        status=DispatchStatus.INCUMBENT,
        solve_s=0.0,
        schedules=schedules(draft, values),
        point_mw=point_mw(draft, values),
        cost=sum(terms.values()),
        cost_terms=terms,
        breaches=breaches(draft, values),
    )


def _left_s(due: float) -> float:
    return max(due - time.perf_counter(), 0.0)


def _refused(conflicts: tuple[Conflict, ...]) -> DispatchResult:
    # Where the relaxation holds together, only whole numbers can be in the way.
    reason = in_words(conflicts) if conflicts else "no way of switching on and off has these powers"
    return DispatchResult(
        status=DispatchStatus.INFEASIBLE,
        solve_s=0.0,
        reason=reason,
        contradiction=conflicts,
    )


def _unmovable(draft: Draft, powers: Mapping[str, FloatArray]) -> Iterator[Conflict]:
    """Yield the assets that cannot move and should."""
    movable = {name for injection in draft.injections for name in injection.names}
    for name in powers.keys() - movable:
        off = np.flatnonzero(np.abs(powers[name]) > SNAP_MW)
        if off.size:
            yield Conflict(name=name, what="cannot be moved", steps=tuple(off.tolist()))


def _add_rows(draft: Draft, powers: Mapping[str, FloatArray], play_mw: float) -> None:
    """Hold by rows whose power has parts that may both be there: generators and loads."""
    names = _in_parts(draft)
    if not names:
        return
    places = {name: n for n, name in enumerate(names)}
    wanted = np.array([powers[name] for name in names])
    play = _play(draft, names, play_mw)
    rows = draft.model.rows(wanted.shape, wanted - play, wanted + play, of=names, what=GIVEN)
    for injection in draft.injections:
        if injection.names[0] in places:
            mine = rows[[places[name] for name in injection.names]]
            draft.model.add(mine, injection.columns, injection.factor)


def _fix(
    draft: Draft, session: Session, powers: Mapping[str, FloatArray], play_mw: float
) -> Iterator[Conflict]:
    """Fix the columns of power of all others; yield what is beyond an asset's own limits.

    Of two flows, in and out, the other one is zero: nothing burns energy by running both ways.
    """
    held = set(_in_parts(draft))
    n_flows = Counter(name for injection in draft.injections for name in injection.names)
    for injection in draft.injections:
        names, columns = injection.names, injection.columns
        if names[0] in held:
            continue
        value = np.array([powers[name] for name in names]) / injection.factor
        two_way = np.array([n_flows[name] > 1 for name in names])
        value[two_way] = np.maximum(value[two_way], 0.0)
        least, most = session.lower[columns], session.upper[columns]
        yield from _beyond(draft, injection, (value < least - SNAP_MW) | (value > most + SNAP_MW))
        play = _play(draft, names, play_mw)
        low, high = (np.clip(value + by, least, most) for by in (-play, play))
        session.open_columns(columns, low, high)
        own = draft.model.labelled_columns
        own[:] = [block for block in own if block.indices.flat[0] != columns.flat[0]]
        own.append(Labelled(names, GIVEN, columns))


def _fix_states(draft: Draft, session: Session, powers: Mapping[str, FloatArray]) -> None:
    """Fix who runs and who stands still, which power tells where running takes a minimum."""
    least_mw = {unit.name: unit.min_mw for unit in draft.problem.generators}
    least_mw |= {unit.name: unit.min_mw for unit in draft.problem.electrolysers}
    for names, columns in draft.running:
        power_mw = np.abs([powers[name] for name in names])
        minimum_mw = np.array([[least_mw[name]] for name in names])
        told = (power_mw > SNAP_MW) | (minimum_mw > SNAP_MW)
        session.fix(columns[told], (power_mw > SNAP_MW)[told].astype(np.float64))


def _play(draft: Draft, names: tuple[str, ...], play_mw: float) -> FloatArray:
    """Return by how much the power of each [N, 1] may be another one."""
    # Running starts at a minimum, which rounding must not miss.
    switched = {name for names, _ in draft.running for name in names}
    return np.array([[SNAP_MW if name in switched else play_mw] for name in names])


def _in_parts(draft: Draft) -> tuple[str, ...]:
    parted = {unit.name for unit in draft.problem.generators}
    parted |= {load.name for load in draft.problem.loads}
    return tuple({n: None for i in draft.injections for n in i.names if n in parted})


def _beyond(draft: Draft, injection: Injection, off: BoolArray) -> Iterator[Conflict]:
    first = injection.columns.flat[0]
    own = (b.what for b in draft.model.labelled_columns if b.indices.flat[0] == first)
    what = next(own, "limits")
    for name, steps in zip(injection.names, off, strict=True):
        if steps.any():
            yield Conflict(name=name, what=what, steps=tuple(np.flatnonzero(steps).tolist()))


def _forgive_rounding(draft: Draft, session: Session) -> None:
    """Let energies, points and sums over the horizon exceed their limits by a hair."""
    for columns in (*(energy for _, energy, _ in draft.energies), *draft.net.values()):
        low, high = session.lower[columns] - SLACK, session.upper[columns] + SLACK
        session.open_columns(columns, low, high)
    lower, upper = draft.model.row_bounds()
    for block in draft.model.labelled_rows:
        if block.what in _ROUNDED_ROWS:
            session.open_rows(block.indices, lower[block.indices], upper[block.indices] + SLACK)
