"""The report of a day: what every meter counted, what it cost, and what was known when.

Energies have five decimals, the meters' own, so that parts and intervals add up exactly when read
as decimals. Money is exact in the intervals and rounded to the cent in the totals. A cost is
positive, an income negative. Power and net energy count injection as positive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Literal

from cluster.day.formats import InputFile
from cluster.day.meter import Interval, Reading, kwh
from cluster.day.prices import PriceBook
from cluster.day.run import DayRun
from cluster.day.series import HISTORY, HOUR
from controllers.kernel.money import Currency, Money
from controllers.kernel.units import Energy
from controllers.kernel.wire import Wire
from controllers.park import ParkDefinition, ResourceDefinition
from controllers.planning.park_plan import ParkPlan
from controllers.resources.battery import Battery
from controllers.resources.kinds import build_twin

_GENERATING = ("pv", "wind", "chp")
_DIGITS = 4


class Metered(Wire):
    """What one run's meters counted in an interval."""

    imported_kwh: float
    exported_kwh: float
    cost: Decimal
    """Exact, in the report's currency."""
    carbon_kg_co2: float | None
    resources_net_kwh: dict[str, float]
    """By resource; their sum is exported minus imported."""
    stored_kwh: dict[str, float]
    """By battery, at the end of the interval."""


class ReportInterval(Wire):
    """A quarter hour, or what was run of it."""

    start_at: datetime
    end_at: datetime
    import_price_per_mwh: Decimal
    export_price_per_mwh: Decimal
    carbon_kg_co2_per_kwh: float | None
    day_ahead_net_kw: float | None
    """As planned when the day began."""
    planned_net_kw: float | None
    """As planned at the start of the interval."""
    controlled: Metered
    uncontrolled: Metered


class Totals(Wire):
    """One run from beginning to end."""

    imported_kwh: float
    exported_kwh: float
    cost: Money
    peak_import_kw: float
    """Greatest mean of an interval."""
    carbon_kg_co2: float | None
    """Of imported energy."""
    generated_kwh: float
    consumed_kwh: float
    self_consumption_frac: float | None
    """Share of what was generated that did not leave in the same interval."""
    self_sufficiency_frac: float | None
    """Share of what was consumed that was not bought in the same interval."""
    battery_cycles: dict[str, float]
    """Energy discharged over capacity."""
    resources_net_kwh: dict[str, float]
    stored_start_kwh: float
    stored_end_kwh: float
    stored_change_worth: Money
    """Of the energy that batteries hold more than at first, discharged at the day's mean price."""


class Difference(Wire):
    """Controlled minus uncontrolled."""

    imported_kwh: float
    exported_kwh: float
    cost: Money
    cost_less_stored: Money
    """The same with the worth of the energy left in the batteries taken off."""
    peak_import_kw: float
    carbon_kg_co2: float | None


class PlanReport(Wire):
    """How planning went, and how the first plan compares with the meter."""

    n_plans: int
    n_degraded: int
    worst_gap_frac: float | None
    solve_s: float
    first_status: str
    first_reason: str
    breaches: list[str]
    """Preferences the first plan could not meet."""
    day_ahead_imported_kwh: float
    day_ahead_exported_kwh: float
    day_ahead_cost: Money
    mean_deviation_kw: float
    """Mean absolute difference between the plan in force and the meter, over the intervals."""


class ControlReport(Wire):
    """What control did: facts noted, by kind and outcome, and messages exchanged."""

    records: dict[str, int]
    n_messages: int


class ParkReport(Wire):
    """The park that was run."""

    id: str
    name: str
    timezone: str
    resources: dict[str, str]
    """Kind by id."""


class DayReport(Wire):
    """The whole report; ``docs/day.md`` explains it."""

    schema: Literal[1] = 1
    complete: bool
    day: date
    start_at: datetime
    end_at: datetime
    """Of what was run."""
    step_s: int
    currency: Currency
    park: ParkReport
    inputs: list[InputFile]
    assumptions: list[str]
    knowledge: list[str]
    """What forecasts and prices went by, and since when it was known."""
    plan: PlanReport
    control: ControlReport
    controlled: Totals
    uncontrolled: Totals
    difference: Difference
    intervals: list[ReportInterval]


def day_report(run: DayRun) -> DayReport:
    """Return the report of a run that has at least one interval."""
    scenario = run.scenario
    prices, park = scenario.prices, scenario.park
    intervals = [
        _interval(controlled, released, prices, run.plans)
        for controlled, released in zip(run.controlled, run.released, strict=True)
    ]
    controlled = _totals([i.controlled for i in intervals], run.controlled, run)
    uncontrolled = _totals([i.uncontrolled for i in intervals], run.released, run)
    return DayReport(
        complete=run.complete,
        day=scenario.frame.day,
        start_at=intervals[0].start_at,
        end_at=intervals[-1].end_at,
        step_s=run.step_s,
        currency=prices.currency,
        park=ParkReport(
            id=park.id,
            name=park.name,
            timezone=park.timezone,
            resources={r.id: r.kind for r in park.resources},
        ),
        inputs=scenario.inputs,
        assumptions=scenario.assumptions,
        knowledge=_knowledge(run),
        plan=_plan_report(run, intervals),
        control=ControlReport(records=run.records, n_messages=run.n_messages),
        controlled=controlled,
        uncontrolled=uncontrolled,
        difference=_difference(controlled, uncontrolled),
        intervals=intervals,
    )


