"""Real devices: one built from ``docs/mqtt.md`` alone, and one that does everything wrong."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.e2e.conftest import is_delivering
from tests.support.listener import Listener
from tests.support.park import Json, Park, free_port, stopped
from tests.support.shell_device import ShellDevice
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(400),
    pytest.mark.skipif(
        shutil.which("mosquitto_sub") is None,
        reason="mosquitto_pub and mosquitto_sub are not installed; `make test` installs them",
    ),
]

SITE = "works"
PARK = """\
id: works
name: Works
timezone: Asia/Shanghai
currency: CNY
resources:
  - id: heater1
    name: Heater
    kind: flexible_load
    parameters: {rated_kw: 50, flexible_frac: 1.0, ramp_frac_per_min: 60}
  - id: bess1
    name: Battery
    kind: battery
    parameters:
      {capacity_kwh: 100, max_charge_kw: 50, max_discharge_kw: 50, frozen_after_s: 4}
    fallback: zero
aggregates:
  - {id: heat, name: Heat, members: [heater1], tolerance_kw: 2}
  - {id: store, name: Store, members: [bess1]}
tariff:
  - {from_time: "00:00", import_per_mwh: 300, export_per_mwh: 200}
"""


@pytest.fixture(scope="module")
def works() -> Iterator[Park]:
    """A park of two devices that nobody simulates."""
    with tempfile.TemporaryDirectory(prefix="pg-e2e-", dir="/tmp") as folder:
        file = Path(folder) / "park.yaml"
        file.write_text(PARK)
        park = Park(
            Path(folder),
            *("--no-demo", "--park", str(file)),
            settings={"PARKGRID_BROKER_PORT": str(free_port())},
        )
        with park:
            yield park


class Rogue:
    """A device on MQTT 3.1.1 that can be told to do everything wrong."""

    def __init__(self, park: Park, device: str) -> None:
        self._root = f"parkgrid/v1/{SITE}/{device}"
        self._seq = 0
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
        account = park.accounts["devices"][device]
        self._client.username_pw_set(account["username"], account["password"])
        place = park.running
        self._client.connect(place["broker_host"], place["broker_port"])
        self._client.loop_start()

    def close(self) -> None:
        """Go away."""
        self._client.disconnect()
        self._client.loop_stop()

    def raw(self, leaf: str, payload: bytes) -> None:
        """Publish whatever under one of its own topics."""
        self.anywhere(f"{self._root}/{leaf}", payload)

    def anywhere(self, topic: str, payload: bytes) -> None:
        """Publish whatever wherever."""
        self._client.publish(topic, payload, qos=1).wait_for_publish(10)

    def sample(self, power_kw: float = 0.0, **fields: object) -> Json:
        """Send a sample; ``fields`` replace or add to a good one's."""
        self._seq += 1
        body: Json = {
            "schema": 1,
            "seq": self._seq,
            "measured_at": now().isoformat(),
            "power_kw": power_kw,
            "signals": {"soc_frac": 0.5},
            **fields,
        }
        self.raw("telemetry", json.dumps(body).encode())
        return body


def now() -> datetime:
    """Return the device's own time."""
    return datetime.now(UTC)  # noqa: TID251 - a device lives by the real clock


def counted(park: Park, name: str) -> int:
    """Return one of the battery's counters."""
    state = park.resource("bess1")
    return int(state["counters"].get(name, 0)) if state else 0


def test_a_shell_script_registers_reports_obeys_acknowledges_and_times_out(
    works: Park, tmp_path: Path
) -> None:
    account, place = works.accounts["devices"]["heater1"], works.running
    device = ShellDevice(
        place["broker_host"],
        place["broker_port"],
        site=SITE,
        device="heater1",
        password=account["password"],
        folder=tmp_path,
    )
    try:
        with Listener(works, "parkgrid/v1/#") as witness:
            wait_until(lambda: quality(works, "heater1") == "good", within_s=30.0, every_s=0.2)
            assert works.resource("heater1")["power_kw"] == pytest.approx(-40.0)
            answer = works.dispatch("heat", "heat", target_kw=-20.0)
            id_ = answer.raise_for_status().json()["id"]
            wait_until(lambda: is_delivering(works, id_), within_s=30.0, every_s=0.2)
            (member,) = works.get(f"/dispatches/{id_}")["members"]
            assert member["winner"] == "heat"
            assert member["measured_kw"] == pytest.approx(-20.0, abs=2.0)
            accepted = witness.heard("heater1/ack")[-1].body
            sent = witness.heard("heater1/command")[-1].body
            assert accepted["result"] == "accepted"
            assert accepted["command_id"] == sent["command_id"]

            # Its actor falls silent: nobody tells the device to end, it does so by its own clock.
            with stopped(works.holder_of("actors/heater1.sqlite")):
                silent_s = time.monotonic()
                ended = witness.wait_for(
                    lambda body: body["command_id"] is None,
                    "heater1/telemetry",
                    after_s=silent_s,
                    within_s=40.0,
                )
                assert ended.body["power_kw"] == -40.0
                assert ended.at_s - silent_s <= 31.0
            # And it takes the fresh command of the same window.
            wait_until(lambda: is_delivering(works, id_), within_s=60.0, every_s=0.5)
    finally:
        device.kill()
    # Its last will speaks for it.
    wait_until(
        lambda: works.resource("heater1")["detail"] == "the device is offline", within_s=15.0
    )


def quality(park: Park, id_: str) -> str | None:
    """Return the quality of a resource's telemetry."""
    state = park.resource(id_)
    return state["quality"] if state else None


