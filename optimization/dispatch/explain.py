"""Why a problem has no solution: a smallest set of constraints that contradict, in words.

Where the relaxation contradicts itself HiGHS names an irreducible set of rows and bounds. Where
only whole numbers do, groups of constraints are left out one after the other: what can go while the
rest still contradicts goes, what must stay is the answer.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from optimization.checks import BoolArray, IntArray
from optimization.dispatch.problem import DispatchProblem
from optimization.dispatch.result import Conflict
from optimization.dispatch.sparse.assemble import assemble
from optimization.highs import Labelled, SparseModel
from optimization.highs_session import Session

_SHARE_FRAC = 0.25
"""Of the time left, for one question whether the rest still contradicts."""


def explain(problem: DispatchProblem, time_limit_s: float) -> tuple[Conflict, ...]:
    """Return constraints that cannot all hold while any of them could be dropped.

    Args:
        problem: checked, and without solution.
        time_limit_s: when it runs out the set may hold more than is needed, or be empty.
    """
    due = time.perf_counter() + time_limit_s
    model = assemble(problem).model
    session = Session(model)
    found = session.contradiction(time_limit_s=time_limit_s / 2)
    return _delete(model, session, due) if found is None else named(model, *found)


def named(model: SparseModel, rows: IntArray, columns: IntArray) -> tuple[Conflict, ...]:
    """Return what rows and columns of a contradiction mean, where they mean something."""
    members = [
        (block, np.isin(block.indices, indices))
        for labelled, indices in ((model.labelled_rows, rows), (model.labelled_columns, columns))
        for block in labelled
    ]
    return _conflicts(members)


def in_words(conflicts: tuple[Conflict, ...]) -> str:
    """Return a contradiction as a sentence fragment."""
    if not conflicts:
        return "the constraints contradict one another; there was no time to find out which"
    return "these cannot all hold: " + "; ".join(map(str, conflicts))


def _conflicts(members: Sequence[tuple[Labelled, BoolArray]]) -> tuple[Conflict, ...]:
    """Return one conflict per name and meaning, with its steps."""
    steps: dict[tuple[str, str], set[int]] = defaultdict(set)
    for block, chosen in members:
        for place in np.argwhere(chosen):
            last = int(place[-1]) if block.indices.ndim > 1 and block.indices.shape[1] > 1 else -1
            steps[block.of[place[0]], block.what].add(last)
    return tuple(
        Conflict(name=name, what=what, steps=tuple(sorted(found - {-1})))
        for (name, what), found in steps.items()
    )


def _delete(model: SparseModel, session: Session, due: float) -> tuple[Conflict, ...]:
    """Leave out whole meanings first, then single names of what is left."""
    blocks = [(block, True) for block in model.labelled_rows]
    blocks += [(block, False) for block in model.labelled_columns]
    kept = _needed(model, session, [(b, b.indices, is_row) for b, is_row in blocks], due)
    single = [
        (Labelled((name,), block.what, row[None]), row, is_row)
        for block, _, is_row in kept
        for name, row in zip(block.of, block.indices, strict=True)
    ]
    needed = _needed(model, session, single, due)
    return _conflicts(
        [(block, np.ones(block.indices.shape, dtype=np.bool_)) for block, _, _ in needed]
    )


_Member = tuple[Labelled, IntArray, bool]
"""What it is, its indices, and whether they are rows."""


def _needed(
    model: SparseModel, session: Session, members: Sequence[_Member], due: float
) -> list[_Member]:
    """Return the members without which the rest would not contradict."""
    needed = []
    for member in members:
        _open(model, session, member)
        limit_s = _SHARE_FRAC * (due - time.perf_counter())
        # Not known is not left out: better one constraint too many than a wrong reason.
        if limit_s <= 0 or session.is_feasible(time_limit_s=limit_s) is not False:
            _close(model, session, member)
            needed.append(member)
    return needed


def _open(model: SparseModel, session: Session, member: _Member) -> None:
    _, indices, is_row = member
    far = np.full(indices.shape, np.inf)
    if is_row:
        session.open_rows(indices, -far, far)
    else:
        whole = model.integers()[indices]
        session.open_columns(indices, np.where(whole, 0.0, -far), np.where(whole, 1.0, far))


def _close(model: SparseModel, session: Session, member: _Member) -> None:
    _, indices, is_row = member
    lower, upper = model.row_bounds() if is_row else model.bounds()
    (session.open_rows if is_row else session.open_columns)(indices, lower[indices], upper[indices])
