"""What groups of stores answer to prices, and what the stores do in a mixture of answers.

Answers are not kept: who needs the schedules behind one asks for the same prices again, and only
those who take part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optimization.checks import FloatArray
from optimization.decomposed.portfolio import Block
from optimization.decomposed.response import respond

Column = tuple[FloatArray, FloatArray]
"""Cost [G] and power [G, T] in MW of what groups do."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """What the groups of a block [G] do at given prices."""

    least: FloatArray  # [G], cost less earnings: no schedule can have less
    best: Column
    """What has it; some stores may draw and inject at once."""
    one_way: Column
    """The same where none does, else schedules that can be followed."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mixed:
    """What the stores of a block do in a mixture, one way at a time; arrays [N, T]."""

    energy_mwh: FloatArray
    into_mw: FloatArray
    out_mw: FloatArray
    power_mw: FloatArray
    """Injection."""
    excess_mw: FloatArray
    """So much more than the mixture says: what drawing and injecting at once would burn."""


def answer(block: Block, price_per_mwh: FloatArray) -> Answer:
    """Return what a block does at prices by connection point [P, T]."""
    paid = price_per_mwh[block.home]
    found = respond(block.framed, paid)
    least = block.sums(found.cost - (found.power_mw * paid) @ block.framed.stores.step_h)
    best = one_way = block.sums(found.cost), block.sums(found.power_mw)
    if found.burning:
        found = respond(block.framed, paid, one_way=True)
        one_way = block.sums(found.cost), block.sums(found.power_mw)
    return Answer(least=least, best=best, one_way=one_way)


def mix(block: Block, prices_per_mwh: FloatArray, weights: FloatArray) -> Mixed:
    """Return what a block does in a mixture of its answers.

    Args:
        block: N stores in G groups.
        prices_per_mwh: of the answers, by connection point [A, P, T].
        weights: of each group's answers [G, A]; they add up to 1.
    """
    stores = block.framed.stores
    share = np.repeat(weights, block.sizes, axis=0)
    energy, power = np.zeros((2, *stores.low_mwh.shape))
    for price, part in zip(prices_per_mwh, share.T, strict=True):
        rows = np.flatnonzero(part)
        if rows.size:
            found = respond(block.framed.take(rows), price[block.home[rows]], one_way=True)
            energy[rows] += part[rows, None] * found.energy_mwh
            power[rows] += part[rows, None] * found.power_mw
    into, out = stores.flows_mw(energy)
    net = stores.must_mw + out - into
    return Mixed(energy_mwh=energy, into_mw=into, out_mw=out, power_mw=net, excess_mw=net - power)
