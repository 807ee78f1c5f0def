"""Request bodies of dispatch and override. Power in kW, injection into the grid positive."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from serve_apps.web.bodies import Body, Instant, Kw, Ramp, Reason, WindowSeconds

MAX_BULK = 1000
"""Dispatches in one request."""


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


class BulkItem(DispatchBody):
    """One dispatch among many."""

    model_config = ConfigDict(json_schema_extra={"examples": []})

    aggregation_id: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=64)]


class BulkDispatchBody(Body):
    """Many dispatches, each accepted or refused for itself."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "items": [
                        {
                            "aggregation_id": "vpp-park",
                            "target_kw": 500.0,
                            "duration_s": 600,
                            "reason": "evening peak",
                        }
                    ]
                }
            ]
        }
    )

    items: Annotated[list[BulkItem], Field(min_length=1, max_length=MAX_BULK)]


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
