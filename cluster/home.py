"""The data directory: what lies where, the secrets in it, and the lock of whoever runs on it.

Everything in it is for its owner only. Secrets are drawn at first use and kept.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from cluster.broker_access import write_private
from cluster.secret_box import new_seal_key
from controllers.kernel.errors import ConfigError
from controllers.kernel.wire import Wire, decode, encode

_SECRET_BYTES = 48


class RunningPark(Wire):
    """Where a running park can be found; written once it answers."""

    pid: int
    url: str
    broker_host: str
    broker_port: int


class Home:
    """One data directory.

    Raises:
        ConfigError: it cannot be made or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.path.chmod(0o700)
            for folder in (self.actors, self.logs, self.secrets):
                folder.mkdir(exist_ok=True)
        except OSError as error:
            problem = f"{self.path}: {error.strerror}; name another with --home"
            raise ConfigError("home", [problem]) from error

    @property
    def actors(self) -> Path:
        """One file of durable state per actor."""
        return self.path / "actors"

    @property
    def optimizers(self) -> Path:
        """Python environments that deployed optimizers may name, and folders of those that run."""
        return self.path / "optimizers"

    @property
    def history(self) -> Path:
        """Samples and minutes; what can be lost without control noticing."""
        return self.path / "history"

    @property
    def logs(self) -> Path:
        """What the processes have to say."""
        return self.path / "logs"

    @property
    def secrets(self) -> Path:
        """Keys that were drawn here."""
        return self.path / "secrets"

    @property
    def ray(self) -> Path:
        """Ray's sessions with their logs."""
        return self.path / "ray"

    @property
    def database_url(self) -> str:
        """The embedded database."""
        return f"sqlite:///{self.path / 'parkgrid.sqlite'}"

    @property
    def jwt_secret_file(self) -> Path:
        """The key of the tokens' signatures; drawn if there is none."""
        path = self.secrets / "jwt"
        if not path.exists():
            write_private(path, secrets.token_urlsafe(_SECRET_BYTES) + "\n")
        return path

    @property
    def seal_keys_file(self) -> Path:
        """The keys that seal stored secrets; drawn if there are none."""
        path = self.secrets / "seal"
        if not path.exists():
            write_private(path, new_seal_key() + "\n")
        return path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other park off this directory; the lock ends with the process.

        Raises:
            ConfigError: another process holds it.
        """
        with (self.path / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.seek(0)
                holder = lock.read().strip() or "unknown"
                problem = (
                    f"{self.path}: in use by process {holder}; stop it, or name another with --home"
                )
                raise ConfigError("home", [problem]) from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield

    @contextmanager
    def announced(self, running: RunningPark) -> Iterator[None]:
        """Let other commands find the running park."""
        write_private(self._running_file, msgspec.json.format(encode(running)).decode())
        try:
            yield
        finally:
            self._running_file.unlink(missing_ok=True)

    def running(self) -> RunningPark | None:
        """Return where the park of this directory runs, if it does."""
        try:
            with self.locked():
                # Nobody holds it, so what the file says is of a park that ended without tidying up.
                return None
        except ConfigError:
            with suppress(FileNotFoundError):
                return decode(self._running_file.read_bytes(), RunningPark)
            return None

    @property
    def _running_file(self) -> Path:
        return self.path / "running.json"
