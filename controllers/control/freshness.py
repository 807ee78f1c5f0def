"""Which samples count, how old each signal is, and which signals have fallen out of use.

The age of a value runs from its measurement, judged against receipt: a stamp within the bounded
skew ahead of receipt counts as receipt, one beyond it puts the sample in quarantine, and a repeat
of an old stamp is no news. The latest *measurement* wins; what comes late is counted, not used.

A signal is in trouble when it is missing, older than its rule's age limit, or bit-identical for too
long while its stamps advance. Trouble is judged at any instant, because data that is missing brings
no event of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import msgspec

from controllers.control.contract import Telemetry
from controllers.kernel.states import Quality
from controllers.kernel.wire import Wire
from controllers.resources.twin import SignalRule

POWER = "power_kw"


class Verdict(StrEnum):
    """What became of a sample; the value names its counter after ``samples_``."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    LATE = "late"
    QUARANTINED = "quarantined"
    """Stamped further ahead of receipt than the skew allowed."""
    IMPLAUSIBLE = "implausible"
    FLOODED = "flooded"
    """Above the rate that one device may use."""


class Track(Wire):
    """The last value of one signal."""

    value: float
    since: datetime
    """Measurement at which it took this very value."""
    seen_at: datetime
    """Its latest measurement, never later than receipt."""


class Intake(Wire):
    """What is remembered to judge the next sample."""

    boot_id: str | None = None
    last_seq: int | None = None
    measured_at: datetime | None = None
    received_at: datetime | None = None
    tracks: dict[str, Track] = {}
    """By signal, those under a rule."""
    tokens: float
    """Samples that may still come in at once."""
    tokens_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeLimits:
    """Bounds on what one device may send."""

    max_future_skew_s: float = 5.0
    """Stamps up to this far ahead of receipt are taken as receipt; beyond is quarantine."""
    reorder_window_s: float = 5.0
    """A sequence that falls is out of order for this long; later it is an unannounced restart."""
    max_samples_per_s: float = 50.0
    """Sustained rate of one device; five times the fastest telemetry that is asked for."""
    sample_burst: float = 100.0
    """Samples accepted at once after a quiet time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What became of a sample, and what is left of it."""

    verdict: Verdict
    intake: Intake
    signals: Mapping[str, float] = field(default_factory=dict)
    """Its plausible signals, if it was accepted."""
    n_implausible: int = 0
    """Readings taken out of an accepted sample."""
    restarted: bool = False
    """The device began its sequence anew without saying so."""


def admit(
    intake: Intake,
    sample: Telemetry,
    rules: Sequence[SignalRule],
    limits: IntakeLimits,
    now: datetime,
) -> Admission:
    """Judge a sample on receipt.

    An implausible signal is left out, so that it goes stale by itself; implausible power refuses
    the whole sample.
    """
    quiet_s = max((now - intake.tokens_at).total_seconds(), 0.0)
    tokens = min(intake.tokens + quiet_s * limits.max_samples_per_s, limits.sample_burst)
    if tokens < 1.0:
        waiting = msgspec.structs.replace(intake, tokens=tokens, tokens_at=now)
        return Admission(verdict=Verdict.FLOODED, intake=waiting)
    verdict = _verdict(intake, sample, limits, now)
    if verdict is Verdict.ACCEPTED:
        accepted = _accept(intake, sample, rules, tokens - 1.0, now)
        if accepted is not None:
            return accepted
        verdict = Verdict.IMPLAUSIBLE
    spent = msgspec.structs.replace(intake, tokens=tokens - 1.0, tokens_at=now)
    return Admission(verdict=verdict, intake=spent)


def _verdict(intake: Intake, sample: Telemetry, limits: IntakeLimits, now: datetime) -> Verdict:
    if (sample.measured_at - now).total_seconds() > limits.max_future_skew_s:
        return Verdict.QUARANTINED
    if intake.measured_at is None:
        return Verdict.ACCEPTED
    if sample.seq == intake.last_seq or sample.measured_at == intake.measured_at:
        return Verdict.DUPLICATE
    if sample.measured_at < intake.measured_at:
        return Verdict.LATE
    if _fell(intake, sample) and intake.received_at is not None:
        within_s = (now - intake.received_at).total_seconds()
        return Verdict.LATE if within_s <= limits.reorder_window_s else Verdict.ACCEPTED
    return Verdict.ACCEPTED


