"""Request bodies of devices."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from controllers.devices.commands import MAX_LIFETIME_S, MIN_LIFETIME_S
from controllers.devices.messages import ManageKind
from controllers.devices.registration import MAX_OVERLAP_S, DeviceChange
from serve_apps.web.bodies import Body, Instant

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


SettingNameText = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.-]{0,63}$")]
SettingText = Annotated[
    str, StringConstraints(strict=True, max_length=500, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$")
]
SettingInteger = Annotated[int, Field(strict=True, ge=-(2**53), le=2**53)]
SettingNumber = Annotated[float, Field(strict=True, ge=-1e15, le=1e15, allow_inf_nan=False)]
Setting = Annotated[bool, Field(strict=True)] | SettingInteger | SettingNumber | SettingText


class ConfigurationBody(Body):
    """What a device should be set to, whole; no secrets, since everyone may read it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "settings": {"report_every_s": 1, "led": False, "site_name": "Hall 2"},
                    "note": "quieter at night",
                }
            ]
        }
    )

    settings: Annotated[dict[SettingNameText, Setting], Field(max_length=64)]
    note: WhyText


class RestoreBody(Body):
    """Which earlier configuration to go back to."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"version": 1, "note": "2 made it restart"}]}
    )

    version: Annotated[int, Field(strict=True, ge=1, le=2**31 - 1)]
    note: WhyText


class ManageBody(Body):
    """A management command; never a set-point."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"kind": "reboot", "lifetime_s": 60, "reason": "hangs since noon"}]
        }
    )

    kind: ManageKind
    lifetime_s: Annotated[float, Field(strict=True, ge=MIN_LIFETIME_S, le=MAX_LIFETIME_S)] = 60.0
    """After this the device does not do it any more."""
    reason: WhyText


class WindowBody(Body):
    """A maintenance window."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "start_at": "2026-06-01T08:00:00Z",
                    "end_at": "2026-06-01T12:00:00Z",
                    "reason": "change of fans",
                }
            ]
        }
    )

    start_at: Instant | None = None
    """Absent: now."""
    end_at: Instant
    reason: WhyText


class WindowChangeBody(Body):
    """What to change of a maintenance window; what is absent stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"end_at": "2026-06-01T14:00:00Z"}]})

    end_at: Instant | None = None
    reason: WhyText | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.end_at is None and self.reason is None:
            raise PydanticCustomError("nothing_to_change", "give end_at or reason")
        return self


class WorkBody(Body):
    """An entry of the work log."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"text": "Fan 2 replaced, 40 min test run at 300 kW."}]}
    )

    text: Annotated[
        str,
        StringConstraints(
            strict=True,
            strip_whitespace=True,
            min_length=1,
            max_length=10_000,
            pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$",
        ),
    ]
    window_id: Annotated[str, StringConstraints(strict=True, max_length=64)] | None = None
    """The maintenance window it belongs to, if any."""
