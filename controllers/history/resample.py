"""Exact resampling: from samples at any instants to integrals over any intervals.

A sample stands from its instant until the next one, at most for its own hold time, and not at all
where its quality is bad. The mean of an interval is weighted by time; what nobody measured is left
out and shows as coverage below one. Nothing is interpolated, so integrals are the same however a
span is cut, and do not depend on the order in which samples came.

Registers (cumulative energy) are read as differences. Between two readings without a gap the
difference is spread evenly; the difference over a gap belongs to the interval of the reading that
ends it, in a column of its own, because when it flowed is not known. Both columns together add up
to the difference of the register over any span. A register that falls was replaced or reset: that
step counts nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from controllers.history.buckets import (
    REGISTERS,
    STORED,
    US_PER_S,
    Buckets,
    FloatArray,
    InstantArray,
    empty,
)
from controllers.kernel.units import SECONDS_PER_HOUR

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Samples of one subject as columns, in any order; see ``samples.Sample``."""

    at_us: InstantArray  # [n]
    hold_s: FloatArray
    is_live: BoolArray
    is_repeat: BoolArray
    epoch: InstantArray
    seq: InstantArray
    is_usable: BoolArray
    """Quality good or uncertain."""
    is_good: BoolArray
    is_active: BoolArray
    """Under live proposals."""
    power_kw: FloatArray
    setpoint_kw: FloatArray
    target_kw: FloatArray
    soc_frac: FloatArray
    member_coverage_frac: FloatArray
    exported_kwh: FloatArray
    imported_kwh: FloatArray

    def __len__(self) -> int:
        return len(self.at_us)

    def taken(self, index: NDArray[np.intp] | slice) -> Samples:
        """Return some of the samples, in the order of the index."""
        return Samples(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


def joined(parts: Sequence[Samples]) -> Samples:
    """Return the samples of several, one after the other."""
    return Samples(
        **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Samples)}
    )


def in_order(samples: Samples) -> Samples:
    """Return the samples by instant, each instant once.

    Of several at one instant a measurement stays, then one that came live, then the greatest
    ``(epoch, seq)``.
    """
    if np.all(np.diff(samples.at_us) > 0):
        return samples
    order = np.lexsort(
        (samples.seq, samples.epoch, samples.is_live, ~samples.is_repeat, samples.at_us)
    )
    at_us = samples.at_us[order]
    last = np.append(at_us[1:] != at_us[:-1], True)
    return samples.taken(order[last])


def resample(samples: Samples, edges_us: InstantArray, *, now_us: int) -> Buckets:
    """Return the intervals between consecutive edges.

    Args:
        samples: those of the span, with enough before and after it: as long as one may be held,
            and the last reading of the registers before it.
        edges_us: [N+1], rising.
        now_us: nothing is known of what comes after.
    """
    samples = in_order(samples)
    if not len(samples):
        return empty(edges_us)
    pieces = _pieces(samples, edges_us, now_us)
    columns = dict(empty(edges_us, STORED).columns)
    power_kw = _carried(samples.power_kw, samples)
    usable = samples.is_usable & ~np.isnan(power_kw)
    signals = {
        "power_kw": np.where(usable, power_kw, np.nan),
        "setpoint_kw": samples.setpoint_kw,
        "target_kw": samples.target_kw,
        "soc_frac": np.where(samples.is_usable, _carried(samples.soc_frac, samples), np.nan),
        "member_coverage_frac": samples.member_coverage_frac,
        "good_frac": samples.is_good.astype(float),
        "active_frac": samples.is_active.astype(float),
    }
    for name, values in signals.items():
        _integrate(name, values, pieces, columns)
    _inject(signals["power_kw"], pieces, columns)
    for name in REGISTERS:
        _difference(name, samples, signals["power_kw"], pieces, columns)
    measured = ~samples.is_repeat & (samples.at_us >= edges_us[0]) & (samples.at_us < edges_us[-1])
    bins = np.searchsorted(edges_us, samples.at_us[measured], "right") - 1
    columns["n_samples"] = np.bincount(bins, minlength=len(edges_us) - 1).astype(float)
    return Buckets(edges_us=edges_us, columns=columns)


@dataclass(frozen=True, slots=True)
class _Pieces:
    """The time line cut wherever a sample begins or ends or an interval does."""

    edges_us: InstantArray
    start_us: InstantArray  # [m]
    length_s: FloatArray  # [m]
    row: NDArray[np.intp]  # [m], the sample that stands; -1 before the first
    bin: NDArray[np.intp]  # [m], the interval; outside of all below 0 or N
    held: BoolArray  # [m], whether it still stands


