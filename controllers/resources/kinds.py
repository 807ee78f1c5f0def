"""The registry of kinds: which twin class serves which kind of resource."""

from __future__ import annotations

from controllers.resources.twin import Twin

TWINS: dict[str, type[Twin]] = {}
