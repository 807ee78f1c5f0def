"""Request bodies: unknown fields refused, numbers finite and bounded, instants with a zone.

Power in kW, injection into the grid positive.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
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


class LoginBody(Body):
    """A name and a password."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"username": "operator", "password": "..."}]}
    )

    username: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=64)]
    password: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=256)]


class RefreshBody(Body):
    """A refresh token, for a fresh access token."""

    refresh_token: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=4096)]


class ReasonBody(Body):
    """Why; it goes into the audit log."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "smoke in hall 2"}]})

    reason: Reason


class DispatchBody(Body):
    """A dispatch of one aggregate to one net power over one window."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "target_kw": 500.0,
                    "duration_s": 600,
                    "ramp_kw_per_min": 1000.0,
                    "reason": "evening peak",
                }
            ]
        }
    )

    target_kw: Kw
    """Net power of the aggregate, its uncontrolled members included."""
    start_at: Instant | None = None
    """Absent: now."""
    end_at: Instant | None = None
    duration_s: WindowSeconds | None = None
    """Length of the window; give this or ``end_at``."""
    ramp_kw_per_min: Ramp | None = None
    """Absent: as fast as the members can."""
    reason: Reason

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if (self.end_at is None) == (self.duration_s is None):
            raise PydanticCustomError("one_end", "give either end_at or duration_s")
        return self

    def window(self, now: datetime) -> tuple[datetime, datetime]:
        """Return start and end, with ``now`` for an absent start."""
        start_at = now if self.start_at is None else self.start_at
        if self.end_at is not None:
            return start_at, self.end_at
        return start_at, start_at + timedelta(seconds=self.duration_s or 0.0)


class AmendBody(Body):
    """What to change of a dispatch; what is absent stays."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"target_kw": 300.0, "reason": "cloud front"}]}
    )

    target_kw: Kw | None = None
    end_at: Instant | None = None
    ramp_kw_per_min: Ramp | None = None
    reason: Reason | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.target_kw is None and self.end_at is None and self.ramp_kw_per_min is None:
            raise PydanticCustomError(
                "nothing_to_amend", "give target_kw, end_at or ramp_kw_per_min"
            )
        return self


class OverrideBody(Body):
    """Take a resource in hand: hold one power until an instant."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"target_kw": -50.0, "duration_s": 900, "reason": "capacity test"}]
        }
    )

    target_kw: Kw
    until: Instant | None = None
    duration_s: WindowSeconds | None = None
    """How long from now; give this or ``until``."""
    reason: Reason

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if (self.until is None) == (self.duration_s is None):
            raise PydanticCustomError("one_end", "give either until or duration_s")
        return self

    def ends_at(self, now: datetime) -> datetime:
        """Return when the override ends."""
        if self.until is not None:
            return self.until
        return now + timedelta(seconds=self.duration_s or 0.0)