def _fell(intake: Intake, sample: Telemetry) -> bool:
    return intake.last_seq is not None and sample.seq < intake.last_seq


def _accept(
    intake: Intake,
    sample: Telemetry,
    rules: Sequence[SignalRule],
    tokens: float,
    now: datetime,
) -> Admission | None:
    # None: the power itself is implausible.
    seen_at = sample.measured_at if sample.measured_at < now else now
    signals: Mapping[str, float] = sample.signals
    tracks = intake.tracks
    fresh: dict[str, Track] = {}
    refused: list[str] = []
    for rule in rules:
        value = sample.power_kw if rule.signal == POWER else signals.get(rule.signal)
        if value is None:
            continue
        if not (math.isfinite(value) and rule.low <= value <= rule.high):
            if rule.signal == POWER:
                return None
            refused.append(rule.signal)
            continue
        before = tracks.get(rule.signal)
        since = before.since if before is not None and before.value == value else seen_at
        fresh[rule.signal] = Track(value=value, since=since, seen_at=seen_at)
    if refused:
        signals = {name: value for name, value in signals.items() if name not in refused}
    after = Intake(
        boot_id=intake.boot_id,
        last_seq=sample.seq,
        measured_at=sample.measured_at,
        received_at=now,
        tracks={**tracks, **fresh},
        tokens=tokens,
        tokens_at=now,
    )
    return Admission(
        verdict=Verdict.ACCEPTED,
        intake=after,
        signals=signals,
        n_implausible=len(refused),
        restarted=_fell(intake, sample),
    )


@dataclass(frozen=True, slots=True)
class Trouble:
    """A signal that must not be relied on, and why."""

    rule: SignalRule
    quality: Quality

    @property
    def reason(self) -> str:
        """A sentence for the contender trail."""
        if self.quality is Quality.FROZEN:
            return f"{self.rule.signal} unchanged for over {self.rule.frozen_after_s:g} s"
        if self.quality is Quality.MISSING:
            return f"{self.rule.signal} was never received"
        return f"{self.rule.signal} is older than {self.rule.max_age_s:g} s"


def troubles(
    intake: Intake, rules: Sequence[SignalRule], listening_since: datetime, now: datetime
) -> list[Trouble]:
    """Return the signals to act on at ``now``.

    Nothing can be missed before one listens: age limits run from ``listening_since`` at the
    earliest, so that a restart or a reconnect does not act before the first sample could come.
    """
    listening_s = (now - listening_since).total_seconds()
    found = []
    for rule in rules:
        quality = signal_quality(intake, rule, now)
        if quality is Quality.GOOD:
            continue
        if quality is Quality.FROZEN or listening_s > rule.max_age_s:
            found.append(Trouble(rule, quality))
    return found


def signal_quality(intake: Intake, rule: SignalRule, now: datetime) -> Quality:
    """Return good, missing, stale or frozen.

    A reading of exactly zero is never frozen: what is switched off rests there for hours.
    """
    track = intake.tracks.get(rule.signal)
    if track is None:
        return Quality.MISSING
    if (now - track.seen_at).total_seconds() > rule.max_age_s:
        return Quality.STALE
    if rule.frozen_after_s > 0.0 and track.value != 0.0:
        unchanged_s = (track.seen_at - track.since).total_seconds()
        if unchanged_s > rule.frozen_after_s:
            return Quality.FROZEN
    return Quality.GOOD


def overall_quality(intake: Intake, rules: Sequence[SignalRule], now: datetime) -> Quality:
    """Return the quality of power, or uncertain when only another signal is in trouble."""
    others_good = True
    for rule in rules:
        quality = signal_quality(intake, rule, now)
        if quality is Quality.GOOD:
            continue
        if rule.signal == POWER:
            return quality
        others_good = False
    return Quality.GOOD if others_good else Quality.UNCERTAIN
