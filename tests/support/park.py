"""A real park for tests: ``parkgrid up`` as a subprocess, in a home of its own, on a free port.

Every process it starts inherits a mark in its environment, so all of them are found again by id,
also those that Ray detaches, and ``close`` leaves none behind. It speaks to the park only as the
outside can: command line, HTTP, MQTT, files of the home, signals.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx

from tests.support.waiting import wait_until

Json = dict[str, Any]

START_LIMIT_S = 240.0
"""A busy machine with two cores; alone it takes a tenth of this."""

_COMMAND = str(Path(sys.executable).with_name("parkgrid"))
_MARK = "PARK_UNDER_TEST"
_PASSWORD = re.compile(r"Log in as operator with password (\S+)")
_LIVE = re.compile(r"^The park is live at", flags=re.MULTILINE)


class Park:
    """One park; ``start`` and ``close`` it, or use it as a context manager.

    Args:
        folder: an empty directory; home and output go there.
        arguments: further ones of ``parkgrid up``.
        settings: ``PARKGRID_...`` variables.
    """

    def __init__(
        self, folder: Path, *arguments: str, settings: dict[str, str] | None = None
    ) -> None:
        self._settings = settings or {}
        self.home = folder / "home"
        self.port = free_port()
        self._arguments = arguments
        self._output = folder / "up.log"
        self._mark = f"{_MARK}={folder}"
        self._process: subprocess.Popen[bytes] | None = None
        self._client: httpx.Client | None = None
        self.password = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start and wait until it says that it is live.

        Raises:
            TimeoutError: it does not come up; the message ends with what it said.
        """
        self.launch()
        try:
            wait_until(lambda: self.ended() or _LIVE.search(self.said()), within_s=START_LIMIT_S)
            if self.ended():
                raise TimeoutError("parkgrid ended")
        except TimeoutError as error:
            self.close()
            raise TimeoutError(f"{error}; it said:\n{self.said()}") from None
        shown = _PASSWORD.search(self.said())
        if shown is not None:
            self.password = shown.group(1)

    def launch(self) -> None:
        """Start without waiting."""
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [_COMMAND, "up", *self._place(), "--port", str(self.port), *self._arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=self._environment(),
                start_new_session=True,
            )

    def run(self, *arguments: str, line: str = "") -> subprocess.CompletedProcess[str]:
        """Run another ``parkgrid`` command on this home, to its end; ``line`` is typed in."""
        return subprocess.run(
            [_COMMAND, *arguments, *self._place()],
            input=f"{line}\n",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=self._environment(),
        )

    def said(self) -> str:
        """Return what ``parkgrid up`` has printed since its last start."""
        return self._output.read_text(errors="replace")

    def ended(self) -> bool:
        """Tell whether the process of ``parkgrid up`` has ended."""
        return self._process is None or self._process.poll() is not None

    def interrupt(self, *, within_s: float = 60.0) -> int:
        """Press Ctrl-C and wait for the end; return the exit code."""
        if self._process is None:
            raise RuntimeError("the park is not running")
        self._forget_client()
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(within_s)

    def kill_main(self) -> None:
        """End the process of ``parkgrid up`` alone and without warning."""
        if self._process is None:
            raise RuntimeError("the park is not running")
        self._forget_client()
        self._process.kill()
        self._process.wait(10)

    def kill_everything(self) -> None:
        """End every process at once and without warning, as a loss of power would."""
        self._forget_client()
        # Parents may start others while their children die, so until nobody is left.
        while pids := self.processes():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if self._process is not None:
                self._process.wait(10)
            wait_until(lambda pids=pids: not pids.keys() & self.processes().keys(), within_s=10)

    def close(self) -> None:
        """End whatever is left of it."""
        self.kill_everything()
        self._process = None

    def processes(self) -> dict[int, str]:
        """Return all living processes of this park: id and command line.

        By their mark, since a busy machine gives ids to other processes within seconds.
        """
        mark = self._mark.encode()
        found = {}
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit() or int(folder.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    words = (folder / "cmdline").read_bytes().split(b"\0")
                    found[int(folder.name)] = b" ".join(words).decode(errors="replace").strip()
        return found

    def holder_of(self, name: str) -> int:
        """Return the process that has a file of the home open.

        Args:
            name: path below the home, such as ``actors/bess1.sqlite``.
        """
        path = str(self.home / name)
        holders = [pid for pid in self.processes() if path in _open_files(pid)]
        if len(holders) != 1:
            raise LookupError(f"{name} is open in {holders}")
        return holders[0]

    def pid_of(self, words: str) -> int:
        """Return the one process whose command line has these words in it."""
        found = [pid for pid, command in self.processes().items() if words in command]
        if len(found) != 1:
            raise LookupError(f"{words!r} fits the processes {found}")
        return found[0]

    @property
    def url(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def running(self) -> Json:
        """What the park announced of itself."""
        answer: Json = json.loads((self.home / "running.json").read_text())
        return answer

    @property
    def accounts(self) -> Json:
        """The broker's accounts, ours under ``inner``."""
        answer: Json = json.loads((self.home / "broker" / "credentials.json").read_text())
        return answer

    @property
    def api(self) -> httpx.Client:
        """A client below ``/api/vpp/`` that has logged in as the operator."""
        if self._client is None:
            client = httpx.Client(base_url=f"{self.url}/api/vpp", timeout=15.0)
            login = {"username": "operator", "password": self.password}
            answer = client.post("/auth/login", json=login).raise_for_status().json()
            client.headers["Authorization"] = f"Bearer {answer['access_token']}"
            self._client = client
        return self._client

    def readiness(self) -> httpx.Response:
        """Return what the readiness probe says."""
        return httpx.get(f"{self.url}/readyz", timeout=15.0)

    def get(self, path: str) -> Json:
        """Return the body of a successful GET below ``/api/vpp``."""
        answer: Json = self.api.get(path).raise_for_status().json()
        return answer

    def resource(self, id_: str) -> Json:
        """Return a resource's live state."""
        state: Json = self.get(f"/resources/{id_}")["state"]
        return state

    def aggregate(self, id_: str) -> Json:
        """Return an aggregate's live state."""
        state: Json = self.get(f"/aggregations/{id_}")["state"]
        return state

    def dispatch(self, aggregate_id: str, key: str, **body: object) -> httpx.Response:
        """Ask for a dispatch; ``body`` adds to or replaces the usual one."""
        usual = {"target_kw": 500.0, "duration_s": 600, "reason": "end-to-end test"}
        return self.api.post(
            f"/aggregations/{aggregate_id}/dispatch",
            json={**usual, **body},
            headers={"Idempotency-Key": key},
        )

    def _place(self) -> list[str]:
        return ["--home", str(self.home)]

    def _environment(self) -> dict[str, str]:
        # What the tests or the caller's shell set for Ray or a park of their own is not ours.
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "PARKGRID"))}
        name, _, value = self._mark.partition("=")
        return {**inherited, **self._settings, name: value}

    def _forget_client(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Let a process stand still for as long as the block lasts."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _open_files(pid: int) -> set[str]:
    found = set()
    with contextlib.suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.add(str(descriptor.readlink()))
    return found
