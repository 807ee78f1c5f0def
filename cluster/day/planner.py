"""The rolling plan of a simulated day, from what was known at each instant.

At every quarter hour the park is planned a day ahead, as the live optimizer does. A resource that
follows a file is forecast from what the file held before that instant; others from the day before,
which was simulated without control.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import numpy as np

from actors.optimizer import SOLVE_DEADLINE_S, member_plans
from cluster.day.control import ParkControl
from cluster.day.prices import PriceBook
from cluster.day.series import Series
from controllers.kernel.states import Quality
from controllers.park import ParkDefinition
from controllers.planning.engine import answer
from controllers.planning.forecast import Forecast, History, forecast_park, seasonal_naive
from controllers.planning.horizon import DAY, PlanHorizon, plan_horizon
from controllers.planning.park_plan import ParkPlan
from controllers.planning.pose import pose_park
from controllers.planning.read import read_plan
from controllers.resources.renewables import Pv
from optimization.warm_start import WarmStart


class DayPlanner:
    """Plans one park again and again.

    Args:
        park: a checked definition.
        control: knows the resources and follows the plan.
        prices: of the day.
        recorded_kw: what devices follow, by resource, as magnitudes.
        histories: of other resources, the day before.
    """

    def __init__(
        self,
        park: ParkDefinition,
        control: ParkControl,
        prices: PriceBook,
        recorded_kw: Mapping[str, Series[float]],
        histories: Mapping[str, History],
    ) -> None:
        self._park, self._control, self._prices = park, control, prices
        self._recorded_kw, self._histories = recorded_kw, histories
        self._warm = WarmStart()
        self.plans: list[ParkPlan] = []
        """All so far; the first is made when the day begins."""

    async def replan(self, now: datetime) -> None:
        """Plan as of an instant and hand the plan out."""
        horizon = plan_horizon(now)
        states = self._control.twin_states()
        before = self.plans[-1] if self.plans else None
        posed = pose_park(
            self._park,
            self._control.twins,
            states,
            self.forecasts(now, horizon),
            now=now,
            prices=self._prices.as_of(now, horizon),
            previous=before,
        )
        result = answer(
            posed.problem,
            deadline_s=SOLVE_DEADLINE_S,
            previous=posed.previous,
            warm=self._warm,
        )
        plan = read_plan(posed, result, before)
        self.plans.append(plan)
        await self._control.follow(member_plans(self._park, plan))

    def forecasts(self, now: datetime, horizon: PlanHorizon) -> dict[str, Forecast]:
        """Return what is expected of every resource, from nothing later than ``now``."""
        recorded = {
            id_: history
            for id_ in self._recorded_kw
            if _holds_a_day(history := self._recorded(id_, now))
        }
        states = self._control.twin_states()
        forecasts = forecast_park(
            self._park, self._control.twins, states, horizon, {**self._histories, **recorded}
        )
        for id_, history in recorded.items():
            # Where a file's roof stands is not known, so a clear sky over it cannot be computed.
            if isinstance(self._control.twins[id_], Pv):
                forecasts[id_] = Forecast(
                    power_kw=seasonal_naive(history, horizon),
                    basis="same time of the day before",
                    basis_age_s=(now - history.end_at).total_seconds(),
                    quality=Quality.UNCERTAIN,
                )
        return forecasts

    def _recorded(self, id_: str, now: datetime) -> History:
        past = self._recorded_kw[id_].before(now)
        sign = 1.0 if isinstance(self._control.twins[id_], Pv) else -1.0
        values = [np.nan if value is None else sign * value for value in past.values]
        return History(
            start_at=past.start_at, period=past.period, power_kw=np.array(values, dtype=np.float64)
        )


def _holds_a_day(history: History) -> bool:
    # Of less than a day nothing can be repeated: the forecast goes by the power now, or the sun.
    return int(np.isfinite(history.power_kw).sum()) * history.period >= DAY
