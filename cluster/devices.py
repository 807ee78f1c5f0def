"""The simulated devices of a park: one child process that speaks MQTT only."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from cluster import child_process
from cluster.broker import RunningBroker
from cluster.broker_access import write_private
from cluster.demo.physics import FLEET_KIND, build_device, build_fleet
from cluster.demo.simulator import DeviceConfig, SimulatorConfig
from controllers.kernel.wire import encode
from controllers.park import ParkDefinition
from controllers.resources.kinds import TWINS
from controllers.resources.parameters import ParameterValue, check_parameters

_RESTART_AFTER_S = 5.0


class SimulatedDevices:
    """The simulator process of a park; starts at once.

    Args:
        home: its files live in ``devices/`` there; what the devices were doing survives a restart.
        park: a checked definition.
        broker: a device whose password was not drawn there is a real one and is not simulated.

    Raises:
        ConfigError: a resource is of a kind that is not simulated.
    """

    def __init__(self, home: Path, park: ParkDefinition, broker: RunningBroker) -> None:
        folder = home / "devices"
        folder.mkdir(mode=0o700, exist_ok=True)
        self._config_path = folder / "config.json"
        self._log_path = home / "logs" / "devices.log"
        write_private(self._config_path, encode(_config(folder, park, broker)).decode())
        self._start()

    def ensure_alive(self) -> None:
        """Start the process again if it died, but not more often than every five seconds."""
        died = self._process.poll() is not None
        if died and time.monotonic() - self._started_at_s > _RESTART_AFTER_S:
            self._start()

    def stop(self) -> None:
        """End the process; it saves what the devices were doing."""
        child_process.stop(self._process)

    def _start(self) -> None:
        command = [sys.executable, "-m", "cluster.demo.simulator", str(self._config_path)]
        self._process: subprocess.Popen[bytes] = child_process.spawn(command, self._log_path)
        self._started_at_s = time.monotonic()


def _config(folder: Path, park: ParkDefinition, broker: RunningBroker) -> SimulatorConfig:
    devices = []
    for resource in park.resources:
        account = broker.accounts.devices.get(resource.id)
        if account is None:
            continue
        values, _ = check_parameters(TWINS[resource.kind].PARAMETERS, resource.parameters)
        _refuse_what_is_not_simulated(resource.kind, values)
        devices.append(
            DeviceConfig(
                id=resource.id,
                kind=resource.kind,
                parameters=values,
                consumption_positive=resource.consumption_positive,
                username=account.username,
                password=account.password,
            )
        )
    ca_file = broker.tls.ca_file if broker.tls else None
    return SimulatorConfig(
        site=park.id,
        host=broker.host,
        port=broker.port,
        tls_ca_file=str(ca_file) if ca_file else None,
        timezone=park.timezone,
        devices=devices,
        state_file=str(folder / "state.json"),
        faults_file=str(folder / "faults.json"),
    )


def _refuse_what_is_not_simulated(kind: str, values: dict[str, ParameterValue]) -> None:
    rng = np.random.default_rng(0)
    if kind == FLEET_KIND:
        build_fleet(values, rng)
    else:
        build_device(kind, values, rng)
