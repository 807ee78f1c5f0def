"""What ``parkgrid bid`` does: read a bidding problem, find or judge a bid, tell what it brings."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from cluster.solve.console import Console, number, on_interrupt, read_limited
from cluster.solve.problem_json import (
    decode_bidding,
    decode_bidding_result,
    encode_bidding_result,
)
from controllers.kernel.errors import ConfigError
from optimization.checks import ProblemError
from optimization.dispatch.rules import ProblemRefusedError
from optimization.uncertainty.result import Bid, BiddingResult, Curve
from optimization.uncertainty.solve import solve_bidding


def run_bid(
    file: Path, *, judge: Path | None, gap_frac: float, deadline_s: float, out: Path | None
) -> int:
    """Find the bid for the problem in a file and print it; return the exit code.

    Args:
        file: of the problem.
        judge: an earlier result, whose bid is judged in place of finding one.
        gap_frac: demanded.
        deadline_s: when the answer is due.
        out: where the whole result goes.

    Raises:
        ConfigError: a file is not what it should be, or breaks rules; each is told.
    """
    try:
        problem = decode_bidding(read_limited(file))
        bid = None if judge is None else _bid_in(judge)
        console = Console()
        with on_interrupt(console):
            result = solve_bidding(
                problem, deadline_s=deadline_s, gap_frac=gap_frac, bid=bid, watch=console.watch
            )
        console.end()
    except ProblemRefusedError as error:
        raise ConfigError(str(file), [str(fault) for fault in error.faults]) from None
    if out is not None:
        out.write_bytes(encode_bidding_result(result))
    for line in summary(result):
        print(line)
    if result.reason:
        print(f"parkgrid: {result.reason}", file=sys.stderr)
    return 0 if result.feasible else 1


def _bid_in(file: Path) -> Bid:
    bid = decode_bidding_result(read_limited(file)).bid
    if bid is None:
        raise ProblemRefusedError([ProblemError("judge", str(file), "must hold a bid")])
    return bid


def summary(result: BiddingResult) -> Iterator[str]:
    """Yield the lines to print."""
    yield f"status     {result.status.value}"
    yield f"objective  {number(result.objective)}"
    yield f"bound      {number(result.bound)}"
    gap = result.gap_frac
    yield f"gap        {'-' if gap is None else f'{100 * gap:.4f} %'}"
    yield f"time       {result.solve_s:.2f} s"
    yield f"expected   {number(result.expected_cost)}"
    yield f"at risk    {number(result.conditional_value_at_risk)}"
    yield f"scenarios  {len(result.outcomes)}"
    if result.bid is None:
        return
    for step, curve in enumerate(result.bid.curves):
        yield f"step {step:<5} {_in_words(curve)}"
    for name, sold_mw in result.bid.reserve_mw.items():
        yield f"{name}: {' '.join(f'{mw:.6g}' for mw in sold_mw)} MW held"


def _in_words(curve: Curve) -> str:
    first, *others = curve
    stairs = [f"{first.power_mw:.6g} MW"]
    stairs += [f"from {point.price_per_mwh:.6g} on {point.power_mw:.6g} MW" for point in others]
    return ", ".join(stairs)
