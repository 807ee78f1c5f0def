"""All simulated devices of a park in one process: ``python -m cluster.demo.simulator CONFIG.json``.

Each device has its own connection and account. What they are doing is written to a state file, so
that a restart goes on with the same charge and the same meters. Faults are switched on and off by
editing the faults file: ``{"bess1": {"frozen": true}}``.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import zlib
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from cluster.demo.body import Body, SingleBody
from cluster.demo.device import HEALTHY, Broker, Faults, Identity, SimulatedDevice
from cluster.demo.dynamics import DeviceState
from cluster.demo.fleet import FleetBody
from cluster.demo.physics import FLEET_KIND, build_device, build_fleet
from cluster.demo.weather import WeatherYear
from controllers.kernel.errors import DomainError
from controllers.kernel.timebase import Clock, SystemClock
from controllers.kernel.wire import Wire, decode, encode

logger = logging.getLogger(__name__)

_SAVE_PERIOD_S = 5.0
_FAULTS_PERIOD_S = 0.5
_MAX_FILE_BYTES = 64 * 2**20


class DeviceConfig(Wire):
    """One device to simulate."""

    id: str
    kind: str
    parameters: dict[str, float | int | bool | str]
    """Complete; defaults are filled in."""
    consumption_positive: bool
    username: str
    password: str


class SimulatorConfig(Wire):
    """All that the simulator needs to know; holds passwords, so the file is private."""

    site: str
    host: str
    port: int
    tls_ca_file: str | None = None
    timezone: str
    devices: list[DeviceConfig]
    state_file: str
    faults_file: str
    seed: int = 0
    telemetry_period_s: Annotated[float, msgspec.Meta(gt=0.0, le=60.0)] = 1.0


class FaultBoard:
    """The faults file, read again whenever it changes; an unreadable file changes nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._faults: dict[str, Faults] = {}

    def of(self, device_id: str) -> Faults:
        """Return what is wrong with a device at present."""
        return self._faults.get(device_id, HEALTHY)

    def refresh(self) -> None:
        """Look at the file."""
        try:
            seen = self._path.stat()
            stamp = (seen.st_mtime_ns, seen.st_size)
            if stamp == self._stamp:
                return
            self._stamp = stamp
            self._faults = decode(self._path.read_bytes(), dict[str, Faults])
        except FileNotFoundError:
            self._stamp, self._faults = None, {}
        except DomainError as error:
            logger.warning("%s: %s", self._path, error)


class Simulator:
    """The devices of one park and the files around them."""

    def __init__(self, config: SimulatorConfig, weather: WeatherYear, clock: Clock) -> None:
        self._state_path = Path(config.state_file)
        self._faults = FaultBoard(Path(config.faults_file))
        self._devices = {
            device.id: self._build(config, device, weather, clock) for device in config.devices
        }
        self._restore()

    def _build(
        self, config: SimulatorConfig, device: DeviceConfig, weather: WeatherYear, clock: Clock
    ) -> SimulatedDevice:
        rng = np.random.default_rng([config.seed, zlib.crc32(device.id.encode())])
        return SimulatedDevice(
            Identity(
                site=config.site,
                device_id=device.id,
                username=device.username,
                password=device.password,
            ),
            Broker(host=config.host, port=config.port, tls_ca_file=config.tls_ca_file),
            _build_body(device, rng),
            clock=clock,
            zone=ZoneInfo(config.timezone),
            weather=weather,
            faults=lambda: self._faults.of(device.id),
            rng=rng,
            telemetry_period_s=config.telemetry_period_s,
        )

    async def run(self) -> None:
        """Simulate until cancelled, then save."""
        self._faults.refresh()
        # The boot is counted before anything is sent under it.
        self.save()
        try:
            async with asyncio.TaskGroup() as group:
                for device in self._devices.values():
                    group.create_task(device.run())
                group.create_task(self._save_for_ever())
                group.create_task(self._watch_faults())
        finally:
            self.save()

    async def _save_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_SAVE_PERIOD_S)
            self.save()

    async def _watch_faults(self) -> None:
        while True:
            await asyncio.sleep(_FAULTS_PERIOD_S)
            self._faults.refresh()

    def save(self) -> None:
        """Write the state of all devices; the file is never half written."""
        state = {device_id: device.dump() for device_id, device in self._devices.items()}
        draft = self._state_path.with_suffix(".tmp")
        draft.write_bytes(encode(state))
        draft.replace(self._state_path)

    def _restore(self) -> None:
        try:
            payload = self._state_path.read_bytes()
        except FileNotFoundError:
            return
        states = decode(payload, dict[str, DeviceState], max_bytes=_MAX_FILE_BYTES)
        for device_id, device in self._devices.items():
            device.restore(states.get(device_id, {}))


def _build_body(device: DeviceConfig, rng: np.random.Generator) -> Body:
    if device.kind == FLEET_KIND:
        pumps = build_fleet(device.parameters, rng)
        return FleetBody(pumps, consumption_positive=device.consumption_positive)
    physical = build_device(device.kind, device.parameters, rng)
    return SingleBody(physical, consumption_positive=device.consumption_positive)


async def simulate(config: SimulatorConfig) -> None:
    """Run the simulator until SIGINT or SIGTERM."""
    simulator = Simulator(config, WeatherYear.load(), SystemClock())
    task = asyncio.ensure_future(simulator.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()


def main() -> None:
    """Entry point; the one argument is the config file."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    payload = Path(sys.argv[1]).read_bytes()
    asyncio.run(simulate(decode(payload, SimulatorConfig, max_bytes=_MAX_FILE_BYTES)))


if __name__ == "__main__":
    main()
