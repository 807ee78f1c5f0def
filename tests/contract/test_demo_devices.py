"""The demo devices, as a process, keep the contract they are there to prove."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from cluster import child_process
from cluster.broker import RunningBroker, start_broker
from cluster.broker_access import write_private
from cluster.demo.simulator import DeviceConfig, SimulatorConfig
from controllers.control.contract import (
    Ack,
    AckResult,
    Command,
    DeviceMode,
    Fallback,
    FallbackKind,
    FleetCommand,
    FleetTelemetry,
    Status,
    Telemetry,
)
from controllers.devices.messages import (
    Configuration,
    Manage,
    ManageKind,
    ManageOutcome,
    ManageResult,
)
from controllers.kernel.wire import Wire, decode, encode
from controllers.resources.kinds import TWINS
from controllers.resources.parameters import ParameterValue, check_parameters
from tests.support.mqtt_probe import Probe
from tests.support.waiting import wait_until

SITE = "park1"
N_PUMPS = 20
BATTERY = {"capacity_kwh": 100.0, "max_charge_kw": 50.0, "max_discharge_kw": 50.0}
STATION = {"n_plugs": 4, "max_charge_kw": 60.0}
FLEET = {
    "device_kind": "heat_pump",
    "n_devices": N_PUMPS,
    "device_kw": 2.0,
    "store_kwh": 20.0,
    "efficiency": 3.0,
}
DEVICES: dict[str, tuple[str, dict[str, float | int | str], bool]] = {
    "bess1": ("battery", dict(BATTERY), False),
    "ev1": ("ev_station", dict(STATION), True),
    "hp-fleet": ("fleet", dict(FLEET), False),
}

MessageT = TypeVar("MessageT", bound=Wire)


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the devices live by the real clock


class World:
    """A broker, the simulator beside it, and the park's side of both."""

    def __init__(self, broker: RunningBroker, folder: Path) -> None:
        self.broker = broker
        self.faults = folder / "faults.json"
        self._config = folder / "config.json"
        self._log = folder / "log"
        config = SimulatorConfig(
            site=SITE,
            host=broker.host,
            port=broker.port,
            timezone="Asia/Shanghai",
            devices=[self._device(id_, *row) for id_, row in DEVICES.items()],
            state_file=str(folder / "state.json"),
            faults_file=str(self.faults),
            telemetry_period_s=0.2,
        )
        write_private(self._config, encode(config).decode())
        self.probe = Probe(broker, broker.inner)
        self._seq = itertools.count(1)
        self.start()

    def _device(
        self, id_: str, kind: str, given: dict[str, ParameterValue], turned: bool
    ) -> DeviceConfig:
        values, problems = check_parameters(TWINS[kind].PARAMETERS, given)
        assert problems == []
        account = self.broker.credentials(id_)
        return DeviceConfig(
            id=id_,
            kind=kind,
            parameters=values,
            consumption_positive=turned,
            username=account.username,
            password=account.password,
        )

    def start(self) -> None:
        """Start the simulator."""
        command = [sys.executable, "-m", "cluster.demo.simulator", str(self._config)]
        self.process: subprocess.Popen[bytes] = child_process.spawn(command, self._log)

    def stop(self) -> None:
        """End the simulator as `parkgrid up` does."""
        child_process.stop(self.process)

    def log(self) -> str:
        """Return what the simulator has written."""
        return self._log.read_text()

    def messages(self, device: str, leaf: str, type_: type[MessageT]) -> list[MessageT]:
        """Return what a device has said on a topic."""
        topic = f"parkgrid/v1/{SITE}/{device}/{leaf}"
        return [decode(p, type_) for t, p in list(self.probe.received) if t == topic]

    def samples(self, device: str) -> list[Telemetry]:
        """Return a device's samples so far."""
        return self.messages(device, "telemetry", Telemetry)

    def next_sample(self, device: str) -> Telemetry:
        """Return a sample from now on."""
        n_before = len(self.samples(device))
        wait_until(lambda: len(self.samples(device)) > n_before, within_s=15.0)
        return self.samples(device)[-1]

    def send(self, device: str, setpoint_kw: float | None, **changes: object) -> int:
        """Send a command with the id ``c{seq}`` and return the ``seq``."""
        seq = next(self._seq)
        fields: dict[str, object] = {
            "command_id": f"c{seq}",
            "epoch": 1,
            "seq": seq,
            "issued_at": now(),
            "valid_from": now() - timedelta(seconds=1),
            "expires_at": now() + timedelta(seconds=60),
            "lifetime_s": 60.0,
            "setpoint_kw": setpoint_kw,
            "fallback": Fallback(kind=FallbackKind.RELEASE),
            **changes,
        }
        command = Command(**fields)  # type: ignore[arg-type]
        self.probe.publish(f"parkgrid/v1/{SITE}/{device}/command", encode(command))
        return seq

    def obeys(self, device: str, setpoint_kw: float | None) -> AckResult:
        """Send a command and return the answer."""
        return self.answer(device, self.send(device, setpoint_kw)).result

    def mode(self, device: str) -> DeviceMode:
        """Return what a device last said of itself."""
        return self.messages(device, "status", Status)[-1].mode

    def wait_until_all_report(self) -> None:
        """Return when every device has sent a sample from now on."""
        for device in DEVICES:
            topic = f"parkgrid/v1/{SITE}/{device}/telemetry"
            n_before = sum(t == topic for t, _ in list(self.probe.received))
            wait_until(
                lambda topic=topic, n=n_before: (
                    sum(t == topic for t, _ in list(self.probe.received)) > n
                ),
                within_s=20.0,
            )

    def answer(self, device: str, seq: int) -> Ack:
        """Return a device's answer to ``c{seq}``."""
        found = wait_until(
            lambda: [a for a in self.messages(device, "ack", Ack) if a.seq == seq], within_s=15.0
        )
        return found[-1]

    def break_(self, device: str, **faults: object) -> None:
        """Switch faults of one device on, and wait until the simulator has looked."""
        draft = self.faults.with_suffix(".new")
        draft.write_text(json.dumps({device: faults} if faults else {}))
        draft.replace(self.faults)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    broker = start_broker(folder, SITE, list(DEVICES), None)
    running = World(broker, folder)
    with running.probe as probe:
        probe.subscribe(f"parkgrid/v1/{SITE}/+/+")
        running.wait_until_all_report()
        yield running
    running.stop()
    broker.stop()


