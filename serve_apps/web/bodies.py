"""What request bodies are made of: no unknown field, bounded numbers, instants with a zone.

Power in kW, injection into the grid positive.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)
from pydantic_core import PydanticCustomError

MAX_ABS_KW = 1e7
MAX_RAMP_KW_PER_MIN = 1e9
MAX_WINDOW_S = 172_800.0
MIN_WINDOW_S = 5.0
_MAX_YEAR = 2200


def _text_only(value: object) -> object:
    # A number would be taken for seconds since 1970.
    if not isinstance(value, str):
        raise PydanticCustomError("instant_text", "must be an ISO 8601 text with a time zone")
    return value


def _plausible(value: datetime) -> datetime:
    if not 2000 <= value.year <= _MAX_YEAR:
        raise PydanticCustomError("instant_range", "must lie between the years 2000 and 2200")
    return value


Instant = Annotated[AwareDatetime, BeforeValidator(_text_only), AfterValidator(_plausible)]
Reason = Annotated[
    str, StringConstraints(strict=True, strip_whitespace=True, min_length=1, max_length=500)
]
Kw = Annotated[float, Field(strict=True, ge=-MAX_ABS_KW, le=MAX_ABS_KW, allow_inf_nan=False)]
Ramp = Annotated[float, Field(strict=True, gt=0.0, le=MAX_RAMP_KW_PER_MIN, allow_inf_nan=False)]
WindowSeconds = Annotated[
    float, Field(strict=True, ge=MIN_WINDOW_S, le=MAX_WINDOW_S, allow_inf_nan=False)
]


class Body(BaseModel):
    """Base of every request body."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ReasonBody(Body):
    """Why; it goes into the audit log."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "smoke in hall 2"}]})

    reason: Reason
