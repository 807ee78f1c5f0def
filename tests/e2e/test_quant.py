"""A quant deploys an optimizer into the live park: shadow, promotion by two people, roll-back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.park import Json, Park
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "patient_batteries.py"
PASSWORD = "counting swallows over the substation"  # noqa: S105 - of a park that lives for minutes

Command = Callable[..., Json]


@pytest.fixture
def quant(park: Park, tmp_path: Path) -> Command:
    """What a quant does at the command line; gives back the answer of what succeeded."""
    added = park.run("user", "add", "quinn", "--role", "quant", line=PASSWORD)
    assert added.returncode == 0, added.stderr

    def run(*words: str) -> str:
        done = subprocess.run(
            [Path(sys.executable).with_name("parkgrid"), *words],
            input=f"{PASSWORD}\n",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "XDG_CONFIG_HOME": str(tmp_path)},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("login", "quinn", "--url", park.url)

    def does(*words: str) -> Json:
        answer: Json = json.loads(run("optimizer", *words, "--json"))
        return answer

    return does


def test_an_optimizer_is_deployed_promoted_and_rolled_back_while_the_park_runs(
    park: Park, quant: Command, dispatch: str
) -> None:
    def scores(*, promoted: bool) -> list[Json]:
        items: list[Json] = park.get(f"/optimizers/{id_}/scores")["items"]
        return [score for score in items if score["promoted"] == promoted]

    deployed = quant("deploy", str(EXAMPLE), "--note", "batteries wear three times")
    id_ = deployed["id"]
    quant("shadow", id_, "reason=have a look")
    # The live problem is posed to it at once, not only the next one.
    (first,) = wait_until(lambda: scores(promoted=False), within_s=60.0, every_s=1.0)
    assert (first["outcome"], first["dispatched"]) == ("valid", False)
    assert first["incumbent"] == "built-in"
    assert first["cost"] >= first["incumbent_cost"] - 0.01 * abs(first["incumbent_cost"])

    asked = quant("promote", id_, "reason=looks good", "--if-match", "2")
    assert park.get(f"/optimizers/{id_}")["state"] == "shadow"
    approved = park.api.post(f"/approvals/{asked['id']}/approve", json={})
    assert approved.raise_for_status().json()["state"] == "done"
    (planned, *_) = wait_until(lambda: scores(promoted=True), within_s=60.0, every_s=1.0)
    assert (planned["outcome"], planned["dispatched"]) == ("valid", True)

    # Its actor dies with its process; Ray brings both back, and it is promoted still.
    pid = park.pid_of("ray::DeployedOptimizerActor")
    os.kill(pid, 9)
    wait_until(lambda: _other_pid(park, pid), within_s=60.0, every_s=0.5)
    assert park.get(f"/optimizers/{id_}")["state"] == "promoted"

    rolled = quant("rollback", id_, "reason=enough")
    assert rolled["state"] == "shadow"
    # The built-in engine plans at once, and the other is a shadow of that plan.
    (after, *_) = wait_until(
        lambda: [score for score in scores(promoted=False) if score["at"] > planned["at"]],
        within_s=90.0,
        every_s=1.0,
    )
    assert (after["outcome"], after["incumbent"]) == ("valid", "built-in")
    quant("remove", id_, "--if-match", str(rolled["version"]))
    wait_until(lambda: not _other_pid(park, 0), within_s=30.0, every_s=0.5)
    state = park.get(f"/dispatches/{dispatch}")["instruction"]["state"]
    assert state in ("delivering", "partial")


def _other_pid(park: Park, pid: int) -> bool:
    """Tell whether the actor of an optimizer lives in another process than that."""
    commands = park.processes().items()
    return any("DeployedOptimizerActor" in command and id_ != pid for id_, command in commands)