@pytest.fixture
def rogue(works: Park) -> Iterator[Rogue]:
    """The battery, reporting well for now."""
    device = Rogue(works, "bess1")

    def is_known() -> bool:
        device.sample(1.0 + device._seq / 10)
        return quality(works, "bess1") == "good"

    wait_until(is_known, within_s=30.0, every_s=0.2)
    yield device
    device.close()


@pytest.mark.parametrize(
    ("leaf", "payload", "counter"),
    [
        ("telemetry", b'{"seq": 1, "power_kw": ', "input_telemetry"),
        ("telemetry", b"\x00\xff" * 50, "input_telemetry"),
        ("telemetry", b'{"schema": 1, "seq": 1, "power_kw": NaN}', "input_telemetry"),
        ("telemetry", b"[" * 30_000, "input_telemetry"),
        ("telemetry", b" " * 100_000, "input_telemetry"),
        ("ack", b'{"result": "maybe"}', "input_ack"),
        ("status", b'{"mode": "asleep"}', "input_status"),
    ],
    ids=["cut", "binary", "nan", "nested", "oversize", "ack", "status"],
)
def test_broken_payloads_are_counted_and_change_nothing(
    works: Park, rogue: Rogue, leaf: str, payload: bytes, counter: str
) -> None:
    before, state = counted(works, counter), works.resource("bess1")
    rogue.raw(leaf, payload)
    wait_until(lambda: counted(works, counter) == before + 1, within_s=10.0)
    after = works.resource("bess1")
    assert (after["power_kw"], after["epoch"]) == (state["power_kw"], state["epoch"])


def test_samples_of_another_time_are_counted_and_change_nothing(works: Park, rogue: Rogue) -> None:
    last = rogue.sample(7.5)
    wait_until(lambda: works.resource("bess1")["power_kw"] == 7.5, within_s=5.0)
    tomorrow = (now() + timedelta(days=1)).isoformat()
    past = (now() - timedelta(seconds=30)).isoformat()
    for fields, counter in (
        ({"measured_at": tomorrow}, "samples_quarantined"),
        ({"measured_at": last["measured_at"]}, "samples_duplicate"),
        ({"measured_at": past}, "samples_late"),
        ({"seq": last["seq"]}, "samples_duplicate"),
    ):
        before = counted(works, counter)
        rogue.sample(33.0, **fields)
        wait_until(lambda c=counter, b=before: counted(works, c) > b, within_s=5.0)
    assert works.resource("bess1")["power_kw"] == 7.5


def test_an_answer_to_a_command_never_sent_is_counted(works: Park, rogue: Rogue) -> None:
    epoch = works.resource("bess1")["epoch"]
    ack = {"schema": 1, "command_id": "never", "epoch": epoch, "seq": 1, "result": "accepted"}
    body = {**ack, "acked_at": now().isoformat()}
    rogue.raw("ack", json.dumps(body).encode())
    wait_until(lambda: counted(works, "acks_unknown") == 1, within_s=10.0)


def test_a_frozen_reading_is_told_from_a_fresh_one(works: Park, rogue: Rogue) -> None:
    def is_called_frozen() -> bool:
        rogue.sample(12.34)
        return quality(works, "bess1") == "frozen"

    wait_until(is_called_frozen, within_s=15.0, every_s=0.5)
    rogue.sample(12.35)
    wait_until(lambda: quality(works, "bess1") == "good", within_s=5.0)


def test_a_flood_is_cut_and_the_api_stays_quick(works: Park, rogue: Rogue) -> None:
    def refused() -> int:
        return counted(works, "samples_flooded")

    before = refused()
    for i in range(1_500):
        rogue.sample(i / 100)
        if i % 300 == 0:
            began_s = time.monotonic()
            works.get("/live")
            assert time.monotonic() - began_s < 3.0
    wait_until(lambda: refused() > before, within_s=10.0)

    def is_heard_again() -> bool:
        rogue.sample(20.0)
        return bool(works.resource("bess1")["power_kw"] == 20.0)

    wait_until(is_heard_again, within_s=10.0, every_s=0.3)


def test_a_stranger_gets_in_neither_as_nobody_nor_as_somebody_else(
    works: Park, rogue: Rogue
) -> None:
    refused: list[bool] = []
    place = works.running
    stranger = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
    stranger.username_pw_set("works.bess9", "guess")
    stranger.on_connect = lambda _c, _d, _f, code, _p: refused.append(code.is_failure)
    stranger.connect(place["broker_host"], place["broker_port"])
    stranger.loop_start()
    wait_until(lambda: refused, within_s=10.0)
    stranger.loop_stop()
    assert refused[0]

    # Known, it may still speak for itself only.
    before = works.get("/live")["aggregates"]
    forged = {"schema": 1, "seq": 1, "measured_at": now().isoformat(), "power_kw": 49.0}
    payload = json.dumps(forged).encode()
    with Listener(works, "parkgrid/#") as witness:
        rogue.anywhere(f"parkgrid/v1/{SITE}/heater1/telemetry", payload)
        rogue.anywhere(f"parkgrid/v1/{SITE}/bess9/telemetry", payload)
        rogue.anywhere("parkgrid/int/v1/state/aggregate/heat", payload)
        rogue.sample(5.0)
        witness.wait_for(
            lambda body: body.get("power_kw") == 5.0, "bess1/telemetry", after_s=0.0, within_s=5.0
        )
        assert not [m for m in witness.heard() if m.body.get("power_kw") == 49.0]
    assert len(works.get("/live")["aggregates"]) == len(before)
