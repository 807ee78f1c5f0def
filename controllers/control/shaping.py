"""From the power that was granted to the set-point that is sent: band, step, dead-band, ramp.

A set-point is a multiple of the step where its bounds allow, never inside the exclusion band (but
zero is off, and off is always allowed), and changes only by more than the dead-band; the one in
force stays when it is as good, so that noise makes no chatter. The way to it is ramped by the
device, from where it is: no bump.
"""

from __future__ import annotations

import math

from controllers.kernel.states import Envelope

_RAMP_MOST_KW_PER_MIN = 1e9
_BAND_HYSTERESIS_FRAC = 0.1
_EPSILON_KW = 1e-9


def shape(
    granted_kw: float,
    *,
    low_kw: float,
    high_kw: float,
    envelope: Envelope,
    dead_band_kw: float,
    step_kw: float,
    previous_kw: float | None,
) -> float | None:
    """Return the set-point to send, or None where no admissible power lies within the bounds.

    Args:
        granted_kw: what arbitration granted, within the bounds.
        low_kw: least set-point allowed.
        high_kw: greatest set-point allowed.
        envelope: for its exclusion band.
        dead_band_kw: smaller changes leave the set-point in force.
        step_kw: set-points are multiples of this where the bounds allow.
        previous_kw: the set-point in force, None when there is none.
    """
    if (
        previous_kw is not None
        and abs(granted_kw - previous_kw) < max(dead_band_kw, _EPSILON_KW)
        and low_kw <= previous_kw <= high_kw
        and not _in_band(previous_kw, envelope)
    ):
        return previous_kw
    kw = granted_kw
    if _in_band(kw, envelope):
        return _out_of_band(kw, low_kw, high_kw, envelope, previous_kw)
    rounded = round(kw / step_kw) * step_kw
    # Multiplying back leaves binary dust (0.1 * 3); decimal places of the step clean it off.
    rounded = round(rounded, 9)
    if low_kw <= rounded <= high_kw and not _in_band(rounded, envelope):
        return rounded
    return kw


def ramp_to_send(
    target_kw: float, start_kw: float, envelope: Envelope, wanted_kw_per_min: float | None
) -> float | None:
    """Return the ramp for the device: the slower of its own and the wanted one, if there is any."""
    rising = target_kw >= start_kw
    own = envelope.ramp_up_kw_per_min if rising else envelope.ramp_down_kw_per_min
    ramps = [
        ramp
        for ramp in (own, wanted_kw_per_min)
        if ramp is not None and math.isfinite(ramp) and 0.0 < ramp <= _RAMP_MOST_KW_PER_MIN
    ]
    return min(ramps, default=None)


def ramp_time_s(target_kw: float, start_kw: float, ramp_kw_per_min: float | None) -> float:
    """Return how long the way takes, in seconds; zero where no ramp is known."""
    return 0.0 if ramp_kw_per_min is None else abs(target_kw - start_kw) / ramp_kw_per_min * 60.0


def _in_band(kw: float, envelope: Envelope) -> bool:
    return envelope.exclusion_low_kw < kw < envelope.exclusion_high_kw and kw != 0.0


def _out_of_band(
    kw: float, low_kw: float, high_kw: float, envelope: Envelope, previous_kw: float | None
) -> float | None:
    below, above = envelope.exclusion_low_kw, envelope.exclusion_high_kw
    ends = [end for end in (below, above) if low_kw <= end <= high_kw]
    if len(ends) < 2:
        return ends[0] if ends else None
    # The end that the resource is on keeps a tenth of the band's width more than its half.
    middle = (below + above) / 2.0
    stay = (above - below) * _BAND_HYSTERESIS_FRAC
    if previous_kw is not None:
        middle += stay if previous_kw <= below else -stay
    return below if kw <= middle else above
