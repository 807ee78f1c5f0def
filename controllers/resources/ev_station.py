"""The twin of an EV charging station: charging may wait until the latest start of each vehicle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

import numpy as np

from controllers.kernel.errors import Problem
from controllers.kernel.states import Envelope
from controllers.resources.base import LOOKAHEAD_H, MeteredTwin, clip, wanted
from controllers.resources.parameters import Parameter, ParameterValue, number
from controllers.resources.rows import common_rows, kw_row
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
    *common_rows(on_stale="zero", ramp_frac_per_min=6.0, merit_per_mwh=50.0),
)


@dataclass(frozen=True, slots=True)
class _Sessions:
    """The vehicles that still charge as columns [n], the first to leave first."""

    needed_kwh: FloatArray
    hours_left: FloatArray
    rate_kw: FloatArray


@dataclass(frozen=True, slots=True)
class _Bounds:
    """Least and greatest power of the station (negative or zero) over one span of time."""

    min_kw: float
    max_kw: float
    must_kw: FloatArray
    """Charging [n] without which a departure could not be met any more."""


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
        if not len(sessions.rate_kw):
            return self._envelope(
                0.0,
                0.0,
                natural_kw=0.0,
                energy_up_kwh=0.0,
                energy_down_kwh=0.0,
                reserve_up_kw=-state.power_kw,
                reserve_down_kw=state.power_kw,
            )
        # The last of a charge is drawn at the least power and ends when the vehicle is full.
        least_kw = min(float(sessions.rate_kw.min()), self.plug_min_charge_kw)
        now_bounds = self._bounds(sessions, LOOKAHEAD_H)
        min_kw = min(now_bounds.min_kw, -least_kw)
        max_kw = min(now_bounds.max_kw, -least_kw) if now_bounds.max_kw < 0.0 else 0.0
        sustained = self._bounds(sessions, self.reserve_duration_h)
        needed_kwh = sessions.needed_kwh
        waiting_kwh = np.maximum(sessions.rate_kw * sessions.hours_left - needed_kwh, 0.0)
        return self._envelope(
            min_kw,
            max_kw,
            natural_kw=min_kw,
            energy_up_kwh=float(np.minimum(needed_kwh, waiting_kwh).sum()),
            energy_down_kwh=float(needed_kwh.sum()),
            reserve_up_kw=min(max_kw, sustained.max_kw) - state.power_kw,
            reserve_down_kw=state.power_kw - max(min_kw, sustained.min_kw),
            exclusion=(-least_kw, 0.0),
        )

    def project(
        self, state: TwinState, setpoints_kw: FloatArray, natural_kw: FloatArray, step_s: float
    ) -> Projection:
        """Return the run of the vehicles plugged in now; later arrivals are not foreseen.

        A released station charges as fast as it can, so ``natural_kw`` only lends its length. The
        energy is what the vehicles still need.
        """
        step_h = step_s / 3600.0
        n_steps = len(setpoints_kw)
        power_kw, min_kw, max_kw = np.zeros(n_steps), np.zeros(n_steps), np.zeros(n_steps)
        needed_kwh = np.zeros(n_steps + 1)
        sessions = self._sessions(state.vehicles, state.measured_at)
        needed_kwh[0] = sessions.needed_kwh.sum()
        released = np.full(n_steps, self.low_kw)
        for t, wanted_kw in enumerate(wanted(setpoints_kw, released).tolist()):
            bounds = self._bounds(sessions, step_h)
            min_kw[t], max_kw[t] = bounds.min_kw, bounds.max_kw
            power_kw[t] = clip(wanted_kw, bounds.min_kw, bounds.max_kw)
            sessions = _charged(sessions, bounds.must_kw, -float(power_kw[t]), step_h)
            needed_kwh[t + 1] = sessions.needed_kwh.sum()
        return Projection(power_kw=power_kw, min_kw=min_kw, max_kw=max_kw, energy_kwh=needed_kwh)

    def _sessions(self, vehicles: Sequence[Vehicle], now: datetime | None) -> _Sessions:
        """Return the vehicles that still charge, with the time that ``now`` leaves them."""
        now_s = now.timestamp() if now is not None else 0.0
        rows = np.array(
            [
                (v.energy_needed_kwh, v.departs_at.timestamp() - now_s, v.max_charge_kw)
                for v in vehicles
                if v.energy_needed_kwh > 0.0
            ]
        ).reshape(-1, 3)
        rows = rows[rows[:, 1].argsort(kind="stable")]
        return _Sessions(
            rows[:, 0],
            np.maximum(rows[:, 1] / 3600.0, 0.0),
            np.minimum(rows[:, 2], self.plug_max_charge_kw),
        )

    def _bounds(self, sessions: _Sessions, step_h: float) -> _Bounds:
        """Return what the station can draw and must draw, held for ``step_h``."""
        needed_kwh, rate_kw = sessions.needed_kwh, sessions.rate_kw
        if not len(needed_kwh):
            return _Bounds(0.0, 0.0, needed_kwh)
        possible_kw = np.minimum(rate_kw, needed_kwh / step_h)
        later_h = np.maximum(sessions.hours_left - step_h, 0.0)
        latest_kw = (needed_kwh - rate_kw * later_h) / step_h
        usable_kw = np.minimum(np.maximum(latest_kw, self.plug_min_charge_kw), possible_kw)
        must_kw = np.where(latest_kw > 0.0, usable_kw, 0.0)
        # Vehicles that leave by an instant share the station's connection until then.
        due_kwh = needed_kwh.cumsum()
        crowded_kw = float((due_kwh - self.max_charge_kw * later_h).max()) / step_h
        fastest_kw = min(float(possible_kw.sum()), self.max_charge_kw)
        least_kw = min(max(float(must_kw.sum()), crowded_kw, 0.0), fastest_kw)
        return _Bounds(-fastest_kw, -least_kw, must_kw)


def _charged(
    sessions: _Sessions, must_kw: FloatArray, charge_kw: float, step_h: float
) -> _Sessions:
    """Return the vehicles after a step: each got what it must have, the rest went by slack."""
    needed_kwh, rate_kw = sessions.needed_kwh, sessions.rate_kw
    order = (sessions.hours_left - needed_kwh / rate_kw).argsort(kind="stable")
    must_kwh = _filled(must_kw[order] * step_h, charge_kw * step_h)
    room_kwh = np.minimum(rate_kw * step_h, needed_kwh)[order] - must_kwh
    given_kwh = must_kwh + _filled(room_kwh, charge_kw * step_h - float(must_kwh.sum()))
    left_kwh = needed_kwh.copy()
    left_kwh[order] -= given_kwh
    return _Sessions(
        np.maximum(left_kwh, 0.0), np.maximum(sessions.hours_left - step_h, 0.0), rate_kw
    )


def _filled(room_kwh: FloatArray, energy_kwh: float) -> FloatArray:
    """Return what each gets when an amount fills one after another."""
    before_kwh = room_kwh.cumsum() - room_kwh
    return np.clip(energy_kwh - before_kwh, 0.0, room_kwh)
