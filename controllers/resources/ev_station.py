"""The twin of an EV charging station: charging may wait until the latest start of each vehicle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar

import numpy as np

from controllers.kernel.errors import Problem
from controllers.kernel.states import Envelope
from controllers.resources.base import LOOKAHEAD_H, MeteredTwin, clip, wanted
from controllers.resources.parameters import Parameter, ParameterValue, number
from controllers.resources.rows import common_rows, kw_row, number_row
from controllers.resources.twin import FloatArray, Projection, TwinState, Vehicle

_ROWS: tuple[Parameter, ...] = (
    Parameter(
        name="n_plugs",
        kind="integer",
        unit="",
        default=None,
        sentence="Number of charging points.",
        sentence_zh="充电桩数量。",
        low=1,
        high=512,
    ),
    kw_row(
        "max_charge_kw",
        "Greatest charging power of the whole station.",
        "整站最大充电功率。",
    ),
    kw_row(
        "plug_max_charge_kw",
        "Greatest charging power of one point.",
        "单桩最大充电功率。",
        default=22.0,
    ),
    kw_row(
        "plug_min_charge_kw",
        "Least charging power of one point (6 A, three phases); below it the point is off.",
        "单桩最小充电功率（三相 6 A）；低于此值即停充。",
        default=4.14,
    ),
    number_row(
        "charge_efficiency_frac",
        "",
        "Share of the drawn energy that reaches a vehicle, in which its need is counted.",
        "充电效率：所用电量中充入车辆的比例（车辆需求按充入量计）。",
        default=0.93,
        low=0.5,
        high=1.0,
    ),
    *common_rows(on_stale="zero", ramp_frac_per_min=6.0, response_s=6.0, merit_per_mwh=50.0),
)


_Session = tuple[float, float, float]
"""A vehicle that still charges: hours until departure, kWh to be drawn, greatest charging kW."""


class EvStation(MeteredTwin):
    """A charging station whose vehicles may wait, but never beyond their latest start.

    ``min_kw`` is the fastest charging possible now, ``max_kw`` the slowest that keeps every
    departure reachable, both held for the look-ahead of one minute. A vehicle that cannot be filled
    in time any more charges as fast as it can. Charging draws power, so all of it is negative.
    """

    KIND: ClassVar[str] = "ev_station"
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = _ROWS

    def __init__(self, values: Mapping[str, ParameterValue]) -> None:
        self.max_charge_kw = number(values, "max_charge_kw")
        super().__init__(values, low_kw=-self.max_charge_kw, high_kw=0.0)
        self.n_plugs = int(values["n_plugs"])
        self.plug_max_charge_kw = number(values, "plug_max_charge_kw")
        self.plug_min_charge_kw = number(values, "plug_min_charge_kw")
        self.charge_efficiency_frac = number(values, "charge_efficiency_frac")

    @staticmethod
    def check(values: Mapping[str, ParameterValue], *, path: str) -> list[Problem]:
        """Return problems where a point could not charge at its least power."""
        least = number(values, "plug_min_charge_kw")
        problems = []
        for name in ("plug_max_charge_kw", "max_charge_kw"):
            if number(values, name) < least:
                rule = f"must be at least plug_min_charge_kw = {least:g} kW"
                problems.append(Problem(field=f"{path}{name}", value=values[name], rule=rule))
        return problems

    def envelope(self, state: TwinState, now: datetime) -> Envelope:
        """Return what the station can do from ``now`` on."""
        sessions = self._sessions(state.vehicles, now)
        # The last of a charge is drawn at the least power and ends when the vehicle is full.
        least_kw = min([self.plug_min_charge_kw, *(rate_kw for _, _, rate_kw in sessions)])
        bounds = self._bounds(sessions, LOOKAHEAD_H)
        min_kw, max_kw = (min(kw, -least_kw) if kw < 0.0 else 0.0 for kw in bounds)
        sustained_min_kw, sustained_max_kw = self._bounds(sessions, self.reserve_duration_h)
        needed_kwh = waiting_kwh = 0.0
        for hours_left, session_kwh, rate_kw in sessions:
            needed_kwh += session_kwh
            slack_kwh = rate_kw * hours_left - session_kwh
            if slack_kwh > 0.0:
                waiting_kwh += slack_kwh if slack_kwh < session_kwh else session_kwh
        return self._envelope(
            min_kw,
            max_kw,
            natural_kw=min_kw,
            energy_up_kwh=waiting_kwh,
            energy_down_kwh=needed_kwh,
            reserve_up_kw=min(max_kw, sustained_max_kw) - state.power_kw,
            reserve_down_kw=state.power_kw - max(min_kw, sustained_min_kw),
            exclusion=(-least_kw, 0.0) if sessions else (0.0, 0.0),
        )

    def project(
        self, state: TwinState, setpoints_kw: FloatArray, natural_kw: FloatArray, step_s: float
    ) -> Projection:
        """Return the run of the vehicles plugged in now; later arrivals are not foreseen.

        A released station charges as fast as it can, so ``natural_kw`` only lends its length. The
        energy is what the vehicles have still to draw.
        """
        step_h = step_s / 3600.0
        n_steps = len(setpoints_kw)
        power_kw, min_kw, max_kw = np.zeros(n_steps), np.zeros(n_steps), np.zeros(n_steps)
        needed_kwh = np.zeros(n_steps + 1)
        sessions = self._sessions(state.vehicles, state.measured_at)
        needed_kwh[0] = _needed_kwh(sessions)
        released = np.full(n_steps, self.low_kw)
        for t, wanted_kw in enumerate(wanted(setpoints_kw, released).tolist()):
            min_kw[t], max_kw[t] = lowest_kw, highest_kw = self._bounds(sessions, step_h)
            power_kw[t] = held_kw = clip(wanted_kw, lowest_kw, highest_kw)
            sessions = self._charged(sessions, -held_kw * step_h, step_h)
            needed_kwh[t + 1] = _needed_kwh(sessions)
        return Projection(power_kw=power_kw, min_kw=min_kw, max_kw=max_kw, energy_kwh=needed_kwh)

    def _sessions(self, vehicles: Sequence[Vehicle], now: datetime | None) -> list[_Session]:
        """Return the vehicles that still charge at ``now``, the first to leave first."""
        now_s = now.timestamp() if now is not None else 0.0
        plug_kw = self.plug_max_charge_kw
        sessions = []
        for vehicle in vehicles:
            if vehicle.energy_needed_kwh > 0.0:
                left_s = vehicle.departs_at.timestamp() - now_s
                rate_kw = vehicle.max_charge_kw
                sessions.append(
                    (
                        left_s / 3600.0 if left_s > 0.0 else 0.0,
                        vehicle.energy_needed_kwh / self.charge_efficiency_frac,
                        rate_kw if rate_kw < plug_kw else plug_kw,
                    )
                )
        sessions.sort()
        return sessions

    def _bounds(self, sessions: Sequence[_Session], step_h: float) -> tuple[float, float]:
        """Return least and greatest power (both negative or zero) held for ``step_h``."""
        fastest_kw = must_kw = due_kwh = crowded_kwh = 0.0
        for hours_left, needed_kwh, rate_kw in sessions:
            possible_kw = rate_kw if rate_kw * step_h < needed_kwh else needed_kwh / step_h
            fastest_kw += possible_kw
            later_h = hours_left - step_h if hours_left > step_h else 0.0
            late_kwh = needed_kwh - rate_kw * later_h
            if late_kwh > 0.0:
                must_kw += min(max(late_kwh / step_h, self.plug_min_charge_kw), possible_kw)
            # Vehicles that leave by an instant share the station's connection until then.
            due_kwh += needed_kwh
            crowded_kwh = max(crowded_kwh, due_kwh - self.max_charge_kw * later_h)
        fastest_kw = min(fastest_kw, self.max_charge_kw)
        return -fastest_kw, -min(max(must_kw, crowded_kwh / step_h), fastest_kw)

    def _charged(
        self, sessions: Sequence[_Session], energy_kwh: float, step_h: float
    ) -> list[_Session]:
        """Return the vehicles after a step in which the least slack was served first.

        Serving by slack alone would starve a second vehicle that must charge too, so each first
        gets what it cannot do without.
        """
        ranked = sorted(sessions, key=lambda session: session[0] - session[1] / session[2])
        shares_kwh = []
        for session in ranked:
            must_kw = -self._bounds([session], step_h)[1]
            shares_kwh.append(min(must_kw * step_h, energy_kwh))
            energy_kwh -= shares_kwh[-1]
        left = []
        for (hours_left, needed_kwh, rate_kw), share_kwh in zip(ranked, shares_kwh, strict=True):
            more_kwh = min(min(rate_kw * step_h, needed_kwh) - share_kwh, energy_kwh)
            energy_kwh -= more_kwh
            left_kwh = max(needed_kwh - share_kwh - more_kwh, 0.0)
            left.append((max(hours_left - step_h, 0.0), left_kwh, rate_kw))
        return sorted(left)


def _needed_kwh(sessions: Sequence[_Session]) -> float:
    return sum(needed_kwh for _, needed_kwh, _ in sessions)
