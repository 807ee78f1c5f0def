"""Refuses a bidding problem that makes no sense, with everything that is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np

from optimization.checks import ProblemError
from optimization.dispatch.fields import Plain
from optimization.dispatch.problem import DispatchProblem
from optimization.dispatch.rules import ProblemRefusedError, check, out_of_range
from optimization.uncertainty.foresight import anticipations
from optimization.uncertainty.problem import (
    MAX_SCENARIOS,
    BiddingProblem,
    Forecast,
    QuantileForecast,
    Scenario,
    VenueLimits,
)
from optimization.uncertainty.result import Bid
from optimization.uncertainty.scenarios import cross_matrix, positions_between

_TINY = 1e-6


def check_statement(problem: BiddingProblem) -> None:
    """Check what is stated, before scenarios are drawn.

    Raises:
        ProblemRefusedError: with all faults that can be told apart.
    """
    faults = [*out_of_range(problem, "", problem.dispatch.n_steps)]
    faults = faults or [*_limits(problem.market.limits), *_sources(problem)]
    if not faults:
        faults += _names(problem)
        for scenario in problem.scenarios:
            faults += _prices(scenario, problem.market.limits)
        faults += _nodes(problem.scenarios)
        if problem.forecast is not None:
            faults += _forecast(problem.forecast, sum(problem.dispatch.step_h))
    if faults:
        raise ProblemRefusedError(faults)


def check_dispatches(problem: BiddingProblem, dispatches: Mapping[str, DispatchProblem]) -> None:
    """Check what is to be dispatched in each scenario, and that some position may be taken.

    Raises:
        ProblemRefusedError: with all faults of the first scenario that has some.
    """
    for name, dispatch in dispatches.items():
        try:
            check(dispatch)
        except ProblemRefusedError as error:
            raise ProblemRefusedError(
                [
                    ProblemError(f"scenarios[{name}].dispatch.{f.field}", f.value, f.rule)
                    for f in error.faults
                ]
            ) from None
    low, high = positions_between(problem, dispatches)
    for step in np.flatnonzero(low > high)[:1]:
        rule = f"leaves no whole lot of {problem.market.limits.quantity_step_mw:g} MW"
        raise ProblemRefusedError([ProblemError(f"market.max_mw[{step}]", float(high[step]), rule)])


def check_bid(problem: BiddingProblem, bid: Bid) -> None:
    """Check a bid that is handed in against the problem and the venue's limits.

    Raises:
        ProblemRefusedError: it is not one for this problem, or not in the venue's form.
    """
    n_steps, faults = problem.dispatch.n_steps, []
    if len(bid.curves) != n_steps or not all(bid.curves):
        rule = f"must hold a curve with a point for each of {n_steps} steps"
        raise ProblemRefusedError([ProblemError("bid.curves", len(bid.curves), rule)])
    for flaw in anticipations(problem, (), replace(bid, reserve_mw={}), ()):
        path = f"bid.curves[{flaw.step}]"
        faults.append(ProblemError(path, flaw.amount, f"must not have a {flaw.what}"))
    sold = {p.name for p in problem.dispatch.reserves if p.max_mw is not None}
    if set(bid.reserve_mw) != sold:
        rule = f"must be those of the products sold: {', '.join(sorted(sold)) or 'none'}"
        faults.append(ProblemError("bid.reserve_mw", sorted(bid.reserve_mw), rule))
    for name, held in bid.reserve_mw.items():
        if len(held) != n_steps or not all(np.isfinite(mw) and mw >= 0 for mw in held):
            rule = f"must hold a number of at least 0 for each of {n_steps} steps"
            faults.append(ProblemError(f"bid.reserve_mw[{name}]", len(held), rule))
    if faults:
        raise ProblemRefusedError(faults)


def _limits(limits: VenueLimits) -> Iterator[ProblemError]:
    for name in ("min_price_per_mwh", "max_price_per_mwh"):
        value = getattr(limits, name)
        ticks = value / limits.price_tick_per_mwh
        if abs(ticks - round(ticks)) > _TINY:
            rule = f"must be a multiple of price_tick_per_mwh = {limits.price_tick_per_mwh:g}"
            yield ProblemError(f"market.limits.{name}", value, rule)
    if limits.min_price_per_mwh >= limits.max_price_per_mwh:
        rule = f"must be below max_price_per_mwh = {limits.max_price_per_mwh:g}"
        yield ProblemError("market.limits.min_price_per_mwh", limits.min_price_per_mwh, rule)


def _sources(problem: BiddingProblem) -> Iterator[ProblemError]:
    n_stated = len(problem.scenarios)
    if (n_stated > 0) == (problem.forecast is not None):
        yield ProblemError("scenarios", n_stated, "either these or a forecast must be given")
    if n_stated > MAX_SCENARIOS:
        yield ProblemError("scenarios", n_stated, f"must not be more than {MAX_SCENARIOS}")
    for name, times in Counter(scenario.name for scenario in problem.scenarios).items():
        if times > 1:
            yield ProblemError("scenarios.name", name, f"is used {times} times; names are unique")


def _known(problem: BiddingProblem) -> dict[str, tuple[str, set[str]]]:
    """Return, by field of a scenario, what its names are and which there are."""

    def named(parts: tuple[Plain, ...]) -> set[str]:
        return {str(getattr(part, "name")) for part in parts}  # noqa: B009 - all have one

    dispatch = problem.dispatch
    return {
        "available_mw": ("a renewable", named(dispatch.renewables)),
        "demand_mw": ("a load", named(dispatch.loads)),
        "fixed_mw": ("a connection point", named(dispatch.points)),
        "reserve_price_per_mw_h": ("a reserve product", named(dispatch.reserves)),
    }


def _names(problem: BiddingProblem) -> Iterator[ProblemError]:
    known = _known(problem)
    points = known["fixed_mw"][1]
    if problem.market.point not in points:
        rule = "must be the name of a connection point"
        yield ProblemError("market.point", problem.market.point, rule)
    for scenario in problem.scenarios:
        for field, (what, names) in known.items():
            for name in set(getattr(scenario, field)) - names:
                path = f"scenarios[{scenario.name}].{field}"
                yield ProblemError(path, name, f"must be the name of {what}")
    for place, quantity in enumerate(problem.forecast.quantities if problem.forecast else ()):
        what, names = known.get(_field_of(quantity), ("nothing", {""}))
        if quantity.name not in names:
            path = f"forecast.quantities[{place}].name"
            yield ProblemError(path, quantity.name, f"must be the name of {what}")


def _field_of(quantity: QuantileForecast) -> str:
    unit = "_per_mw_h" if quantity.what == "reserve_price" else "_mw"
    return f"{quantity.what}{unit}"


def _prices(scenario: Scenario, limits: VenueLimits) -> Iterator[ProblemError]:
    low, high = limits.min_price_per_mwh, limits.max_price_per_mwh
    for step, price in enumerate(scenario.price_per_mwh):
        if not low <= price <= high:
            path = f"scenarios[{scenario.name}].price_per_mwh[{step}]"
            yield ProblemError(path, price, f"the venue takes {low:g} to {high:g}")
            return


def _nodes(scenarios: tuple[Scenario, ...]) -> Iterator[ProblemError]:
    """Check that who cannot be told apart never could be, and looks the same."""
    told = [(scenario, scenario.nodes) for scenario in scenarios if scenario.nodes is not None]
    for scenario, nodes in told:
        path, n_steps = f"scenarios[{scenario.name}].nodes", len(scenario.price_per_mwh)
        if len(nodes) != n_steps:
            rule = f"must hold one number for each of {n_steps} steps"
            yield ProblemError(path, len(nodes), rule)
            return
    for (one, here), (other, there) in combinations(told, 2):
        same = np.equal(here, there)
        path = f"scenarios[{other.name}].nodes"
        if not same.any():
            continue
        last = int(np.flatnonzero(same)[-1])
        if not same[: last + 1].all():
            apart = int(np.flatnonzero(~same)[0])
            rule = f"shares one with {one.name} in step {last} but none in step {apart} before it"
            yield ProblemError(path, last, rule)
        elif _seen(one, last) != _seen(other, last):
            rule = f"shares one with {one.name} in step {last}, but what is known then differs"
            yield ProblemError(path, last, rule)


def _seen(scenario: Scenario, last: int) -> tuple[object, ...]:
    """Return what is known when a step ends: the auction's prices, and the rest up to it."""

    def until(values: tuple[float, ...] | None) -> tuple[float, ...] | None:
        return None if values is None else values[: last + 1]

    return (
        scenario.price_per_mwh,
        dict(scenario.reserve_price_per_mw_h),
        until(scenario.shortage_price_per_mwh),
        until(scenario.surplus_price_per_mwh),
        *(
            {name: until(values) for name, values in part.items()}
            for part in (scenario.available_mw, scenario.demand_mw, scenario.fixed_mw)
        ),
    )


