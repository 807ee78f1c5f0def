"""The broker away: devices fall back by themselves, and all come back without a storm."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.e2e.conftest import all_fresh, is_delivering
from tests.support.listener import Heard, Listener
from tests.support.park import Park, stopped
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.soak, pytest.mark.timeout(400)]

AWAY_S = 60.0
BROKERS = ("broker/mosquitto.conf", "cluster.broker_amqtt")
ESTABLISHED = "01"


def brokers(park: Park) -> list[int]:
    """Return the broker's process, if there is one."""
    found = park.processes().items()
    return [pid for pid, command in found if any(words in command for words in BROKERS)]


def connections(port: int) -> set[str]:
    """Return the clients that are connected to a port of this machine."""
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return {row[2] for row in rows if row[1].endswith(f":{port:04X}") and row[3] == ESTABLISHED}


def frozen(park: Park) -> None:
    """Let the broker stand still for a minute."""
    (pid,) = brokers(park)
    with stopped(pid):
        began_s = time.monotonic()
        wait_until(lambda: time.monotonic() - began_s > AWAY_S, within_s=AWAY_S + 5, every_s=0.5)
        assert park.get("/resources/bess1")["age_s"] > AWAY_S - 10.0
        assert not park.get("/live")["connected"]
        assert park.readiness().status_code == 503


def gone(park: Park) -> None:
    """Kill every broker that comes up for a minute."""
    began_s = time.monotonic()

    def is_over() -> bool:
        for pid in brokers(park):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return time.monotonic() - began_s > AWAY_S

    wait_until(is_over, within_s=AWAY_S + 5, every_s=0.1)


def assert_nothing_stale_was_accepted(witness: Listener, device: str) -> None:
    """The device took only what came in order and within its lifetime."""
    commands = {
        (m.body["epoch"], m.body["seq"]): m.body for m in witness.heard(f"{device}/command")
    }
    assert list(commands) == sorted(commands)
    for ack in (m.body for m in witness.heard(f"{device}/ack")):
        command = commands.get((ack["epoch"], ack["seq"]))
        if command is not None and ack["result"] == "accepted":
            acked_at = datetime.fromisoformat(ack["acked_at"])
            assert acked_at < datetime.fromisoformat(command["expires_at"])


def test_a_killed_broker_is_replaced_and_delivery_goes_on(
    park: Park, witness: Listener, dispatch: str
) -> None:
    (pid,), epoch = brokers(park), park.resource("bess1")["epoch"]
    os.kill(pid, signal.SIGKILL)
    killed_s = time.monotonic()
    wait_until(lambda: brokers(park) not in ([], [pid]), within_s=15.0)
    for topic in ("bess1/telemetry", "state/resource/bess1", "state/aggregate/vpp-park"):
        witness.wait_for(lambda _: True, topic, after_s=killed_s + 0.1, within_s=20.0)
    wait_until(lambda: all_fresh(park), within_s=30.0, every_s=0.5)
    wait_until(lambda: is_delivering(park, dispatch), within_s=30.0, every_s=0.5)
    # Too short for anybody to fall back.
    rungs = {m.body["rung"] for m in witness.heard("state/resource/bess1", after_s=killed_s + 5.0)}
    assert rungs <= {"active"}
    assert park.resource("bess1")["epoch"] == epoch
    assert_nothing_stale_was_accepted(witness, "bess1")


@pytest.mark.soak
@pytest.mark.parametrize("go_away", [frozen, gone])
def test_a_minute_without_broker_is_survived_by_lifetimes_and_then_made_good(
    park: Park, witness: Listener, dispatch: str, go_away: Callable[[Park], None]
) -> None:
    # The battery must have something to fall back from.
    wait_until(lambda: abs(park.resource("bess1")["setpoint_kw"] or 0.0) > 20.0, within_s=60.0)
    port = park.running["broker_port"]
    n_clients = len(connections(port))
    go_away(park)
    old_commands = {m.body["command_id"] for m in witness.heard("bess1/command")}
    back_at = datetime.now(UTC)  # noqa: TID251 - compared with what devices say
    back_s = time.monotonic()
    seen: dict[str, float] = {}

    def all_are_back() -> bool:
        for client in connections(port):
            seen.setdefault(client, time.monotonic() - back_s)
        return len(connections(port)) >= n_clients

    wait_until(all_are_back, within_s=60.0, every_s=0.05)
    if go_away is gone:
        at_s = sorted(seen.values())
        busiest = max(sum(1 for a in at_s if first <= a < first + 1.0) for first in at_s)
        assert busiest <= 0.6 * n_clients, at_s

    # The device had fallen back by itself: its first sample says so.
    def first_sample() -> Heard | None:
        for message in witness.heard("bess1/telemetry", after_s=back_s):
            if datetime.fromisoformat(message.body["measured_at"]) > back_at:
                return message
        return None

    sample = wait_until(first_sample, within_s=30.0)
    assert sample is not None
    if sample.body["command_id"] is None:
        assert sample.body["power_kw"] == pytest.approx(0.0, abs=5.0)
    else:
        # The link was faster than the device's next sample; the command must be a new one. The
        # witness may have been slower, but it was there before.
        assert sample.body["command_id"] not in old_commands
        sent = [m.body for m in witness.heard("bess1/command", after_s=back_s)]
        assert all(datetime.fromisoformat(command["issued_at"]) > back_at for command in sent)

    wait_until(lambda: all_fresh(park), within_s=60.0, every_s=0.5)
    wait_until(lambda: is_delivering(park, dispatch), within_s=90.0, every_s=0.5)
    # The others may deliver before its turn has come again.
    wait_until(lambda: park.resource("bess1")["rung"] == "active", within_s=60.0, every_s=0.5)
    report = park.get(f"/dispatches/{dispatch}")
    assert "partial" in [step["state"] for step in report["history"]]
    assert report["within_tolerance_frac"] < 0.95
    assert_nothing_stale_was_accepted(witness, "bess1")
