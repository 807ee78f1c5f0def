"""A device as registered: who made it, which resource it stands behind, which accounts it has.

A resource has at most one active device at a time; topics carry the resource's id, so a replaced
device is heard under the same name. Every account has one password, of which only a hash is kept.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

import msgspec

from controllers.kernel.errors import ConflictError
from controllers.kernel.wire import Identifier, Wire

Label = Annotated[str, msgspec.Meta(max_length=120)]
Note = Annotated[str, msgspec.Meta(max_length=2000)]
FirmwareVersion = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]

MAX_OVERLAP_S = 604_800
"""How long an old account may go on beside its successor: a week."""


class DeviceState(StrEnum):
    """Whether a device belongs to the park."""

    ACTIVE = "active"
    RETIRED = "retired"
    """Out for good; its history stays and its id is not used again."""


class Device(Wire):
    """One device as people registered it."""

    id: Identifier
    resource_id: Identifier
    """The resource it stands behind; its topics carry this id."""
    maker: Label = ""
    model: Label = ""
    serial: Label = ""
    protocol_note: Note = ""
    """What somebody at the device must know: gateway, addresses, quirks."""
    firmware_target: FirmwareVersion | None = None
    """The version it should run; nothing is transported."""
    state: DeviceState = DeviceState.ACTIVE
    provisional: bool = False
    """Made at the first start of a park file, not by a person; registering takes its place."""
    version: int = 1
    registered_by: str
    registered_at: datetime
    changed_at: datetime


class DeviceChange(Wire):
    """What to change of a device; UNSET keeps."""

    maker: Label | msgspec.UnsetType = msgspec.UNSET
    model: Label | msgspec.UnsetType = msgspec.UNSET
    serial: Label | msgspec.UnsetType = msgspec.UNSET
    protocol_note: Note | msgspec.UnsetType = msgspec.UNSET
    firmware_target: FirmwareVersion | msgspec.UnsetType | None = msgspec.UNSET


class Account(Wire):
    """One account of a device on the broker, without its password."""

    id: str
    device_id: Identifier
    name: str
    """Its user name on the broker is ``{site}.{name}``."""
    created_by: str
    created_at: datetime
    valid_until: datetime | None = None
    """None: until it is revoked."""
    revoked_at: datetime | None = None


class Issued(Wire):
    """A device with an account just made; the password is known here and nowhere else."""

    device: Device
    account: Account
    password: str | None = None
    """None where the request is a repeat: a password is shown once."""

    def __repr__(self) -> str:
        """Render without the password."""
        return f"Issued({self.account.name})"


def account_name(device_id: str, number: int) -> str:
    """Return the name of a device's ``number``-th account, counted from 1."""
    return device_id if number == 1 else f"{device_id}.{number}"


def is_valid(account: Account, now: datetime) -> bool:
    """Tell whether the broker lets an account in."""
    if account.revoked_at is not None:
        return False
    return account.valid_until is None or now < account.valid_until


def after_rotation(account: Account, now: datetime, overlap_s: float) -> Account:
    """Return a valid account as it goes on beside its successor.

    Args:
        account: the predecessor.
        now: the present instant.
        overlap_s: how long it may go on; 0 ends it at once.
    """
    ends_at = now + timedelta(seconds=overlap_s)
    if account.valid_until is not None:
        ends_at = min(ends_at, account.valid_until)
    if ends_at <= now:
        return msgspec.structs.replace(account, revoked_at=now)
    return msgspec.structs.replace(account, valid_until=ends_at)


def require_active(device: Device) -> None:
    """Refuse what only a device in service can be asked.

    Raises:
        ConflictError: it is retired.
    """
    if device.state is not DeviceState.ACTIVE:
        message = f"device {device.id!r} is retired; register its successor"
        raise ConflictError(message, current=device.state)
