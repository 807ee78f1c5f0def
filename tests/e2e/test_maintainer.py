"""A new maintainer's first day, from a template to a farewell, and an auditor's look at it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.support.park import Json, Park
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

HEATER = "heater9"
RULE = {
    "id": "heater-silent",
    "name": "Heater silent",
    "target": {"subject_kind": "resource", "id": HEATER},
    "signal": "age_s",
    "condition": {"kind": "missing_data", "max_age_s": 5},
    "severity": "high",
}


def person(park: Park, username: str, role: str) -> httpx.Client:
    """Return a client logged in as a new account with one role."""
    password = "walking past the quiet turbines"  # noqa: S105 - of a park that lives for minutes
    added = park.run("user", "add", username, "--role", role, line=password)
    assert added.returncode == 0, added.stderr
    login = {"username": username, "password": password}
    token = park.api.post("/auth/login", json=login).raise_for_status().json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=park.api.base_url, headers=headers, timeout=30.0)


@pytest.fixture
def maintainer(park: Park) -> Iterator[httpx.Client]:
    """A maintainer who has just been given an account."""
    with person(park, "mei", "maintainer") as client:
        yield client


@pytest.fixture
def auditor(park: Park) -> Iterator[httpx.Client]:
    """An auditor who has just been given an account."""
    with person(park, "otto", "auditor") as client:
        yield client


def get(client: httpx.Client, path: str) -> Json:
    """Return what stands at a path."""
    body: Json = client.get(path).raise_for_status().json()
    return body


def post(client: httpx.Client, path: str, body: Json) -> Json:
    """Return the answer to a request that succeeds."""
    answer = client.post(path, json=body)
    assert answer.is_success, answer.text
    found: Json = answer.json()
    return found


def end(client: httpx.Client, method: str, path: str, body: Json | None = None) -> None:
    """Change what stands at a path as it stands now, with its version."""
    version = client.get(path.removesuffix("/retire")).raise_for_status().headers["etag"]
    answer = client.request(method, path, json=body, headers={"If-Match": version})
    assert answer.is_success, answer.text


def online(park: Park, folder: Path, issued: Json) -> ShellDevice:
    """Return the heater of the documentation, begun once the broker lets its account in."""
    wait_until(lambda: is_admitted(park, issued), within_s=15.0, every_s=0.2)
    return ShellDevice(
        "127.0.0.1",
        park.running["broker_port"],
        site="demo",
        device=HEATER,
        password=issued["password"],
        folder=folder,
        user=issued["account"]["username"],
    )


def is_admitted(park: Park, issued: Json) -> bool:
    """Tell whether an account can listen to its device's commands."""
    account = ["-u", issued["account"]["username"], "-P", issued["password"]]
    topic = f"{issued['topics']}/command"
    place = ["-h", "127.0.0.1", "-p", str(park.running["broker_port"]), "-t", topic]
    listening = subprocess.run(
        ["mosquitto_sub", *account, *place, "-W", "1"], capture_output=True, check=False
    )
    # It listened until its time was over.
    return listening.returncode == 27


def test_a_device_is_brought_in_watched_and_taken_out_and_the_chain_tells_it_all(
    park: Park, maintainer: httpx.Client, auditor: httpx.Client, tmp_path: Path
) -> None:
    rated = {"name": "rated_kw", "default": 50, "high": 60}
    free = {"name": "flexible_frac", "default": 1.0}
    template = {"id": "small-heater", "kind": "flexible_load", "name": "Heater"}
    post(maintainer, "/resource-templates", {**template, "parameters": [rated, free]})
    resource = {"id": HEATER, "name": "Heater, hall 9", "template_id": "small-heater"}
    post(maintainer, "/resources", resource)
    refused = maintainer.delete("/resource-templates/small-heater", headers={"If-Match": '"1"'})
    assert refused.status_code == 409
    assert HEATER in refused.text

    issued = post(maintainer, "/devices", {"resource_id": HEATER, "maker": "Hearth", "model": "H5"})
    begun = datetime.now(UTC)  # noqa: TID251 - compared with what the device says
    device = online(park, tmp_path, issued)
    try:
        wait_until(lambda: is_good(maintainer), within_s=60.0, every_s=0.5)

        def has_history() -> bool:
            window = {"from": begun.isoformat(), "to": (begun + timedelta(minutes=5)).isoformat()}
            answer = maintainer.get(
                f"/history/resources/{HEATER}", params={**window, "resolution": "1s"}
            )
            assert answer.is_success, answer.text
            columns = answer.json()["columns"]
            return any(power_kw is not None for power_kw in columns["power_kw"])

        wait_until(has_history, within_s=30.0, every_s=1.0)

        post(maintainer, "/alarm-rules", RULE)
        device.kill()
        alarm = wait_until(lambda: standing(maintainer), within_s=40.0, every_s=0.5)
        assert alarm is not None
        post(maintainer, f"/alarms/{alarm['id']}/acknowledge", {"note": "going to look"})
        rotated = post(maintainer, f"/devices/{HEATER}/credentials", {"reason": "key was on paper"})
        assert rotated["password"] != issued["password"]
        device = online(park, tmp_path, rotated)
        wait_until(lambda: is_good(maintainer), within_s=60.0, every_s=0.5)
        wait_until(lambda: standing(maintainer) is None, within_s=30.0, every_s=0.5)
    finally:
        device.kill()

    end(maintainer, "DELETE", f"/alarm-rules/{RULE['id']}")
    end(maintainer, "POST", f"/devices/{HEATER}/retire", {"reason": "replaced"})
    end(maintainer, "DELETE", f"/resources/{HEATER}")
    wait_until(lambda: HEATER not in live_ids(park), within_s=30.0, every_s=0.5)

    told = get(auditor, f"/audit?subject={HEATER}&limit=200")["items"]
    acts = [entry["action"] for entry in reversed(told) if entry["principal"] == "mei"]
    assert acts[0] == "resource.write"
    assert {"device.register", "device.credentials", "device.retire"} <= set(acts)
    assert issued["password"] not in str(told)
    for method, path in (("POST", "/resources"), ("DELETE", "/park/kill"), ("POST", "/users")):
        assert auditor.request(method, path, json={}).status_code == 403
    verified = park.run("audit", "verify")
    assert verified.returncode == 0, verified.stderr


def is_good(client: httpx.Client) -> bool:
    """Tell whether the heater's meter speaks."""
    state = get(client, f"/resources/{HEATER}")["state"]
    return state is not None and state["quality"] == "good"


def standing(client: httpx.Client) -> Json | None:
    """Return the heater's alarm, while it stands."""
    items = get(client, f"/alarms?subject={HEATER}&standing=true")["items"]
    return items[0] if items else None


def live_ids(park: Park) -> set[str]:
    """Return the resources in operation."""
    return {item["definition"]["id"] for item in get(park.api, "/resources?limit=200")["items"]}
