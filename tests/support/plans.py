"""Plans of the small park."""

from __future__ import annotations

from datetime import datetime

from controllers.park import ParkDefinition
from controllers.planning.engine import answer
from controllers.planning.forecast import forecast_park
from controllers.planning.horizon import plan_horizon
from controllers.planning.park_plan import ParkPlan
from controllers.planning.pose import PosedPark, pose_park
from controllers.planning.prices import Prices
from controllers.planning.read import read_plan
from controllers.resources.twin import TwinState
from tests.support.small_park import NOW, small_park, states_of, twins_of

T = 96


def posed(
    park: ParkDefinition | None = None,
    *,
    states: dict[str, TwinState] | None = None,
    prices: Prices | None = None,
    now: datetime = NOW,
    previous: ParkPlan | None = None,
) -> PosedPark:
    """Return the problem of a park, by default the small one as it usually is."""
    park = park or small_park()
    twins = twins_of(park)
    states = states_of(twins, now) if states is None else states
    forecasts = forecast_park(park, twins, states, plan_horizon(now))
    return pose_park(park, twins, states, forecasts, now=now, prices=prices, previous=previous)


def planned(
    park: ParkDefinition | None = None,
    *,
    states: dict[str, TwinState] | None = None,
    prices: Prices | None = None,
    now: datetime = NOW,
    deadline_s: float = 10.0,
    previous: ParkPlan | None = None,
) -> ParkPlan:
    """Return the plan of a park, from problem to set-points."""
    asked = posed(park, states=states, prices=prices, now=now, previous=previous)
    result = answer(asked.problem, deadline_s=deadline_s, previous=asked.previous)
    return read_plan(asked, result, previous)
