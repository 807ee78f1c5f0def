"""A whole optimizer of one's own in Pyomo: it buys, stores and heats when power is cheap.

Batteries, vehicles, heat stores and renewables are optimized; loads draw what they want and
generators stay as they are, those that run at their minimum. Power in MW, injection positive.
"""

import pyomo.environ as pyo
from pyomo.contrib.appsi.solvers.highs import Highs


def solve(problem, deadline_s):
    """Return the power of every asset, step by step."""
    park = Park(problem)
    for battery in problem.batteries:
        park.battery(battery)
    for vehicle in problem.vehicles:
        park.vehicle(vehicle)
    for plant in problem.renewables:
        must_take = plant.must_take_mw or [0.0] * len(park.T)
        power = park.vars(must_take, plant.available_mw)
        park.place(plant, [power[t] for t in park.T])
    for load in problem.loads:
        park.place(load, [-demand for demand in load.demand_mw])
    for generator in problem.generators:
        park.place(generator, carry_on(generator, park.h))
    for store in problem.heat_stores:
        park.heat_store(store)
    park.network()
    return park.answer(time_limit_s=0.6 * deadline_s)


class Park:
    """A Pyomo model with its horizon, its cost and what each asset injects."""

    def __init__(self, problem):
        self.problem, self.h, self.T = problem, problem.step_h, range(problem.n_steps)
        self.end = [sum(self.h[: t + 1]) for t in self.T]
        self.model = pyo.ConcreteModel()
        self.model.rules = pyo.ConstraintList()
        self.cost, self.power, self.points = 0.0, {}, {}

    def vars(self, low=None, high=None, **kind):
        """Return a variable per step, at least 0 unless said otherwise."""
        lows, highs = low or [0.0] * len(self.T), high or [None] * len(self.T)
        var = pyo.Var(self.T, bounds=lambda _, t: (lows[t], highs[t]), **kind)
        self.model.add_component(f"x{len(self.model.component_map())}", var)
        return var

    def place(self, asset, power):
        """Say what an asset injects, and where."""
        self.power[asset.name] = power
        self.points.setdefault(asset.point, []).append(power)

    def stored(self, initial, kept_frac_per_h, gain, energy):
        """Demand that energy follows from what is gained in each step."""
        for t in self.T:
            before = initial if t == 0 else energy[t - 1]
            kept = kept_frac_per_h ** self.h[t] * before
            self.model.rules.add(energy[t] == kept + self.h[t] * gain(t))

    def battery(self, b):
        """Charge or discharge, one at a time."""
        charge, discharge = self.vars(), self.vars()
        charges = self.vars(within=pyo.Binary)
        kept = 1 - b.standing_loss_frac_per_h
        # What starts outside its limits may stay where it is, left alone.
        idle = [b.initial_mwh * kept**end for end in self.end]
        low, high = [min(b.min_mwh, e) for e in idle], [max(b.max_mwh, e) for e in idle]
        energy = self.vars(low, high)
        self.stored(
            b.initial_mwh,
            kept,
            lambda t: b.charge_efficiency * charge[t] - discharge[t] / b.discharge_efficiency,
            energy,
        )
        for t in self.T:
            self.model.rules.add(charge[t] <= b.max_charge_mw * charges[t])
            self.model.rules.add(discharge[t] <= b.max_discharge_mw * (1 - charges[t]))
            self.cost += b.wear_per_mwh * self.h[t] * (charge[t] + discharge[t])
        if b.max_discharge_mwh < float("inf"):
            total = sum(self.h[t] * discharge[t] for t in self.T)
            self.model.rules.add(total <= b.max_discharge_mwh)
        self.cost -= b.terminal_value_per_mwh * energy[self.T[-1]]
        self.place(b, [discharge[t] - charge[t] for t in self.T])

    def vehicle(self, v):
        """Charge while it is there; what it lacks at its departure is paid for dearly."""
        begin = [end - h for end, h in zip(self.end, self.h, strict=True)]
        there = [
            max(min(v.departure_h, self.end[t]) - max(v.arrival_h, begin[t]), 0.0) / self.h[t]
            for t in self.T
        ]
        charge = self.vars(high=[v.max_charge_mw * share for share in there])
        gained = v.charge_efficiency * sum(self.h[t] * charge[t] for t in self.T)
        self.model.rules.add(v.initial_mwh + gained <= max(v.max_mwh, v.initial_mwh))
        missing = self.vars()
        if v.departure_h <= self.end[-1]:
            self.model.rules.add(v.initial_mwh + gained + missing[0] >= v.target_mwh)
        self.cost += self.problem.breach_price_per_mwh * missing[0]
        self.place(v, [-charge[t] for t in self.T])

    def heat_store(self, s):
        """Keep it warm; what generators give comes for nothing."""
        draw, cold, hot = self.vars(s.min_draw_mw, s.max_draw_mw), self.vars(), self.vars()
        energy = self.vars([None] * len(self.T))
        givers = [g for g in self.problem.generators if g.heat_store == s.name]
        self.stored(
            s.initial_mwh,
            1 - s.standing_loss_frac_per_h,
            lambda t: (
                s.cop[t] * draw[t]
                - s.heat_demand_mw[t]
                + sum(g.heat_per_mw * self.power[g.name][t] for g in givers)
            ),
            energy,
        )
        for t in self.T:
            self.model.rules.add(energy[t] + cold[t] >= s.min_mwh)
            self.model.rules.add(energy[t] - hot[t] <= s.max_mwh)
            self.cost += self.problem.breach_price_per_mwh * self.h[t] * (cold[t] + hot[t])
        self.cost -= s.terminal_value_per_mwh * energy[self.T[-1]]
        self.place(s, [-draw[t] for t in self.T])

    def network(self):
        """Keep every point within its limits, those behind it included, and pay at the grid."""
        p, net = self.problem, {}
        for point in p.points:
            net[point.name] = self.vars([None] * len(self.T))
        importing = self.vars(within=pyo.Binary)
        most = sum(abs(value) for value in self._reach())
        for point in p.points:
            behind = [net[child.name] for child in p.points if child.parent == point.name]
            here = self.points.get(point.name, [])
            excess = self.vars(
                high=[0.0 if point.excess_price_per_mwh is None else None] * len(self.T)
            )
            for t in self.T:
                fixed = point.fixed_mw[t] if point.fixed_mw else 0.0
                inside = sum(power[t] for power in here) + sum(child[t] for child in behind)
                self.model.rules.add(net[point.name][t] == fixed + inside)
                if point.max_import_mw < float("inf"):
                    self.model.rules.add(net[point.name][t] >= -point.max_import_mw - excess[t])
                if point.max_export_mw < float("inf"):
                    self.model.rules.add(net[point.name][t] <= point.max_export_mw + excess[t])
                self.cost += (point.excess_price_per_mwh or 0.0) * self.h[t] * excess[t]
            if point.parent is None:
                buys, sells = self.vars(), self.vars()
                for t in self.T:
                    self.model.rules.add(net[point.name][t] == sells[t] - buys[t])
                    self.model.rules.add(buys[t] <= most * importing[t])
                    self.model.rules.add(sells[t] <= most * (1 - importing[t]))
                    carbon = (p.carbon_kg_co2_per_mwh or [0.0] * len(self.T))[t]
                    price = (p.import_price_per_mwh or [0.0] * len(self.T))[t]
                    price += carbon * p.carbon_price_per_kg_co2
                    income = (p.export_price_per_mwh or [0.0] * len(self.T))[t]
                    self.cost += self.h[t] * (price * buys[t] - income * sells[t])

    def _reach(self):
        """Yield the greatest powers there can be, to bound what is bought and sold."""
        p = self.problem
        for point in p.points:
            yield max(map(abs, point.fixed_mw or [0.0]))
        for battery in p.batteries:
            yield max(battery.max_charge_mw, battery.max_discharge_mw)
        for vehicle in p.vehicles:
            yield vehicle.max_charge_mw
        for values in (
            *(plant.available_mw for plant in p.renewables),
            *(load.demand_mw for load in p.loads),
            *(store.max_draw_mw for store in p.heat_stores),
        ):
            yield max(values)
        for generator in p.generators:
            yield generator.max_mw

    def answer(self, time_limit_s):
        """Solve; return plain numbers."""
        self.model.objective = pyo.Objective(expr=self.cost)
        solver = Highs()
        solver.config.time_limit = time_limit_s
        solver.highs_options = {"mip_rel_gap": 1e-3}
        solver.solve(self.model)
        return {name: [pyo.value(x) for x in power] for name, power in self.power.items()}


def carry_on(g, h):
    """Return the power of a generator that stays as it is: off, or down at its minimum."""
    if g.initial_h < 0:
        return [0.0] * len(h)
    above = max(min(g.initial_mw, g.max_mw) - g.min_mw, 0.0)
    powers = []
    for hours in h:
        above = max(above - g.ramp_down_mw_per_h * hours, 0.0)
        powers.append(g.min_mw + above)
    return powers
