"""Intervals of history as columns that add up, and what can be read off them.

A bucket keeps, per signal, the seconds for which it was known, its integral over them, least and
greatest value. These merge into longer intervals without loss, so a mean over a day is the same
whether it is made from samples, from minutes or from hours. Names say how a column merges: ``.min``
and ``.max`` by the extreme, all else by the sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controllers.kernel.errors import DomainError
from controllers.kernel.units import SECONDS_PER_HOUR

FloatArray = NDArray[np.float64]
InstantArray = NDArray[np.int64]

US_PER_S = 1_000_000

SIGNALS = (
    "power_kw",
    "setpoint_kw",
    "target_kw",
    "soc_frac",
    "member_coverage_frac",
    "good_frac",
    "active_frac",
)
"""Signals with a mean, in the order of the files. The last two are shares of time: under telemetry
of good quality, and under live proposals."""

REGISTERS = ("exported_kwh", "imported_kwh")

SUMS = (
    "injected_kwh",
    *REGISTERS,
    *(f"gap_{name}" for name in REGISTERS),
    "n_samples",
)
STORED = (
    *(f"{signal}.{part}" for signal in SIGNALS for part in ("s", "sum", "min", "max")),
    *SUMS,
)
"""All columns of a bucket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Buckets:
    """Consecutive intervals of one subject."""

    edges_us: InstantArray  # [N+1]
    columns: Mapping[str, FloatArray]  # [N] each, a part of STORED

    @property
    def duration_s(self) -> FloatArray:
        """Length of each interval."""
        return np.diff(self.edges_us) / US_PER_S

    def merged(self, edges_us: InstantArray) -> Buckets:
        """Return longer intervals; every edge must be one of these buckets' edges."""
        if not np.isin(edges_us, self.edges_us).all():
            raise ValueError("an interval would be cut in two")
        tally = Tally(edges_us, self.columns)
        tally.add(self.edges_us[:-1], self.columns)
        return tally.buckets()


class Tally:
    """Intervals under way, to which shorter ones are added in any order.

    Args:
        edges_us: [N+1].
        names: stored columns that are kept.
    """

    def __init__(self, edges_us: InstantArray, names: Iterable[str]) -> None:
        self._edges_us = edges_us
        self._columns = dict(empty(edges_us, names).columns)

    def add(self, start_us: InstantArray, columns: Mapping[str, FloatArray]) -> None:
        """Add intervals, each within one of these; what lies outside is left out.

        Args:
            start_us: [M], rising, where they begin.
            columns: [M] each.
        """
        bins = np.searchsorted(self._edges_us, start_us, "right") - 1
        inside = (bins >= 0) & (bins < len(self._edges_us) - 1)
        if not inside.any():
            return
        whole = bool(inside.all())
        if not whole:
            bins = bins[inside]
        first = np.flatnonzero(np.append(True, bins[1:] != bins[:-1]))
        into: slice | NDArray[np.intp] = bins[first]
        if bins[-1] - bins[0] + 1 == len(first):
            # Without a hole between them, which is the usual case and needs no copies.
            into = slice(bins[0], bins[-1] + 1)
        for name, kept in self._columns.items():
            values = columns[name] if whole else columns[name][inside]
            merge = _merge_of(name)
            if len(first) < len(values):
                values = merge.reduceat(values, first)
            kept[into] = merge(kept[into], values)

    def buckets(self) -> Buckets:
        """Return what was added up so far."""
        return Buckets(edges_us=self._edges_us, columns=self._columns)


def empty(edges_us: InstantArray, names: Iterable[str] = STORED) -> Buckets:
    """Return intervals of which nothing is known."""
    n = len(edges_us) - 1
    return Buckets(edges_us=edges_us, columns={name: np.full(n, _nothing(name)) for name in names})


def _nothing(name: str) -> float:
    return np.nan if name.endswith((".min", ".max")) else 0.0


def _merge_of(name: str) -> np.ufunc:
    return {"min": np.fmin, "max": np.fmax}.get(name.rpartition(".")[2], np.add)


@dataclass(frozen=True, slots=True)
class _Column:
    """How an answer's column comes from stored ones."""

    needs: tuple[str, ...]
    read: Callable[[Buckets], FloatArray]


def _mean(signal: str) -> _Column:
    def read(buckets: Buckets) -> FloatArray:
        known_s, total = buckets.columns[f"{signal}.s"], buckets.columns[f"{signal}.sum"]
        mean = np.full(len(total), np.nan)
        np.divide(total, known_s, out=mean, where=known_s > 0.0)
        return mean

    return _Column((f"{signal}.s", f"{signal}.sum"), read)


def _extreme(signal: str, part: str) -> _Column:
    name = f"{signal}.{part}"
    return _Column((name,), lambda buckets: buckets.columns[name])


def _where_known(values: FloatArray, buckets: Buckets) -> FloatArray:
    return np.where(buckets.columns["power_kw.s"] > 0.0, values, np.nan)


def _net_kwh(buckets: Buckets) -> FloatArray:
    power_kws: FloatArray = buckets.columns["power_kw.sum"]
    return power_kws / SECONDS_PER_HOUR


def _sum(name: str) -> _Column:
    return _Column((name,), lambda buckets: buckets.columns[name])


_POWER = ("power_kw.s", "power_kw.sum")

COLUMNS: dict[str, _Column] = {
    **{signal: _mean(signal) for signal in SIGNALS},
    **{
        f"{signal}_{part}": _extreme(signal, part)
        for signal in SIGNALS[:5]
        for part in ("min", "max")
    },
    "energy_kwh": _Column(_POWER, lambda b: _where_known(_net_kwh(b), b)),
    "injected_kwh": _Column(
        ("power_kw.s", "injected_kwh"), lambda b: _where_known(b.columns["injected_kwh"], b)
    ),
    "drawn_kwh": _Column(
        (*_POWER, "injected_kwh"),
        lambda b: _where_known(b.columns["injected_kwh"] - _net_kwh(b), b),
    ),
    **{name: _sum(name) for name in SUMS if name != "injected_kwh"},
    "coverage_frac": _Column(("power_kw.s",), lambda b: b.columns["power_kw.s"] / b.duration_s),
}
"""Everything that can be asked for, by name; NaN where nothing is known."""

ALWAYS = "coverage_frac"
"""Comes with every answer, because it marks the gaps."""
DEFAULT_COLUMNS = ("power_kw", "power_kw_min", "power_kw_max", "energy_kwh")


def check_columns(wanted: Iterable[str]) -> tuple[str, ...]:
    """Return the columns of an answer, coverage last, each once.

    Raises:
        DomainError: there is no such column.
    """
    names = list(dict.fromkeys(wanted))
    for name in names:
        if name not in COLUMNS:
            raise DomainError("signals", name[:80], f"must be of {', '.join(sorted(COLUMNS))}")
    return (*(name for name in names if name != ALWAYS), ALWAYS)


def needed(names: Iterable[str]) -> tuple[str, ...]:
    """Return the stored columns from which some columns of an answer are read."""
    wanted = {need for name in names for need in COLUMNS[name].needs}
    return tuple(name for name in STORED if name in wanted)


def read_off(buckets: Buckets, names: Iterable[str]) -> dict[str, FloatArray]:
    """Return columns of an answer, by name."""
    return {name: COLUMNS[name].read(buckets) for name in names}
