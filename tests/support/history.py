"""Builders of history: samples as columns, edges, live states in a row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from controllers.history.buckets import US_PER_S, InstantArray
from controllers.history.resample import Samples
from controllers.history.samples import LIVE_HOLD_S, Sample, subject_of, to_us

DAY = datetime(2026, 3, 2, tzinfo=UTC)
"""A day long past for a park that lives in June 2026."""
FAR_US = to_us(datetime(2100, 1, 1, tzinfo=UTC))


def make_samples(at_s: Sequence[float], power_kw: Sequence[float], **columns: Any) -> Samples:
    """Return good live samples at seconds from ``DAY`` on; columns are scalars or sequences."""
    n = len(at_s)
    kinds: dict[str, Any] = {
        "hold_s": (float, LIVE_HOLD_S),
        "is_live": (bool, True),
        "is_repeat": (bool, False),
        "epoch": (np.int64, 1),
        "seq": (np.int64, np.arange(n)),
        "is_usable": (bool, True),
        "is_good": (bool, True),
        "is_active": (bool, True),
        "setpoint_kw": (float, np.nan),
        "target_kw": (float, np.nan),
        "soc_frac": (float, np.nan),
        "member_coverage_frac": (float, np.nan),
        "exported_kwh": (float, np.nan),
        "imported_kwh": (float, np.nan),
    }
    given = {
        name: np.broadcast_to(np.asarray(columns.pop(name, default), dtype=dtype), (n,)).copy()
        for name, (dtype, default) in kinds.items()
    }
    assert not columns, f"no such columns: {sorted(columns)}"
    at_us = to_us(DAY) + np.round(np.asarray(at_s, dtype=float) * US_PER_S).astype(np.int64)
    return Samples(at_us=at_us, power_kw=np.asarray(power_kw, dtype=float), **given)


def edges_us(*seconds: float) -> InstantArray:
    """Return edges at seconds from ``DAY`` on."""
    return to_us(DAY) + np.asarray([round(s * US_PER_S) for s in seconds], dtype=np.int64)


def make_row(at: datetime, power_kw: float = 40.0, **changes: Any) -> Sample:
    """Return a good live sample of the battery ``bess1``."""
    fields: dict[str, Any] = {
        "subject": subject_of("resource", "bess1"),
        "at_us": to_us(at),
        "hold_s": LIVE_HOLD_S,
        "is_live": True,
        "is_repeat": False,
        "epoch": 1,
        "seq": to_us(at) // 1000,
        "quality": "good",
        "rung": "active",
        "power_kw": power_kw,
    }
    return Sample(**(fields | changes))
