"""The gateway of a fleet of heat pumps: one MQTT client, commands and telemetry in columns."""

from __future__ import annotations

import math
from datetime import datetime

import numpy as np

from cluster.demo.body import remembered_pair
from cluster.demo.dynamics import DeviceState, Surroundings
from cluster.demo.loads import FloatArray, HeatPumps
from cluster.demo.obedience import Fence, Obedience
from controllers.control.contract import (
    FLEET_CHUNK_MAX_DEVICES,
    FLEET_TELEMETRY_MAX_BYTES,
    Ack,
    AckResult,
    FallbackKind,
    FleetCommand,
    FleetTelemetry,
)
from controllers.kernel.wire import decode, encode


class FleetBody:
    """A gateway before its devices; each run of devices obeys its own last command.

    The order of commands is kept over the whole fleet, whichever runs they are for. Where runs
    overlap, the later command counts.
    """

    def __init__(self, pumps: HeatPumps, *, consumption_positive: bool) -> None:
        self._pumps = pumps
        self._n_devices = len(pumps.rated_kw)
        self._sign = -1.0 if consumption_positive else 1.0
        self._runs: dict[tuple[int, int], Obedience[FleetCommand]] = {}
        self._fence = Fence()
        self.look()

    def obey(self, payload: bytes, now: datetime) -> Ack:
        """Take a command for a run of devices and return the answer."""
        command = decode(payload, FleetCommand, max_bytes=FLEET_TELEMETRY_MAX_BYTES)
        problem = self._problem(command)
        if problem is not None:
            return Obedience[FleetCommand]().refuse(command, now, problem)
        key = (command.first, command.n_devices)
        run = self._runs.get(key, Obedience(self._fence))
        limit_kw = self._sign * -float(self._pumps.rated_kw.max())
        ack = run.offer(command, now, (min(limit_kw, 0.0), max(limit_kw, 0.0)))
        if ack.result is AckResult.ACCEPTED:
            self._runs[key] = run
        return ack

    def refuse(self, payload: bytes, now: datetime, reason: str) -> Ack:
        """Refuse a command as received."""
        command = decode(payload, FleetCommand, max_bytes=FLEET_TELEMETRY_MAX_BYTES)
        return Obedience[FleetCommand]().refuse(command, now, reason)

    def _problem(self, command: FleetCommand) -> str | None:
        end = command.first + command.n_devices
        if command.n_devices == 0 or end > self._n_devices:
            return f"devices {command.first} to {end}: the fleet has {self._n_devices}"
        if command.setpoints_kw is not None and len(command.setpoints_kw) != command.n_devices:
            return f"{len(command.setpoints_kw)} set-points for {command.n_devices} devices"
        return None

    def live(
        self, dt_s: float, now: datetime, surroundings: Surroundings, rng: np.random.Generator
    ) -> None:
        """Let time pass under whatever commands and fallbacks are in force."""
        setpoints_kw, limits_kw = self._orders(now)
        self._pumps.step(dt_s, setpoints_kw, limits_kw, surroundings, rng)

    def _orders(self, now: datetime) -> tuple[FloatArray, FloatArray]:
        """Return set-points (NaN runs free) and limits (infinite where none), [n] each."""
        setpoints_kw = np.full(self._n_devices, math.nan)
        limits_kw = np.full(self._n_devices, math.inf)
        for run in self._runs.values():
            run.tick(now)
        for command, run in sorted(self._governed(), key=lambda pair: _order_of(pair[0])):
            devices = slice(command.first, command.first + command.n_devices)
            setpoints_kw[devices] = self._wanted_kw(run, command)
            limits_kw[devices] = math.inf
            fallback = run.fallback
            if fallback is not None and fallback.limit_kw is not None:
                limits_kw[devices] = fallback.limit_kw
        return setpoints_kw, limits_kw

    def _governed(self) -> list[tuple[FleetCommand, Obedience[FleetCommand]]]:
        return [(run.governing, run) for run in self._runs.values() if run.governing is not None]

    def _wanted_kw(self, run: Obedience[FleetCommand], command: FleetCommand) -> FloatArray | float:
        fallback = run.fallback
        if fallback is not None and fallback.kind is FallbackKind.ZERO:
            return 0.0
        free = fallback is not None and fallback.kind is not FallbackKind.HOLD
        if free or command.setpoints_kw is None:
            return math.nan
        return self._sign * np.array(command.setpoints_kw)

    def look(self) -> None:
        """Read all meters."""
        self._power_kw = np.round(self._sign * self._pumps.power_kw, 4).tolist()
        self._store_frac = np.round(self._pumps.store_frac, 4).tolist()

    def tell(self, seq: int, measured_at: datetime) -> list[bytes]:
        """Return the columns, cut into chunks the contract allows."""
        latest = max(
            (run.current.command for run in self._runs.values() if run.current),
            key=_order_of,
            default=None,
        )
        return [
            encode(
                FleetTelemetry(
                    seq=seq,
                    measured_at=measured_at,
                    first=first,
                    power_kw=self._power_kw[first : first + FLEET_CHUNK_MAX_DEVICES],
                    signals={
                        "store_frac": self._store_frac[first : first + FLEET_CHUNK_MAX_DEVICES]
                    },
                    command_id=latest.command_id if latest else None,
                    command_seq=latest.seq if latest else None,
                )
            )
            for first in range(0, self._n_devices, FLEET_CHUNK_MAX_DEVICES)
        ]

    def dump(self) -> DeviceState:
        """Return the last accepted pair and the columns."""
        return {"last": list(self._fence.last), "physical": self._pumps.dump()}

    def restore(self, state: DeviceState) -> None:
        """Take up where ``dump`` left."""
        self._fence.last = remembered_pair(state)
        physical = state.get("physical")
        if isinstance(physical, dict):
            self._pumps.restore(physical)


def _order_of(command: FleetCommand) -> tuple[int, int]:
    return command.epoch, command.seq
