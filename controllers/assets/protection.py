"""Which changes of a resource widen what its device may be asked to do.

Narrowing protects and never waits; widening takes protection away, so a second person looks at it.
Parameters that only describe (efficiencies, costs, places, meters) do neither.
"""

from __future__ import annotations

import math

from controllers.park import ResourceDefinition
from controllers.resources.kinds import TWINS
from controllers.resources.parameters import ParameterValue, check_parameters

UP_WIDENS = frozenset(
    {
        "capacity_kwh",
        "comfort_high_c",
        "curtailable",
        "cycle_budget_per_day",
        "device_kw",
        "flexible_frac",
        "frozen_after_s",
        "increase_frac",
        "max_age_s",
        "max_charge_kw",
        "max_discharge_kw",
        "max_interruption_min",
        "max_kw",
        "n_devices",
        "n_plugs",
        "on_stale",
        "plug_max_charge_kw",
        "ramp_frac_per_min",
        "rated_kw",
        "soc_max_frac",
        "stale_limit_kw",
        "store_kwh",
        "store_max_frac",
    }
)
"""More of it, and the device may be asked for more, or goes on longer unseen."""
DOWN_WIDENS = frozenset(
    {
        "comfort_low_c",
        "min_down_min",
        "min_kw",
        "min_up_min",
        "plug_min_charge_kw",
        "reserve_soc_frac",
        "soc_min_frac",
        "store_min_frac",
    }
)
"""Less of it, and the device may be asked to go lower, or to start and stop more often."""
ANY_CHANGE_WIDENS = frozenset({"device_kind"})
"""Says in which directions power may flow."""
EXCLUSION_BAND = frozenset({"exclusion_low_kw", "exclusion_high_kw"})
"""Powers between both are never asked for; the band is compared as a whole."""

_LAXITY = {"zero": 0.0, "limit": 1.0, "release": 2.0, "hold": 3.0}
"""What is done without fresh data or command, from the most careful on."""


def widenings(before: ResourceDefinition, after: ResourceDefinition) -> list[str]:
    """Return what a change widens, each as ``name before -> after``; empty if it only narrows.

    Args:
        before: as it stands.
        after: as it shall be; of the same kind, with sound parameters.
    """
    rows = TWINS[after.kind].PARAMETERS
    old, _ = check_parameters(rows, before.parameters)
    new, _ = check_parameters(rows, after.parameters)
    found = [
        _told(row.name, old.get(row.name), new[row.name], row.unit)
        for row in rows
        if _widens(row.name, old.get(row.name), new[row.name])
    ]
    if not EXCLUSION_BAND.isdisjoint(new) and not _covers(_band(new), _band(old)):
        was, will = (f"{low:g}..{high:g}" for low, high in (_band(old), _band(new)))
        found.append(_told("exclusion", was, will, "kW"))
    if before.consumption_positive != after.consumption_positive:
        found.append(
            _told("consumption_positive", before.consumption_positive, after.consumption_positive)
        )
    if _LAXITY[after.fallback] > _LAXITY[before.fallback]:
        found.append(_told("fallback", before.fallback, after.fallback))
    limits_kw = before.fallback_limit_kw, after.fallback_limit_kw
    if None not in limits_kw and (limits_kw[1] or 0.0) > (limits_kw[0] or 0.0):
        found.append(_told("fallback_limit_kw", *limits_kw, "kW"))
    return found


def _widens(name: str, old: ParameterValue | None, new: ParameterValue) -> bool:
    if old == new:
        return False
    if name in ANY_CHANGE_WIDENS:
        return True
    if name not in UP_WIDENS and name not in DOWN_WIDENS:
        return False
    if old is None:
        # It stands against a rule that came later; nobody knows how wide it was.
        return True
    before, after = _reach(name, old), _reach(name, new)
    return after > before if name in UP_WIDENS else after < before


def _reach(name: str, value: ParameterValue) -> float:
    if name == "on_stale":
        return _LAXITY[str(value)]
    if name == "frozen_after_s" and not value:
        return math.inf  # Never looked for.
    return float(value)


def _band(values: dict[str, ParameterValue]) -> tuple[float, float]:
    return float(values.get("exclusion_low_kw", 0.0)), float(values.get("exclusion_high_kw", 0.0))


def _covers(new: tuple[float, float], old: tuple[float, float]) -> bool:
    return old[0] >= old[1] or (new[0] <= old[0] and old[1] <= new[1])


def _told(name: str, old: object, new: object, unit: str = "") -> str:
    words = [f"{v:g}" if isinstance(v, float) else str(v) for v in (old, new)]
    return f"{name} {words[0]} -> {words[1]} {unit}".rstrip()
