"""The registry of kinds: which twin class serves which kind of resource."""

from __future__ import annotations

from collections.abc import Mapping

from controllers.kernel.errors import ConfigError, DomainError
from controllers.resources.battery import Battery
from controllers.resources.chp import Chp
from controllers.resources.ev_station import EvStation
from controllers.resources.fleet import Fleet
from controllers.resources.flexible_load import FlexibleLoad
from controllers.resources.heat_pump import HeatPump
from controllers.resources.parameters import check_parameters
from controllers.resources.renewables import Pv, Wind
from controllers.resources.twin import Twin

_CLASSES: tuple[type[Twin], ...] = (
    Pv,
    Wind,
    Battery,
    EvStation,
    FlexibleLoad,
    Chp,
    HeatPump,
    Fleet,
)
TWINS: dict[str, type[Twin]] = {twin.KIND: twin for twin in _CLASSES}


def build_twin(kind: str, given: Mapping[str, object]) -> Twin:
    """Return the twin of a resource from the parameters its author wrote.

    Raises:
        DomainError: no such kind.
        ConfigError: a parameter is missing, unknown, out of bounds or contradicts another.
    """
    twin = TWINS.get(kind)
    if twin is None:
        raise DomainError("kind", kind, f"must be one of {', '.join(sorted(TWINS))}")
    values, problems = check_parameters(twin.PARAMETERS, given)
    problems = problems or twin.check(values, path="")
    if problems:
        raise ConfigError(kind, [str(problem) for problem in problems])
    return twin(values)