def _forecast(forecast: Forecast, horizon_h: float) -> Iterator[ProblemError]:
    whats = [(quantity.what, quantity.name) for quantity in forecast.quantities]
    for what in ("price", "shortage_premium"):
        if (what, "") not in whats:
            yield ProblemError("forecast.quantities", None, f"must hold a forecast of {what}")
    for (what, name), times in Counter(whats).items():
        if times > 1:
            label = " ".join(filter(None, (what, name)))
            yield ProblemError("forecast.quantities", label, f"is forecast {times} times")
    for place, quantity in enumerate(forecast.quantities):
        yield from _quantiles(quantity, f"forecast.quantities[{place}].quantiles")
    yield from _stages(forecast, horizon_h)
    places = len(forecast.quantities)
    for i, pair in enumerate(forecast.cross_correlations):
        if not (pair.one < places and pair.other < places and pair.one != pair.other):
            path, rule = f"forecast.cross_correlations[{i}]", f"must be two places below {places}"
            yield ProblemError(path, (pair.one, pair.other), rule)
            return
    if places and np.linalg.eigvalsh(cross_matrix(forecast))[0] < -_TINY:
        rule = "contradict one another: they are not those of any errors"
        yield ProblemError("forecast.cross_correlations", None, rule)


def _quantiles(quantity: QuantileForecast, path: str) -> Iterator[ProblemError]:
    if not quantity.quantiles:
        yield ProblemError(path, 0, "must hold at least one")
    for place, (below, above) in enumerate(pairwise(quantity.quantiles), start=1):
        if above.level <= below.level:
            yield ProblemError(f"{path}[{place}].level", above.level, "levels must rise")
        crossed = np.flatnonzero(np.less(above.values, below.values))
        for step in crossed[:1]:
            rule = f"must not be below that of level {below.level:g}: {below.values[step]:g}"
            yield ProblemError(f"{path}[{place}].values[{step}]", above.values[step], rule)


def _stages(forecast: Forecast, horizon_h: float) -> Iterator[ProblemError]:
    at_h = [stage.at_h for stage in forecast.stages]
    if not at_h or at_h[0] != 0:
        yield ProblemError("forecast.stages", at_h, "the first must be at 0 h")
    if any(later <= earlier for earlier, later in pairwise(at_h)):
        yield ProblemError("forecast.stages", at_h, "at_h must rise")
    if at_h and at_h[-1] >= horizon_h:
        yield ProblemError("forecast.stages", at_h, f"must be before the end at {horizon_h:g} h")
    leaves = np.prod([float(stage.branches) for stage in forecast.stages])
    if leaves > MAX_SCENARIOS:
        rule = f"branches must not multiply to more than {MAX_SCENARIOS} scenarios"
        yield ProblemError("forecast.stages", float(leaves), rule)
