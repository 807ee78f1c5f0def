"""A day from midnight to midnight: two plants in step, one under control, both metered.

Each step lets the devices live, then reports, plans on the quarter hour, dispatches, and reads the
meters. The clock is moved here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from cluster.day.control import ParkControl
from cluster.day.exchange import Exchange
from cluster.day.meter import Interval, ParkMeters, Reading, kwh
from cluster.day.pace import paced_park
from cluster.day.planner import DayPlanner
from cluster.day.plant import Plant
from cluster.day.scenario import Scenario
from cluster.day.series import HOUR
from cluster.demo.weather import WeatherYear
from controllers.kernel.errors import ConfigError
from controllers.kernel.timebase import QUARTER_HOUR, ManualClock
from controllers.planning.forecast import History
from controllers.planning.horizon import DAY
from controllers.planning.park_plan import ParkPlan

LONGEST_STEP_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class DayRun:
    """What came of a day, or of the part of it that was run."""

    scenario: Scenario
    step_s: int
    complete: bool
    controlled: list[Interval]
    released: list[Interval]
    """The same park without control."""
    initial_kwh: dict[str, float]
    """In each battery when the day began."""
    plans: list[ParkPlan]
    records: dict[str, int]
    """What control noted, by kind and outcome."""
    n_messages: int


def check_step(step_s: int) -> timedelta:
    """Return the step.

    Raises:
        ConfigError: it does not divide a quarter hour, or is longer than a minute.
    """
    if not 1 <= step_s <= LONGEST_STEP_S or QUARTER_HOUR.seconds % step_s:
        rule = f"must be 1 to {LONGEST_STEP_S} s and divide a quarter hour, e.g. 10, 30 or 60"
        raise ConfigError("step", [f"--step {step_s}: {rule}"])
    return timedelta(seconds=step_s)


async def run_day(
    scenario: Scenario,
    *,
    step_s: int,
    progress: Callable[[float], None],
    stopped: Callable[[], bool],
) -> DayRun:
    """Run the day, or until ``stopped``.

    Args:
        scenario: what to run.
        step_s: length of a step; see ``check_step``.
        progress: told the share of the day that is done, every quarter hour.
        stopped: asked every step.
    """
    step = check_step(step_s)
    day = scenario.frame.period
    recorded_kw = scenario.recorded_kw
    park = paced_park(scenario.park, step_s, frozenset(recorded_kw))
    released = Plant(park, recorded_kw, scenario.initial_soc, WeatherYear.load())
    histories = _warm_up(released, scenario, step)
    controlled = released.twin()
    clock = ManualClock(day.start_at)
    exchange = Exchange()
    control = ParkControl(park, exchange, clock, step_s)
    planner = DayPlanner(park, control, scenario.prices, recorded_kw, histories)
    await control.start()
    controlled.join(exchange, day.start_at)
    meters = [ParkMeters(plant.registers(), day.start_at) for plant in (controlled, released)]
    initial_kwh = released.stored_kwh()
    now = day.start_at
    while now < day.end_at and not stopped():
        controlled.report(now)
        await control.observe(controlled)
        if (now - day.start_at) % QUARTER_HOUR == timedelta():
            await planner.replan(now)
            progress((now - day.start_at) / day.duration)
        await control.dispatch(controlled)
        now = clock.advance(step)
        for plant, meter in zip((controlled, released), meters, strict=True):
            plant.live(now, step_s)
            meter.read(plant.registers())
            if (now - day.start_at) % QUARTER_HOUR == timedelta():
                meter.close(now, plant.stored_kwh())
    for plant, meter in zip((controlled, released), meters, strict=True):
        meter.close(now, plant.stored_kwh())
    progress((now - day.start_at) / day.duration)
    return DayRun(
        scenario=scenario,
        step_s=step_s,
        complete=now >= day.end_at,
        controlled=meters[0].intervals,
        released=meters[1].intervals,
        initial_kwh=initial_kwh,
        plans=planner.plans,
        records=dict(sorted(control.records.items())),
        n_messages=exchange.n_messages,
    )


def _warm_up(plant: Plant, scenario: Scenario, step: timedelta) -> dict[str, History]:
    """Run the plant up to the day and return what it did, by resource without a file.

    Where all but batteries follow files one step is enough; else the whole day before is run, so
    that forecasts have a past.
    """
    start_at = scenario.frame.period.start_at
    others = [
        r.id
        for r in scenario.park.resources
        if r.id not in scenario.recorded_kw and r.kind != "battery"
    ]
    now = start_at - (DAY if others else step)
    begun_at = now
    power_kw: dict[str, list[float]] = {id_: [] for id_ in others}
    last = {id_: Reading.of(r) for id_, r in plant.registers().items()}
    while now < start_at:
        now += step
        plant.live(now, step.total_seconds())
        if (now - begun_at) % QUARTER_HOUR == timedelta():
            read = {id_: Reading.of(r) for id_, r in plant.registers().items()}
            for id_ in others:
                power_kw[id_].append(kwh((read[id_] - last[id_]).net) * (HOUR / QUARTER_HOUR))
            last = read
    return {
        id_: History(start_at=begun_at, period=QUARTER_HOUR, power_kw=np.array(values))
        for id_, values in power_kw.items()
    }
