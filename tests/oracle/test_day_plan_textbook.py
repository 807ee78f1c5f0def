"""Day plans against the textbook: named variables, one constraint at a time, binaries everywhere.

Shares nothing with the product's model but the problem values; solved by scipy's ``milp``.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import lil_matrix

from optimization.day_plan import (
    Batteries,
    ChargingStations,
    DayPlanProblem,
    FlexibleLoads,
    Gensets,
    HeatStores,
    PlanStatus,
    Renewables,
)
from optimization.day_solver import solve_day
from tests.support.day_plans import KINDS, random_problem

GAP_FRAC = 1e-6
BIG_MW = 1e3
MIXES = [*((kind,) for kind in KINDS), ("batteries", "gensets"), KINDS]
INF = np.inf


class Textbook:
    """Variables by name, constraints as dictionaries of coefficients."""

    def __init__(self, problem: DayPlanProblem) -> None:
        self.problem = problem
        self.injected: dict[tuple[str, int], list[tuple[int, float]]] = defaultdict(list)
        self.given: dict[tuple[str, int], float] = defaultdict(float)
        self.index: dict[tuple[object, ...], int] = {}
        self.low: list[float] = []
        self.high: list[float] = []
        self.whole: list[int] = []
        self.cost: dict[int, float] = defaultdict(float)
        self.fixed_cost = 0.0
        self.rows: list[tuple[dict[int, float], float, float]] = []

    def var(self, *name: object, low: float = 0.0, high: float = INF, whole: bool = False) -> int:
        """Add a variable and return its number."""
        self.index[name] = len(self.low)
        self.low.append(low)
        self.high.append(high)
        self.whole.append(int(whole))
        return self.index[name]

    def row(self, terms: list[tuple[int, float]], low: float, high: float) -> None:
        """Add a constraint."""
        summed: dict[int, float] = defaultdict(float)
        for variable, coefficient in terms:
            summed[variable] += coefficient
        self.rows.append((summed, low, high))

    def solve(self) -> float:
        """Return the least cost."""
        matrix = lil_matrix((len(self.rows), len(self.low)))
        for i, (terms, _, _) in enumerate(self.rows):
            for j, value in terms.items():
                matrix[i, j] = value
        cost = np.zeros(len(self.low))
        for j, value in self.cost.items():
            cost[j] = value
        result = milp(
            cost,
            integrality=self.whole,
            bounds=Bounds(self.low, self.high),
            constraints=LinearConstraint(
                matrix.tocsr(), [r[1] for r in self.rows], [r[2] for r in self.rows]
            ),
            options={"mip_rel_gap": GAP_FRAC},
        )
        assert result.success, result.message
        return float(result.fun) + self.fixed_cost


def textbook_cost(problem: DayPlanProblem) -> float:
    book = Textbook(problem)
    steps = range(book.problem.n_steps)
    for group in book.problem.groups:
        for i in range(len(group.names)):
            _WRITERS[type(group)](book, group, i)
    for limit in book.problem.limits:
        for t in steps:
            terms = [term for name in limit.members for term in book.injected[name, t]]
            base = sum(book.given[name, t] for name in limit.members)
            book.row(terms, -limit.max_import_mw - base, limit.max_export_mw - base)
    for t in steps:
        h = book.problem.step_h[t]
        carbon = book.problem.carbon_kg_co2_per_mwh[t] * book.problem.carbon_price_per_kg_co2
        buys = book.var("import", t, high=book.problem.max_import_mw)
        sells = book.var("export", t, high=book.problem.max_export_mw)
        importing = book.var("importing", t, high=1, whole=True)
        book.cost[buys] += h * (book.problem.import_price_per_mwh[t] + carbon)
        book.cost[sells] -= h * book.problem.export_price_per_mwh[t]
        book.row([(buys, 1), (importing, -BIG_MW)], -INF, 0)
        book.row([(sells, 1), (importing, BIG_MW)], -INF, BIG_MW)
        terms = [term for name in book.problem.asset_names for term in book.injected[name, t]]
        base = book.problem.fixed_mw[t] + sum(
            book.given[name, t] for name in book.problem.asset_names
        )
        book.row([*terms, (buys, 1), (sells, -1)], -base, -base)
    return book.solve()


def _battery(book: Textbook, g: Batteries, i: int) -> None:
    book.fixed_cost += g.terminal_value_per_mwh[i] * g.initial_mwh[i]
    last, hours, spent = None, 0.0, []
    for t, h in enumerate(book.problem.step_h):
        hours += h
        idle = g.initial_mwh[i] * (1 - g.standing_loss_frac_per_h[i]) ** hours
        kept = (1 - g.standing_loss_frac_per_h[i]) ** h
        c = book.var(g.names[i], "c", t, high=g.max_charge_mw[i])
        d = book.var(g.names[i], "d", t, high=g.max_discharge_mw[i])
        e = book.var(g.names[i], "e", t, low=min(g.min_mwh[i], idle), high=max(g.max_mwh[i], idle))
        up = book.var(g.names[i], "charging", t, high=1, whole=True)
        book.row([(c, 1), (up, -g.max_charge_mw[i])], -INF, 0)
        book.row([(d, 1), (up, g.max_discharge_mw[i])], -INF, g.max_discharge_mw[i])
        flow = [(e, 1), (c, -g.charge_efficiency[i] * h), (d, h / g.discharge_efficiency[i])]
        start = kept * g.initial_mwh[i] if last is None else 0.0
        book.row(flow if last is None else [*flow, (last, -kept)], start, start)
        book.cost[c] += g.wear_per_mwh[i] * h
        book.cost[d] += g.wear_per_mwh[i] * h
        book.injected[g.names[i], t] += [(d, 1), (c, -1)]
        spent.append((d, h))
        last = e
    book.row(spent, -INF, g.max_discharge_mwh[i])
    book.cost[last] -= g.terminal_value_per_mwh[i]


def _renewable(book: Textbook, g: Renewables, i: int) -> None:
    for t, h in enumerate(book.problem.step_h):
        most = g.available_mw[i, t]
        p = book.var(g.names[i], t, low=0 if g.curtailable[i] else most, high=most)
        book.injected[g.names[i], t].append((p, 1))
        book.cost[p] -= g.curtailment_cost_per_mwh[i] * h
        book.fixed_cost += g.curtailment_cost_per_mwh[i] * h * most


def _flexible(book: Textbook, g: FlexibleLoads, i: int) -> None:
    ends = np.cumsum(book.problem.step_h)
    starts = ends - book.problem.step_h
    less, more, last = [], [], None
    for t, h in enumerate(book.problem.step_h):
        less.append(book.var(g.names[i], "less", t, high=g.max_less_mw[i, t]))
        more.append(book.var(g.names[i], "more", t, high=g.max_more_mw[i, t]))
        owed = book.var(g.names[i], "owed", t)
        late = book.var(g.names[i], "late", t)
        book.cost[late] += book.problem.breach_price_per_mwh * h
        book.cost[less[t]] += g.interruption_cost_per_mwh[i] * h
        if g.max_less_mw[i, t] > 0 and g.max_more_mw[i, t] > 0:
            shares = [(less[t], 1 / g.max_less_mw[i, t]), (more[t], 1 / g.max_more_mw[i, t])]
            book.row(shares, -INF, 1)
        flow = [(owed, 1), (less[t], -g.rebound_frac[i] * h), (more[t], h)]
        start = g.owed_mwh[i] if last is None else 0.0
        book.row(flow if last is None else [*flow, (last, -1)], start, start)
        due = [(owed, 1), (late, -1)]
        if t < book.problem.n_steps - 1:
            for s in range(t + 1):
                recent = s == t or ends[t] - starts[s] <= g.window_h[i] + 1e-9
                owes = g.rebound_frac[i] * book.problem.step_h[s]
                due += [(less[s], -owes)] if recent else []
        not_yet = g.owed_mwh[i] if ends[t] < g.window_h[i] - 1e-9 else 0.0
        book.row(due, -INF, not_yet)
        depth = []
        for s in range(t + 1):
            recent = ends[t] - starts[s] <= 2 * g.max_interruption_h[i] + 1e-9
            if (s == t or recent) and g.max_less_mw[i, s] > 0:
                depth.append((less[s], book.problem.step_h[s] / g.max_less_mw[i, s]))
        book.row(depth, -INF, g.max_interruption_h[i])
        book.given[g.names[i], t] -= g.demand_mw[i, t]
        book.injected[g.names[i], t] += [(less[t], 1), (more[t], -1)]
        last = owed


def _charging(book: Textbook, g: ChargingStations, i: int) -> None:
    ends = np.cumsum(book.problem.step_h)
    in_step = defaultdict(list)
    for v in np.flatnonzero(g.session_station == i):
        missing = book.var(g.session_names[v], "missing")
        book.cost[missing] += book.problem.breach_price_per_mwh
        charged = [(missing, 1.0)]
        for t, h in enumerate(book.problem.step_h):
            plugged = min(max(g.session_departure_h[v] - (ends[t] - h), 0.0), h)
            x = book.var(g.session_names[v], t, high=g.session_max_mw[v] * plugged / h)
            charged.append((x, h))
            in_step[t].append((x, 1))
            book.injected[g.names[i], t].append((x, -1))
        book.row(charged, g.session_energy_mwh[v], g.session_energy_mwh[v])
    for terms in in_step.values():
        book.row(terms, -INF, g.max_charge_mw[i])


def _genset(book: Textbook, g: Gensets, i: int) -> None:
    """Write minimum times step by step, without start and stop sums."""
    starts = np.cumsum(book.problem.step_h) - book.problem.step_h
    ran = g.initial_h[i] > 0
    least = g.min_up_h[i] if ran else g.min_down_h[i]
    on, power = [], []
    for t, h in enumerate(book.problem.step_h):
        u = book.var(g.names[i], "on", t, high=1, whole=True)
        y = book.var(g.names[i], "start", t, high=1)
        p = book.var(g.names[i], t)
        on.append(u)
        power.append(p)
        book.cost[p] += g.cost_per_mwh[i] * h
        book.cost[y] += g.start_cost[i]
        book.row([(p, 1), (u, -g.min_mw[i])], 0, INF)
        book.row([(p, 1), (u, -g.max_mw[i])], -INF, 0)
        if t == 0:
            book.row([(y, 1), (u, -1)], -float(ran), INF)
        else:
            book.row([(y, 1), (u, -1), (on[t - 1], 1)], 0, INF)
        if starts[t] < least - abs(g.initial_h[i]) - 1e-9:
            book.row([(u, 1)], float(ran), float(ran))
        book.injected[g.names[i], t].append((p, 1))
    if np.isfinite(g.ramp_mw_per_h[i]):
        for t in range(book.problem.n_steps):
            _ramp(book, g, (i, t), on, power)
    for t in range(book.problem.n_steps):
        for s in range(t + 1, book.problem.n_steps):
            # on(t) - on(t-1) = 1 keeps s on; the reverse keeps s off.
            was = [(on[t - 1], -1.0)] if t else []
            base = float(ran) if not t else 0.0
            if starts[s] - starts[t] < g.min_up_h[i] - 1e-9:
                book.row([(on[t], 1), *was, (on[s], -1)], -INF, base)
            if starts[s] - starts[t] < g.min_down_h[i] - 1e-9:
                minus = [(on[t - 1], 1.0)] if t else []
                book.row([*minus, (on[t], -1), (on[s], 1)], -INF, 1 - base)


def _ramp(book: Textbook, g: Gensets, at: tuple[int, int], on: list[int], power: list[int]) -> None:
    (i, t), far = at, BIG_MW
    reach = g.ramp_mw_per_h[i] * book.problem.step_h[t]
    jump = max(reach, g.min_mw[i])
    if t == 0:
        ran = float(g.initial_h[i] > 0)
        first = float(np.clip(g.initial_mw[i], g.min_mw[i], g.max_mw[i])) * ran
        # Running before and after: within reach. Starting or stopping: within the jump.
        book.row([(power[0], 1)], -INF, first + (reach if ran else jump))
        limit = first - reach
        if ran:
            book.row([(power[0], 1), (on[0], -limit)], 0, INF)
            book.row([(on[0], -first)], -INF, jump - first)
        return
    now, then = (power[t], 1.0), (power[t - 1], 1.0)
    book.row([now, (power[t - 1], -1), (on[t - 1], far)], -INF, reach + far)
    book.row([now, (on[t - 1], -far)], -INF, jump)
    book.row([then, (power[t], -1), (on[t], far)], -INF, reach + far)
    book.row([then, (on[t], -far)], -INF, jump)


def _heat(book: Textbook, g: HeatStores, i: int) -> None:
    book.fixed_cost += g.terminal_value_per_mwh[i] * g.initial_mwh[i]
    last = None
    for t, h in enumerate(book.problem.step_h):
        kept = (1 - g.standing_loss_frac_per_h[i]) ** h
        p = book.var(g.names[i], t, low=g.min_draw_mw[i, t], high=g.max_draw_mw[i, t])
        e = book.var(g.names[i], "e", t, low=-INF)
        cold, hot = book.var(g.names[i], "cold", t), book.var(g.names[i], "hot", t)
        book.cost[cold] += book.problem.breach_price_per_mwh * h
        book.cost[hot] += book.problem.breach_price_per_mwh * h
        book.row([(e, 1), (cold, 1)], g.min_mwh[i], INF)
        book.row([(e, 1), (hot, -1)], -INF, g.max_mwh[i])
        out = -g.heat_demand_mw[i, t] * h
        flow = [(e, 1), (p, -g.cop[i, t] * h)]
        if last is None:
            out += kept * g.initial_mwh[i]
        book.row(flow if last is None else [*flow, (last, -kept)], out, out)
        book.injected[g.names[i], t].append((p, -1))
        last = e
    book.cost[last] -= g.terminal_value_per_mwh[i]


_WRITERS = {
    Batteries: _battery,
    Renewables: _renewable,
    FlexibleLoads: _flexible,
    ChargingStations: _charging,
    Gensets: _genset,
    HeatStores: _heat,
}


@pytest.mark.parametrize("kinds", MIXES, ids="+".join)
@pytest.mark.parametrize("seed", range(5))
def test_cost_equals_the_textbook_form(kinds: tuple[str, ...], seed: int) -> None:
    problem = random_problem(seed, kinds=kinds)
    result = solve_day(problem, deadline_s=20.0, gap_frac=GAP_FRAC)
    assert result.status is PlanStatus.OPTIMAL, result.reason
    expected = textbook_cost(problem)
    assert result.cost == pytest.approx(expected, rel=5 * GAP_FRAC, abs=1e-4)
