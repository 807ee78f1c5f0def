"""Which samples count, how old each signal is, and which signals have fallen out of use.

The age of a value runs from its measurement, judged against receipt: a stamp within the bounded
skew ahead of receipt counts as receipt, one beyond it puts the sample in quarantine, and a repeat
of an old stamp is no news. The latest *measurement* wins; what comes late is counted, not used.

A signal is in trouble when it is missing, older than its rule's age limit, or bit-identical for too
long while its stamps advance. Trouble is judged at any instant, because data that is missing brings
no event of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from controllers.kernel.wire import Wire

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
