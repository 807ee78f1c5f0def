"""The parts of a park that live on Ray: cluster, Supervisor with its actors, API.

Import it only once ``ray_environment`` is in force, because Ray reads its environment when it is
first imported.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from actors import runtime
from actors.supervisor import Supervisor
from cluster.settings import Settings
from cluster.wiring import Wiring
from controllers.kernel.errors import ConfigError, ParkgridError
from controllers.supervision import SUPERVISOR

_log = logging.getLogger(__name__)

_STOP_LIMIT_S = 15.0
_CALL_SLACK_S = 5.0


@contextmanager
def cluster(settings: Settings, temp_dir: str) -> Iterator[None]:
    """Join the Ray cluster of the settings, or start one on this machine and end it again.

    Args:
        settings: name the cluster.
        temp_dir: where a new one keeps logs and sockets.

    Raises:
        ActorUnavailableError: there is no cluster at the address.
        ConfigError: none can be started here.
    """
    if settings.ray_address is not None:
        runtime.connect(settings.ray_address)
    else:
        with _explained("Ray"):
            runtime.start(temp_dir=temp_dir)
    try:
        yield
    finally:
        runtime.disconnect()
        _log.info("Ray has stopped")


@contextmanager
def supervised(wiring: Wiring) -> Iterator[None]:
    """Start the Supervisor; at the end it stops every actor in order."""
    handle = runtime.spawn(Supervisor, SUPERVISOR, wiring.outside())
    try:
        yield
    finally:
        # What does not stop in order ends with the cluster; its state is on disk.
        with suppress(ParkgridError):
            stopping = runtime.call(handle, "stop", deadline_s=_STOP_LIMIT_S, actor_id=SUPERVISOR)
            asyncio.run(stopping)
        runtime.kill(SUPERVISOR)
        _log.info("the actors have stopped")


def wait_for_actors(limit_s: float) -> bool:
    """Wait until the Supervisor has started every actor; tell whether it came to that."""
    waiting = runtime.call(
        runtime.find(SUPERVISOR),
        "converged",
        limit_s,
        deadline_s=limit_s + _CALL_SLACK_S,
        actor_id=SUPERVISOR,
    )
    return bool(asyncio.run(waiting))


@contextmanager
def serving(settings: Settings, wiring: Wiring) -> Iterator[None]:
    """Start the API and stop it again.

    Raises:
        ConfigError: it does not start.
    """
    # As long to import as Ray itself; meanwhile the Supervisor is already at work.
    from serve_apps.app import run_serve, stop_serve  # noqa: PLC0415

    with _explained("the API"):
        run_serve(wiring.api(), host=settings.http_host, port=settings.http_port)
    try:
        yield
    finally:
        stop_serve()
        _log.info("the API has stopped")


@contextmanager
def _explained(part: str) -> Iterator[None]:
    """Turn whatever Ray may raise at start-up into a line; the rest goes to the log."""
    try:
        yield
    except ParkgridError:
        raise
    except Exception as error:
        _log.exception("%s did not start", part)
        reason = str(error).strip().splitlines() or [type(error).__name__]
        problem = f"{part} did not start: {reason[-1]}; logs/parkgrid.log tells more"
        raise ConfigError("start", [problem]) from error
