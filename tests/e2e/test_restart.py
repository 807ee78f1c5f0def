"""Everything ended at once, by force and in order, and started again on the same home."""

from __future__ import annotations

import contextlib
import socket

import pytest

from tests.e2e.conftest import all_fresh, is_delivering
from tests.support.park import Json, Park
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.soak, pytest.mark.timeout(400)]


def dispatches(park: Park) -> dict[str, Json]:
    """Return all dispatches by id."""
    return {one["id"]: one for one in park.get("/dispatches?limit=200")["items"]}


def assert_nothing_is_left(park: Park, *, within_s: float) -> None:
    """Every process ends by itself in time; names those that stay."""
    with contextlib.suppress(TimeoutError):
        wait_until(lambda: not park.processes(), within_s=within_s, every_s=0.2)
    assert park.processes() == {}


def assert_resumed(park: Park, before: dict[str, Json], dispatch: str) -> None:
    """The dispatches are all there, the open one is delivered again, the stop stands."""
    after = dispatches(park)
    assert after.keys() == before.keys()
    ended = {id_: one for id_, one in before.items() if id_ != dispatch}
    assert {id_: after[id_] for id_ in ended} == ended
    wait_until(lambda: all_fresh(park), within_s=60.0, every_s=0.5)
    assert park.resource("bess3")["killed"]
    wait_until(lambda: is_delivering(park, dispatch), within_s=60.0, every_s=0.5)
    report = park.get(f"/dispatches/{dispatch}")
    note = next(m for m in report["members"] if m["member_id"] == "bess1")
    assert note["winner"] == "vpp-park"
    assert "is whole" in park.run("audit", "verify").stdout


def test_everything_killed_at_once_resumes_at_the_next_start(park: Park, dispatch: str) -> None:
    south = park.dispatch("vpp-south", "ended", target_kw=-150.0).raise_for_status().json()
    park.api.post(f"/dispatches/{south['id']}/cancel", json={"reason": "r"}).raise_for_status()
    park.api.put("/resources/bess3/kill", json={"reason": "smoke"}).raise_for_status()
    before = dispatches(park)
    delivered_kwh = park.get(f"/dispatches/{dispatch}")["delivered_kwh"]
    epoch = park.resource("bess1")["epoch"]

    park.kill_everything()
    assert park.run("status").returncode == 1
    park.start()
    assert "as before" in park.said()
    assert "password" not in park.said()
    assert park.resource("bess1")["epoch"] > epoch
    assert_resumed(park, before, dispatch)
    # What was metered before is not forgotten, up to the last checkpoint.
    assert park.get(f"/dispatches/{dispatch}")["delivered_kwh"] > delivered_kwh - 5.0


def test_ctrl_c_leaves_no_process_behind_and_the_next_start_resumes(
    park: Park, dispatch: str
) -> None:
    park.api.put("/resources/bess3/kill", json={"reason": "smoke"}).raise_for_status()
    before = dispatches(park)
    second = park.run("up")
    assert second.returncode == 2
    assert "in use by process" in second.stderr
    wait_until(lambda: is_delivering(park, dispatch), within_s=20.0, every_s=0.5)

    assert park.interrupt() == 0
    assert "Stopped; the next start resumes from here" in park.said()
    assert_nothing_is_left(park, within_s=15.0)
    with socket.create_server(("127.0.0.1", park.port)):
        park.launch()
        wait_until(park.ended, within_s=30.0)
        assert f"port {park.port}" in park.said()
        assert "--port" in park.said()

    park.start()
    assert_resumed(park, before, dispatch)


def test_the_main_process_killed_alone_takes_the_others_with_it(park: Park) -> None:
    park.kill_main()
    # Two agents of Ray try for a minute to report the loss to whom it lost.
    assert_nothing_is_left(park, within_s=150.0)
    with socket.create_server(("127.0.0.1", park.port)):
        pass
