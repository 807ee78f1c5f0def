"""The device of ``docs/mqtt.md``: the shell script as it stands there, in processes of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

_TEXT = (Path(__file__).parents[2] / "docs" / "mqtt.md").read_text()
(_SCRIPT,) = re.findall(r"^```bash device\n(.*?)^```", _TEXT, flags=re.MULTILINE | re.DOTALL)


class ShellDevice:
    """A heater of up to 50 kW; runs from the start.

    Args:
        host: of the broker.
        port: of the broker.
        site: the park's id.
        device: its own id.
        password: of its account.
        user: name of its account; the usual one unless given.
        folder: keeps what it must remember over a restart.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        site: str,
        device: str,
        password: str,
        folder: Path,
        user: str = "",
    ) -> None:
        environment = {
            "PATH": os.environ["PATH"],
            "HOST": host,
            "PORT": str(port),
            "SITE": site,
            "DEVICE": device,
            "PASSWORD": password,
            "ACCOUNT": user,
            "MEMORY": str(folder / "last"),
        }
        self._process = subprocess.Popen(
            ["bash", "-c", _SCRIPT], env=environment, start_new_session=True
        )

    def kill(self) -> None:
        """End it and its clients without a word; idempotent."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