@pytest.fixture(autouse=True)
def heal(world: World) -> Iterator[None]:
    yield
    if world.faults.exists():
        world.break_("bess1")
        wait_until(
            lambda: world.answer("bess1", world.send("bess1", 5.0)).result is AckResult.ACCEPTED,
            within_s=15.0,
        )
        world.faults.unlink()


def test_devices_report_obey_and_time_out(world: World) -> None:
    for device in DEVICES:
        assert world.mode(device) is DeviceMode.ONLINE
    zero = Fallback(kind=FallbackKind.ZERO)
    seq = world.send("bess1", 30.0, lifetime_s=3.0, fallback=zero)
    assert world.answer("bess1", seq).result is AckResult.ACCEPTED
    wait_until(
        lambda: (
            (s := world.next_sample("bess1")).command_id == f"c{seq}"
            and s.setpoint_kw == 30.0
            and abs(s.power_kw - 30.0) < 0.5
        ),
        within_s=10.0,
    )
    wait_until(
        lambda: (
            (s := world.next_sample("bess1")).command_id is None
            and s.setpoint_kw == 0.0
            and abs(s.power_kw) < 0.5
        ),
        within_s=10.0,
    )
    seqs = [s.seq for s in world.samples("bess1")]
    assert seqs == sorted(set(seqs))


