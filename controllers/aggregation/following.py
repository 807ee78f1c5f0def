"""Who follows its set-point, who is set aside for not following, and why.

Each commanded member has a model that moves to its set-point at its ramp. A member follows as long
as its meter lies within tolerance of where the model has been during the response time. One that
does not, or whose arbitration denied or cut our proposal, is set aside: the dispatch takes it as it
is metered and gives its share to the others, but goes on proposing its share to it. Once its
back-off is over and the meter agrees it is counted on again. So neither leaving nor returning makes
a step.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from controllers.aggregation.portfolio import BoolArray, FloatArray, Portfolio, Sums, contender
from controllers.aggregation.settings import AggregateSettings
from controllers.kernel.states import AggregateState, ResourceState

_SAME_KW = 1e-6
_MAX_DOUBLINGS = 16


class Following:
    """Judges members against their set-points. Mutable and owned by one control."""

    def __init__(self, portfolio: Portfolio, settings: AggregateSettings) -> None:
        n = len(portfolio)
        self._portfolio = portfolio
        self._settings = settings
        self._reporting_s = np.where(portfolio.is_resource, 1.0, 2.0) * settings.response_s
        self._past: deque[tuple[float, FloatArray]] = deque()
        self._model_kw = np.zeros(n)
        self._was_commanded = np.zeros(n, dtype=np.bool_)
        self._off_since_s = np.full(n, np.nan)
        self._good_since_s = np.full(n, np.inf)
        self._until_s = np.zeros(n)
        self._failures = np.zeros(n, dtype=np.int64)
        self.aside = np.zeros(n, dtype=np.bool_)

    def tolerance_kw(self) -> FloatArray:
        """Return how far a member may be off, [n]; it ignores changes within its dead band."""
        s, p = self._settings, self._portfolio
        share_kw = np.maximum(s.member_tolerance_frac * p.rated_kw, s.member_tolerance_kw)
        return np.maximum(share_kw, p.dead_band_kw)

    def judge(self, sums: Sums, sent_kw: FloatArray, now: datetime, elapsed_s: float) -> None:
        """Update who is set aside.

        Args:
            sums: the members as of ``now``.
            sent_kw: [n] set-points proposed so far; NaN where there is none.
            now: the present instant.
            elapsed_s: time since the last judgement.
        """
        now_s = now.timestamp()
        commanded = np.isfinite(sent_kw) & sums.fresh
        off = commanded & self._off(sent_kw, commanded, now_s, elapsed_s)
        self._off_since_s = np.where(
            off, np.fmin(self._off_since_s, now_s), np.nan
        )  # fmin: the earlier one, or now where there is none
        failed = off & (now_s - self._off_since_s >= self._settings.confirm_s)
        cut = commanded & self._cut(sent_kw)
        self._set_aside(~self.aside & (failed | cut), now_s)
        agrees = commanded & ~cut & self.agrees(sent_kw)
        due = self.aside & (now_s >= self._until_s)
        # A member that is no longer ours to command has nothing left to prove.
        returning = due & (agrees | ~commanded)
        self.aside &= ~returning
        self._good_since_s[returning] = now_s
        self._off_since_s[returning] = np.nan
        self._set_aside(due & ~returning, now_s)
        forgiven = ~self.aside & (now_s - self._good_since_s >= self._settings.forgive_s)
        self._failures[forgiven] = 0

    def agrees(self, sent_kw: FloatArray) -> BoolArray:
        """Tell whose meter is within tolerance of its set-point, [n]."""
        p = self._portfolio
        wanted = np.clip(sent_kw, p.min_kw, p.max_kw)
        agrees: BoolArray = np.abs(p.power_kw - wanted) <= self.tolerance_kw()
        return agrees

    def until(self, i: int) -> datetime | None:
        """Return the end of a member's back-off; None unless it is set aside."""
        return datetime.fromtimestamp(float(self._until_s[i]), UTC) if self.aside[i] else None

    def cause(self, i: int, own_id: str) -> str:
        """Return why a member is set aside, in its own words where it said any."""
        if not self.aside[i]:
            return ""
        state = self._portfolio.states[i]
        fate = contender(state, own_id)
        if fate is not None and fate.outcome != "won":
            return f"{fate.outcome}: {fate.reason}"
        if isinstance(state, ResourceState) and state.command is not None:
            command = state.command
            said = f": {command.reason}" if command.reason else ""
            if command.state in ("rejected", "expired", "failed"):
                return f"command {command.state}{said}"
        if isinstance(state, AggregateState) and state.holder not in (None, own_id):
            return f"held by {state.holder}"
        power_kw = 0.0 if state is None else state.power_kw
        return f"the meter stays at {power_kw:.1f} kW"

    def _off(
        self, sent_kw: FloatArray, commanded: BoolArray, now_s: float, elapsed_s: float
    ) -> BoolArray:
        """Tell whose meter is away from everywhere its model has been lately."""
        p = self._portfolio
        power = p.power_kw
        began = commanded & ~self._was_commanded
        self._was_commanded = commanded
        model = np.where(commanded & ~began, self._model_kw, power)
        wanted = np.where(commanded, np.clip(sent_kw, p.min_kw, p.max_kw), power)
        self._past.append((now_s - elapsed_s, model))
        up, down = p.ramp_up_kw_per_min / 60.0, p.ramp_down_kw_per_min / 60.0
        model = np.clip(wanted, model - down * elapsed_s, model + up * elapsed_s)
        self._model_kw = model
        response_s = self._reporting_s + p.response_s
        longest_s = float(response_s.max())
        while len(self._past) > 1 and self._past[1][0] <= now_s - longest_s:
            self._past.popleft()
        low, high = self._hull(model, began, now_s - response_s)
        tolerance = self.tolerance_kw()
        too_low = power < np.minimum(low, p.max_kw) - tolerance
        return too_low | (power > np.maximum(high, p.min_kw) + tolerance)

    def _hull(
        self, model: FloatArray, began: BoolArray, since_s: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return the least and greatest model power since an instant of each member, [n]."""
        at = np.array([one[0] for one in self._past])[:, None]
        past = np.stack([one[1] for one in self._past])
        recent = at > since_s
        low = np.minimum(model, np.where(recent, past, np.inf).min(axis=0))
        high = np.maximum(model, np.where(recent, past, -np.inf).max(axis=0))
        return low, high

    def _cut(self, sent_kw: FloatArray) -> BoolArray:
        """Tell in whom our present proposal was denied or cut by more than the tolerance."""
        p = self._portfolio
        same = np.abs(p.asked_kw - sent_kw) <= _SAME_KW
        # What its own envelope took away since is put right by this turn's split.
        possible_kw = np.clip(sent_kw, p.min_kw, p.max_kw)
        cut = np.abs(p.granted_kw - possible_kw) > self.tolerance_kw()
        return same & (p.denied | cut)

    def _set_aside(self, members: BoolArray, now_s: float) -> None:
        """Set members aside, or once more, each time for twice as long."""
        if not members.any():
            return
        s = self._settings
        doublings: NDArray[np.int64] = np.minimum(self._failures[members], _MAX_DOUBLINGS)
        pause_s = np.minimum(s.backoff_first_s * 2.0**doublings, s.backoff_max_s)
        self._until_s[members] = now_s + pause_s
        self._failures[members] += 1
        self._good_since_s[members] = np.inf
        self.aside |= members
