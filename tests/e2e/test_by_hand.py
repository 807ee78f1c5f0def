"""By hand: overrides and stops of one resource, one aggregate and the whole park."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.support.listener import Listener
from tests.support.park import Json, Park
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

SOUTH = {"pv3", "pv4", "bess2", "bess3", "ev2", "bldg2", "hp-fleet"}


def killed(park: Park) -> set[str]:
    """Return the resources that say that they are stopped."""
    return {state["id"] for state in park.get("/live")["resources"] if state["killed"]}


def stop(park: Park, path: str) -> Json:
    """Switch a stop on, and see that it is durable everywhere."""
    answer = park.api.put(path, json={"reason": "smoke"})
    assert answer.status_code == 200, answer.text
    outcome: Json = answer.json()
    assert outcome["recorded"]
    assert outcome["n_pending"] == 0
    return outcome


def release(park: Park, path: str) -> None:
    """Lift a stop."""
    assert park.api.delete(path, params={"reason": "all clear"}).status_code == 200


def test_an_override_stands_above_the_market_until_it_is_cleared(park: Park, dispatch: str) -> None:
    hand = {"target_kw": -80.0, "duration_s": 300, "reason": "capacity test"}
    assert park.api.put("/resources/bess2/override", json=hand).status_code == 200
    wait_until(lambda: abs(park.resource("bess2")["power_kw"] + 80.0) < 15.0, within_s=20.0)
    control = park.get("/resources/bess2")["control"]
    assert control["winner"] == "operator:operator"
    assert "capacity test" in control["reason"]
    assert control["until"] is not None
    too_much = park.api.put("/resources/bess2/override", json={**hand, "target_kw": -900.0})
    assert too_much.status_code == 422
    assert park.api.delete("/resources/bess2/override").status_code == 204
    wait_until(
        lambda: park.get("/resources/bess2")["control"]["winner"] != "operator:operator",
        within_s=10.0,
    )
    assert park.get(f"/dispatches/{dispatch}")["instruction"]["state"] in ("delivering", "partial")


def test_a_stop_outlives_its_actor_and_needs_a_fresh_command_after_release(
    park: Park, witness: Listener, dispatch: str
) -> None:
    wait_until(lambda: abs(park.resource("bess1")["power_kw"]) > 20.0, within_s=20.0)
    assert stop(park, "/resources/bess1/kill")["n_done"] == 1
    wait_until(lambda: abs(park.resource("bess1")["power_kw"]) < 15.0, within_s=20.0)
    # The others make up for it, as far as they can.
    report = park.get(f"/dispatches/{dispatch}")
    note = next(m["note"] for m in report["members"] if m["member_id"] == "bess1")
    assert note == "emergency stop"

    epoch = park.resource("bess1")["epoch"]
    killed_s = time.monotonic()
    os.kill(park.holder_of("actors/bess1.sqlite"), signal.SIGKILL)
    wait_until(lambda: park.resource("bess1")["epoch"] > epoch, within_s=30.0, every_s=0.2)
    states = [m.body for m in witness.heard("state/resource/bess1", after_s=killed_s)]
    assert {state["killed"] for state in states} == {True}
    assert max(abs(state["power_kw"]) for state in states) < 15.0
    hand = {"target_kw": 100.0, "duration_s": 60, "reason": "not while it is stopped"}
    park.api.put("/resources/bess1/override", json=hand).raise_for_status()
    assert park.get("/resources/bess1")["control"]["winner"] == "guard:kill"

    release(park, "/resources/bess1/kill")
    assert not park.resource("bess1")["killed"]
    # What moves it again is a proposal made since, not the override that was tried meanwhile.
    wait_until(lambda: abs(park.resource("bess1")["power_kw"]) > 20.0, within_s=30.0)
    assert park.get("/resources/bess1")["control"]["winner"] == "vpp-park"


def test_stops_of_an_aggregate_and_of_the_park_reach_every_resource_below(park: Park) -> None:
    assert stop(park, "/aggregations/vpp-south/kill")["n_done"] == len(SOUTH)
    wait_until(lambda: killed(park) == SOUTH, within_s=10.0)
    wait_until(lambda: park.aggregate("vpp-south")["killed"], within_s=10.0)
    assert not park.aggregate("vpp-park")["killed"]
    assert stop(park, "/park/kill")["n_done"] == 14
    wait_until(lambda: len(killed(park)) == 14, within_s=10.0)
    release(park, "/park/kill")
    wait_until(lambda: killed(park) == set(), within_s=10.0)
