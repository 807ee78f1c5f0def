"""A whole park for a benchmark, started as an operator would, in processes of its own.

The benchmark's process stays outside: it plays devices, operators and readers and measures with its
own clock. Everything is on loopback and ends with the benchmark.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from cluster import child_process

_ROOT = Path(__file__).resolve().parents[2]
_PARKGRID = Path(sys.executable).with_name("parkgrid")
_START_LIMIT_S = 240.0
_STOP_LIMIT_S = 45.0
_FRESH_S = 5.0
_FRESH_LIMIT_S = 180.0

SITE = "bench"
AGGREGATE = "vpp"
RATED_KW = 100.0


@dataclass(frozen=True, kw_only=True)
class Account:
    """An account of the broker."""

    username: str
    password: str


@dataclass(kw_only=True)
class LivePark:
    """A running park, as seen from outside."""

    home: Path
    port: int
    process: psutil.Process
    said_at_s: list[tuple[float, str]] = field(default_factory=list)
    """What ``parkgrid up`` said, with seconds since its start."""

    @property
    def broker_port(self) -> int:
        """Where the broker listens, on loopback."""
        return int(json.loads((self.home / "running.json").read_text())["broker_port"])

    @property
    def inner(self) -> Account:
        """The account that may see everything."""
        return Account(**self._credentials()["inner"])

    def device(self, device_id: str) -> Account:
        """Return a device's account."""
        return Account(**self._credentials()["devices"][device_id])

    def token(self) -> str:
        """Log in with the password that the first start told; return an access token."""
        mark = "Log in as operator with password "
        line = next(line for _, line in self.said_at_s if line.startswith(mark))
        body = {"username": "operator", "password": line.removeprefix(mark).split()[0]}
        url = f"http://127.0.0.1:{self.port}/api/v1/vpp/auth/login"
        # A hundred actors that have just started leave little time for a password.
        answer = httpx.post(url, json=body, timeout=60.0)
        return str(answer.raise_for_status().json()["access_token"])

    def ray_address(self) -> str:
        """Return where the park's Ray cluster is."""
        option = "--gcs-address="
        arguments = [argument for process in self.tree() for argument in process.cmdline()]
        return next(a.removeprefix(option) for a in arguments if a.startswith(option))

    def tree(self) -> list[psutil.Process]:
        """Return all living processes of the park."""
        processes = [self.process, *self.process.children(recursive=True)]
        return [p for p in processes if p.status() != psutil.STATUS_ZOMBIE]

    def holder(self, actor_id: str) -> psutil.Process:
        """Return the process of an actor: the one that has its store open."""
        path = str(self.home / "actors" / f"{actor_id}.sqlite")
        for process in self.tree():
            try:
                if any(file.path == path for file in process.open_files()):
                    return process
            except psutil.Error:
                continue
        raise LookupError(f"no process holds {path}")

    def _credentials(self) -> Any:
        return json.loads((self.home / "broker" / "credentials.json").read_text())


def batteries(n: int, *, period_s: float = 1.0) -> dict[str, Any]:
    """Return a park of ``n`` equal batteries in one aggregate."""
    ids = [f"bess{i:03d}" for i in range(n)]
    parameters = {"capacity_kwh": 4000, "max_charge_kw": RATED_KW, "max_discharge_kw": RATED_KW}
    return park_of(
        [{"id": i, "name": i, "kind": "battery", "parameters": parameters} for i in ids],
        period_s=period_s,
    )


def park_of(resources: list[dict[str, Any]], *, period_s: float = 1.0) -> dict[str, Any]:
    """Return a park with one aggregate over some resources."""
    members = [resource["id"] for resource in resources]
    return {
        "id": SITE,
        "name": "Benchmark",
        "timezone": "Asia/Shanghai",
        "currency": "CNY",
        "resources": resources,
        "aggregates": [
            {"id": AGGREGATE, "name": AGGREGATE, "members": members, "period_s": period_s}
        ],
        "tariff": [{"from_time": "00:00", "import_per_mwh": 500.0, "export_per_mwh": 500.0}],
    }


@contextmanager
def live_park(park: dict[str, Any] | None) -> Iterator[LivePark]:
    """Run a park in a fresh data directory until the block ends.

    Args:
        park: with devices that the benchmark plays; None runs the demo with its simulated devices.
    """
    # In the working directory: a temporary folder in memory would flatter the disk.
    with tempfile.TemporaryDirectory(dir=_ROOT, prefix=".bench-") as folder:
        home, port = Path(folder) / "home", free_port()
        command = [str(_PARKGRID), "up", "--home", str(home), "--port", str(port)]
        environment = dict(os.environ)
        if park is not None:
            # JSON is YAML too.
            file = Path(folder) / "park.yaml"
            file.write_text(json.dumps(park))
            command += ["--no-demo", "--park", str(file)]
            environment["PARKGRID_BROKER_PORT"] = str(free_port())
        begun_s = time.monotonic()
        said = Path(folder) / "said"
        # It ends with this process, however that ends.
        process = child_process.spawn(command, said, environment=environment)
        running = LivePark(home=home, port=port, process=psutil.Process(process.pid))
        try:
            _follow(process, running, said, begun_s)
            yield running
        finally:
            _stop(process, running)


def wait_until_fresh(park: LivePark) -> float:
    """Return how long it takes until every resource of the park has a fresh measurement."""
    begun_s = time.monotonic()
    base = f"http://127.0.0.1:{park.port}"
    headers = {"Authorization": f"Bearer {park.token()}"}
    with httpx.Client(base_url=base, headers=headers, timeout=10.0) as client:
        while time.monotonic() - begun_s < _FRESH_LIMIT_S:
            page = client.get("/")
            items = client.get("/api/v1/vpp/resources?limit=200").json()["items"]
            fresh = [item["age_s"] is not None and item["age_s"] < _FRESH_S for item in items]
            if page.is_success and all(fresh):
                return time.monotonic() - begun_s
            time.sleep(0.05)
    raise TimeoutError(f"{fresh.count(False)} resources were not fresh in {_FRESH_LIMIT_S} s")


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _follow(
    process: subprocess.Popen[bytes], running: LivePark, said: Path, begun_s: float
) -> None:
    with said.open() as lines:
        while (elapsed_s := time.monotonic() - begun_s) < _START_LIMIT_S:
            line = lines.readline().strip()
            if line:
                running.said_at_s.append((round(elapsed_s, 2), line))
            elif process.poll() is not None:
                break
            else:
                time.sleep(0.01)
            if line.startswith("The park is live"):
                return
    raise TimeoutError(f"the park did not start: {running.said_at_s}")


def _stop(process: subprocess.Popen[bytes], running: LivePark) -> None:
    tree = running.tree() if process.poll() is None else []
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=_STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for left in psutil.wait_procs(tree, timeout=5.0)[1]:
        left.kill()
