"""All HTTP routes, in the order they are tried: where the reads come from first."""

from __future__ import annotations

from starlette.routing import BaseRoute

from serve_apps import (
    routes_dispatch,
    routes_hands,
    routes_park,
    routes_session,
    routes_system,
)

ROUTES: list[BaseRoute] = [
    *routes_park.router.routes,
    *routes_dispatch.router.routes,
    *routes_hands.router.routes,
    *routes_session.router.routes,
    *routes_system.router.routes,
    *routes_system.probes.routes,
]
"""Complete routes in one flat list: a nested router costs more to search than a read to answer."""
