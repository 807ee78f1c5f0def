"""Energy monitoring: what was generated, consumed, stored, bought and sold, and how well it met.

Everything is worked out on quarter hours and added up to longer intervals.

* ``imported_kwh``, ``exported_kwh``: drawn and injected by the aggregation as a whole, from its net
  power sample by sample; both may occur in one interval.
* ``generated_kwh``: injected by PV, wind and CHP. ``stored_kwh``, ``unstored_kwh``: drawn and
  injected by batteries; an EV station that gives back counts as unstored. ``consumed_kwh``: drawn
  by all else.
* ``unaccounted_kwh``: what of generated + unstored + imported is not in consumed + stored +
  exported: losses, loads without a meter of their own, and gaps.
* ``self_consumption_frac``: share of what was generated that did not leave;
  ``self_sufficiency_frac``: share of what was consumed that was not bought; both by quarter hour,
  after Luthander, Widén, Nilsson and Palm, "Photovoltaic self-consumption in buildings: A review",
  Applied Energy 142 (2015). What leaves counts up to what was generated, what is bought up to what
  was consumed.
* Peaks are the greatest means of a quarter hour, the metering period of most tariffs; quarter hours
  measured for less than nine tenths do not count. The load factor is mean over peak import (IEC
  60050-691: energy over what the greatest load would have drawn in the same time).
* Carbon: see ``carbon``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from controllers.history.buckets import US_PER_S, Buckets, FloatArray, InstantArray, read_off
from controllers.kernel.units import SECONDS_PER_HOUR
from controllers.park import ResourceDefinition

QUARTER_S = 900
MIN_COVERAGE_FRAC = 0.9
"""Less of a quarter hour says nothing of a peak."""
STORED = ("power_kw.s", "power_kw.sum", "injected_kwh")
"""Columns that are needed of the aggregation and of each resource."""
FLOWS = (
    "imported_kwh",
    "exported_kwh",
    "generated_kwh",
    "consumed_kwh",
    "stored_kwh",
    "unstored_kwh",
    "unaccounted_kwh",
)

_GENERATING = frozenset({"pv", "wind", "chp"})
_STORING = frozenset({"battery"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A resource of the aggregation with its quarter hours."""

    kind: str
    buckets: Buckets


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitored:
    """An aggregation's energy, by interval; ``totals`` has the same names over the whole span."""

    edges_us: InstantArray  # [N+1]
    columns: Mapping[str, FloatArray]  # [N] each; NaN where nothing was measured
    by_kind: Mapping[str, Mapping[str, FloatArray]]  # kind to injected_kwh, drawn_kwh, [N] each
    totals: Mapping[str, float]
    peak_import_at_us: int | None
    peak_export_at_us: int | None


def kind_of(resource: ResourceDefinition) -> str:
    """Return the kind under which a resource is counted; a fleet counts as its devices do."""
    if resource.kind == "fleet":
        return str(resource.parameters.get("device_kind", "fleet"))
    return resource.kind


def monitor(
    whole: Buckets,
    members: Sequence[Member],
    edges_us: InstantArray,
    kg_co2_per_kwh: FloatArray,
) -> Monitored:
    """Return the energy of an aggregation.

    Args:
        whole: the aggregation's quarter hours.
        members: the resources below it, of the same quarter hours.
        edges_us: [N+1], a part of the quarter hours' edges.
        kg_co2_per_kwh: factor of each quarter hour; NaN where there is none.
    """
    quarters = _flows(whole, members)
    quarters["kept_kwh"] = quarters["generated_kwh"] - np.fmin(
        quarters["exported_kwh"], quarters["generated_kwh"]
    )
    quarters["own_kwh"] = quarters["consumed_kwh"] - np.fmin(
        quarters["imported_kwh"], quarters["consumed_kwh"]
    )
    quarters["carbon_kg_co2"] = quarters["imported_kwh"] * kg_co2_per_kwh
    first = np.searchsorted(whole.edges_us, edges_us[:-1])
    measured_s = np.add.reduceat(_measured_s(whole, members), first)
    covered = measured_s > 0.0
    sums = {name: np.add.reduceat(values, first) for name, values in quarters.items()}
    columns = {name: np.where(covered, values, np.nan) for name, values in _shares(sums).items()}
    columns["coverage_frac"] = measured_s / (np.diff(edges_us) / US_PER_S)
    peaks_kw = _means_kw(whole)
    columns["peak_import_kw"] = np.fmax.reduceat(peaks_kw["import"], first)
    columns["peak_export_kw"] = np.fmax.reduceat(peaks_kw["export"], first)
    return Monitored(
        edges_us=edges_us,
        columns=columns,
        by_kind=_by_kind(members, first),
        totals=_totals(quarters, columns, whole, measured_s),
        peak_import_at_us=_peak_at(peaks_kw["import"], whole),
        peak_export_at_us=_peak_at(peaks_kw["export"], whole),
    )


