"""A quick way from a relaxed solution to a whole one: round what is nearly whole, solve, repeat.

Each round changes only bounds, so the simplex method goes on from the basis before; a dive costs a
fraction of a search.
"""

from __future__ import annotations

import time

import numpy as np

from optimization.checks import FloatArray, IntArray
from optimization.highs import Ended
from optimization.highs_session import Session, fractional

_NEAR_FRAC = 0.1
"""So close to a whole number everything is rounded in one round, else the closest."""
_CHUNK_FRAC = 0.2
"""Of what is not whole, at least so much is rounded in a round."""


def dive(
    session: Session, relaxed: FloatArray, *, worst_cost: float, due: float
) -> FloatArray | None:
    """Return a whole solution near a relaxed one, or None when the dive ends elsewhere.

    Args:
        session: whose relaxation was just solved; its bounds are its own again afterwards.
        relaxed: that solution.
        worst_cost: a dive that gets this costly is given up.
        due: by ``time.perf_counter``, when to give up.
    """
    values: FloatArray | None = relaxed
    try:
        while values is not None:
            places = np.flatnonzero(fractional(values, session.integers))
            if not places.size:
                return values
            distance = np.abs(values[places] - np.round(values[places]))
            n = max(int((distance < _NEAR_FRAC).sum()), int(_CHUNK_FRAC * len(places)), 1)
            values = _step(session, places[np.argsort(distance)[:n]], values, worst_cost, due)
    finally:
        session.free()
    return None


def _step(
    session: Session, chosen: IntArray, values: FloatArray, worst_cost: float, due: float
) -> FloatArray | None:
    """Round some columns; where that leads nowhere only the first, or else the other way."""
    rounded = np.round(values[chosen])
    one = chosen[:1]
    for tried, targets in ((chosen, rounded), (one, rounded[:1]), (one, 1 - rounded[:1])):
        session.fix(tried, targets)
        left_s = due - time.perf_counter()
        solution = session.relax(time_limit_s=left_s)
        if solution.ended is Ended.OPTIMAL and solution.bound <= worst_cost:
            return solution.values
        if left_s <= 0:
            return None
        session.free(tried)
    return None
