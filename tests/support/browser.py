"""A real browser without a window, driven over its own protocol: one page, what it shows and says.

Only what Chromium itself offers is used, so that the tests need no further dependency.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self

import httpx
from websockets.sync.client import connect

from tests.support.waiting import wait_until

_START_WITHIN_S = 60.0
_ANSWER_WITHIN_S = 20.0
_LISTENING = re.compile(r"DevTools listening on ws://(\S+?)/")


def chromium_path() -> str | None:
    """Return where Chromium is installed, if it is."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next(filter(None, map(shutil.which, names)), None)


class Browser:
    """One page of a browser with a fresh profile; use it as a context manager."""

    def __init__(self) -> None:
        self.complaints: list[str] = []
        """Exceptions nobody caught, and breaches of the page's security policy."""
        self._n_calls = 0

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True)
        self._log = Path(self._folder.name) / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    str(chromium_path()),
                    "--headless=new",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--disable-dev-shm-usage",
                    "--remote-debugging-port=0",
                    f"--user-data-dir={self._folder.name}/profile",
                    "--window-size=1280,900",
                    "about:blank",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            address = wait_until(self._address, within_s=_START_WITHIN_S, every_s=0.1)
            pages = httpx.get(f"http://{address}/json/list").raise_for_status().json()
            page = next(one for one in pages if one["type"] == "page")
            self._socket = connect(page["webSocketDebuggerUrl"], max_size=None)
            for domain in ("Page", "Runtime", "Log"):
                self.call(f"{domain}.enable")
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._end()

    def open(self, url: str) -> None:
        """Go to a page."""
        self.call("Page.navigate", url=url)

    def evaluate(self, script: str) -> Any:
        """Return the value of an expression in the page."""
        told = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in told:
            raise AssertionError(f"{script}: {told['exceptionDetails']}")
        return told["result"].get("value")

    def wait_for(self, script: str, *, within_s: float = 20.0) -> Any:
        """Return the first truthy value of an expression in the page.

        Raises:
            TimeoutError: it stayed falsy; the message tells what the page said.
        """
        try:
            return wait_until(lambda: self.evaluate(script), within_s=within_s, every_s=0.1)
        except TimeoutError as error:
            shown = self.evaluate("document.body.innerText")
            raise TimeoutError(f"{script}: {error}; {self.complaints}; it shows {shown}") from None

    def call(self, method: str, **params: object) -> dict[str, Any]:
        """Return the answer to a call of the protocol."""
        self._n_calls += 1
        self._socket.send(json.dumps({"id": self._n_calls, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=_ANSWER_WITHIN_S))
            if message.get("id") == self._n_calls:
                if "error" in message:
                    raise AssertionError(f"{method}: {message['error']}")
                answer: dict[str, Any] = message["result"]
                return answer
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"]))
        elif message.get("method") == "Log.entryAdded" and params["entry"]["source"] == "security":
            self.complaints.append(params["entry"]["text"])

    def _address(self) -> str | None:
        found = _LISTENING.search(self._log.read_text(errors="replace"))
        return None if found is None else found.group(1)

    def _end(self) -> None:
        self._process.kill()
        self._process.wait(10)
        self._folder.cleanup()
