"""What request bodies are made of: no unknown field, bounded numbers, instants with a zone.

Power in kW, injection into the grid positive.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Annotated, Any

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
from starlette.requests import Request

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


class StrictRequest(Request):
    """A request whose JSON says everything once: readers disagree on which of two keys counts."""

    async def json(self) -> Any:
        """Return the decoded body.

        Raises:
            json.JSONDecodeError: not JSON, an object names a key twice, or a text is none.
        """
        body = await self.body()
        found = json.loads(body, object_pairs_hook=_each_once)
        if _SUSPICIOUS.search(body):
            _check_texts(found)
        return found


_SUSPICIOUS = re.compile(rb"\\u(?:0000|d[89a-f])", re.IGNORECASE)


def _check_texts(found: Any) -> None:
    """Refuse half characters, which nothing can write, and NUL, which some databases cannot."""
    waiting = [found]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str) and not is_text(value):
            raise json.JSONDecodeError("a text holds NUL or half a character", "", 0)


def is_text(value: str) -> bool:
    """Tell whether every part of the system can keep and tell a text."""
    return "\x00" not in value and not any("\ud800" <= char <= "\udfff" for char in value)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise json.JSONDecodeError("an object names a key twice", "", 0)
    return found


class Body(BaseModel):
    """Base of every request body."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ReasonBody(Body):
    """Why; it goes into the audit log."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "smoke in hall 2"}]})

    reason: Reason
