"""What Parkgrid and a device say to each other beside control: configuration and management.

Topics are ``parkgrid/v1/{site}/{resource}/{config|manage|result}``; a device may leave them all
alone and still be controlled. ``docs/mqtt.md`` tells the story, the schemas beside it are generated
from these types.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import msgspec

from controllers.control.contract import AwareInstant, Seconds
from controllers.kernel.wire import Count, Reason, Wire

CONFIG_MAX_BYTES = 65_536
RESULT_MAX_BYTES = 8_192

SettingName = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_.-]{0,63}(?!\n)$")]
SettingText = Annotated[str, msgspec.Meta(max_length=500)]
SettingNumber = Annotated[float, msgspec.Meta(ge=-1e15, le=1e15)]
SettingValue = bool | int | SettingNumber | SettingText
Settings = Annotated[dict[SettingName, SettingValue], msgspec.Meta(max_length=64)]


class Configuration(Wire):
    """What a device should be set to, Parkgrid to device, QoS 1, retained."""

    schema: Literal[1] = 1
    version: Count
    """Rises with every change; a device ignores the one it already runs."""
    issued_at: AwareInstant
    settings: Settings


class ManageKind(StrEnum):
    """What a device can be asked to do; never a set-point."""

    IDENTIFY = "identify"
    """Show where you are: blink, beep."""
    REBOOT = "reboot"
    SYNC_CLOCK = "sync_clock"
    """Set your clock, from its own source or to ``issued_at``."""
    FULL_REPORT = "full_report"
    """Say everything: status with firmware and configuration version, and a sample."""


class Manage(Wire):
    """A management command, Parkgrid to device, QoS 1, never retained.

    It may arrive twice: a device does a ``command_id`` once, and not at all once it has expired.
    """

    schema: Literal[1] = 1
    command_id: str
    kind: ManageKind
    issued_at: AwareInstant
    expires_at: AwareInstant
    lifetime_s: Seconds


class ManageOutcome(StrEnum):
    """How a device answers a management command."""

    ACCEPTED = "accepted"
    """Understood; the outcome follows."""
    DONE = "done"
    REJECTED = "rejected"
    FAILED = "failed"


class ManageResult(Wire):
    """A device's answer to a management command, device to Parkgrid, QoS 1."""

    schema: Literal[1] = 1
    command_id: Annotated[str, msgspec.Meta(max_length=64)]
    result: ManageOutcome
    reason: Reason | None = None
    at: AwareInstant
