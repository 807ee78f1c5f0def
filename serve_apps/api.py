"""Builds the operator's API from its ports: the same application in a test and on Ray Serve."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.types import Lifespan
from starlette.websockets import WebSocket

from serve_apps.accounts.current import CurrentAccounts
from serve_apps.accounts.passwords import PasswordGate
from serve_apps.approvals.carrying_out import keep_driving_on
from serve_apps.live.picture import LivePicture
from serve_apps.live.stream import LiveStream
from serve_apps.openapi import openapi_document
from serve_apps.routes import ROUTES
from serve_apps.system.dependencies import DependencyBoard
from serve_apps.system.metrics import Metrics
from serve_apps.web import problems
from serve_apps.web.access_tokens import Tokens
from serve_apps.web.deps import ApiDeps
from serve_apps.web.gate import Gate
from serve_apps.web.middleware import PREFIX, Envelope
from serve_apps.web.quota import Quotas
from serve_apps.web.refusals import Refusals

_PAGE = Path(__file__).parent / "page"


def build_api(deps: ApiDeps, *, lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
    """Return the whole application.

    Args:
        deps: ports, park, clock and settings.
        lifespan: runs around the serving, e.g. to close what was opened for ``deps``.
    """
    board = DependencyBoard(deps)
    metrics = Metrics(deps, board)

    tokens = Tokens(deps.settings, deps.clock, deps.ids)
    accounts = CurrentAccounts(
        deps.accounts, deps.keys, deps.clock, deps.settings.access_lifetime_s
    )
    refusals = Refusals(deps.store)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        async with lifespan(app) if lifespan is not None else nullcontext():
            await accounts.load()
            chores = [
                asyncio.create_task(chore)
                for chore in (
                    metrics.commands.follow(deps.live),
                    accounts.follow(),
                    refusals.keep_writing(),
                    keep_driving_on(deps),
                )
            ]
            try:
                yield
            finally:
                for chore in chores:
                    chore.cancel()
                await asyncio.gather(*chores, return_exceptions=True)
                await refusals.write()

    app = FastAPI(
        title="Parkgrid",
        version=version("parkgrid"),
        docs_url=None,
        redoc_url=None,
        lifespan=life,
    )
    gate = Gate(tokens, accounts, deps.park, deps.clock)
    picture = LivePicture(deps.live, deps.clock, refresh_s=deps.settings.live_refresh_s)
    app.state.deps = deps
    app.state.tokens = tokens
    app.state.accounts = accounts
    app.state.gate = gate
    app.state.refusals = refusals
    app.state.quotas = Quotas(deps.quotas, deps.clock)
    app.state.passwords = PasswordGate(deps.accounts, deps.lockouts, deps.clock, deps.settings)
    app.state.picture = picture
    app.state.dependencies = board
    app.state.metrics = metrics
    problems.install(app)
    app.openapi = openapi_document  # type: ignore[method-assign]
    app.add_middleware(Envelope, deps=deps, meter=metrics.requests)
    if deps.settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=deps.settings.cors_origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "If-Match"],
            expose_headers=["ETag", "Location", "Retry-After", "X-Request-ID"],
        )

    stream = LiveStream(deps, gate, picture, metrics.n_stream_clients)

    async def live_stream(websocket: WebSocket) -> None:
        await stream.serve(websocket)

    app.router.routes.extend(ROUTES)
    for path in ("/ws/live", f"{PREFIX}/ws/live"):
        app.add_api_websocket_route(path, live_stream)
    app.add_route("/", _page, include_in_schema=False)
    app.mount("/page", StaticFiles(directory=_PAGE))
    return app


async def _page(_: Request) -> FileResponse:
    return FileResponse(_PAGE / "index.html")
