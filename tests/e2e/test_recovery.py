"""Processes of a delivering park killed without warning: each comes back and nothing moves."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.e2e.conftest import is_delivering
from tests.support.listener import Listener
from tests.support.park import Json, Park
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

BACK_WITHIN_S = 30.0
"""Long enough for a busy machine; the benchmark `recovery` measures the promised two seconds."""
PROMPT_S = 4.0
"""Soon enough for set-points, as of the last checkpoint, to stand still."""
GUSTS_KW = 120.0
"""The wind turbine alone moves the park by as much before the others have made up for it."""


def order(body: Json) -> tuple[int, int]:
    """Return what orders messages of one writer."""
    return body["epoch"], body["seq"]


def kill(pid: int) -> float:
    """End a process without warning; return when."""
    at_s = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    return at_s


def wait_for_new_epoch(witness: Listener, topic: str, *, after_s: float) -> int:
    """Wait until a successor publishes its state; return its epoch."""
    old = max(m.body["epoch"] for m in witness.heard(topic))
    first = witness.wait_for(
        lambda body: body["epoch"] > old, topic, after_s=after_s, within_s=BACK_WITHIN_S
    )
    epoch: int = first.body["epoch"]
    return epoch


def wait_for_keep_alives(witness: Listener, device: str) -> None:
    """Wait until the witness has heard a device's command, which repeats."""
    wait_until(lambda: witness.heard(f"{device}/command"), within_s=30.0)


def assert_delivery_went_on(
    park: Park, witness: Listener, dispatch: str, *, after_s: float
) -> None:
    """Every sum published since an instant was near the target, and it still is delivered."""
    sums = witness.heard("state/aggregate/vpp-park", after_s=after_s)
    powers_kw = [m.body["power_kw"] for m in sums]
    assert powers_kw
    assert min(powers_kw) > 500.0 - GUSTS_KW
    assert max(powers_kw) < 500.0 + GUSTS_KW
    wait_until(lambda: is_delivering(park, dispatch), within_s=20.0, every_s=0.5)


def test_a_killed_battery_actor_goes_on_with_the_same_set_point(
    park: Park, witness: Listener, dispatch: str
) -> None:
    wait_for_keep_alives(witness, "bess1")
    before = witness.heard("bess1/command")[-1].body
    killed_s = kill(park.holder_of("actors/bess1.sqlite"))
    epoch = wait_for_new_epoch(witness, "state/resource/bess1", after_s=killed_s)

    again = witness.wait_for(
        lambda body: body["epoch"] == epoch, "bess1/command", after_s=killed_s, within_s=10.0
    ).body
    assert again["command_id"] == before["command_id"]
    assert again["setpoint_kw"] == before["setpoint_kw"]
    witness.wait_for(
        lambda body: body["seq"] == again["seq"] and body["result"] == "accepted",
        "bess1/ack",
        after_s=killed_s,
        within_s=10.0,
    )
    orders = [order(m.body) for m in witness.heard("bess1/command")]
    assert orders == sorted(set(orders))
    # The device never noticed: it ran at its set-point all the while.
    samples = witness.heard("bess1/telemetry", after_s=killed_s)
    # A sample may be a moment older than the last command.
    commanded = witness.heard("bess1/command")
    asked_kw = [m.body["setpoint_kw"] for m in commanded if m.body["epoch"] < epoch][-2:]
    for sample in samples[:2]:
        assert min(abs(sample.body["setpoint_kw"] - kw) for kw in asked_kw) < 5.0
    states = [m.body for m in witness.heard("state/resource/bess1", after_s=killed_s)]
    assert {state["rung"] for state in states} == {"active"}
    assert None not in {state["setpoint_kw"] for state in states}
    assert_delivery_went_on(park, witness, dispatch, after_s=killed_s)


def test_a_killed_aggregate_actor_resumes_its_instruction_without_a_bump(
    park: Park, witness: Listener, dispatch: str
) -> None:
    topic = "state/aggregate/vpp-park"
    # Whatever is proposed is repeated within half of its lifetime.
    wait_until(lambda: len(witness.heard("proposal/bess1")) > 1, within_s=30.0)
    killed_s = kill(park.holder_of("actors/vpp-park.sqlite"))
    epoch = wait_for_new_epoch(witness, topic, after_s=killed_s)
    took_s = time.monotonic() - killed_s

    states = [m.body for m in witness.heard(topic) if m.body["epoch"] == epoch]
    assert {state["target_kw"] for state in states} == {500.0}
    assert {state["instruction_id"] for state in states} == {dispatch}
    assert {state["rung"] for state in states} == {"active"}
    last: dict[str, Json] = {}
    first: dict[str, Json] = {}

    def has_renewed() -> bool:
        for message in witness.heard():
            body = message.body
            if "/proposal/" in message.topic and body["source_id"] == "vpp-park":
                member = body["member_id"]
                if body["epoch"] < epoch:
                    last[member] = body
                else:
                    first.setdefault(member, body)
        return "bess1" in first

    wait_until(has_renewed, within_s=10.0)
    assert first["bess1"]["instruction_id"] == dispatch
    # A successor that comes later than proposals live shares anew, from the meters.
    for member in first.keys() & last.keys() if took_s < PROMPT_S else ():
        before, after = last[member]["target_kw"], first[member]["target_kw"]
        if None not in (before, after):
            assert after == pytest.approx(before, abs=GUSTS_KW / 2), member
    rungs = {m.body["rung"] for m in witness.heard("state/resource/bess1", after_s=killed_s)}
    assert rungs == {"active"}
    assert_delivery_went_on(park, witness, dispatch, after_s=killed_s)


def test_a_killed_nested_aggregate_never_shows_a_part_for_the_whole(
    park: Park, witness: Listener
) -> None:
    topic = "state/aggregate/vpp-south"
    power_kw = park.aggregate("vpp-south")["power_kw"]
    answer = park.dispatch("vpp-south", "nested", target_kw=round(power_kw) + 50.0)
    dispatch = answer.raise_for_status().json()
    wait_until(lambda: is_delivering(park, dispatch["id"]), within_s=45.0, every_s=0.5)
    killed_s = kill(park.holder_of("actors/vpp-south.sqlite"))
    epoch = wait_for_new_epoch(witness, topic, after_s=killed_s)
    states = [m.body for m in witness.heard(topic) if m.body["epoch"] == epoch]
    assert {state["coverage_frac"] for state in states} == {1.0}
    assert {state["target_kw"] for state in states} == {dispatch["target_kw"]}
    powers_kw = [state["power_kw"] for state in states]
    assert powers_kw == pytest.approx([dispatch["target_kw"]] * len(powers_kw), abs=GUSTS_KW)


@pytest.mark.parametrize("name", ["OptimizerActor", "RecorderActor", "Supervisor"])
def test_a_killed_helper_comes_back_and_no_other_actor_is_touched(
    park: Park, witness: Listener, dispatch: str, name: str
) -> None:
    pid = park.pid_of(f"ray::{name}")
    epochs = {r["id"]: r["epoch"] for r in park.get("/live")["resources"]}
    killed_s = kill(pid)

    def is_back() -> bool:
        found = [p for p, command in park.processes().items() if f"ray::{name}" in command]
        return bool(found) and pid not in found

    wait_until(is_back, within_s=BACK_WITHIN_S, every_s=0.2)
    assert {r["id"]: r["epoch"] for r in park.get("/live")["resources"]} == epochs
    assert_delivery_went_on(park, witness, dispatch, after_s=killed_s)
