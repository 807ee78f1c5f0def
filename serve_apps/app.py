"""Runs the API on Ray Serve: one deployment around one ASGI application, behind HAProxy.

The class is undecorated; Ray's decorators are applied where it is started.
"""

from __future__ import annotations

import gc
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

from fastapi import FastAPI
from ray import serve
from ray.serve.schema import LoggingConfig
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_apps.ingress import PEER_HEADER_VARIABLE
from serve_apps.web.deps import ApiDeps

APP_NAME = "parkgrid"
_MAX_ONGOING_REQUESTS = 1000

OpenDeps = Callable[[], tuple[ApiDeps, AbstractAsyncContextManager[object]]]
"""Builds what one replica needs, and the context in which it lives; picklable."""


class ApiReplica:
    """One replica: its own live view, its own connections, one application."""

    def __init__(self, open_deps: OpenDeps) -> None:
        deps, self._life = open_deps()
        settings = replace(
            deps.settings,
            ingress_sends_request_id=True,
            ingress_peer_header=os.environ.get(PEER_HEADER_VARIABLE),
        )
        self._deps = replace(deps, settings=settings)

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """Return the application; Ray Serve's hook, called once per replica."""
        # Only replicas pay for the import, not whoever starts them.
        from serve_apps.api import build_api  # noqa: PLC0415

        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            async with self._life:
                # What stands now stays; a collection that looks through it holds every request up.
                gc.collect()
                gc.freeze()
                yield

        api = build_api(self._deps, lifespan=lifespan)

        # Handed the application itself, Serve would search its routes once more for every request,
        # to label metrics that nobody reads; that is a sixth of a read.
        async def without_routes(scope: Scope, receive: Receive, send: Send) -> None:
            await api(scope, receive, send)

        return without_routes


def run_serve(open_deps: OpenDeps, *, host: str, port: int, n_replicas: int = 1) -> None:
    """Start the API on a running Ray; returns once it answers.

    Args:
        open_deps: builds the parts of one replica, in its process.
        host: address to listen on.
        port: free port to listen on.
        n_replicas: processes that share the load.
    """
    serve.start(http_options={"host": host, "port": port})
    deployment = serve.deployment(serve.ingress()(ApiReplica)).options(
        name="api",
        num_replicas=n_replicas,
        max_ongoing_requests=_MAX_ONGOING_REQUESTS,
        ray_actor_options={"num_cpus": 0},
        graceful_shutdown_timeout_s=5.0,
        # A line per read costs as much as the read; acts are in the audit log.
        logging_config=LoggingConfig(enable_access_log=False),
    )
    serve.run(deployment.bind(open_deps), name=APP_NAME, route_prefix="/")


def stop_serve() -> None:
    """Stop the API; requests under way get five seconds."""
    serve.shutdown()
