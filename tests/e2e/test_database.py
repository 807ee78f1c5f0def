"""The database locked by somebody else: control goes on, and nothing that was promised is lost."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise

import pytest

from tests.support.listener import Listener
from tests.support.park import Park
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

LOCKED_S = 10.0


@contextmanager
def locked(park: Park) -> Iterator[None]:
    """Hold the database's write lock."""
    with closing(sqlite3.connect(park.home / "parkgrid.sqlite", isolation_level=None)) as database:
        wait_until(lambda: _begins(database), within_s=30.0)
        yield
        database.execute("ROLLBACK")


def _begins(database: sqlite3.Connection) -> bool:
    try:
        database.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:
        return False
    return True


def recorded(park: Park, dispatch_id: str) -> str | None:
    """Return the state of a dispatch as the database has it."""
    with closing(sqlite3.connect(park.home / "parkgrid.sqlite", timeout=10.0)) as database:
        query = "SELECT state FROM vpp_dispatches WHERE id = ?"
        row = database.execute(query, (dispatch_id,)).fetchone()
        return None if row is None else str(row[0])


def test_a_locked_database_stops_neither_control_nor_a_stop_and_loses_nothing(
    park: Park, witness: Listener, dispatch: str
) -> None:
    began_s = time.monotonic()
    with locked(park):
        wait_until(lambda: park.readiness().json()["status"] == "degraded", within_s=10.0)
        checks = {check["name"]: check["ok"] for check in park.readiness().json()["checks"]}
        assert (checks["live"], checks["store"]) == (True, False)
        refused = park.dispatch("vpp-south", "locked", target_kw=-100.0)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        cancel = park.api.post(f"/dispatches/{dispatch}/cancel", json={"reason": "locked"})
        assert cancel.status_code == 503
        stopped = park.api.put("/resources/bess3/kill", json={"reason": "smoke"})
        assert stopped.status_code == 202
        assert stopped.json()["recorded"] is False
        assert stopped.json()["n_done"] == 1
        assert park.get("/live")["connected"]
        wait_until(lambda: time.monotonic() - began_s > LOCKED_S, within_s=LOCKED_S)
        # Set-points went on to be proposed, sent and followed.
        turns = witness.heard("state/aggregate/vpp-park", after_s=began_s)
        assert max(b.at_s - a.at_s for a, b in pairwise(turns)) < 3.0
        assert witness.heard("/command", after_s=began_s)
    wait_until(lambda: park.readiness().json()["status"] == "ready", within_s=15.0)
    assert park.get(f"/dispatches/{dispatch}")["instruction"]["state"] in ("delivering", "partial")
    assert park.resource("bess3")["killed"]

    # The refused request can be repeated under its key, and has its effect once.
    repeated = park.dispatch("vpp-south", "locked", target_kw=-100.0)
    assert repeated.status_code == 202
    south = [d for d in park.get("/dispatches?aggregation=vpp-south")["items"]
             if d["id"] == repeated.json()["id"]]  # fmt: skip
    assert len(south) == 1
    # What waited in the outboxes has been written, and the audit chain is whole.
    park.api.post(f"/dispatches/{dispatch}/cancel", json={"reason": "done"}).raise_for_status()
    wait_until(lambda: recorded(park, dispatch) == "cancelled", within_s=20.0, every_s=0.5)
    assert "is whole" in park.run("audit", "verify").stdout
