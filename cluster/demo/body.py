"""What a simulated device does with its commands and tells of itself, apart from any transport.

A body speaks the device's own sign; one that counts drawn power as positive turns its physics
round here and nowhere else.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

import numpy as np

from cluster.demo.dynamics import RUN_FREE, DeviceState, Order, PhysicalDevice, Surroundings
from cluster.demo.obedience import Obedience, fallback_setpoint_kw
from controllers.control.contract import Ack, Command, FallbackKind, Telemetry
from controllers.kernel.wire import decode, encode


class Body(Protocol):
    """A device or gateway between the wire and the physics."""

    def obey(self, payload: bytes, now: datetime) -> Ack:
        """Take a command as received and return the answer.

        Raises:
            DomainError: the payload is no command; there is nothing to answer.
        """
        ...

    def refuse(self, payload: bytes, now: datetime, reason: str) -> Ack:
        """Refuse a command as received; raises like ``obey``."""
        ...

    def live(
        self, dt_s: float, now: datetime, surroundings: Surroundings, rng: np.random.Generator
    ) -> None:
        """Let time pass."""
        ...

    def look(self) -> None:
        """Read the meters; a frozen device has left off doing so."""
        ...

    def tell(self, seq: int, measured_at: datetime) -> list[bytes]:
        """Return the telemetry payloads of what was last read."""
        ...

    def dump(self) -> DeviceState:
        """Return what must survive a restart."""
        ...

    def restore(self, state: DeviceState) -> None:
        """Take up where ``dump`` left."""
        ...


class SingleBody:
    """One device behind one meter."""

    def __init__(self, physical: PhysicalDevice, *, consumption_positive: bool) -> None:
        self._physical = physical
        self._sign = -1.0 if consumption_positive else 1.0
        self._obedience: Obedience[Command] = Obedience()
        self._seen = physical.measure()

    def obey(self, payload: bytes, now: datetime) -> Ack:
        """Take a command as received and return the answer."""
        command = decode(payload, Command)
        ends_kw = [self._sign * end_kw for end_kw in self._physical.range_kw]
        return self._obedience.offer(command, now, (min(ends_kw), max(ends_kw)))

    def refuse(self, payload: bytes, now: datetime, reason: str) -> Ack:
        """Refuse a command as received."""
        return self._obedience.refuse(decode(payload, Command), now, reason)

    def live(
        self, dt_s: float, now: datetime, surroundings: Surroundings, rng: np.random.Generator
    ) -> None:
        """Let time pass under whatever command or fallback is in force."""
        self._obedience.tick(now)
        self._physical.step(dt_s, self._order(), surroundings, rng)

    def _setpoint_kw(self) -> float | None:
        """Return the set-point in force, in the device's own sign."""
        command, fallback = self._obedience.governing, self._obedience.fallback
        if command is None:
            return None
        if fallback is None:
            return command.setpoint_kw
        return fallback_setpoint_kw(fallback, command.setpoint_kw)

    def _order(self) -> Order:
        setpoint_kw = self._setpoint_kw()
        current = self._obedience.current
        if setpoint_kw is not None:
            ramp_kw_per_min = current.command.ramp_kw_per_min if current else None
            return Order(setpoint_kw=self._sign * setpoint_kw, ramp_kw_per_min=ramp_kw_per_min)
        fallback = self._obedience.fallback
        if fallback is not None and fallback.kind is FallbackKind.LIMIT:
            return Order(limit_kw=fallback.limit_kw)
        return RUN_FREE

    def look(self) -> None:
        """Read the meter and the sensors."""
        self._seen = self._physical.measure()

    def tell(self, seq: int, measured_at: datetime) -> list[bytes]:
        """Return one sample."""
        seen = self._seen
        current = self._obedience.current
        sample = Telemetry(
            seq=seq,
            measured_at=measured_at,
            power_kw=round(self._sign * seen.power_kw, 4),
            setpoint_kw=self._setpoint_kw(),
            command_id=current.command.command_id if current else None,
            exported_kwh=round(seen.exported_kwh, 5),
            imported_kwh=round(seen.imported_kwh, 5),
            signals={name: round(value, 6) for name, value in seen.signals.items()},
            sessions=list(seen.sessions),
        )
        return [encode(sample)]

    def dump(self) -> DeviceState:
        """Return the last accepted pair and the physics."""
        return {"last": list(self._obedience.fence.last), "physical": self._physical.dump()}

    def restore(self, state: DeviceState) -> None:
        """Take up where ``dump`` left; the command in force is not remembered, its order is."""
        self._obedience.fence.last = remembered_pair(state)
        physical = state.get("physical")
        if isinstance(physical, dict):
            self._physical.restore(physical)


def remembered_pair(state: DeviceState) -> tuple[int, int]:
    """Return the last accepted ``(epoch, seq)`` of a dump."""
    pair = state.get("last")
    return (int(pair[0]), int(pair[1])) if isinstance(pair, list) else (-1, -1)