def cost_of(connection: Reading, start_at: datetime, prices: PriceBook) -> Money:
    """Return what the energy of an interval costs, exactly."""
    buying, selling = prices.at(start_at)
    bought = buying.value_of(Energy.from_kwh(kwh(connection.imported)))
    return bought - selling.value_of(Energy.from_kwh(kwh(connection.exported)))


def _interval(
    controlled: Interval, released: Interval, prices: PriceBook, plans: Sequence[ParkPlan]
) -> ReportInterval:
    start_at = controlled.start_at
    buying, selling = prices.at(start_at)
    intensity = None if prices.carbon is None else prices.carbon.at(start_at)
    in_force = [plan for plan in plans if plan.start_at <= start_at]
    return ReportInterval(
        start_at=start_at,
        end_at=controlled.end_at,
        import_price_per_mwh=buying.per_mwh.amount,
        export_price_per_mwh=selling.per_mwh.amount,
        carbon_kg_co2_per_kwh=intensity,
        day_ahead_net_kw=_net_kw(plans[0], start_at) if plans else None,
        planned_net_kw=_net_kw(in_force[-1], start_at) if in_force else None,
        controlled=_metered(controlled, prices, intensity),
        uncontrolled=_metered(released, prices, intensity),
    )


def _metered(interval: Interval, prices: PriceBook, intensity: float | None) -> Metered:
    connection = interval.connection
    imported_kwh = kwh(connection.imported)
    return Metered(
        imported_kwh=imported_kwh,
        exported_kwh=kwh(connection.exported),
        cost=cost_of(connection, interval.start_at, prices).amount,
        carbon_kg_co2=None if intensity is None else round(imported_kwh * intensity, _DIGITS),
        resources_net_kwh={id_: kwh(r.net) for id_, r in interval.resources.items()},
        stored_kwh={id_: round(v, _DIGITS) for id_, v in interval.stored_kwh.items()},
    )


def _net_kw(plan: ParkPlan, instant: datetime) -> float | None:
    step = plan.step_at(instant)
    return None if step is None else plan.park_net_kw[step]


def _totals(metered: Sequence[Metered], intervals: Sequence[Interval], run: DayRun) -> Totals:
    scenario = run.scenario
    connection = sum((i.connection for i in intervals), Reading())
    resources = {
        r.id: sum((i.resources[r.id] for i in intervals), Reading())
        for r in scenario.park.resources
    }
    kinds = {r.id: r.kind for r in scenario.park.resources}
    giving = [id_ for id_, kind in kinds.items() if kind in _GENERATING]
    drawing = [id_ for id_, kind in kinds.items() if kind not in (*_GENERATING, "battery")]
    carbon = [m.carbon_kg_co2 for m in metered if m.carbon_kg_co2 is not None]
    cost = sum((m.cost for m in metered), Decimal(0))
    batteries = _batteries(scenario.park.resources)
    return Totals(
        imported_kwh=kwh(connection.imported),
        exported_kwh=kwh(connection.exported),
        cost=Money.of(cost, scenario.prices.currency).rounded(),
        peak_import_kw=round(max(max(-i.net_kw, 0.0) for i in intervals), _DIGITS),
        carbon_kg_co2=round(sum(carbon), _DIGITS) if carbon else None,
        generated_kwh=kwh(sum(resources[id_].exported for id_ in giving)),
        consumed_kwh=kwh(sum(resources[id_].imported for id_ in drawing)),
        self_consumption_frac=_kept(
            [
                (i.connection.exported, sum(i.resources[g].exported for g in giving))
                for i in intervals
            ]
        ),
        self_sufficiency_frac=_kept(
            [
                (i.connection.imported, sum(i.resources[d].imported for d in drawing))
                for i in intervals
            ]
        ),
        battery_cycles={
            id_: round(kwh(resources[id_].exported) / twin.capacity_kwh, _DIGITS)
            for id_, twin in batteries.items()
        },
        resources_net_kwh={id_: kwh(reading.net) for id_, reading in resources.items()},
        stored_start_kwh=round(sum(run.initial_kwh.values()), _DIGITS),
        stored_end_kwh=round(sum(intervals[-1].stored_kwh.values()), _DIGITS),
        stored_change_worth=_stored_worth(intervals, batteries, run),
    )


def _kept(crossed_and_own: Sequence[tuple[int, int]]) -> float | None:
    """Return the share of the own energy that cannot have crossed the connection."""
    own = sum(counts for _, counts in crossed_and_own)
    crossed = sum(min(pair) for pair in crossed_and_own)
    return round(1.0 - crossed / own, _DIGITS) if own else None


