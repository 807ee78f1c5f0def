"""The session of the command line: one file for its owner only, renewed under a lock.

A refresh token works once, so two commands at the same time must not both use it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.broker_access import write_private
from controllers.kernel.errors import ConfigError, DomainError
from controllers.kernel.wire import Wire, decode, encode
from serve_apps.accounts.views import SessionView
from serve_apps.client.client import Client

_FILE = "session.json"


class StoredSession(Wire):
    """Where one is logged in and as whom."""

    url: str
    username: str
    access_token: str
    refresh_token: str


def session_file() -> Path:
    """Return where the session of this user of the machine is kept."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "parkgrid" / _FILE


def log_in(path: Path, url: str, username: str, password: str) -> None:
    """Log in and keep the session.

    Raises:
        RefusedByServerError: wrong name or password.
        ServerUnavailableError: the server does not answer.
    """
    with _locked(path), Client(url) as client:
        _keep(path, url, client.authenticate(username, password))


def log_out(path: Path) -> None:
    """End the session here and there; does nothing without one."""
    if path.exists():
        try:
            with opened(path) as client:
                client.log_out()
        finally:
            path.unlink(missing_ok=True)


@contextmanager
def opened(path: Path) -> Iterator[Client]:
    """Yield a client of the kept session; a renewed one is kept in its place.

    Raises:
        ConfigError: there is none, or its file cannot be read.
    """
    with _locked(path):
        try:
            stored = decode(path.read_bytes(), StoredSession)
        except FileNotFoundError:
            raise ConfigError("session", ["not logged in; use `parkgrid login`"]) from None
        except DomainError as error:
            raise ConfigError("session", [f"{path}: {error}; log in again"]) from error
        with Client(
            stored.url,
            access_token=stored.access_token,
            refresh_token=stored.refresh_token,
            on_session=lambda session: _keep(path, stored.url, session),
        ) as client:
            yield client


def _keep(path: Path, url: str, session: SessionView) -> None:
    stored = StoredSession(
        url=url,
        username=session.username,
        access_token=session.access_token,
        refresh_token=session.refresh_token,
    )
    write_private(path, encode(stored).decode())


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
