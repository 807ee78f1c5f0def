"""The metrics of this replica in Prometheus' text form, for callers who may read them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import cast

from fastapi import APIRouter, Request
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.responses import Response

from controllers.kernel.errors import TemporaryError
from serve_apps.system.commands import CommandMeter
from serve_apps.system.dependencies import DependencyBoard
from serve_apps.system.gauges import PlantGauges
from serve_apps.web.answers import answers
from serve_apps.web.deps import ApiDeps
from serve_apps.web.guard import GuardedRoute
from serve_apps.web.meter import RequestMeter
from serve_apps.web.permissions import Operation

router = APIRouter(tags=["system"], route_class=GuardedRoute)


class Metrics:
    """All metrics of one replica, in a registry of their own.

    Args:
        deps: what the API is built from.
        board: knows the dependencies.
    """

    def __init__(self, deps: ApiDeps, board: DependencyBoard) -> None:
        self._deps = deps
        self._board = board
        self._registry = CollectorRegistry()
        self.requests = RequestMeter(self._registry)
        self.commands = CommandMeter(self._registry)
        self.n_stream_clients = {"": 0}
        self._gauges = PlantGauges(deps, self.n_stream_clients)
        self._registry.register(self._gauges)

    async def text(self) -> bytes:
        """Return everything as Prometheus reads it."""
        self._gauges.checks = await self._board.checks()
        with suppress(TemporaryError):
            self._gauges.healths = await self._deps.actors.healths()
        # Ten thousand resources are some tenths of a second.
        return await asyncio.to_thread(generate_latest, self._registry)


@router.get("/metrics", **answers(None, Operation.METRICS_READ, text="text/plain"))
async def get_metrics(request: Request) -> Response:
    """Return the metrics of this replica in Prometheus' text form."""
    metrics = cast(Metrics, request.app.state.metrics)
    return Response(await metrics.text(), media_type=CONTENT_TYPE_PLAIN_0_0_4)
