"""Where notices arrive in tests: a web server and a mail server on loopback, scripted and real."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from aiosmtpd.smtp import AuthResult, Envelope, Session

from tests.support.broker import free_port


@dataclass
class Received:
    """One request."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Hook:
    """A web server that remembers what it got and answers as told; the last status repeats."""

    statuses: list[int] = field(default_factory=lambda: [204])
    headers: str = ""
    silent: bool = False
    """Take connections and never answer."""
    received: list[Received] = field(default_factory=list)
    n_connections: int = 0
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request and close."""
        self.n_connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            line, *rest = head.strip().split("\r\n")
            headers = {k.lower(): v for k, v in (row.split(": ", 1) for row in rest)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.received.append(Received(line, headers, body))
            if self.silent:
                await reader.read()
            status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
            answer = f"HTTP/1.1 {status} X\r\n{self.headers}content-length: 0\r\n\r\n"
            writer.write(answer.encode())
            await writer.drain()
        writer.close()


@asynccontextmanager
async def open_hook(tls: ssl.SSLContext | None = None, **script: object) -> AsyncIterator[Hook]:
    """Yield a running web server."""
    hook = Hook(**script)  # type: ignore[arg-type]
    server = await asyncio.start_server(hook.serve, "127.0.0.1", 0, ssl=tls)
    hook.port = server.sockets[0].getsockname()[1]
    try:
        yield hook
    finally:
        server.close()


class Mailbox(Message):
    """Remembers mails, and what log-ins were tried."""

    def __init__(self) -> None:
        super().__init__()
        self.mails: list[object] = []
        self.log_ins: list[tuple[bytes, bytes]] = []
        self.accepts = True
        self.busy = 0
        """How many mails to turn away for the time being."""

    def handle_message(self, message: object) -> None:
        """Keep a mail."""
        self.mails.append(message)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's hook
        self, server: object, session: Session, envelope: Envelope, address: str, options: object
    ) -> str:
        """Take a recipient, unless busy."""
        if self.busy:
            self.busy -= 1
            return "451 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    def authenticate(
        self, server: object, session: object, envelope: object, mechanism: str, data: object
    ) -> AuthResult:
        """Remember a log-in and accept it if told to."""
        self.log_ins.append((data.login, data.password))  # type: ignore[attr-defined]
        return AuthResult(success=self.accepts, handled=False)


@contextmanager
def open_mailbox(tls: ssl.SSLContext | None = None) -> Iterator[tuple[Mailbox, int]]:
    """Yield a running mail server and its port; with TLS it demands STARTTLS and a log-in."""
    mailbox, port = Mailbox(), free_port()
    extra: dict[str, object] = {}
    if tls is not None:
        extra = {
            "tls_context": tls,
            "require_starttls": True,
            "auth_required": True,
            "authenticator": mailbox.authenticate,
        }
    controller = Controller(mailbox, hostname="127.0.0.1", port=port, **extra)
    controller.start()
    try:
        yield mailbox, port
    finally:
        controller.stop()


def make_certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Return a self-signed certificate for localhost and a server's context with it."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    request = ["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-days", "1"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(key), "-out", str(cert)]
    subprocess.run([*request, *names, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return cert, context
