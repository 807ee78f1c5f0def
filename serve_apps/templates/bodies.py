"""Request bodies about resource templates."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, JsonValue, StrictBool, StringConstraints

from controllers.assets.templates import TemplateContent, TemplateParameter, TemplateState
from serve_apps.web.bodies import Body
from serve_apps.web.paths import BodyId

_TEXT = r"^[^\x00-\x08\x0b-\x1f\x7f]*$"

Number = Annotated[float, Field(strict=True, ge=-1e9, le=1e9, allow_inf_nan=False)]
Name = Annotated[
    str,
    StringConstraints(
        strict=True, strip_whitespace=True, min_length=1, max_length=120, pattern=_TEXT
    ),
]
Word = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=64, pattern=_TEXT)]
Value = StrictBool | Annotated[int, Field(strict=True, ge=-(10**9), le=10**9)] | Number | Word
"""Value of a parameter."""
Values = Annotated[dict[Word, Value], Field(max_length=64)]
Version = Annotated[int, Field(strict=True, ge=1, le=10**9)]

_EXAMPLE: dict[str, JsonValue] = {
    "name": "Battery, two hours",
    "description": "As delivered by the maker; efficiencies from the factory test.",
    "parameters": [
        {"name": "capacity_kwh", "default": 1000.0, "low": 100.0, "high": 5000.0},
        {"name": "charge_efficiency_frac", "default": 0.93, "low": 0.9},
    ],
}


class ParameterBody(Body):
    """What a template says about one parameter of its kind."""

    name: Word
    default: Value | None = None
    low: Number | None = None
    """Not below the kind's own bound."""
    high: Number | None = None
    choices: Annotated[list[Word], Field(max_length=32)] | None = None


class ContentBody(Body):
    """What one version of a template holds."""

    name: Name
    description: Annotated[str, StringConstraints(strict=True, max_length=4000, pattern=_TEXT)] = ""
    parameters: Annotated[list[ParameterBody], Field(max_length=64)] = []

    def content(self) -> TemplateContent:
        """Return the value it stands for."""
        parameters = [TemplateParameter(**p.model_dump()) for p in self.parameters]
        return TemplateContent(name=self.name, description=self.description, parameters=parameters)


class CreateTemplateBody(ContentBody):
    """A new template of a kind."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"id": "bess-2h", "kind": "battery", **_EXAMPLE}]}
    )

    id: BodyId | None = None
    """Absent: one is made."""
    kind: Word


class UpdateTemplateBody(ContentBody):
    """The next version of a template, whole."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{**_EXAMPLE, "note": "new factory test"}]}
    )

    state: TemplateState = TemplateState.ACTIVE
    note: Annotated[
        str, StringConstraints(strict=True, strip_whitespace=True, max_length=500, pattern=_TEXT)
    ] = ""
    """Why."""


class ValidateBody(Body):
    """A configuration to check against a version."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"configuration": {"capacity_kwh": 1200.0, "max_charge_kw": 600.0}}]
        }
    )

    version: Version | None = None
    """Absent: the newest."""
    configuration: Values
