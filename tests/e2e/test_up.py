"""``parkgrid up`` as an operator uses it: real processes, real broker, real Ray."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

PARKGRID = str(Path(sys.executable).with_name("parkgrid"))
# Ray's own agents take up to a minute to notice that their node was killed; they hold nothing.
SLOW_TO_LEAVE = (b"ray::DashboardAgent", b"ray::RuntimeEnvAgent")
LIVE_WITHIN_S = 150.0
STOPPED_WITHIN_S = 60.0


class Park:
    """One installation in a temporary data directory."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.said = home.with_suffix(".out")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it says that it is live."""
        with self.said.open("wb") as said:
            command = [PARKGRID, "up", "--home", str(self.home), "--port", str(self.port)]
            self.process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)

        def is_live() -> bool:
            assert self.process is not None
            if self.process.poll() is not None:
                raise AssertionError(self.said.read_text())
            return "The park is live" in self.said.read_text()

        wait_until(is_live, within_s=LIVE_WITHIN_S)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command on the same data directory."""
        return subprocess.run(
            [PARKGRID, *arguments, "--home", str(self.home)],
            capture_output=True,
            text=True,
            check=False,
        )

    def end(self, number: signal.Signals) -> None:
        """Send a signal and wait for the end."""
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(STOPPED_WITHIN_S)
        wait_until(lambda: not self.leftovers(), within_s=STOPPED_WITHIN_S)

    def leftovers(self) -> list[str]:
        """Return the ids of processes that still work for it."""
        mark = f"PARK_UNDER_TEST={self.port}".encode()
        ids = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                command = path.with_name("cmdline").read_bytes()
                if mark in path.read_bytes().split(b"\0") and not command.startswith(SLOW_TO_LEAVE):
                    ids.append(path.parent.name)
        return ids


@pytest.fixture
def park(monkeypatch: pytest.MonkeyPatch) -> Iterator[Park]:
    # Not pytest's own directory: what lies deep has socket names too long.
    with tempfile.TemporaryDirectory(prefix="pg-e2e-") as folder:
        park = Park(Path(folder) / "home")
        monkeypatch.setenv("PARK_UNDER_TEST", str(park.port))
        yield park
        if park.process is not None and park.process.poll() is None:
            park.end(signal.SIGKILL)


def test_a_park_lives_until_it_is_stopped_and_resumes_whatever_stopped_it(park: Park) -> None:
    park.start()
    url = f"http://127.0.0.1:{park.port}"
    assert re.search(r"Log in as operator with password \S{15,}", park.said.read_text())

    token = park.command("token").stdout.strip()
    answer = httpx.get(f"{url}/api/vpp/live", headers={"Authorization": f"Bearer {token}"})
    assert {state["id"] for state in answer.json()["aggregates"]} == {"vpp-park", "vpp-south"}
    assert httpx.get(f"{url}/api/vpp/live").status_code == 401
    assert len(json.loads(park.command("status", "--json").stdout)["resources"]) == 14
    assert "vpp-south" in park.command("status").stdout

    second = park.command("up")
    assert second.returncode == 2
    assert "in use by process" in second.stderr

    park.end(signal.SIGINT)
    assert park.process is not None
    assert park.process.returncode == 0
    assert "Stopped; the next start resumes from here" in park.said.read_text()
    assert "no running park" in park.command("status").stderr

    park.start()
    assert "as before" in park.said.read_text()
    assert "password" not in park.said.read_text()

    park.end(signal.SIGKILL)
    with socket.create_server(("127.0.0.1", park.port)):
        pass
