"""The one place where actors meet Ray: cluster start-up, spawning, finding, calling, ending.

Actor classes are plain; ``spawn`` makes them Ray actors: named, detached (they outlive whoever
started them), restarted for ever, and taking no CPU share, since they wait more than they compute.
A call lost with a dying process is made again on its successor, so every actor method is
idempotent. Ray's token authentication stays as Ray sets it up: on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, cast

import ray
import ray.exceptions
import ray.util

from actors.logs import log_to_stderr
from actors.precedence import Precedence, take
from controllers.kernel.errors import ActorUnavailableError, NotFoundError, ParkgridError

NAMESPACE = "parkgrid"
CALL_DEADLINE_S = 5.0

_OBJECT_STORE_BYTES = 100_000_000
"""Samples travel by MQTT; what goes through Ray's memory is small."""

ActorHandle = Any
"""Ray's handle of a live actor; opaque outside this module."""
Reference = Any
"""Ray's reference to a value; likewise."""


def start(
    *,
    n_cpus: int | None = None,
    temp_dir: str | None = None,
    shared_bytes: int = _OBJECT_STORE_BYTES,
) -> str:
    """Start a Ray cluster on this machine, ended with this process; return its address.

    Args:
        n_cpus: CPUs offered to tasks; None takes the machine's.
        temp_dir: where Ray keeps logs and sockets; keep it short, socket paths are limited.
        shared_bytes: how much the processes may share in memory.
    """
    context = ray.init(
        num_cpus=n_cpus,
        namespace=NAMESPACE,
        include_dashboard=False,
        object_store_memory=shared_bytes,
        log_to_driver=False,
        _temp_dir=temp_dir,
    )
    return str(context.address_info["gcs_address"])


def connect(address: str = "auto") -> None:
    """Join a running cluster; a no-op inside a process that has joined.

    Raises:
        ActorUnavailableError: there is no cluster at the address.
    """
    if ray.is_initialized():
        return
    try:
        ray.init(address=address, namespace=NAMESPACE, log_to_driver=False)
    except ConnectionError as error:
        raise ActorUnavailableError(f"cluster {address}") from error


def disconnect() -> None:
    """Leave the cluster; ends it when this process started it."""
    ray.shutdown()


def spawn(class_: type, name: str, *args: object, **kwargs: object) -> ActorHandle:
    """Return the live actor of that name, started from a plain class when there is none.

    Args:
        class_: an undecorated class with async methods.
        name: unique in the cluster.
        args: picklable constructor arguments; kept by Ray for restarts.
        kwargs: likewise.
    """
    return (
        ray.remote(logging_class(class_, name))
        .options(
            name=name,
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            max_restarts=-1,
            max_task_retries=-1,
            num_cpus=0,
        )
        .remote(*args, **kwargs)
    )


def logging_class(class_: type, name: str) -> type:
    """Return an actor class that begins to log and takes its place in its own process."""

    def begin(self: Any, *args: object, **kwargs: object) -> None:
        log_to_stderr(name)
        take(getattr(class_, "PRECEDENCE", Precedence.SERVICE))
        class_.__init__(self, *args, **kwargs)  # type: ignore[misc]

    # A class of its own, because Ray builds the actor where nothing of ours has run before.
    members = {"__init__": begin, "__doc__": class_.__doc__, "__module__": class_.__module__}
    return type(class_.__name__, (class_,), members)


def find(name: str) -> ActorHandle:
    """Return the live actor of that name.

    Raises:
        NotFoundError: nobody has that name.
    """
    try:
        return ray.get_actor(name, namespace=NAMESPACE)
    except ValueError as error:
        raise NotFoundError("actor", name) from error


def list_names() -> list[str]:
    """Return the names of all live actors, sorted."""
    rows = cast("list[dict[str, str]]", ray.util.list_named_actors(all_namespaces=True))
    return sorted(row["name"] for row in rows if row["namespace"] == NAMESPACE)


def n_cpus() -> int:
    """Return the number of CPUs in the cluster, at least one."""
    return max(1, int(ray.cluster_resources().get("CPU", 1)))


def kill(name: str) -> None:
    """End an actor for good, without restart; a no-op when nobody has the name."""
    try:
        ray.kill(find(name), no_restart=True)
    except NotFoundError:
        return


def put(value: object) -> Reference:
    """Hand a value to the cluster once; given to a call, its reference becomes the value again."""
    return ray.put(value)


def begin(handle: ActorHandle, method: str, *args: object) -> Reference:
    """Begin a call without waiting for its answer."""
    return getattr(handle, method).remote(*args)


def first_done(calls: Sequence[Reference]) -> list[Reference]:
    """Wait until some of the calls begun have ended; return those."""
    done, _ = ray.wait(list(calls), num_returns=1)
    return list(done)


def answer(begun: Reference) -> Any:
    """Wait for a call begun, and return its answer.

    Raises:
        ActorUnavailableError: the actor is gone for good.
    """
    try:
        return ray.get(begun)
    except ray.exceptions.RayTaskError:
        raise
    except ray.exceptions.RayError as error:
        raise ActorUnavailableError("worker") from error


async def call(
    handle: ActorHandle,
    method: str,
    *args: object,
    deadline_s: float = CALL_DEADLINE_S,
    actor_id: str = "",
) -> Any:
    """Call an actor's method and return its answer.

    Args:
        handle: from ``spawn`` or ``find``.
        method: name of the method.
        args: picklable arguments.
        deadline_s: how long to wait for the answer; the call itself may still take effect later.
        actor_id: whom the error names.

    Raises:
        ActorUnavailableError: no answer in time, or the actor is gone for good.
        ParkgridError: what the method itself raised on purpose, as raised.
    """
    who = actor_id or f"actor ({method})"
    try:
        answer = cast("Awaitable[object]", getattr(handle, method).remote(*args))
        return await asyncio.wait_for(answer, deadline_s)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, ParkgridError):
            raise error.cause from None
        raise
    except (ray.exceptions.RayError, TimeoutError) as error:
        raise ActorUnavailableError(who) from error