def test_device_with_the_other_sign_is_turned_round_on_the_wire(world: World) -> None:
    assert world.obeys("ev1", 8.0) is AckResult.ACCEPTED
    assert world.obeys("ev1", -8.0) is AckResult.REJECTED
    assert all(s.power_kw >= 0.0 for s in world.samples("ev1"))


def test_fleet_obeys_in_columns(world: World) -> None:
    command = FleetCommand(
        command_id="f1",
        epoch=1,
        seq=1,
        issued_at=now(),
        valid_from=now() - timedelta(seconds=1),
        expires_at=now() + timedelta(seconds=60),
        lifetime_s=60.0,
        first=0,
        n_devices=N_PUMPS,
        setpoints_kw=[-1.5] * N_PUMPS,
        fallback=Fallback(kind=FallbackKind.RELEASE),
    )
    world.probe.publish(f"parkgrid/v1/{SITE}/hp-fleet/command", encode(command))
    assert world.answer("hp-fleet", 1).result is AckResult.ACCEPTED
    wait_until(
        lambda: (
            (s := world.messages("hp-fleet", "telemetry", FleetTelemetry)[-1]).command_id == "f1"
            and s.command_seq == 1
        ),
        within_s=10.0,
    )


def test_configuration_and_requests_are_taken_and_answered(world: World) -> None:
    root = f"parkgrid/v1/{SITE}/ev1"
    boot = world.messages("ev1", "status", Status)[-1].boot_id
    began_at = now()
    configuration = Configuration(version=4, issued_at=began_at, settings={"led": True})
    world.probe.publish(f"{root}/config", encode(configuration), retain=True)
    wait_until(
        lambda: world.messages("ev1", "status", Status)[-1].configuration_version == 4,
        within_s=15.0,
    )
    request = Manage(
        command_id="dc-1",
        kind=ManageKind.REBOOT,
        issued_at=began_at,
        expires_at=began_at + timedelta(seconds=30),
        lifetime_s=30.0,
    )
    for _ in range(2):
        world.probe.publish(f"{root}/manage", encode(request))
    wait_until(lambda: len(world.messages("ev1", "result", ManageResult)) == 2, within_s=15.0)
    answers = {r.result for r in world.messages("ev1", "result", ManageResult)}
    assert answers == {ManageOutcome.DONE}
    # Asked twice, it restarted once.
    assert world.messages("ev1", "status", Status)[-1].boot_id == next_boot(boot)
    world.probe.publish(f"{root}/config", b"", retain=True)


def next_boot(boot: str) -> str:
    name, _, number = boot.rpartition("-")
    return f"{name}-{int(number) + 1}"


def test_garbage_commands_are_survived(world: World) -> None:
    for payload in (b"", b"{", b'{"schema": 1}', b"\xff\xfe", b"[" * 1000):
        world.probe.publish(f"parkgrid/v1/{SITE}/bess1/command", payload)
    assert world.obeys("bess1", 5.0) is AckResult.ACCEPTED


def test_frozen_device_repeats_its_values_under_fresh_stamps(world: World) -> None:
    world.break_("bess1", frozen=True)

    def frozen() -> bool:
        a, b, c = [world.next_sample("bess1") for _ in range(3)]
        return a.power_kw == b.power_kw == c.power_kw and a.measured_at < b.measured_at

    wait_until(frozen, within_s=15.0)


def test_silent_device_sends_no_samples_but_obeys(world: World) -> None:
    world.break_("bess1", silent=True)

    def silent() -> bool:
        n_before = len(world.samples("bess1"))
        for _ in range(4):
            world.next_sample("ev1")
        return len(world.samples("bess1")) == n_before

    wait_until(silent, within_s=15.0)
    assert world.mode("bess1") is DeviceMode.ONLINE
    assert world.obeys("bess1", 5.0) is AckResult.ACCEPTED


def test_refusing_device_says_why(world: World) -> None:
    world.break_("bess1", refuses="door open")
    wait_until(
        lambda: world.answer("bess1", world.send("bess1", 5.0)).reason == "door open",
        within_s=15.0,
    )


