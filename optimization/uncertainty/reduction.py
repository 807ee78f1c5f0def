"""Few scenarios in place of many: fast forward selection, and stage by stage into a tree.

Forward selection takes, one after the other, the scenario that brings the Kantorovich distance
between the given distribution and one on the scenarios taken furthest down; each scenario left out
gives its probability to the nearest one taken (H. Heitsch and W. Roemisch, Scenario reduction
algorithms in stochastic programming, Computational Optimization and Applications 24, 2003). A tree
comes of doing so stage by stage with what becomes known in each (the same, Scenario tree modeling
for multistage stochastic programs, Mathematical Programming 118, 2009).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from optimization.checks import FloatArray, IntArray


def select(distance: FloatArray, probability: FloatArray, n_kept: int) -> tuple[IntArray, IntArray]:
    """Return the scenarios taken, in order, and by scenario the place of its representative there.

    Args:
        distance: [N, N] between scenarios.
        probability: [N].
        n_kept: at most so many are taken; fewer where the rest repeats them.
    """
    kept: list[int] = []
    nearest = np.full(len(probability), np.inf)
    while len(kept) < n_kept and nearest.max() > 0:
        # The distance that is left if column u were taken as well.
        left = probability @ np.minimum(nearest[:, None], distance)
        left[kept] = np.inf
        kept.append(int(np.argmin(left)))
        nearest = np.minimum(nearest, distance[:, kept[-1]])
    chosen = np.array(kept, dtype=np.int64)
    return chosen, np.argmin(distance[:, chosen], axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """L scenarios that share what they share."""

    values: FloatArray
    """[L, F]."""
    probability: FloatArray
    """[L]."""
    nodes: IntArray
    """[L, K]: leaves with the same number cannot be told apart in a stage."""


def grow(
    values: FloatArray,
    scale: FloatArray,
    known_from: IntArray,
    branches: Sequence[int],
) -> Tree:
    """Return the tree that stands for equally likely scenarios.

    Args:
        values: [N, F], one column per number that is uncertain.
        scale: [F], what counts as one unit of distance.
        known_from: [F], the stage 0 to K - 1 in which a number becomes known.
        branches: [K], most ways on from a node of each stage.
    """
    shared = values.copy()
    paths = np.zeros((len(values), len(branches)), dtype=np.int64)
    groups = [np.arange(len(values))]
    for stage, most in enumerate(branches):
        new = np.flatnonzero(known_from == stage)
        narrower: list[IntArray] = []
        for group in groups:
            points = values[np.ix_(group, new)] / scale[new]
            equal = np.full(len(group), 1 / len(values))
            kept, place = select(cdist(points, points), equal, most)
            for branch, representative in enumerate(kept):
                members = group[place == branch]
                shared[np.ix_(members, new)] = values[group[representative], new]
                paths[members, stage] = len(narrower)
                narrower.append(members)
        groups = narrower
    leaves = np.array([group[0] for group in groups])
    share = np.array([len(group) / len(values) for group in groups])
    return Tree(shared[leaves], share, paths[leaves])
