"""From a net target to members' set-points: who takes part, from where, and the exact split.

Members start from their plan, else from where they run free, and only those that the target moves
get a set-point; the others stay free, so that a roof is not capped at the yield of a second ago.
The metered power of members that do not take part is taken from the target first. A member that
belongs to somebody else and is not held is asked only for what the own members cannot serve.

Stores that a plan charges stop charging before others discharge, and the other way round.

Members that respond slowly count with their meter until they have arrived: quick ones bridge what
is still on its way, so that moving a share from one to the other makes no dip. So do nested
aggregates that run free, since their own plan may move them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controllers.aggregation.following import Following
from controllers.aggregation.portfolio import BoolArray, FloatArray, Portfolio, Sums
from controllers.kernel.states import Priority
from optimization.split import split

_EPS_KW = 1e-6
_LEAD_TURNS = 2.0
"""A turn until quick members are asked, another until their meters show it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """Set-points of one turn."""

    target_kw: FloatArray  # [n], NaN where the member runs free
    has_plan: BoolArray  # [n]
    planned: BoolArray  # [n], set-points that are the plan's own
    moved: BoolArray  # [n], set-points that serve the target
    available: BoolArray  # [n]
    unserved_kw: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What an allocation starts from, all [n]."""

    available: BoolArray
    """Can be counted on."""
    probed: BoolArray
    """Set aside, yet still asked, to see whether they come back."""
    base_kw: FloatArray
    """Where a member goes that the target does not move."""
    current_kw: FloatArray
    """Where its set-point stands, or where it runs."""
    plan_kw: FloatArray
    """NaN where there is none."""
    sent_kw: FloatArray
    """Last proposed set-points; NaN where none."""
    tolerance_kw: FloatArray
    """How far from its set-point a member may be metered."""


def situation(
    portfolio: Portfolio,
    sums: Sums,
    following: Following,
    *,
    sent_kw: FloatArray,
    plan_kw: FloatArray,
    rank: Priority,
) -> Situation:
    """Return who can be commanded at a rank, and from where."""
    stronger = ~(portfolio.holder_priority > int(rank))
    blocked = portfolio.killed | (sums.held_elsewhere & stronger)
    ours = sums.fresh & ~blocked
    free = np.isnan(sent_kw)
    power, natural = portfolio.power_kw, portfolio.natural_kw
    # A free member near its natural power stays exactly where it is: noise moves nobody. One on its
    # way is expected to come that near, without a step where the two cases meet.
    tolerance = following.tolerance_kw()
    on_its_way = natural - np.clip(natural - power, -tolerance, tolerance)
    base = np.where(free, on_its_way, natural)
    current = np.where(free, power, sent_kw)
    return Situation(
        available=ours & ~following.aside,
        probed=ours & following.aside,
        base_kw=np.where(np.isfinite(plan_kw), plan_kw, base),
        current_kw=current,
        plan_kw=plan_kw,
        sent_kw=sent_kw,
        tolerance_kw=tolerance,
    )


def _at_limit(portfolio: Portfolio) -> BoolArray:
    """Tell who gives all it has when left alone, as a roof does, [n].

    What it has is the weather's, and the way up from where it runs is no headroom.
    """
    spans = portfolio.max_kw - portfolio.min_kw > _EPS_KW
    at_most: BoolArray = spans & (portfolio.natural_kw >= portfolio.max_kw - _EPS_KW)
    return at_most


def expected_kw(now: Situation, sums: Sums) -> float:
    """Return the net power if no target moves anybody, in kW."""
    takes_part = now.available & (sums.counted | np.isfinite(now.plan_kw))
    fixed = sums.member_believed_kw[sums.counted & ~takes_part].sum()
    return float(now.base_kw[takes_part].sum() + fixed)


class Allocator:
    """Allocates one turn: the members in one situation, as often as a target asks.

    Args:
        portfolio: the members.
        sums: their sums.
        now: who can be commanded, and from where.
        reach_s: time in which members can ramp to their set-points.
        quick_s: a resource with a longer response is slow.
    """

    def __init__(
        self, portfolio: Portfolio, sums: Sums, now: Situation, *, reach_s: float, quick_s: float
    ) -> None:
        self._p = portfolio
        self._sums = sums
        self._now = now
        self._minutes = reach_s / 60.0
        self._tolerance_kw = now.tolerance_kw
        self._planned = np.isfinite(now.plan_kw)
        free = np.isnan(now.sent_kw) & ~self._planned
        # Nested aggregates that are commanded bridge among their own members.
        self._slow = np.where(portfolio.is_resource, portfolio.response_s > quick_s, free)
        low, high = portfolio.min_kw, portfolio.max_kw
        # A free member may stay where it is even if that is beyond its limits.
        self._low = np.where(free, np.minimum(low, now.base_kw), low)
        self._high = np.where(free, np.maximum(high, now.base_kw), high)
        weather = free & _at_limit(portfolio)
        self._high = np.where(weather, now.base_kw, self._high)

    def follow_plan(self) -> Allocation:
        """Return the plan's set-points, clipped to what members can do."""
        now = self._now
        follows = self._planned & (now.available | now.probed)
        at_plan = np.clip(now.plan_kw, self._p.min_kw, self._p.max_kw)
        return Allocation(
            target_kw=np.where(follows, at_plan, self._kept(follows)),
            has_plan=self._planned,
            planned=self._planned,
            moved=np.zeros(len(follows), dtype=np.bool_),
            available=now.available,
            unserved_kw=0.0,
        )

    def reach(self, target_kw: float) -> Allocation:
        """Return the set-points whose sum, with everybody else's power, is ``target_kw``."""
        now = self._now
        mine = self._sums.counted | np.isfinite(now.sent_kw) | self._planned
        part = now.available & mine
        setpoints, unserved_kw = self._split(target_kw, part)
        if abs(unserved_kw) > _EPS_KW and (now.available & ~mine).any():
            part = now.available
            setpoints, unserved_kw = self._split(target_kw, part)
        # Who is asked to help out counts with all of its power, moved or not.
        guests = part & ~mine
        if now.probed.any():
            part = part | (now.probed & mine)
            probes, _ = self._split(target_kw, part)
            setpoints = np.where(now.probed, self._cautious(probes), setpoints)
        rest = np.clip(now.base_kw, self._low, self._high)
        moved = guests | (part & (np.abs(setpoints - rest) > _EPS_KW))
        asked = moved | (part & self._planned)
        return Allocation(
            target_kw=np.where(asked, setpoints, self._kept(asked)),
            has_plan=self._planned,
            planned=self._planned & ~moved,
            moved=moved,
            available=now.available,
            unserved_kw=unserved_kw,
        )

    def _cautious(self, probes: FloatArray) -> FloatArray:
        """Return the shares of members set aside, at most a small step from their meter.

        One that comes back to life proves it by that step, and makes no other.
        """
        power, step = self._p.power_kw, 2.0 * self._tolerance_kw
        near = np.clip(probes, power - step, power + step)
        # The step stands until it is judged; one that crept ahead of the meter would prove nothing.
        near = np.where(np.abs(self._now.sent_kw - power) <= step, self._now.sent_kw, near)
        in_band = (near > self._p.band_low_kw) & (near < self._p.band_high_kw)
        return np.where(in_band, probes, near)

    def _kept(self, decided: BoolArray) -> FloatArray:
        """Return the last set-points of members that fell silent, NaN elsewhere."""
        silent = ~self._sums.fresh & ~self._sums.held_elsewhere & ~self._p.killed & ~decided
        return np.where(silent, self._now.sent_kw, np.nan)

    def _split(self, target_kw: float, part: BoolArray) -> tuple[FloatArray, float]:
        """Split what the others leave of the target; NaN for members that take no part."""
        others = self._sums.counted & ~part
        goal_kw = target_kw - float(self._sums.member_believed_kw[others].sum())
        setpoints, unserved_kw = self._divide(goal_kw, part)
        slow, quick = part & self._slow, part & ~self._slow
        if slow.any() and quick.any():
            soon_kw = self._soon_kw(setpoints, slow)
            bridging, _ = self._divide(goal_kw - float(soon_kw.sum()), quick)
            setpoints = np.where(quick, bridging, setpoints)
        return setpoints, unserved_kw

    def _soon_kw(self, setpoints: FloatArray, slow: BoolArray) -> FloatArray:
        """Return where slow members will be when quick ones have taken over what they still lack.

        A response of first order has gone 95 % of its way after three time constants.
        """
        p = self._p
        power_kw, lead_s = p.power_kw[slow], _LEAD_TURNS * 60.0 * self._minutes
        gone_frac = -np.expm1(-3.0 * lead_s / np.maximum(p.response_s[slow], lead_s))
        low_kw = -p.ramp_down_kw_per_min[slow] * lead_s / 60.0
        high_kw = p.ramp_up_kw_per_min[slow] * lead_s / 60.0
        return power_kw + np.clip((setpoints[slow] - power_kw) * gone_frac, low_kw, high_kw)

    def _at_rest_first(self, goal_kw: float, part: BoolArray) -> FloatArray:
        """Return the bases of some members, stores that work the wrong way nearer to rest.

        Nobody is charged to be discharged elsewhere: what a store's plan takes or gives against the
        wanted change is given up, the cheapest first, before anybody else moves.
        """
        p, base_kw = self._p, self._now.base_kw[part]
        change_kw = goal_kw - float(base_kw.sum())
        sign = np.copysign(1.0, change_kw)
        both_ways = (p.is_resource & (p.min_kw < 0.0) & (p.max_kw > 0.0))[part]
        room_kw = np.where(both_ways, np.maximum(-sign * base_kw, 0.0), 0.0)
        order = np.argsort(sign * p.merit_per_mwh[part], kind="stable")
        before_kw = np.cumsum(room_kw[order]) - room_kw[order]
        given_kw = np.empty_like(base_kw)
        given_kw[order] = np.clip(abs(change_kw) - before_kw, 0.0, room_kw[order])
        nearer: FloatArray = base_kw + sign * given_kw
        return nearer

    def _divide(self, goal_kw: float, part: BoolArray) -> tuple[FloatArray, float]:
        """Split a power exactly over some members; NaN for the others."""
        p, now = self._p, self._now
        setpoints = np.full(len(part), np.nan)
        if not part.any():
            return setpoints, goal_kw
        current, power = now.current_kw[part], p.power_kw[part]
        # A member still on its way can turn round where it is.
        ahead, behind = np.maximum(power - current, 0.0), np.maximum(current - power, 0.0)
        result = split(
            goal_kw,
            min_kw=self._low[part],
            max_kw=self._high[part],
            current_kw=current,
            base_kw=self._at_rest_first(goal_kw, part),
            merit_per_mwh=p.merit_per_mwh[part],
            ramp_up_kw=ahead + p.ramp_up_kw_per_min[part] * self._minutes,
            ramp_down_kw=behind + p.ramp_down_kw_per_min[part] * self._minutes,
            exclusion_low_kw=p.band_low_kw[part],
            exclusion_high_kw=p.band_high_kw[part],
            dead_band_kw=p.dead_band_kw[part],
        )
        setpoints[part] = result.setpoints_kw
        return setpoints, result.unserved_kw
