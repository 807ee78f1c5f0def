"""Assembly of a dispatch problem into one sparse model."""

from __future__ import annotations

from optimization.dispatch.problem import DispatchProblem
from optimization.dispatch.reach import Reach
from optimization.dispatch.sparse.draft import Draft
from optimization.dispatch.sparse.generators import add_generators
from optimization.dispatch.sparse.network import add_network
from optimization.dispatch.sparse.plant import add_electrolysers, add_loads, add_renewables
from optimization.dispatch.sparse.reserves import add_reserves
from optimization.dispatch.sparse.storage import (
    Exclusive,
    add_batteries,
    add_fleets,
    add_heat_stores,
    add_vehicles,
)


def assemble(
    problem: DispatchProblem, exclusive: Exclusive | None = None, *, reach: Reach | None = None
) -> Draft:
    """Build the model of a checked problem.

    Args:
        problem: checked.
        exclusive: by battery or vehicle, the steps [T] at which its two directions get a binary.
        reach: of every point; left out, that of the problem's assets.
    """
    draft = Draft(problem=problem, reach=reach or {})
    add_batteries(draft, exclusive or {})
    add_vehicles(draft, exclusive or {})
    add_heat_stores(draft)
    add_fleets(draft)
    add_renewables(draft)
    add_generators(draft)
    add_electrolysers(draft)
    add_loads(draft)
    add_reserves(draft)
    add_network(draft)
    return draft
