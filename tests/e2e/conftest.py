"""One demo park for all end-to-end tests, handed to each of them live, fresh and at rest."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.listener import Listener
from tests.support.park import Json, Park
from tests.support.waiting import wait_until

FRESH_WITHIN_S = 60.0
OPEN = ("accepted", "active", "delivering", "partial")


@pytest.fixture(scope="session")
def demo_park() -> Iterator[Park]:
    """The demo park; it runs until the session ends, unless a test has stopped it."""
    # Not pytest's own directory: what lies deep has socket names too long.
    with tempfile.TemporaryDirectory(prefix="pg-e2e-", dir="/tmp") as folder:
        # One plan in shadow is enough for a promotion: another one takes five minutes.
        park = Park(Path(folder), settings={"PARKGRID_SHADOW_PLANS": "1"})
        yield park
        park.close()


@pytest.fixture
def park(demo_park: Park) -> Iterator[Park]:
    """The demo park, live: every resource fresh, nothing dispatched, overridden or stopped."""
    if demo_park.ended():
        demo_park.start()
    tidy(demo_park)
    wait_until(lambda: all_fresh(demo_park), within_s=FRESH_WITHIN_S, every_s=0.5)
    yield demo_park
    if not demo_park.ended():
        tidy(demo_park)


@pytest.fixture
def witness(park: Park) -> Iterator[Listener]:
    """What goes over the park's broker."""
    with Listener(park, "parkgrid/v1/#", "parkgrid/int/v1/#") as listener:
        yield listener


@pytest.fixture
def dispatch(park: Park, request: pytest.FixtureRequest) -> str:
    """The id of a dispatch of the whole park to +500 kW that is being delivered."""
    answer = park.dispatch("vpp-park", request.node.name, target_kw=500.0, duration_s=900)
    id_: str = answer.raise_for_status().json()["id"]
    wait_until(lambda: is_delivering(park, id_), within_s=45.0, every_s=0.5)
    return id_


def is_delivering(park: Park, dispatch_id: str) -> bool:
    """Tell whether a dispatch is metered within tolerance."""
    state = park.get(f"/dispatches/{dispatch_id}")["instruction"]["state"]
    return bool(state == "delivering")


def all_fresh(park: Park) -> bool:
    """Tell whether the meters of all resources speak and count."""
    live = park.get("/live")
    good = all(state["quality"] == "good" for state in live["resources"])
    covered = all(state["coverage_frac"] > 0.999 for state in live["aggregates"])
    return good and covered and len(live["aggregates"]) > 0


def open_dispatches(park: Park) -> list[Json]:
    """Return the dispatches that have not ended."""
    return [one for one in park.get("/dispatches")["items"] if one["state"] in OPEN]


def tidy(park: Park) -> None:
    """Cancel every dispatch, let go of what is in hand, lift every stop."""
    for one in open_dispatches(park):
        park.api.post(f"/dispatches/{one['id']}/cancel", json={"reason": "tidy"})
    for state in park.get("/live")["resources"]:
        if any(c["source_id"].startswith("operator:") for c in state["contenders"]):
            park.api.delete(f"/resources/{state['id']}/override").raise_for_status()
    if any(state["killed"] for state in park.get("/live")["resources"]):
        park.api.delete("/park/kill", params={"reason": "tidy"}).raise_for_status()