def _batteries(resources: Sequence[ResourceDefinition]) -> dict[str, Battery]:
    twins = {r.id: build_twin(r.kind, r.parameters) for r in resources if r.kind == "battery"}
    return {id_: twin for id_, twin in twins.items() if isinstance(twin, Battery)}


def _stored_worth(
    intervals: Sequence[Interval], batteries: Mapping[str, Battery], run: DayRun
) -> Money:
    prices = run.scenario.prices
    usable_kwh = sum(
        (intervals[-1].stored_kwh[id_] - run.initial_kwh[id_]) * twin.discharge_efficiency_frac
        for id_, twin in batteries.items()
    )
    bought = [prices.at(i.start_at)[0].per_mwh.amount for i in intervals]
    mean_per_mwh = sum(bought, Decimal(0)) / len(bought)
    worth = Decimal(str(round(usable_kwh, _DIGITS))) / 1000 * mean_per_mwh
    return Money.of(worth, prices.currency).rounded()


def _difference(controlled: Totals, uncontrolled: Totals) -> Difference:
    cost = controlled.cost - uncontrolled.cost
    stored = controlled.stored_change_worth - uncontrolled.stored_change_worth
    carbon = None
    if controlled.carbon_kg_co2 is not None and uncontrolled.carbon_kg_co2 is not None:
        carbon = round(controlled.carbon_kg_co2 - uncontrolled.carbon_kg_co2, _DIGITS)
    return Difference(
        imported_kwh=round(controlled.imported_kwh - uncontrolled.imported_kwh, 5),
        exported_kwh=round(controlled.exported_kwh - uncontrolled.exported_kwh, 5),
        cost=cost,
        cost_less_stored=cost - stored,
        peak_import_kw=round(controlled.peak_import_kw - uncontrolled.peak_import_kw, _DIGITS),
        carbon_kg_co2=carbon,
    )


def _plan_report(run: DayRun, intervals: Sequence[ReportInterval]) -> PlanReport:
    imported = exported = 0.0
    cost = Decimal(0)
    for interval in intervals:
        hours = (interval.end_at - interval.start_at) / HOUR
        net_kwh = (interval.day_ahead_net_kw or 0.0) * hours
        imported += max(-net_kwh, 0.0)
        exported += max(net_kwh, 0.0)
        price = interval.export_price_per_mwh if net_kwh > 0 else interval.import_price_per_mwh
        cost -= price * Decimal(str(round(net_kwh, _DIGITS))) / 1000
    first = run.plans[0]
    gaps = [plan.gap_frac for plan in run.plans if plan.gap_frac is not None]
    deviations = [
        abs(interval.planned_net_kw - metered.net_kw)
        for interval, metered in zip(intervals, run.controlled, strict=True)
        if interval.planned_net_kw is not None
    ]
    return PlanReport(
        n_plans=len(run.plans),
        n_degraded=sum(plan.degraded for plan in run.plans),
        worst_gap_frac=max(gaps, default=None),
        solve_s=round(sum(plan.solve_s for plan in run.plans), 3),
        first_status=first.status,
        first_reason=first.reason,
        breaches=[f"{b.name}: {b.what}, {b.amount:.2f} {b.unit}" for b in first.breaches],
        day_ahead_imported_kwh=round(imported, _DIGITS),
        day_ahead_exported_kwh=round(exported, _DIGITS),
        day_ahead_cost=Money.of(cost, run.scenario.prices.currency).rounded(),
        mean_deviation_kw=round(sum(deviations) / max(len(deviations), 1), _DIGITS),
    )


def _knowledge(run: DayRun) -> list[str]:
    scenario = run.scenario
    park: ParkDefinition = scenario.park
    start_at = scenario.frame.period.start_at
    hour = scenario.prices.next_day_from_hour
    rows = [
        "Prices of the day: all known when it began.",
        f"Prices of the next day: from {hour}:00 local time on, where the file has them; else "
        "each period repeats the same time of the day before.",
    ]
    if not hour:
        rows = ["Prices: the park's tariff, known for any day."]
    n_days: dict[int, list[str]] = {}
    for id_, series in scenario.recorded_kw.items():
        past = series.before(start_at)
        known = sum(value is not None for value in past.values) * past.period
        n_days.setdefault(known // timedelta(days=1), []).append(id_)
    rows += [_history_row(n, ids) for n, ids in n_days.items()]
    others = [r.id for r in park.resources if r.id not in scenario.recorded_kw]
    others = [id_ for id_ in others if scenario.initial_soc.get(id_) is None]
    if others:
        rows.append(
            f"{', '.join(others)}: simulated; forecast from their own meters now and from the "
            "day before, which was simulated without control."
        )
    rows.append("Every plan saw meters up to its own instant and nothing later.")
    return rows


def _history_row(n_days: int, ids: Sequence[str]) -> str:
    names = ", ".join(ids)
    if n_days == 0:
        return (
            f"{names}: the file holds nothing before the day, so forecasts persist the power now "
            "(PV: by the sun) and are poor for the first day."
        )
    last = min(n_days, HISTORY.days)
    return f"{names}: forecast from the {last} day(s) before, the latest at the same time of day."
