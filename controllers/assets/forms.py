"""The kinds of resources as forms: what a person fills in, with unit, bounds and a sentence.

Made from the parameter rows that also validate, so that form, check and documentation agree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from controllers.kernel.errors import NotFoundError
from controllers.kernel.wire import Wire
from controllers.resources.kinds import TWINS
from controllers.resources.parameters import Parameter, ParameterValue

_TITLES = {
    "pv": ("Photovoltaic plant", "光伏电站"),
    "wind": ("Wind turbine", "风机"),
    "battery": ("Battery storage", "储能电池"),
    "ev_station": ("Charging station", "充电站"),
    "flexible_load": ("Flexible load", "柔性负荷"),
    "chp": ("Combined heat and power plant", "热电联产机组"),
    "heat_pump": ("Heat pump with store", "带蓄热的热泵"),
    "fleet": ("Fleet of small devices", "小型设备群"),
}


class ParameterForm(Wire):
    """One field of a form."""

    name: str
    type: str
    """``number``, ``integer``, ``boolean`` or ``choice``."""
    unit: str
    required: bool
    default: ParameterValue | None
    low: float | None
    """Least value; None where there is no bound."""
    low_open: bool
    """True when ``low`` itself is not allowed."""
    high: float | None
    choices: list[str]
    sentence: str
    sentence_zh: str


class KindForm(Wire):
    """One kind of resource."""

    kind: str
    title: str
    title_zh: str
    parameters: list[ParameterForm]


def kind_form(kind: str) -> KindForm:
    """Return the form of a kind.

    Raises:
        NotFoundError: there is no such kind.
    """
    twin = TWINS.get(kind)
    if twin is None:
        raise NotFoundError("kind of resource", kind)
    title, title_zh = _TITLES.get(kind, (kind, kind))
    return KindForm(
        kind=kind, title=title, title_zh=title_zh, parameters=parameter_forms(twin.PARAMETERS)
    )


def kind_forms() -> list[KindForm]:
    """Return the forms of all kinds, in the registry's order."""
    return [kind_form(kind) for kind in TWINS]


def parameter_forms(rows: Sequence[Parameter]) -> list[ParameterForm]:
    """Return the fields of some rows, of a kind or narrowed by a template."""
    return [
        ParameterForm(
            name=row.name,
            type=row.kind,
            unit=row.unit,
            required=row.default is None,
            default=row.default,
            low=row.low if math.isfinite(row.low) else None,
            low_open=row.low_open,
            high=row.high if math.isfinite(row.high) else None,
            choices=list(row.choices),
            sentence=row.sentence,
            sentence_zh=row.sentence_zh,
        )
        for row in rows
    ]
