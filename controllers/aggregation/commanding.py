"""The command of one aggregate's members: reference, allocation, proposals, limits and trim.

One turn moves the reference, judges who follows, splits the target over those that can be counted
on, and says what has to be sent. It knows nothing of instructions or plans, only of who prevails.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
import numpy as np

from controllers.aggregation.allocation import Allocation, Allocator, expected_kw, situation
from controllers.aggregation.channel import Channel
from controllers.aggregation.checkpoint import AggregateCheckpoint, ReferenceState
from controllers.aggregation.following import Following
from controllers.aggregation.guard import Guard, Side
from controllers.aggregation.picture import Stand
from controllers.aggregation.portfolio import BoolArray, FloatArray, Portfolio, Sums
from controllers.aggregation.settings import AggregateSettings
from controllers.aggregation.target import Limits, Want, advance, settled, trimmed
from controllers.kernel.states import Priority, Proposal
from controllers.park import AggregateDefinition

_EPS_KW = 1e-6
_TRIM_FINEST_FRAC = 0.02
"""A deviation below this share of the tolerance is left alone."""


class Commanding:
    """Commands the members of one aggregate. Mutable and owned by one control."""

    def __init__(
        self,
        definition: AggregateDefinition,
        portfolio: Portfolio,
        settings: AggregateSettings,
        *,
        epoch: int,
        now: datetime,
    ) -> None:
        self._definition = definition
        self._portfolio = portfolio
        self._settings = settings
        self.following = Following(portfolio, settings)
        self.reference: ReferenceState | None = None
        self.stand = Stand()
        """What the last turn decided."""
        self.left: BoolArray = np.zeros(len(portfolio), dtype=np.bool_)
        """Commanded members that could no longer be counted on in the last turn, [n]."""
        self._guard = Guard(settings)
        self._channel, self._bounds = (
            Channel(
                source,
                portfolio.members,
                epoch=epoch,
                lifetime_s=settings.proposal_lifetime_s,
                period_s=definition.period_s,
            )
            for source in (definition.id, f"{definition.id}.limit")
        )
        self._resume_until: datetime | None = None
        self._available = np.zeros(len(portfolio), dtype=np.bool_)
        self._regrouped_at = now

    @property
    def sent_kw(self) -> FloatArray:
        """Last proposed set-points, [n]; NaN where there is none."""
        return self._channel.target_kw

    @property
    def owner(self) -> str | None:
        """Whose target is in force."""
        return None if self.reference is None else self.reference.owner

    def resume(self, last: AggregateCheckpoint, want: Want | None, now: datetime) -> None:
        """Go on from a predecessor's set-points and reference; ``want`` is who prevails now."""
        members = self._portfolio.members
        sent_kw = np.array([last.sent_kw.get(m.id, np.nan) for m in members], dtype=np.float64)
        reference = last.reference
        if reference is not None:
            self.reference = msgspec.structs.replace(reference, at=now)
        if np.isfinite(sent_kw).any():
            rank = Priority.ECONOMICS if reference is None else reference.priority
            self._channel.restore(sent_kw, rank, self.owner)
            self._resume_until = now + timedelta(seconds=self._settings.resume_wait_s)
        target_kw = None if reference is None else reference.value_kw
        same_owner = want is not None and want.owner == self.owner
        self.stand = Stand(
            target_kw=target_kw,
            instruction_id=want.instruction_id if want is not None and same_owner else None,
            tolerance_kw=self._tolerance_kw(target_kw),
            commanded=bool(np.isfinite(sent_kw).any()),
        )

    def resuming(self, sums: Sums, want: Want | None, now: datetime) -> bool:
        """Tell whether to repeat the predecessor's set-points until their members are heard."""
        if self._resume_until is None:
            return False
        # The checkpoint may be some turns old; the members know what stood last.
        self._channel.adopt(self._portfolio.asked_kw, self._portfolio.known)
        commanded = np.isfinite(self.sent_kw)
        same_owner = self.owner == (None if want is None else want.owner)
        if same_owner and now < self._resume_until and not sums.fresh[commanded].all():
            return True
        self._resume_until = None
        if self.reference is not None:
            self.reference = msgspec.structs.replace(self.reference, at=now)
        return False

    def renew(self, now: datetime) -> list[Proposal]:
        """Return the predecessor's proposals again."""
        return self._channel.renew(now, "resumed")

    def turn(
        self,
        sums: Sums,
        want: Want | None,
        *,
        plan_kw: FloatArray,
        limits: Limits,
        now: datetime,
        elapsed_s: float,
    ) -> list[Proposal]:
        """Command the members for one turn and return what has to be sent for it.

        Args:
            sums: the members now.
            want: who prevails.
            plan_kw: [n] planned set-points; NaN where there is none.
            limits: what the net power stays within.
            now: the present instant.
            elapsed_s: since the last turn.
        """
        before = self.reference
        self.reference = reference = advance(
            before,
            want,
            limits=limits,
            measured_kw=sums.believed_kw,
            tolerance_kw=self._definition.tolerance_kw,
            now=now,
        )
        self.following.judge(sums, self.sent_kw, now, elapsed_s)
        members = situation(
            self._portfolio,
            sums,
            self.following,
            sent_kw=self.sent_kw,
            plan_kw=plan_kw,
            rank=Priority.ECONOMICS if want is None else want.priority,
        )
        # A set-point says where the member can be by the next turn.
        reach_s = max(elapsed_s, self._definition.period_s)
        allocator = Allocator(
            self._portfolio, sums, members, reach_s=reach_s, quick_s=self._settings.response_s
        )
        released_kw = limits.clip(expected_kw(members, sums))
        if reference is None:
            goal_kw = released_kw
            tighten = self._guard.watch(expected_kw(members, sums), limits, now, patient=False)
            allocation = allocator.reach(goal_kw) if tighten else allocator.follow_plan()
        else:
            goal_kw = limits.clip(reference.value_kw + reference.trim_kw)
            tighten = self._guard.watch(sums.believed_kw, limits, now, patient=True)
            allocation = allocator.reach(goal_kw)
        regrouped = self._regroup(allocation, now)
        exact = regrouped or tighten or _value(before) != _value(reference)
        proposals = self._propose(allocation, want, exact=exact, now=now)
        proposals += self._bound(allocation, tighten=tighten, now=now)
        edge_kw = goal_kw if tighten else None
        self.stand = self._judge(allocation, want, edge_kw, released_kw, now)
        if reference is not None:
            self._trim(reference, sums, allocation, now, elapsed_s)
        return proposals

    def _regroup(self, allocation: Allocation, now: datetime) -> bool:
        """Note who left or joined those that are counted on; tell whether anybody did."""
        self.left = self._available & ~allocation.available & np.isfinite(self.sent_kw)
        changed = bool((self._available != allocation.available).any())
        if changed:
            self._regrouped_at = now
        self._available = allocation.available
        return changed

    def _propose(
        self, allocation: Allocation, want: Want | None, *, exact: bool, now: datetime
    ) -> list[Proposal]:
        nothing = np.full(len(self._portfolio), np.nan)
        target_kw = allocation.target_kw
        if self.reference is None:
            # The limit speaks through bounds; only the plan sets targets.
            target_kw = np.where(allocation.has_plan, target_kw, np.nan)
        serving = want is not None and self.reference is not None
        economic = np.flatnonzero(allocation.planned).tolist() if serving else []
        return self._channel.propose(
            target_kw=target_kw,
            min_kw=nothing,
            max_kw=nothing,
            priority=want.priority if want is not None and serving else Priority.ECONOMICS,
            smallest_kw=np.zeros_like(nothing) if exact else self._portfolio.dead_band_kw,
            instruction_id=want.instruction_id if want is not None else None,
            own_priority=dict.fromkeys(economic, Priority.ECONOMICS),
            reason=f"share of {want.owner}" if want is not None else "plan",
            now=now,
        )

    def _bound(self, allocation: Allocation, *, tighten: bool, now: datetime) -> list[Proposal]:
        side = self._guard.side
        if side is not None and not tighten:
            return self._bounds.renew(now, f"{side} limit")
        nothing = np.full(len(self._portfolio), np.nan)
        bound_kw = np.where(allocation.available, allocation.target_kw, np.nan)
        return self._bounds.propose(
            target_kw=nothing,
            min_kw=bound_kw if side is Side.IMPORT else nothing,
            max_kw=bound_kw if side is Side.EXPORT else nothing,
            priority=Priority.GRID_LIMIT,
            smallest_kw=np.zeros_like(nothing),
            instruction_id=None,
            own_priority={},
            reason=f"{side} limit",
            now=now,
        )

    def _trim(
        self,
        reference: ReferenceState,
        sums: Sums,
        allocation: Allocation,
        now: datetime,
        elapsed_s: float,
    ) -> None:
        """Take up a part of the deviation that remains when everybody has arrived."""
        s = self._settings
        commanded = allocation.available & np.isfinite(self.sent_kw)
        pause = timedelta(seconds=s.settle_s)
        quiet = settled(reference, now, s.settle_s) and now - self._regrouped_at >= pause
        # Only what is left between members that each follow within their tolerance; one that is
        # off is about to be set aside, and its share to be given to others.
        quiet = quiet and bool(self.following.agrees(self.sent_kw)[commanded].all())
        if not (quiet and commanded.any()):
            return
        error_kw = reference.value_kw - sums.believed_kw
        finest_kw = float(self._portfolio.dead_band_kw[commanded].min())
        finest_kw = max(finest_kw, _TRIM_FINEST_FRAC * self._definition.tolerance_kw)
        # What has no room left must not wind up the trim.
        no_room = abs(allocation.unserved_kw) > _EPS_KW and error_kw * allocation.unserved_kw > 0.0
        if abs(error_kw) > finest_kw and not no_room:
            self.reference = trimmed(
                reference,
                error_kw=error_kw,
                elapsed_s=elapsed_s,
                per_s=s.trim_per_s,
                most_kw=s.trim_max_frac * sums.rated_kw,
            )

    def _judge(
        self,
        allocation: Allocation,
        want: Want | None,
        edge_kw: float | None,
        released_kw: float,
        now: datetime,
    ) -> Stand:
        reference = self.reference
        target_kw = edge_kw if reference is None else reference.value_kw
        unserved_kw = allocation.unserved_kw
        reasons = [
            f"{member.id}: {self.cause(i)}"
            for i, member in enumerate(self._portfolio.members)
            if not allocation.available[i]
        ]
        if abs(unserved_kw) > _EPS_KW:
            reasons.insert(0, f"{unserved_kw:+.1f} kW beyond the members' reach")
        return Stand(
            target_kw=target_kw,
            released_kw=released_kw,
            instruction_id=None if want is None else want.instruction_id,
            tolerance_kw=self._tolerance_kw(target_kw),
            settled=settled(reference, now, self._settings.settle_s),
            unserved_kw=unserved_kw,
            commanded=bool(np.isfinite(self.sent_kw).any()),
            detail="; ".join(reasons),
        )

    def _tolerance_kw(self, target_kw: float | None) -> float:
        d = self._definition
        return max(d.tolerance_kw, d.tolerance_frac * abs(target_kw or 0.0))

    def cause(self, i: int) -> str:
        """Return why a member takes no part in the dispatch; empty where it does."""
        state = self._portfolio.states[i]
        if state is None:
            return "never heard of"
        if state.killed:
            return "emergency stop"
        if self.following.aside[i]:
            return self.following.cause(i, self._definition.id)
        if state.holder not in (None, self._definition.id):
            return f"held by {state.holder}"
        return "" if self._available[i] else "no fresh measurement"


def _value(reference: ReferenceState | None) -> float | None:
    return None if reference is None else reference.value_kw