def _pieces(samples: Samples, edges_us: InstantArray, now_us: int) -> _Pieces:
    at_us = samples.at_us
    hold_us = np.round(samples.hold_s * US_PER_S).astype(np.int64)
    end_us = np.minimum(np.append(at_us[1:], np.iinfo(np.int64).max), at_us + hold_us)
    end_us = np.minimum(end_us, max(now_us, int(at_us[-1])))
    early = end_us[:-1] < at_us[1:]
    cuts = np.concatenate([at_us, end_us[:-1][early], end_us[-1:], edges_us])
    cuts = np.unique(cuts)
    start_us = cuts[:-1]
    row = np.searchsorted(at_us, start_us, "right") - 1
    return _Pieces(
        edges_us=edges_us,
        start_us=start_us,
        length_s=np.diff(cuts) / US_PER_S,
        row=row,
        bin=np.searchsorted(edges_us, start_us, "right") - 1,
        held=(row >= 0) & (start_us < end_us[np.maximum(row, 0)]),
    )


def _carried(values: FloatArray, samples: Samples) -> FloatArray:
    """Fill the signs of life with the reading before them."""
    source = np.where(samples.is_repeat, -1, np.arange(len(values)))
    source = np.maximum.accumulate(source)
    return np.where(source >= 0, values[np.maximum(source, 0)], np.nan)


def _integrate(
    name: str, values: FloatArray, pieces: _Pieces, columns: dict[str, FloatArray]
) -> None:
    n = len(pieces.edges_us) - 1
    known = _known(values, pieces) & (pieces.bin >= 0) & (pieces.bin < n)
    bins = pieces.bin[known]
    if not len(bins):
        return
    value, length_s = values[pieces.row[known]], pieces.length_s[known]
    columns[f"{name}.s"] = _summed(bins, length_s, n)
    columns[f"{name}.sum"] = _summed(bins, value * length_s, n)
    first = np.flatnonzero(np.append(True, bins[1:] != bins[:-1]))
    columns[f"{name}.min"] = np.full(n, np.nan)
    columns[f"{name}.max"] = np.full(n, np.nan)
    columns[f"{name}.min"][bins[first]] = np.minimum.reduceat(value, first)
    columns[f"{name}.max"][bins[first]] = np.maximum.reduceat(value, first)


def _inject(power_kw: FloatArray, pieces: _Pieces, columns: dict[str, FloatArray]) -> None:
    n = len(pieces.edges_us) - 1
    known = _known(power_kw, pieces) & (pieces.bin >= 0) & (pieces.bin < n)
    injected_kw = np.maximum(power_kw[pieces.row[known]], 0.0)
    energy_kws = _summed(pieces.bin[known], injected_kw * pieces.length_s[known], n)
    columns["injected_kwh"] = energy_kws / SECONDS_PER_HOUR


def _difference(
    name: str,
    samples: Samples,
    power_kw: FloatArray,
    pieces: _Pieces,
    columns: dict[str, FloatArray],
) -> None:
    register_kwh: FloatArray = getattr(samples, name)
    read = np.flatnonzero(~np.isnan(register_kwh))
    if len(read) < 2:
        return
    edges_us = pieces.edges_us
    read_us = samples.at_us[read]
    step_kwh = np.maximum(np.diff(register_kwh[read]), 0.0)
    gap = _uncovered_s(read_us, power_kw, pieces) > 0.0
    spread_kwh = np.concatenate([[0.0], np.cumsum(np.where(gap, 0.0, step_kwh))])
    # From the first edge on, so that microseconds since 1970 keep their last digits.
    at_edges = np.interp(edges_us - edges_us[0], read_us - edges_us[0], spread_kwh)
    columns[name] = np.diff(at_edges)
    end_us = read_us[1:]
    inside = gap & (end_us >= edges_us[0]) & (end_us < edges_us[-1])
    bins = np.searchsorted(edges_us, end_us[inside], "right") - 1
    columns[f"gap_{name}"] = _summed(bins, step_kwh[inside], len(edges_us) - 1)


def _uncovered_s(instants_us: InstantArray, values: FloatArray, pieces: _Pieces) -> FloatArray:
    """Return, between consecutive instants, the seconds without a known value."""
    unknown_s = np.where(_known(values, pieces), 0.0, pieces.length_s)
    before_s = np.concatenate([[0.0], np.cumsum(unknown_s)])
    return np.diff(before_s[np.searchsorted(pieces.start_us, instants_us)])


def _summed(bins: NDArray[np.intp], values: FloatArray, n: int) -> FloatArray:
    return np.bincount(bins, values, minlength=n).astype(np.float64)


def _known(values: FloatArray, pieces: _Pieces) -> BoolArray:
    return pieces.held & ~np.isnan(values[np.maximum(pieces.row, 0)])
