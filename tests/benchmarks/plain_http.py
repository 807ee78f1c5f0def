"""A minimal keep-alive HTTP client for load: one write and one search per exchange."""

from __future__ import annotations

import asyncio
import json
from typing import Any, NamedTuple, Self


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    def json(self) -> Any:
        """Return the decoded body."""
        return json.loads(self.body)


class PlainHttp:
    """One connection to a server on loopback that answers with a content length.

    Use as an async context manager.
    """

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._common = (
            f"Host: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\n"
        )

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", self._port, limit=2**22
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    def request(self, method: str, path: str, body: object = None, **headers: str) -> bytes:
        """Return a request, ready to be sent as often as wanted."""
        payload = b"" if body is None else json.dumps(body).encode()
        extra = "".join(f"{name.replace('_', '-')}: {text}\r\n" for name, text in headers.items())
        head = f"{method} {path} HTTP/1.1\r\n{self._common}{extra}"
        return f"{head}Content-Length: {len(payload)}\r\n\r\n".encode() + payload

    async def exchange(self, request: bytes) -> Answer:
        """Send a request and return the answer."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines if line)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        body = await self._reader.readexactly(int(headers["content-length"]))
        return Answer(int(status.split(" ", 2)[1]), headers, body)
