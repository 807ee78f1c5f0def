"""Request bodies of devices."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from controllers.devices.registration import MAX_OVERLAP_S, DeviceChange
from serve_apps.web.bodies import Body

# The engine of these patterns knows no look-ahead, and its ``$`` is the very end.
DeviceIdText = Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
LabelText = Annotated[
    str,
    StringConstraints(
        strict=True, strip_whitespace=True, max_length=120, pattern=r"^[^\x00-\x1f\x7f]*$"
    ),
]
NoteText = Annotated[
    str, StringConstraints(strict=True, max_length=2000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$")
]
WhyText = Annotated[
    str,
    StringConstraints(
        strict=True,
        strip_whitespace=True,
        min_length=1,
        max_length=500,
        pattern=r"^[^\x00-\x1f\x7f]*$",
    ),
]
FirmwareText = Annotated[
    str, StringConstraints(strict=True, min_length=1, max_length=64, pattern=r"^[\x21-\x7e]+$")
]


class RegisterBody(Body):
    """A device behind a resource of the park."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "resource_id": "bess1",
                    "maker": "Acme",
                    "model": "PowerStack 1200",
                    "serial": "PS-0042",
                    "protocol_note": "Modbus gateway in cabinet 3",
                }
            ]
        }
    )

    id: DeviceIdText | None = None
    """Absent: the resource's id. Never used again once retired."""
    resource_id: DeviceIdText
    maker: LabelText = ""
    model: LabelText = ""
    serial: LabelText = ""
    protocol_note: NoteText = ""
    firmware_target: FirmwareText | None = None


class DeviceChangeBody(Body):
    """What to change of a device; what is absent stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"firmware_target": "2.4.1"}]})

    maker: LabelText = ""
    model: LabelText = ""
    serial: LabelText = ""
    protocol_note: NoteText = ""
    firmware_target: FirmwareText | None = None
    """The version it should run; null: none in particular."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise PydanticCustomError("nothing_to_change", "give at least one field")
        return self

    def change(self) -> DeviceChange:
        """Return what was given."""
        return DeviceChange(**{name: getattr(self, name) for name in self.model_fields_set})


class RotateBody(Body):
    """A new account for a device."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"overlap_s": 3600, "reason": "yearly rotation"}]}
    )

    overlap_s: Annotated[float, Field(strict=True, ge=0.0, le=MAX_OVERLAP_S)] = 0.0
    """How long the present account goes on beside the new one; 0 ends it at once."""
    reason: WhyText
