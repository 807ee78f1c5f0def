"""What a simulated device does beside obeying: it keeps a configuration and answers requests."""

from __future__ import annotations

from datetime import datetime, timedelta

from controllers.devices.messages import (
    CONFIG_MAX_BYTES,
    Configuration,
    Manage,
    ManageKind,
    ManageOutcome,
    ManageResult,
)
from controllers.kernel.wire import decode

FIRMWARE = "demo-1.0"


class Management:
    """One device's configuration and the last request it took."""

    def __init__(self) -> None:
        self.configuration_version = 0
        self._last: ManageResult | None = None

    def configure(self, payload: bytes) -> bool:
        """Take a configuration; returns whether it was another.

        Raises:
            DomainError: the payload is none.
        """
        version = 0
        if payload:
            version = decode(payload, Configuration, max_bytes=CONFIG_MAX_BYTES).version
        changed = version != self.configuration_version
        self.configuration_version = version
        return changed

    def take(self, payload: bytes, now: datetime) -> tuple[ManageKind | None, ManageResult]:
        """Return what is to be done, None where it was done before or is too late, and the answer.

        Raises:
            DomainError: the payload is no request.
        """
        request = decode(payload, Manage)
        if self._last is not None and self._last.command_id == request.command_id:
            return None, self._last
        in_time = now < min(request.expires_at, now + timedelta(seconds=request.lifetime_s))
        self._last = ManageResult(
            command_id=request.command_id,
            result=ManageOutcome.DONE if in_time else ManageOutcome.REJECTED,
            reason=None if in_time else "it came too late",
            at=now,
        )
        return request.kind if in_time else None, self._last
