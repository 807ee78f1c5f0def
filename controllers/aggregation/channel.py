"""The proposals of one source to an aggregate's members: sent when they change, and renewed.

A proposal repeats before half of its lifetime has passed, so losing one is harmless. Withdrawing
sends a last proposal without target or bounds that expires within two turns: the member is free at
once instead of holding its set-point until the lifetime ends, and moves from where it is at its own
ramp.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np

from controllers.aggregation.portfolio import BoolArray, FloatArray, MemberSpec
from controllers.kernel.states import Priority, Proposal

_SAME_KW = 1e-9


class Channel:
    """What one source has proposed to each member. Mutable and owned by one control."""

    def __init__(
        self,
        source_id: str,
        members: tuple[MemberSpec, ...],
        *,
        epoch: int,
        lifetime_s: float,
        period_s: float,
    ) -> None:
        n = len(members)
        self._source_id = source_id
        self._members = members
        self._epoch = epoch
        self._lifetime_s = max(lifetime_s, 3.0 * period_s)
        self._period_s = period_s
        self._seq = 0
        self._sent_at_s = np.full(n, -np.inf)
        self._priority = np.full(n, -1)
        self._instruction: list[str | None] = [None] * n
        self.target_kw = np.full(n, np.nan)
        """Last proposed targets, [n]; NaN where there is none."""
        self.min_kw = np.full(n, np.nan)
        self.max_kw = np.full(n, np.nan)

    def propose(
        self,
        *,
        target_kw: FloatArray,
        min_kw: FloatArray,
        max_kw: FloatArray,
        priority: Priority,
        smallest_kw: FloatArray,
        instruction_id: str | None,
        own_priority: dict[int, Priority],
        reason: str,
        now: datetime,
    ) -> list[Proposal]:
        """Return what has to be sent so that the members know these wishes.

        Args:
            target_kw: [n] targets; NaN for none.
            min_kw: [n] lower bounds; NaN for none.
            max_kw: [n] upper bounds; NaN for none.
            priority: rank of the proposals.
            smallest_kw: [n] smaller changes of a target are not sent.
            instruction_id: what the proposals serve.
            own_priority: ranks of members that differ from ``priority``; these serve nothing.
            reason: for people.
            now: the present instant.
        """
        ranks = np.full(len(self._members), int(priority))
        for i, rank in own_priority.items():
            ranks[i] = int(rank)
        wanted = np.isfinite(target_kw) | np.isfinite(min_kw) | np.isfinite(max_kw)
        standing = self._standing()
        renew_s = now.timestamp() + self._period_s - 0.5 * self._lifetime_s
        changed = (
            _differs(target_kw, self.target_kw, np.maximum(smallest_kw, _SAME_KW))
            | _differs(min_kw, self.min_kw, _SAME_KW)
            | _differs(max_kw, self.max_kw, _SAME_KW)
            | (ranks != self._priority)
        )
        due = wanted & (changed | (self._sent_at_s <= renew_s))
        proposals = []
        for i in np.flatnonzero(due).tolist():
            keep = not changed[i]
            self.target_kw[i] = self.target_kw[i] if keep else target_kw[i]
            self.min_kw[i], self.max_kw[i] = min_kw[i], max_kw[i]
            self._priority[i] = ranks[i]
            self._instruction[i] = None if i in own_priority else instruction_id
            self._sent_at_s[i] = now.timestamp()
            proposals.append(self._proposal(i, reason, now, self._lifetime_s))
        proposals += [self._withdrawal(i, now) for i in np.flatnonzero(standing & ~wanted).tolist()]
        return proposals

    def renew(self, now: datetime, reason: str) -> list[Proposal]:
        """Return the standing proposals again, unchanged, where they are due."""
        renew_s = now.timestamp() + self._period_s - 0.5 * self._lifetime_s
        due = np.flatnonzero(self._standing() & (self._sent_at_s <= renew_s)).tolist()
        self._sent_at_s[due] = now.timestamp()
        return [self._proposal(i, reason, now, self._lifetime_s) for i in due]

    def restore(self, target_kw: FloatArray, priority: Priority, instruction: str | None) -> None:
        """Take over what a predecessor had proposed; all of it is due for renewal."""
        self.target_kw = target_kw.copy()
        self._priority = np.where(np.isfinite(target_kw), int(priority), -1)
        self._instruction = [instruction] * len(self._members)

    def adopt(self, target_kw: FloatArray, known: BoolArray) -> None:
        """Correct restored targets by what the known members last heard, both [n]."""
        self.target_kw = np.where(known & self._standing(), target_kw, self.target_kw)

    def _standing(self) -> BoolArray:
        standing: BoolArray = (
            np.isfinite(self.target_kw) | np.isfinite(self.min_kw) | np.isfinite(self.max_kw)
        )
        return standing

    def _withdrawal(self, i: int, now: datetime) -> Proposal:
        self.target_kw[i] = self.min_kw[i] = self.max_kw[i] = np.nan
        proposal = self._proposal(i, "withdrawn", now, 2.0 * self._period_s)
        self._priority[i] = -1
        self._instruction[i] = None
        return proposal

    def _proposal(self, i: int, reason: str, now: datetime, lifetime_s: float) -> Proposal:
        self._seq += 1
        return Proposal(
            member_id=self._members[i].id,
            source_id=self._source_id,
            epoch=self._epoch,
            seq=self._seq,
            priority=Priority(int(self._priority[i])),
            target_kw=_number(self.target_kw[i]),
            min_kw=_number(self.min_kw[i]),
            max_kw=_number(self.max_kw[i]),
            valid_from=now,
            expires_at=now + timedelta(seconds=lifetime_s),
            instruction_id=self._instruction[i],
            reason=reason,
        )


def _differs(wanted: FloatArray, sent: FloatArray, smallest_kw: FloatArray | float) -> BoolArray:
    """Tell where a value appeared, went or changed by at least ``smallest_kw``."""
    there = np.isfinite(wanted)
    differs: BoolArray = (there != np.isfinite(sent)) | (np.abs(wanted - sent) >= smallest_kw)
    return differs


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
