"""Judges schedules by physics alone: recomputed from the problem, whoever made them.

What a schedule says about power, energy, commitment and reserve is checked against the assets and
the network, without any model or solver. Preferences are not looked at: they may be missed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from optimization.checks import FloatArray
from optimization.dispatch.fields import Plain
from optimization.dispatch.plant import Electrolyser, Generator, Load
from optimization.dispatch.problem import Asset, DispatchProblem
from optimization.dispatch.reach import depth_first, hard_limits, power_range
from optimization.dispatch.result import Schedule
from optimization.dispatch.storage import Battery, Fleet, HeatStore, Vehicle

TOLERANCE = 1e-4
"""In MW and MWh; solvers keep their constraints to about 1e-6 of a scaled model."""
_EPS_H = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation(Plain):
    """A law that a schedule breaks."""

    name: str
    what: str
    step: int
    amount: float


def violations(
    problem: DispatchProblem, schedules: Mapping[str, Schedule], *, tolerance: float = TOLERANCE
) -> tuple[Violation, ...]:
    """Return what the schedules of all assets break, at most once per asset and law.

    Args:
        problem: checked.
        schedules: by asset.
        tolerance: in MW and MWh.
    """
    missing = [asset.name for asset in problem.assets if not _fits(problem, asset, schedules)]
    if missing:
        return tuple(
            Violation(name=name, what="has no complete schedule", step=0, amount=np.inf)
            for name in missing
        )
    found: list[Violation] = []
    for name, what, excess in _laws(problem, schedules):
        step = int(np.argmax(excess)) if len(excess) else 0
        if len(excess) and not excess[step] <= tolerance:
            found.append(Violation(name=name, what=what, step=step, amount=float(excess[step])))
    return tuple(found)


_Law = tuple[str, str, FloatArray]
"""Name, law, and by how much each step breaks it; NaN breaks it too."""


def _fits(problem: DispatchProblem, asset: Asset, schedules: Mapping[str, Schedule]) -> bool:
    schedule, n = schedules.get(asset.name), problem.n_steps
    if schedule is None or len(schedule.power_mw) != n:
        return False
    if any(len(values) != n for values in schedule.reserve_mw.values()):
        return False
    if isinstance(asset, Generator) or (
        isinstance(asset, Electrolyser) and asset.min_mw + asset.start_cost > 0
    ):
        return schedule.running is not None and len(schedule.running) == n
    if isinstance(asset, Battery | Vehicle | HeatStore | Fleet):
        return schedule.energy_mwh is not None and len(schedule.energy_mwh) == n + 1
    return True


def _laws(problem: DispatchProblem, schedules: Mapping[str, Schedule]) -> Iterator[_Law]:
    yield from _network(problem, schedules)
    for asset in problem.assets:
        schedule = schedules[asset.name]
        power = np.array(schedule.power_mw)
        up, down = _held(problem, schedule, "up"), _held(problem, schedule, "down")
        low, high = power_range(asset, problem.n_steps)
        yield asset.name, "power above its maximum", power + up - high
        if not isinstance(asset, Electrolyser):
            yield asset.name, "power below its minimum", low - power + down
        match asset:
            case Battery() | Vehicle() | Fleet():
                yield from _store(problem, asset, schedule)
            case HeatStore():
                yield from _heat(problem, asset, schedules)
            case Generator():
                yield from _generator(problem, asset, schedule)
            case Electrolyser():
                on = np.array(schedule.running or (True,) * problem.n_steps)
                yield asset.name, "draw while off or below the minimum", asset.min_mw * on + power
                yield asset.name, "draw above the maximum", -power - asset.max_mw * on
            case Load():
                pass


def _network(problem: DispatchProblem, schedules: Mapping[str, Schedule]) -> Iterator[_Law]:
    net = {point.name: np.zeros(problem.n_steps) for point in problem.points}
    for asset in problem.assets:
        net[asset.point] += schedules[asset.name].power_mw
    for point in depth_first(problem.points):
        if point.fixed_mw is not None:
            net[point.name] += point.fixed_mw
        if point.parent is not None:
            net[point.parent] += net[point.name]
        max_import, max_export = hard_limits(point)
        yield point.name, "import above its limit", -net[point.name] - max_import
        yield point.name, "export above its limit", net[point.name] - max_export


def _held(problem: DispatchProblem, schedule: Schedule, direction: str) -> FloatArray:
    total = np.zeros(problem.n_steps)
    for product in problem.reserves:
        if product.direction == direction and product.name in schedule.reserve_mw:
            total += schedule.reserve_mw[product.name]
    return total


def _store(
    problem: DispatchProblem, store: Battery | Vehicle | Fleet, schedule: Schedule
) -> Iterator[_Law]:
    """Check that energy follows from net power run one way only, within its limits."""
    step_h = np.array(problem.step_h)
    power, energy = np.array(schedule.power_mw), np.array(schedule.energy_mwh)
    into, out, loss, inflow = 1.0, 1.0, 0.0, np.zeros(problem.n_steps)
    if isinstance(store, Fleet):
        if store.inflow_mw is not None:
            inflow = np.array(store.inflow_mw)
        low, high = np.array(store.min_mwh), np.array(store.max_mwh)
    else:
        into, out = store.charge_efficiency, store.discharge_efficiency
        loss = store.standing_loss_frac_per_h if isinstance(store, Battery) else 0.0
        idle = store.initial_mwh * (1 - loss) ** np.cumsum(step_h)
        low, high = np.minimum(store.min_mwh, idle), np.maximum(store.max_mwh, idle)
    gain = np.where(power < 0, -power * into, -power / out) + inflow
    for product in problem.reserves:
        held = np.array(schedule.reserve_mw.get(product.name, (0.0,) * problem.n_steps))
        share = -1 / out if product.direction == "up" else into
        gain = gain + product.activation_frac * share * held
    expected = energy[:-1] * (1 - loss) ** step_h + step_h * gain
    yield store.name, "energy starts elsewhere", np.abs(energy[:1] - store.initial_mwh)
    yield store.name, "energy made out of nothing", energy[1:] - expected
    yield store.name, "energy lost, or burnt by running both ways", expected - energy[1:]
    yield store.name, "energy above its maximum", energy[1:] - high
    yield store.name, "energy below its minimum", low - energy[1:]
    if isinstance(store, Vehicle):
        end_h = np.cumsum(step_h)
        away = (end_h <= store.arrival_h) | (end_h - step_h >= store.departure_h)
        yield store.name, "power while away", np.abs(power) * away
    if isinstance(store, Battery):
        spent = np.sum(np.clip(power, 0, None) * step_h) - store.max_discharge_mwh
        yield store.name, "cycle budget exceeded", np.array([spent])


def _heat(
    problem: DispatchProblem, store: HeatStore, schedules: Mapping[str, Schedule]
) -> Iterator[_Law]:
    step_h = np.array(problem.step_h)
    schedule = schedules[store.name]
    energy = np.array(schedule.energy_mwh)
    heat = -np.array(schedule.power_mw) * store.cop - np.array(store.heat_demand_mw)
    for unit in problem.generators:
        if unit.heat_store == store.name:
            heat += unit.heat_per_mw * np.array(schedules[unit.name].power_mw)
    kept = (1 - store.standing_loss_frac_per_h) ** step_h
    yield store.name, "heat not conserved", np.abs(energy[1:] - energy[:-1] * kept - step_h * heat)


def _generator(problem: DispatchProblem, unit: Generator, schedule: Schedule) -> Iterator[_Law]:
    step_h = np.array(problem.step_h)
    start_h = np.cumsum(step_h) - step_h
    power, on = np.array(schedule.power_mw), np.array(schedule.running)
    up, down = _held(problem, schedule, "up"), _held(problem, schedule, "down")
    was_on = np.concatenate([[unit.initial_h > 0], on[:-1]])
    span = unit.max_mw - unit.min_mw
    above = power - unit.min_mw * on
    first = np.clip(unit.initial_mw - unit.min_mw, 0, span) * (unit.initial_h > 0)
    before = np.concatenate([[first], above[:-1]])
    yield unit.name, "power while off or below the minimum", down - above
    yield unit.name, "power above the maximum", above + up - span * on
    yield unit.name, "ramp up too steep", above + up - before - unit.ramp_up_mw_per_h * step_h
    yield unit.name, "ramp down too steep", before - above + down - unit.ramp_down_mw_per_h * step_h
    started, stopped = on & ~was_on, ~on & was_on
    yield (
        unit.name,
        "start too high",
        np.where(started, above + up + unit.min_mw - unit.start_mw, 0),
    )
    yield unit.name, "stop from too high", np.where(stopped, before + unit.min_mw - unit.stop_mw, 0)
    yield unit.name, "stands still though it must run", (unit.must_run & ~on).astype(np.float64)
    state, since_h = unit.initial_h > 0, -abs(unit.initial_h)
    broken = np.zeros(len(on))
    for t in range(len(on)):
        if on[t] != state:
            least_h = unit.min_up_h if state else unit.min_down_h
            broken[t] = start_h[t] - since_h < least_h - _EPS_H
            state, since_h = bool(on[t]), start_h[t]
    yield unit.name, "switched before its minimum time", broken
