"""Where an asset lies and what it looks like from above: a subset of GeoJSON, with a height.

Points, lines and polygons of RFC 7946 in WGS 84, longitude first, without altitudes in the
positions: height and base are metres above the ground, stated apart, for a view in space.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from controllers.kernel.errors import Problem
from controllers.kernel.wire import Wire

MAX_POSITIONS = 1000

Longitude = Annotated[float, msgspec.Meta(ge=-180.0, le=180.0)]
Latitude = Annotated[float, msgspec.Meta(ge=-90.0, le=90.0)]
Position = tuple[Longitude, Latitude]
"""Longitude and latitude in degrees."""
Height = Annotated[float, msgspec.Meta(ge=0.0, le=1000.0)]


class Point(Wire, tag_field="type", tag="Point"):
    """One place."""

    coordinates: Position


class LineString(Wire, tag_field="type", tag="LineString"):
    """A way, such as a cable."""

    coordinates: Annotated[list[Position], msgspec.Meta(min_length=2, max_length=MAX_POSITIONS)]


class Polygon(Wire, tag_field="type", tag="Polygon"):
    """An area: the outer ring, then holes; each ring ends where it began."""

    coordinates: Annotated[
        list[Annotated[list[Position], msgspec.Meta(min_length=4, max_length=MAX_POSITIONS)]],
        msgspec.Meta(min_length=1, max_length=20),
    ]


Geometry = Point | LineString | Polygon


class Site(Wire):
    """Place and shape of an asset; display only, no decision depends on it."""

    geometry: Geometry | None = None
    height_m: Height | None = None
    """From base to top."""
    base_m: Height | None = None
    """Height of the base above the ground, such as a roof's."""


def check_site(site: Site, *, path: str = "site") -> list[Problem]:
    """Return every broken rule of a site that its types cannot tell."""
    problems = []
    shape = site.geometry
    if isinstance(shape, Polygon):
        rings = shape.coordinates
        for i, ring in enumerate(rings):
            if ring[0] != ring[-1]:
                field = f"{path}.geometry.coordinates[{i}]"
                rule = "must end at the position where it begins"
                problems.append(Problem(field=field, value=list(ring[-1]), rule=rule))
        n_positions = sum(map(len, rings))
        if n_positions > MAX_POSITIONS:
            rule = f"must have at most {MAX_POSITIONS} positions in all"
            problems.append(
                Problem(field=f"{path}.geometry.coordinates", value=n_positions, rule=rule)
            )
    if site.height_m is not None and shape is None:
        rule = "goes with a geometry"
        problems.append(Problem(field=f"{path}.height_m", value=site.height_m, rule=rule))
    return problems


def position_of(
    shape: Geometry | None, latitude_deg: float | None, longitude_deg: float | None
) -> Sequence[float] | None:
    """Return the longitude and latitude to put a name at, if anything is known."""
    if longitude_deg is not None and latitude_deg is not None:
        return [longitude_deg, latitude_deg]
    match shape:
        case Point(coordinates=position):
            return list(position)
        case LineString(coordinates=positions):
            return list(positions[len(positions) // 2])
        case Polygon(coordinates=rings):
            corners = rings[0][:-1]
            return [sum(axis) / len(corners) for axis in zip(*corners, strict=True)]
        case None:
            return None
