"""Accounting of delivery: energy asked and metered, time within tolerance, and the report of it.

Energy is the integral of measured power over the turns of the loop inside the window; a gap longer
than the limit and members without measurements are left out rather than guessed, and the report
says for how long that was so. Time counts towards tolerance once the ramp is done.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime

import numpy as np

from controllers.aggregation.checkpoint import Dispatch, MemberTally, Tally
from controllers.aggregation.following import Following
from controllers.aggregation.instruction import DeliveryReport, Instruction, MemberDelivery
from controllers.aggregation.portfolio import FloatArray, MemberState, Portfolio, Sums
from controllers.kernel.states import CommandState, Contender, Quality, ResourceState

_SECONDS_PER_HOUR = 3600.0
_DECIDES = ("won", "clipped")
"""Fates of the proposal that decided; bounds are never granted a power."""


class Delivery:
    """The running account of one instruction. Mutable and owned by one control."""

    def __init__(self, dispatch: Dispatch, portfolio: Portfolio) -> None:
        tally = dispatch.tally
        empty = MemberTally()
        members = [tally.members.get(m.id, empty) for m in portfolio.members]
        self._portfolio = portfolio
        self._requested_kwh = np.array([m.requested_kwh for m in members])
        self._delivered_kwh = np.array([m.delivered_kwh for m in members])
        self.n_redispatched = np.array([m.n_redispatched for m in members], dtype=np.int64)
        self.total = tally

    def count(
        self,
        sums: Sums,
        *,
        instruction: Instruction,
        reference_kw: float | None,
        sent_kw: FloatArray,
        settled: bool,
        elapsed_s: float,
    ) -> None:
        """Add the time since the last turn.

        Args:
            sums: the members now.
            instruction: what is delivered.
            reference_kw: the ramped target; None while somebody of higher rank has the aggregate.
            sent_kw: [n] set-points proposed for this instruction; NaN where none.
            settled: the ramp is done and members had their time to arrive.
            elapsed_s: since the last turn, in seconds; within the window.
        """
        hours = elapsed_s / _SECONDS_PER_HOUR
        measured = np.where(sums.counted, sums.member_believed_kw, 0.0)
        self._delivered_kwh += measured * hours
        self._requested_kwh += np.where(np.isfinite(sent_kw), sent_kw, measured) * hours
        within = abs(instruction.target_kw - sums.believed_kw) <= instruction.tolerance_kw
        before = self.total
        nearest_kw = before.nearest_kw
        if nearest_kw is None or _nearer(sums.believed_kw, nearest_kw, instruction.target_kw):
            nearest_kw = sums.believed_kw
        asked_kw = instruction.target_kw if reference_kw is None else reference_kw
        counts = settled or within
        self.total = Tally(
            requested_kwh=before.requested_kwh + asked_kw * hours,
            delivered_kwh=before.delivered_kwh + sums.believed_kw * hours,
            metered_s=before.metered_s + sums.coverage_frac * elapsed_s,
            settled_s=before.settled_s + (elapsed_s if counts else 0.0),
            within_s=before.within_s + (elapsed_s if within else 0.0),
            start_kw=sums.believed_kw if before.start_kw is None else before.start_kw,
            nearest_kw=nearest_kw,
        )

    def tally(self) -> Tally:
        """Return the account as a wire value."""
        total = self.total
        return Tally(
            requested_kwh=total.requested_kwh,
            delivered_kwh=total.delivered_kwh,
            metered_s=total.metered_s,
            settled_s=total.settled_s,
            within_s=total.within_s,
            start_kw=total.start_kw,
            nearest_kw=total.nearest_kw,
            members={
                member.id: MemberTally(
                    requested_kwh=float(self._requested_kwh[i]),
                    delivered_kwh=float(self._delivered_kwh[i]),
                    n_redispatched=int(self.n_redispatched[i]),
                )
                for i, member in enumerate(self._portfolio.members)
            },
        )

    def retarget(self) -> None:
        """Judge what was delivered by a new target from now on."""
        total = self.total
        self.total = Tally(
            requested_kwh=total.requested_kwh,
            delivered_kwh=total.delivered_kwh,
            metered_s=total.metered_s,
            settled_s=total.settled_s,
            within_s=total.within_s,
        )


def undelivered(tally: Tally, instruction: Instruction) -> bool:
    """Tell whether the measured power never came a twentieth of the way to the target."""
    if tally.within_s > 0.0:
        return False
    if tally.start_kw is None or tally.nearest_kw is None:
        return True
    way_kw = instruction.target_kw - tally.start_kw
    return abs(way_kw) > 0.0 and (tally.nearest_kw - tally.start_kw) / way_kw < 0.05


def _nearer(power_kw: float, than_kw: float, target_kw: float) -> bool:
    return abs(power_kw - target_kw) < abs(than_kw - target_kw)


def report(
    dispatch: Dispatch,
    tally: Tally,
    *,
    portfolio: Portfolio,
    sums: Sums,
    following: Following,
    sent_kw: FloatArray,
    reference_kw: float | None,
    cause: Callable[[int], str],
    now: datetime,
) -> DeliveryReport:
    """Return what was asked, what was metered and by whom, as of ``now``.

    Args:
        dispatch: the instruction with its history.
        tally: its account.
        portfolio: the members.
        sums: their sums as of ``now``.
        following: who is set aside until when.
        sent_kw: [n] last proposed set-points; NaN where none.
        reference_kw: ramped target; None while the instruction has no say.
        cause: why a member does not take part, by index; empty where it does.
        now: the present instant.
    """
    instruction = dispatch.instruction
    asked_kw = instruction.target_kw if reference_kw is None else reference_kw
    live = reference_kw is not None
    elapsed_s = (min(now, instruction.end_at) - instruction.start_at).total_seconds()
    gap_kw = asked_kw - sums.believed_kw if live else 0.0
    return DeliveryReport(
        instruction=instruction,
        as_of=now,
        measured_kw=sums.believed_kw,
        target_kw=reference_kw,
        shortfall_kw=gap_kw if abs(gap_kw) > instruction.tolerance_kw else 0.0,
        requested_kwh=tally.requested_kwh,
        delivered_kwh=tally.delivered_kwh,
        unmetered_s=max(elapsed_s - tally.metered_s, 0.0),
        within_tolerance_frac=(
            min(tally.within_s / tally.settled_s, 1.0) if tally.settled_s > 0.0 else 0.0
        ),
        coverage_frac=sums.coverage_frac,
        members=[
            _member(
                i,
                portfolio,
                fresh=bool(sums.fresh[i]),
                account=tally.members.get(portfolio.members[i].id, MemberTally()),
                requested_kw=float(sent_kw[i]),
                set_aside_until=following.until(i),
                note=cause(i),
            )
            for i in range(len(portfolio))
        ],
        history=dispatch.history,
    )


def _member(
    i: int,
    portfolio: Portfolio,
    *,
    fresh: bool,
    account: MemberTally,
    requested_kw: float,
    set_aside_until: datetime | None,
    note: str,
) -> MemberDelivery:
    state = portfolio.states[i]
    winner = _winner(state)
    holder = None if state is None else state.holder
    granted_kw = float(portfolio.granted_kw[i])
    return MemberDelivery(
        member_id=portfolio.members[i].id,
        requested_kw=None if math.isnan(requested_kw) else requested_kw,
        granted_kw=None if math.isnan(granted_kw) else granted_kw,
        measured_kw=float(portfolio.power_kw[i]),
        quality=seen_quality(state, fresh=fresh),
        winner=winner.source_id if winner is not None else holder or "",
        winner_reason="" if winner is None else winner.reason,
        winner_until=_until(winner, state),
        command_state=_command_state(state),
        delivered_kwh=account.delivered_kwh,
        requested_kwh=account.requested_kwh,
        n_redispatched=account.n_redispatched,
        set_aside_until=set_aside_until,
        note=note,
    )


def _winner(state: MemberState | None) -> Contender | None:
    if not isinstance(state, ResourceState):
        return None
    decided = (c for c in state.contenders if c.outcome in _DECIDES and c.granted_kw is not None)
    return next(decided, None)


def _until(winner: Contender | None, state: MemberState | None) -> datetime | None:
    if winner is not None:
        return winner.until
    return None if state is None else state.holder_until


def seen_quality(state: MemberState | None, *, fresh: bool) -> Quality:
    """Return a member's quality; good data that stopped coming is stale."""
    if state is None:
        return Quality.MISSING
    return state.quality if fresh or state.quality is not Quality.GOOD else Quality.STALE


def _command_state(state: MemberState | None) -> CommandState | None:
    if not isinstance(state, ResourceState) or state.command is None:
        return None
    return state.command.state