def _flows(whole: Buckets, members: Sequence[Member]) -> dict[str, FloatArray]:
    zero = np.zeros(len(whole.edges_us) - 1)
    flows = {name: zero.copy() for name in FLOWS}
    injected, drawn = _directions(whole)
    flows["exported_kwh"] += injected
    flows["imported_kwh"] += drawn
    for member in members:
        injected, drawn = _directions(member.buckets)
        flows["generated_kwh" if member.kind in _GENERATING else "unstored_kwh"] += injected
        flows["stored_kwh" if member.kind in _STORING else "consumed_kwh"] += drawn
    came = flows["generated_kwh"] + flows["unstored_kwh"] + flows["imported_kwh"]
    went = flows["consumed_kwh"] + flows["stored_kwh"] + flows["exported_kwh"]
    flows["unaccounted_kwh"] = came - went
    return flows


def _directions(buckets: Buckets) -> tuple[FloatArray, FloatArray]:
    found = read_off(buckets, ("injected_kwh", "drawn_kwh"))
    return np.nan_to_num(found["injected_kwh"]), np.nan_to_num(found["drawn_kwh"])


def _measured_s(whole: Buckets, members: Sequence[Member]) -> FloatArray:
    """Return, per quarter hour, the seconds measured of the least known of all."""
    known = [whole.columns["power_kw.s"], *(m.buckets.columns["power_kw.s"] for m in members)]
    least: FloatArray = np.min(known, axis=0)
    return least


def _shares(sums: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Replace the helper sums by shares."""
    columns = {name: values for name, values in sums.items() if name not in ("kept_kwh", "own_kwh")}
    columns["self_consumption_frac"] = _share(sums["kept_kwh"], sums["generated_kwh"])
    columns["self_sufficiency_frac"] = _share(sums["own_kwh"], sums["consumed_kwh"])
    return columns


def _share(part: FloatArray, whole: FloatArray) -> FloatArray:
    share = np.full(len(whole), np.nan)
    np.divide(part, whole, out=share, where=whole > 0.0)
    return share


def _means_kw(whole: Buckets) -> dict[str, FloatArray]:
    mean_kw = read_off(whole, ("power_kw",))["power_kw"]
    enough = whole.columns["power_kw.s"] >= MIN_COVERAGE_FRAC * whole.duration_s
    return {
        "import": np.where(enough, np.maximum(-mean_kw, 0.0), np.nan),
        "export": np.where(enough, np.maximum(mean_kw, 0.0), np.nan),
    }


def _peak_at(means_kw: FloatArray, whole: Buckets) -> int | None:
    if not (means_kw > 0.0).any():
        return None
    return int(whole.edges_us[np.nanargmax(means_kw)])


def _by_kind(
    members: Sequence[Member], first: np.ndarray[tuple[int], np.dtype[np.intp]]
) -> dict[str, dict[str, FloatArray]]:
    found: dict[str, dict[str, FloatArray]] = {}
    for member in members:
        injected, drawn = (np.add.reduceat(v, first) for v in _directions(member.buckets))
        kind = found.setdefault(
            member.kind,
            {"injected_kwh": np.zeros(len(first)), "drawn_kwh": np.zeros(len(first))},
        )
        kind["injected_kwh"] += injected
        kind["drawn_kwh"] += drawn
    return found


def _totals(
    quarters: Mapping[str, FloatArray],
    columns: Mapping[str, FloatArray],
    whole: Buckets,
    measured_s: FloatArray,
) -> dict[str, float]:
    sums = {name: np.array([values.sum()]) for name, values in quarters.items()}
    totals = {name: float(values[0]) for name, values in _shares(sums).items()}
    span_s = float(whole.edges_us[-1] - whole.edges_us[0]) / US_PER_S
    totals["coverage_frac"] = float(measured_s.sum()) / span_s
    for name in ("peak_import_kw", "peak_export_kw"):
        known = columns[name][~np.isnan(columns[name])]
        totals[name] = float(known.max()) if len(known) else np.nan
    measured_h = float(whole.columns["power_kw.s"].sum()) / SECONDS_PER_HOUR
    peak_kw = totals["peak_import_kw"]
    mean_kw = totals["imported_kwh"] / measured_h if measured_h else np.nan
    totals["load_factor_frac"] = mean_kw / peak_kw if peak_kw > 0.0 else np.nan
    return totals
