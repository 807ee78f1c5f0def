"""The park's devices in simulated time: physics between two instants, messages at one.

Two plants grown from the same seed live through the same day; one of them is on an exchange and
obeys, the other is never told anything.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo

import numpy as np

from actors.links.inbox import Inbox, Policy, Subscription
from cluster.day.exchange import Exchange
from cluster.day.recorded import recorded
from cluster.day.series import Series
from cluster.demo.body import Body, SingleBody
from cluster.demo.dynamics import PhysicalDevice, Registers, Surroundings
from cluster.demo.fleet import FleetBody
from cluster.demo.loads import HeatPump, HeatPumps
from cluster.demo.physics import FLEET_KIND, build_device, build_fleet
from cluster.demo.stores import Battery
from cluster.demo.weather import WeatherYear
from controllers.control.contract import DeviceMode, Status, topic
from controllers.kernel.wire import encode
from controllers.park import ParkDefinition, ResourceDefinition
from controllers.resources.kinds import TWINS
from controllers.resources.parameters import check_parameters

_COMMAND_MAX_BYTES = 4_194_304
_BOOT_ID = "boot-1"


class Metered(Protocol):
    """Anything behind a meter."""

    registers: Registers


@dataclass(slots=True)
class _Device:
    """One device or gateway, its nature, and its source of chance."""

    body: Body
    metered: Metered
    battery: Battery | None
    rng: np.random.Generator


class Plant:
    """All devices of a park.

    Args:
        park: a checked definition.
        recorded_kw: what devices follow, by resource, as magnitudes.
        initial_soc: charge of batteries at the start, by resource; others draw theirs.
        weather: what the sky does.
        seed: of all chance.
    """

    def __init__(
        self,
        park: ParkDefinition,
        recorded_kw: Mapping[str, Series[float]],
        initial_soc: Mapping[str, float],
        weather: WeatherYear,
        *,
        seed: int = 0,
    ) -> None:
        self._site = park.id
        self._zone = ZoneInfo(park.timezone)
        self._weather = weather
        self._devices = {
            r.id: _device(r, recorded_kw.get(r.id), initial_soc.get(r.id), seed)
            for r in park.resources
        }
        self._exchange: Exchange | None = None
        self._mailboxes: dict[str, Inbox] = {}
        self._n_samples = 0

    def twin(self) -> Plant:
        """Return a plant in the same state that will meet the same chance."""
        other = copy.copy(self)
        other._devices = copy.deepcopy(self._devices)
        return other

    def join(self, exchange: Exchange, now: datetime) -> None:
        """Connect every device, and say that it is online."""
        self._exchange = exchange
        status = encode(Status(mode=DeviceMode.ONLINE, boot_id=_BOOT_ID, at=now))
        for id_ in self._devices:
            name = topic(self._site, id_, "command")
            subscription = Subscription(
                topic_filter=name, policy=Policy.KEEP, qos=1, max_bytes=_COMMAND_MAX_BYTES
            )
            self._mailboxes[id_] = exchange.subscribe([subscription])
            self._publish(id_, "status", status)

    def live(self, now: datetime, dt_s: float) -> None:
        """Let the time until ``now`` pass, under whatever each device was told."""
        local_time = now.astimezone(self._zone)
        surroundings = Surroundings(local_time=local_time, weather=self._weather.at(local_time))
        for device in self._devices.values():
            device.body.live(dt_s, now, surroundings, device.rng)

    def report(self, now: datetime) -> None:
        """Send a sample of every device."""
        self._n_samples += 1
        for id_, device in self._devices.items():
            device.body.look()
            for payload in device.body.tell(self._n_samples, now):
                self._publish(id_, "telemetry", payload)

    def answer(self, now: datetime) -> int:
        """Take in the commands that have arrived and acknowledge them; return how many."""
        n_commands = 0
        for id_, mailbox in self._mailboxes.items():
            for message in mailbox.drain(len(mailbox)):
                n_commands += 1
                ack = self._devices[id_].body.obey(message.payload, now)
                self._publish(id_, "ack", encode(ack))
        return n_commands

    def _publish(self, id_: str, leaf: str, payload: bytes) -> None:
        if self._exchange is not None:
            self._exchange.publish(topic(self._site, id_, leaf), payload)

    def registers(self) -> dict[str, Registers]:
        """Return the meters, by resource."""
        return {id_: device.metered.registers for id_, device in self._devices.items()}

    def stored_kwh(self) -> dict[str, float]:
        """Return the energy in the cells of each battery."""
        return {
            id_: device.battery.soc_frac * device.battery.capacity_kwh
            for id_, device in self._devices.items()
            if device.battery is not None
        }


def _device(
    resource: ResourceDefinition,
    series: Series[float] | None,
    soc_frac: float | None,
    seed: int,
) -> _Device:
    values, _ = check_parameters(TWINS[resource.kind].PARAMETERS, resource.parameters)
    rng = np.random.default_rng([seed, zlib.crc32(resource.id.encode())])
    turned = resource.consumption_positive
    if resource.kind == FLEET_KIND:
        pumps = build_fleet(values, rng)
        return _Device(FleetBody(pumps, consumption_positive=turned), pumps, None, rng)
    physical = build_device(resource.kind, values, rng)
    if series is not None:
        physical = recorded(physical, series, resource.id)
    battery = physical if isinstance(physical, Battery) else None
    if battery is not None and soc_frac is not None:
        battery.soc_frac = soc_frac
    body = SingleBody(physical, consumption_positive=turned)
    return _Device(body, _metered(physical), battery, rng)


def _metered(physical: PhysicalDevice) -> Metered:
    metered: HeatPumps | PhysicalDevice = (
        physical.pumps if isinstance(physical, HeatPump) else physical
    )
    return metered  # type: ignore[return-value]  # every simulated device counts its energy
