"""The park's plan: what every resource should do, period by period, until a day from now.

A set-point of None leaves a resource to itself: a PV plant that need not be curtailed is not held
to its forecast.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from controllers.kernel.money import Money
from controllers.kernel.timebase import require_utc
from controllers.kernel.wire import Wire


class PlanBreach(Wire):
    """A preference the plan cannot meet."""

    name: str
    """The vehicle, load, store or connection point."""
    what: str
    amount: float
    unit: str


class ParkPlan(Wire):
    """A plan of T periods from ``start_at``; power in kW, injection positive."""

    schema: Literal[1] = 1
    park_id: str
    made_at: datetime
    """When the set-points were computed; a shifted plan keeps the instant of its origin."""
    start_at: datetime
    period_s: float
    status: Literal["optimal", "incumbent", "shifted", "none"]
    degraded: bool = False
    """The last attempt gave no plan; this is what is left of an earlier one, or nothing."""
    reason: str = ""
    """Why it is degraded."""
    gap_frac: float | None = None
    solve_s: float = 0.0
    setpoints_kw: dict[str, list[float | None]] = {}
    """By resource, [T]; None leaves it to itself. Resources that cannot be set are absent."""
    expected_kw: dict[str, list[float]] = {}
    """By resource, [T]."""
    net_kw: dict[str, list[float]] = {}
    """By aggregate, [T]: the expected sum of what has its home in it, nested ones included."""
    park_net_kw: list[float] = []
    stored_kwh: dict[str, list[float]] = {}
    """By store, [T+1]: at the boundaries of the periods."""
    result: Money | None = None
    """Expected over the horizon: income positive, cost negative. None when degraded."""
    result_terms: dict[str, Money] = {}
    breaches: list[PlanBreach] = []
    price_per_mwh: list[float] = []
    """Marginal price of energy at the grid connection, [T]; empty where it is not known."""

    @property
    def n_steps(self) -> int:
        """Number of periods, T."""
        return len(self.park_net_kw)

    @property
    def end_at(self) -> datetime:
        """End of the last period."""
        return self.start_at + self.n_steps * timedelta(seconds=self.period_s)

    def step_at(self, instant: datetime) -> int | None:
        """Return the index of the period that holds an instant, None outside the plan."""
        step = (require_utc("instant", instant) - self.start_at) // timedelta(seconds=self.period_s)
        return step if 0 <= step < self.n_steps else None


def setpoint_at(plan: ParkPlan, resource_id: str, now: datetime) -> float | None:
    """Return the planned set-point in kW; None: the plan leaves the resource to itself."""
    step = plan.step_at(now)
    setpoints = plan.setpoints_kw.get(resource_id)
    return None if step is None or setpoints is None else setpoints[step]


def shift_plan(previous: ParkPlan, now: datetime, reason: str) -> ParkPlan | None:
    """Return what is left of a plan, labelled degraded; None when all of it has passed."""
    step = previous.step_at(now)
    if step is None:
        return None
    return ParkPlan(
        park_id=previous.park_id,
        made_at=previous.made_at,
        start_at=previous.start_at + step * timedelta(seconds=previous.period_s),
        period_s=previous.period_s,
        status="shifted",
        degraded=True,
        reason=reason,
        setpoints_kw={k: v[step:] for k, v in previous.setpoints_kw.items()},
        expected_kw={k: v[step:] for k, v in previous.expected_kw.items()},
        net_kw={k: v[step:] for k, v in previous.net_kw.items()},
        park_net_kw=previous.park_net_kw[step:],
        stored_kwh={k: v[step:] for k, v in previous.stored_kwh.items()},
        breaches=previous.breaches,
    )
