"""Real database servers on free loopback ports: PostgreSQL, MariaDB and Redis, for one session.

They run as an unprivileged user in a folder of their own and answer to nobody else. What they
acknowledged survives their being killed; only the loss of the machine's power would cost something.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path

import psutil

from tests.support.broker import free_port

START_WITHIN_S = 60.0

_NAME = "parkgrid"
_PASSWORD = "loopback-only"  # noqa: S105 - of a server that lives as long as a test session
_UNPRIVILEGED = "nobody"


def program(name: str) -> str | None:
    """Return where a server program is installed, if it is."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", *map(str, versions)])
    return shutil.which(name, path=path)


class Server(ABC):
    """A server process that a test may kill, freeze and start again on the same port."""

    programs: tuple[str, ...]
    """What must be installed."""

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self._user = pwd.getpwnam(_UNPRIVILEGED) if os.geteuid() == 0 else None
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def missing(cls) -> str | None:
        """Return the first program that is not installed."""
        return next((name for name in cls.programs if program(name) is None), None)

    @property
    @abstractmethod
    def url(self) -> str:
        """How Parkgrid reaches it."""

    def prepare(self) -> None:  # noqa: B027 - not every server has anything to prepare
        """Make its data folder."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return what runs it in the foreground."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it can be worked with."""

    def start(self) -> None:
        """Start, and return when it can be worked with."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                **self._as_user(),
            )
        deadline = time.monotonic() + START_WITHIN_S
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._listens() and self.answers():
                return
            time.sleep(0.05)
        self.kill()
        said = (self.folder / "log").read_text(errors="replace")[-2000:]
        raise TimeoutError(f"{type(self).__name__} did not start: {said}")

    def kill(self) -> None:
        """End it and its helpers without warning."""
        killed = self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(timeout=10)
            self._process = None
        psutil.wait_procs(killed, timeout=10)

    def freeze(self) -> None:
        """Let it keep its connections and answer nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def remove(self) -> None:
        """End it for good, with its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *command: str) -> None:
        """Run a program of its kind to the end."""
        path = program(command[0]) or command[0]
        done = subprocess.run(
            [path, *command[1:]],
            capture_output=True,
            check=False,
            timeout=START_WITHIN_S,
            cwd=self.folder,
            **self._as_user(),
        )
        if done.returncode:
            said = (done.stdout + done.stderr).decode(errors="replace")[-2000:]
            raise RuntimeError(f"{command[0]} failed: {said}")

    def _as_user(self) -> dict[str, object]:
        folder = str(self.folder)
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": folder,
            "LC_ALL": "C",
            # MariaDB clears away what looks like its own in there, another server's too.
            "TMPDIR": folder,
        }
        if self._user is None:
            return {"env": environment}
        ids = {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
        return {"env": environment, **ids}

    def _signal(self, number: signal.Signals) -> list[psutil.Process]:
        if self._process is None or self._process.poll() is not None:
            return []
        # By descent: PostgreSQL's helpers are sessions of their own.
        main = psutil.Process(self._process.pid)
        processes = [main, *main.children(recursive=True)]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        return processes

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Postgresql(Server):
    """A PostgreSQL cluster; its superuser may make databases."""

    programs = ("postgres", "initdb")

    @property
    def url(self) -> str:
        """Of the database that is always there."""
        return self.database("postgres")

    def database(self, name: str) -> str:
        """Return the URL of one of its databases."""
        return f"postgresql://{_NAME}@127.0.0.1:{self.port}/{name}"

    def prepare(self) -> None:
        """Make the cluster; whoever reaches the port is trusted."""
        self.run("initdb", "-D", "data", "-U", _NAME, "-A", "trust", "-E", "UTF8", "--no-sync")

    def command(self) -> list[str]:
        """Return what runs it."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",
            "shared_buffers": "32MB",
            "max_connections": 60,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(program("postgres")), "-D", "data", *options]

    def answers(self) -> bool:
        """Whether it has recovered from its last end."""
        from pg8000 import dbapi  # noqa: PLC0415 - only who starts one pays

        try:
            dbapi.connect(
                user=_NAME, host="127.0.0.1", port=self.port, database="postgres", timeout=5
            ).close()
        except dbapi.Error:
            return False
        return True


class PostgresqlReplica(Postgresql):
    """A hot standby that follows a running PostgreSQL.

    Args:
        primary: whom it follows.
    """

    programs = (*Postgresql.programs, "pg_basebackup")

    def __init__(self, primary: Postgresql) -> None:
        super().__init__()
        self._primary = primary

    def prepare(self) -> None:
        """Copy the primary's cluster."""
        of = f"host=127.0.0.1 port={self._primary.port} user={_NAME}"
        self.run("pg_basebackup", "-D", "data", "-d", of, "-R", "-c", "fast", "--no-sync")


class Mariadb(Server):
    """A MariaDB server; its one account may do everything."""

    programs = ("mariadbd", "mariadb-install-db")

    @property
    def url(self) -> str:
        """Of the server's own database."""
        return self.database("mysql")

    def database(self, name: str) -> str:
        """Return the URL of one of its databases."""
        return f"mariadb://{_NAME}:{_PASSWORD}@127.0.0.1:{self.port}/{name}"

    def prepare(self) -> None:
        """Make the system tables and the account."""
        self.run(
            "mariadb-install-db",
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        )
        account = f"'{_NAME}'@'%'"
        (self.folder / "init.sql").write_text(
            f"CREATE USER IF NOT EXISTS {account} IDENTIFIED BY '{_PASSWORD}';\n"
            f"GRANT ALL ON *.* TO {account} WITH GRANT OPTION;\n"
        )

    def command(self) -> list[str]:
        """Return what runs it."""
        options = {
            "datadir": self.folder / "data",
            "init-file": self.folder / "init.sql",
            "socket": self.folder / "socket",
            "pid-file": self.folder / "pid",
            "port": self.port,
            "bind-address": "127.0.0.1",
            "innodb-buffer-pool-size": "64M",
            "innodb-flush-log-at-trx-commit": 2,
        }
        return [
            str(program("mariadbd")),
            "--no-defaults",
            "--skip-name-resolve",
            *(f"--{name}={value}" for name, value in options.items()),
        ]

    def answers(self) -> bool:
        """Whether it has recovered from its last end, and the account is there."""
        import pymysql  # noqa: PLC0415 - only who starts one pays

        try:
            pymysql.connect(
                user=_NAME, password=_PASSWORD, host="127.0.0.1", port=self.port, connect_timeout=5
            ).close()
        except pymysql.Error:
            return False
        return True


class Redis(Server):
    """A Redis server that writes every command to its log before it answers."""

    programs = ("redis-server",)

    @property
    def url(self) -> str:
        """With its password."""
        return f"redis://:{_PASSWORD}@127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        """Return what runs it."""
        options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "dir": self.folder,
            "requirepass": _PASSWORD,
            "appendonly": "yes",
            "appendfsync": "no",
            "save": "",
        }
        pairs = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        return [str(program("redis-server")), *pairs]

    def answers(self) -> bool:
        """Whether it has read its log."""
        import redis  # noqa: PLC0415 - only who starts one pays

        with redis.Redis.from_url(self.url, socket_timeout=5) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False
