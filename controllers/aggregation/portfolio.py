"""Live sums over an aggregate's members, kept as columns that each new state updates in place.

A member is counted while this aggregate holds it, or while nobody does and this is its home, so
that no two aggregates ever count the same kilowatt. A member that fell silent keeps its last power
in the sum, with the uncertainty of its whole span, offers no flexibility, and for dispatch is
believed to run where it would if released: unverified power is not delivered power.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from controllers.aggregation.settings import AggregateSettings
from controllers.kernel.states import (
    AggregateState,
    Contender,
    Envelope,
    Health,
    Quality,
    ResourceState,
)

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
MemberState = ResourceState | AggregateState

_FRESH_QUALITIES = frozenset({Quality.GOOD, Quality.UNCERTAIN})
_FULL_COVERAGE_FRAC = 0.999
_NOBODY, _SELF, _OTHER = 0.0, 1.0, 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberSpec:
    """What is known of a member before its first state."""

    id: str
    kind: Literal["resource", "aggregate"]
    home: str
    """Id of the first aggregate in the park file that lists it."""
    rated_kw: float
    max_age_s: float = 4.0
    """A measurement older than this is stale."""


class _Column(IntEnum):
    """Rows of the live matrix."""

    POWER, SIGMA, RATED, COVERAGE = range(4)
    MIN, MAX, RAMP_UP, RAMP_DOWN, ENERGY_UP, ENERGY_DOWN, RESERVE_UP, RESERVE_DOWN = range(4, 12)
    DEAD_BAND, BAND_LOW, BAND_HIGH, MERIT, NATURAL, RESPONSE = range(12, 18)
    MEASURED_AT, PUBLISHED_AT, HOLDER, HOLDER_UNTIL, HOLDER_PRIORITY = range(18, 23)
    TRUSTED, CERTAIN, UNWELL, KILLED, SETPOINT, ASKED, GRANTED, DENIED = range(23, 31)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """The aggregate at one instant: scalars for its state, columns [n] for its dispatch."""

    power_kw: float
    believed_kw: float
    """As ``power_kw``, with silent members where they would run if released."""
    sigma_kw: float
    coverage_frac: float
    rated_kw: float
    envelope: Envelope
    quality: Quality
    health: Health
    n_fresh: int
    killed: bool
    """Every counted member is stopped."""
    oldest_measured_at: datetime | None
    newest_measured_at: datetime | None
    counted: BoolArray
    fresh: BoolArray
    held_elsewhere: BoolArray
    member_believed_kw: FloatArray


class Portfolio:
    """The members of one aggregate. Mutable and owned by one control."""

    def __init__(
        self, aggregate_id: str, members: Sequence[MemberSpec], settings: AggregateSettings
    ) -> None:
        self.id = aggregate_id
        self.members = tuple(members)
        self.states: list[MemberState | None] = [None] * len(members)
        self.index = {member.id: i for i, member in enumerate(members)}
        self.known = np.zeros(len(members), dtype=np.bool_)
        self._live = np.zeros((len(_Column), len(members)))
        self._live[_Column.RATED] = [member.rated_kw for member in members]
        self._live[_Column.MEASURED_AT] = -math.inf
        self._live[_Column.PUBLISHED_AT] = -math.inf
        self._live[_Column.SETPOINT : _Column.GRANTED + 1] = math.nan
        # Views of the matrix: they change with every update.
        self.power_kw: FloatArray = self._live[_Column.POWER]
        self.rated_kw: FloatArray = self._live[_Column.RATED]
        self.min_kw: FloatArray = self._live[_Column.MIN]
        self.max_kw: FloatArray = self._live[_Column.MAX]
        self.ramp_up_kw_per_min: FloatArray = self._live[_Column.RAMP_UP]
        self.ramp_down_kw_per_min: FloatArray = self._live[_Column.RAMP_DOWN]
        self.dead_band_kw: FloatArray = self._live[_Column.DEAD_BAND]
        self.band_low_kw: FloatArray = self._live[_Column.BAND_LOW]
        self.band_high_kw: FloatArray = self._live[_Column.BAND_HIGH]
        self.merit_per_mwh: FloatArray = self._live[_Column.MERIT]
        self.natural_kw: FloatArray = self._live[_Column.NATURAL]
        self.response_s: FloatArray = self._live[_Column.RESPONSE]
        self.holder_priority: FloatArray = self._live[_Column.HOLDER_PRIORITY]
        """Rank at which another aggregate holds the member, [n]; -1 where unknown."""
        self.setpoint_kw: FloatArray = self._live[_Column.SETPOINT]
        """Set-points the members say they follow, [n]; NaN where released."""
        self.asked_kw: FloatArray = self._live[_Column.ASKED]
        """Our proposal that the members last arbitrated, [n]; NaN where there is none."""
        self.granted_kw: FloatArray = self._live[_Column.GRANTED]
        """What came of that proposal, [n]; NaN where nothing."""
        self.is_resource: BoolArray = np.array([m.kind == "resource" for m in members], np.bool_)
        self._home = np.array([member.home == aggregate_id for member in members], dtype=np.bool_)
        self._max_age_s = np.array([member.max_age_s for member in members])
        self._max_silence_s = settings.max_silence_s

    def update(self, state: MemberState) -> bool:
        """Take in a member's state; False if an older one than is known, or a stranger's."""
        i = self.index.get(state.id)
        if i is None:
            return False
        before = self.states[i]
        if before is not None and (state.epoch, state.seq) <= (before.epoch, before.seq):
            return False
        self.states[i] = state
        self.known[i] = True
        self._live[:, i] = _row(state, self.id)
        return True

    def __len__(self) -> int:
        return len(self.members)

    @property
    def killed(self) -> BoolArray:
        """Members whose emergency stop is on, [n]."""
        killed: BoolArray = self._live[_Column.KILLED] > 0.0
        return killed

    @property
    def denied(self) -> BoolArray:
        """Members in which our last arbitrated proposal lost or was refused, [n]."""
        denied: BoolArray = self._live[_Column.DENIED] > 0.0
        return denied

    def sums(self, now: datetime) -> Sums:
        """Return everything summed as of ``now``."""
        live, c = self._live, _Column
        now_s = now.timestamp()
        holder = np.where(live[c.HOLDER_UNTIL] > now_s, live[c.HOLDER], _NOBODY)
        counted = (holder == _SELF) | ((holder == _NOBODY) & self._home)
        measured_s, published_s = live[c.MEASURED_AT], live[c.PUBLISHED_AT]
        fresh = (
            (now_s - measured_s <= self._max_age_s)
            & (now_s - published_s <= self._max_silence_s)
            & (live[c.TRUSTED] > 0.0)
        )
        believed = np.where(fresh, live[c.POWER], live[c.NATURAL])
        active = counted & fresh
        weight = active.astype(np.float64)
        rated = live[c.RATED]
        rated_kw = float(rated[counted].sum())
        coverage = float((rated * live[c.COVERAGE]) @ weight) / rated_kw if rated_kw > 0.0 else 0.0
        seen = measured_s[counted & self.known & np.isfinite(measured_s)]
        n_fresh = int(np.count_nonzero(active))
        return Sums(
            power_kw=float(live[c.POWER][counted].sum()),
            believed_kw=float(believed[counted].sum()),
            sigma_kw=self._sigma_kw(counted, fresh),
            coverage_frac=min(coverage, 1.0),
            rated_kw=rated_kw,
            envelope=self._envelope(counted, fresh, weight),
            quality=self._quality(coverage, counted, active, n_fresh),
            health=self._health(counted, fresh, n_fresh),
            n_fresh=n_fresh,
            killed=bool(counted.any() and (live[c.KILLED][counted] > 0.0).all()),
            oldest_measured_at=_instant(seen.min()) if len(seen) else None,
            newest_measured_at=_instant(seen.max()) if len(seen) else None,
            counted=counted,
            fresh=fresh,
            held_elsewhere=holder == _OTHER,
            member_believed_kw=believed,
        )

    def _sigma_kw(self, counted: BoolArray, fresh: BoolArray) -> float:
        live, c = self._live, _Column
        span = live[c.MAX] - live[c.MIN]
        span = np.where(span > 0.0, span, 2.0 * live[c.RATED])
        # A silent member may be anywhere in its span: the deviation of an even spread.
        sigma = np.where(fresh, live[c.SIGMA], span / math.sqrt(12.0))[counted]
        return math.sqrt(float(sigma @ sigma))

    def _envelope(self, counted: BoolArray, fresh: BoolArray, weight: FloatArray) -> Envelope:
        live, c = self._live, _Column
        fixed_kw = float(live[c.POWER][counted & ~fresh].sum())
        totals = live[c.MIN : c.RESERVE_DOWN + 1] @ weight
        span = (live[c.MAX] - live[c.MIN]) * weight
        width = float(span.sum())
        dead = live[c.DEAD_BAND][(weight > 0.0) & (span > 0.0)]
        return Envelope(
            min_kw=float(totals[0]) + fixed_kw,
            max_kw=float(totals[1]) + fixed_kw,
            ramp_up_kw_per_min=float(totals[2]),
            ramp_down_kw_per_min=float(totals[3]),
            energy_up_kwh=float(totals[4]),
            energy_down_kwh=float(totals[5]),
            reserve_up_kw=float(totals[6]),
            reserve_down_kw=float(totals[7]),
            # The finest member can take up a small change on behalf of all.
            dead_band_kw=float(dead.min()) if len(dead) else 0.0,
            merit_per_mwh=float(live[c.MERIT] @ span) / width if width > 0.0 else 0.0,
            natural_kw=float(live[c.NATURAL] @ weight) + fixed_kw,
            response_s=float(live[c.RESPONSE] @ span) / width if width > 0.0 else 0.0,
        )

    def _quality(
        self, coverage: float, counted: BoolArray, active: BoolArray, n_fresh: int
    ) -> Quality:
        if not (self.known & counted).any():
            return Quality.MISSING
        if n_fresh == 0:
            return Quality.STALE
        certain = bool((self._live[_Column.CERTAIN][active] > 0.0).all())
        return Quality.GOOD if certain and coverage >= _FULL_COVERAGE_FRAC else Quality.UNCERTAIN

    def _health(self, counted: BoolArray, fresh: BoolArray, n_fresh: int) -> Health:
        if n_fresh == 0:
            return Health.FAILED
        unwell = counted & (~fresh | (self._live[_Column.UNWELL] > 0.0))
        return Health.DEGRADED if unwell.any() else Health.OK


def _row(state: MemberState, own_id: str) -> tuple[float, ...]:
    """Return a state as one column of the live matrix, in the order of ``_Column``."""
    envelope, own = state.envelope, contender(state, own_id)
    if isinstance(state, ResourceState):
        measured_at, coverage_frac = state.measured_at, 1.0
        setpoint_kw = state.setpoint_kw
        asked_kw = None if own is None else own.target_kw
    else:
        measured_at, coverage_frac = state.newest_measured_at, state.coverage_frac
        setpoint_kw = state.target_kw
        asked_kw = state.target_kw if state.holder == own_id else None
    holder = _NOBODY
    if state.holder is not None:
        holder = _SELF if state.holder == own_id else _OTHER
    until = math.inf if state.holder_until is None else state.holder_until.timestamp()
    return (
        state.power_kw,
        state.sigma_kw,
        state.rated_kw,
        coverage_frac,
        envelope.min_kw,
        max(envelope.max_kw, envelope.min_kw),
        envelope.ramp_up_kw_per_min,
        envelope.ramp_down_kw_per_min,
        envelope.energy_up_kwh,
        envelope.energy_down_kwh,
        envelope.reserve_up_kw,
        envelope.reserve_down_kw,
        envelope.dead_band_kw,
        envelope.exclusion_low_kw,
        envelope.exclusion_high_kw,
        envelope.merit_per_mwh,
        envelope.natural_kw,
        envelope.response_s,
        -math.inf if measured_at is None else measured_at.timestamp(),
        state.published_at.timestamp(),
        holder,
        until,
        _holder_priority(state) if holder == _OTHER else -1.0,
        float(state.quality in _FRESH_QUALITIES),
        float(state.quality is Quality.GOOD),
        float(state.health is not Health.OK),
        float(state.killed),
        math.nan if setpoint_kw is None else setpoint_kw,
        math.nan if asked_kw is None else asked_kw,
        math.nan if own is None or own.granted_kw is None else own.granted_kw,
        float(own is not None and own.outcome in ("lost", "refused")),
    )


def _holder_priority(state: MemberState) -> float:
    if not isinstance(state, ResourceState):
        return -1.0
    held = contender(state, state.holder)
    return -1.0 if held is None else float(held.priority)


def contender(state: MemberState | None, source_id: str | None) -> Contender | None:
    """Return what became of a source's proposal in the member's last arbitration."""
    if not isinstance(state, ResourceState):
        return None
    return next((one for one in state.contenders if one.source_id == source_id), None)


def _instant(timestamp: float) -> datetime:
    return datetime.fromtimestamp(float(timestamp), UTC)