def test_deaf_device_answers_nothing(world: World) -> None:
    world.break_("bess1", deaf=True)

    def unanswered() -> bool:
        seq = world.send("bess1", 5.0)
        for _ in range(3):
            world.next_sample("bess1")
        return all(ack.seq != seq for ack in world.messages("bess1", "ack", Ack))

    wait_until(unanswered, within_s=20.0)
    # What was sent meanwhile is never answered, so healing must not wait for it.
    world.break_("bess1")
    wait_until(lambda: not unanswered(), within_s=20.0)


def test_slow_device_takes_its_time(world: World) -> None:
    world.break_("bess1", delay_s=0.7)

    def took_long() -> bool:
        sent_at = now()
        world.answer("bess1", world.send("bess1", 5.0))
        return now() - sent_at >= timedelta(seconds=0.7)

    wait_until(took_long, within_s=15.0)


def test_wrong_clock_shows_in_the_stamps_and_expires_commands(world: World) -> None:
    world.break_("bess1", clock_offset_s=3600.0)
    wait_until(
        lambda: world.next_sample("bess1").measured_at > now() + timedelta(minutes=50),
        within_s=15.0,
    )
    assert world.obeys("bess1", 5.0) is AckResult.EXPIRED


def test_unreadable_faults_file_changes_nothing(world: World) -> None:
    world.faults.write_text('{"bess1": {"sleepy": true}}')
    wait_until(lambda: "sleepy" in world.log(), within_s=10.0)
    assert world.obeys("bess1", 5.0) is AckResult.ACCEPTED


def test_restart_keeps_charge_meters_and_order_under_a_new_boot(world: World) -> None:
    seq = world.send("bess1", -40.0)
    assert world.answer("bess1", seq).result is AckResult.ACCEPTED
    wait_until(lambda: (world.next_sample("bess1").imported_kwh or 0.0) > 0.01, within_s=15.0)
    world.stop()
    wait_until(lambda: world.mode("bess1") is DeviceMode.OFFLINE, within_s=10.0)
    last = world.samples("bess1")[-1]
    last_boot = world.messages("bess1", "status", Status)[-1].boot_id
    world.start()
    reborn = world.next_sample("bess1")
    assert world.messages("bess1", "status", Status)[-1].boot_id != last_boot
    assert reborn.command_id is None
    assert (reborn.imported_kwh or 0.0) >= (last.imported_kwh or 0.0) > 0.0
    assert reborn.signals["soc_frac"] == pytest.approx(last.signals["soc_frac"], abs=0.01)
    n_answers = len(world.messages("bess1", "ack", Ack))
    world.send("bess1", 10.0, seq=seq)
    wait_until(lambda: len(world.messages("bess1", "ack", Ack)) > n_answers, within_s=10.0)
    assert world.messages("bess1", "ack", Ack)[-1].result is AckResult.REJECTED
    assert world.obeys("bess1", 10.0) is AckResult.ACCEPTED


def test_killed_devices_leave_their_wills(world: World) -> None:
    world.process.kill()
    for device in DEVICES:
        wait_until(lambda d=device: world.mode(d) is DeviceMode.OFFLINE, within_s=10.0)
    world.stop()
    world.start()
    world.wait_until_all_report()


def test_devices_come_back_to_a_broker_that_was_killed(world: World) -> None:
    os.kill(world.broker.process_id, signal.SIGKILL)
    wait_until(lambda: not world.broker.ensure_alive(), within_s=10.0)
    wait_until(world.broker.ensure_alive, within_s=10.0)
    world.broker.wait_ready()
    with Probe(world.broker, world.broker.inner) as late:
        late.subscribe(f"parkgrid/v1/{SITE}/+/telemetry")
        wait_until(lambda: len({t for t, _ in late.received}) == len(DEVICES), within_s=25.0)
