"""Counts and times requests by route; the one part of the metrics that every request pays for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Histogram

_BUCKETS_S = (0.005, 0.02, 0.1, 0.5, 2.0)
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})


class RequestMeter:
    """Times requests into one histogram.

    Args:
        registry: where the histogram is found.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._histogram = Histogram(
            "parkgrid_http_request_seconds",
            "Time from request to answer, by route.",
            ("method", "route", "status"),
            buckets=_BUCKETS_S,
            registry=registry,
        )
        # The library's own look-up takes a lock and builds a tuple of texts.
        self._children: dict[tuple[str, str, int], Histogram] = {}

    def observe(self, scope: Mapping[str, Any], status: int, elapsed_s: float) -> None:
        """Count an answered request.

        Args:
            scope: ASGI scope, after routing.
            status: of the answer.
            elapsed_s: since the request arrived.
        """
        # What no route took goes under one name, or a scanner would fill the memory.
        route = getattr(scope.get("route"), "path", None) or "(none)"
        key = (scope["method"], route, status)
        child = self._children.get(key)
        if child is None:
            method = key[0] if key[0] in _METHODS else "other"
            child = self._histogram.labels(method, route, str(status))
            if method == key[0]:
                self._children[key] = child
        child.observe(elapsed_s)
