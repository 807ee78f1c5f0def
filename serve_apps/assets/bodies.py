"""Bodies about resources and aggregations. Power in kW, injection into the grid positive."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import msgspec
from pydantic import ConfigDict, Field, JsonValue, StrictBool, model_validator
from pydantic_core import PydanticCustomError

from controllers.assets.geometry import MAX_POSITIONS, Site
from controllers.park import AggregateDefinition, ResourceDefinition
from controllers.ports.assets import (
    AggregateChange,
    ConnectionLimits,
    NewResource,
    ResourceChange,
)
from serve_apps.templates.bodies import Name, Values, Version, Word
from serve_apps.web.bodies import MAX_ABS_KW, Body
from serve_apps.web.paths import BodyId

MAX_BULK = 500

Latitude = Annotated[float, Field(strict=True, ge=-90.0, le=90.0, allow_inf_nan=False)]
Longitude = Annotated[float, Field(strict=True, ge=-180.0, le=180.0, allow_inf_nan=False)]
Metres = Annotated[float, Field(strict=True, ge=0.0, le=1000.0, allow_inf_nan=False)]
Limit = Annotated[float, Field(strict=True, gt=0.0, le=MAX_ABS_KW, allow_inf_nan=False)]
Magnitude = Annotated[float, Field(strict=True, ge=0.0, le=MAX_ABS_KW, allow_inf_nan=False)]
Period = Annotated[float, Field(strict=True, ge=0.1, le=60.0, allow_inf_nan=False)]
ToleranceFrac = Annotated[float, Field(strict=True, gt=0.0, le=0.5, allow_inf_nan=False)]
ToleranceKw = Annotated[float, Field(strict=True, gt=0.0, le=1e6, allow_inf_nan=False)]
Position = tuple[Longitude, Latitude]
"""Longitude and latitude in degrees, as GeoJSON has them."""

_BATTERY: dict[str, JsonValue] = {
    "id": "bess9",
    "name": "Battery, gate",
    "template_id": "starter-battery",
    "parameters": {"capacity_kwh": 2000.0},
    "fallback": "zero",
    "latitude_deg": 30.9,
    "longitude_deg": 121.93,
    "site": {
        "geometry": {
            "type": "Polygon",
            "coordinates": [[[121.93, 30.9], [121.931, 30.9], [121.931, 30.901], [121.93, 30.9]]],
        },
        "height_m": 3.0,
    },
}


class PointBody(Body):
    """One place."""

    type: Literal["Point"]
    coordinates: Position


class LineStringBody(Body):
    """A way, such as a cable."""

    type: Literal["LineString"]
    coordinates: Annotated[list[Position], Field(min_length=2, max_length=MAX_POSITIONS)]


class PolygonBody(Body):
    """An area: the outer ring, then holes; each ring ends where it began."""

    type: Literal["Polygon"]
    coordinates: Annotated[
        list[Annotated[list[Position], Field(min_length=4, max_length=MAX_POSITIONS)]],
        Field(min_length=1, max_length=20),
    ]


class SiteBody(Body):
    """Place and shape for map and view in space; GeoJSON in WGS 84."""

    geometry: (
        Annotated[PointBody | LineStringBody | PolygonBody, Field(discriminator="type")] | None
    ) = None
    height_m: Metres | None = None
    """From base to top; goes with a geometry."""
    base_m: Metres | None = None
    """Height of the base above the ground."""

    def site(self) -> Site:
        """Return the value it stands for."""
        return msgspec.convert(self.model_dump(mode="json"), Site)


class _Resource(Body):
    name: Name
    parameters: Values = {}
    """What differs from the template's, or else the kind's, defaults."""
    consumption_positive: StrictBool = False
    """The device counts drawn power as positive; its link turns the sign round."""
    fallback: Literal["hold", "limit", "zero", "release"] = "release"
    """What the device does when its command expires."""
    fallback_limit_kw: Magnitude | None = None
    """With ``fallback`` limit, and only then."""
    latitude_deg: Latitude | None = None
    longitude_deg: Longitude | None = None
    site: SiteBody = SiteBody()

    def definition(self, id_: str, kind: str = "") -> ResourceDefinition:
        """Return the definition it stands for."""
        return ResourceDefinition(
            id=id_,
            name=self.name,
            kind=kind,
            parameters=dict(self.parameters),
            consumption_positive=self.consumption_positive,
            fallback=self.fallback,
            fallback_limit_kw=self.fallback_limit_kw,
            latitude_deg=self.latitude_deg,
            longitude_deg=self.longitude_deg,
        )


class ResourceBody(_Resource):
    """A new resource, of a template or plainly of a kind."""

    model_config = ConfigDict(json_schema_extra={"examples": [_BATTERY]})

    id: BodyId | None = None
    """Absent: one is made."""
    template_id: BodyId | None = None
    template_version: Version | None = None
    """Absent: the newest."""
    kind: Word | None = None
    """Where there is no template."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.template_id is None) == (self.kind is None):
            raise PydanticCustomError("one_origin", "give either template_id or kind")
        if self.kind is not None and self.template_version is not None:
            raise PydanticCustomError("no_version", "template_version goes with template_id")
        return self

    def new(self, id_: str) -> NewResource:
        """Return what is to be made."""
        return NewResource(
            definition=self.definition(id_, self.kind or ""),
            template_id=self.template_id,
            template_version=self.template_version,
            site=self.site.site(),
        )


class ResourcesBody(Body):
    """Resources to be made together, all or none."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [_BATTERY]}]})

    items: Annotated[list[ResourceBody], Field(min_length=1, max_length=MAX_BULK)]


class UpdateResourceBody(_Resource):
    """A resource as it shall be, whole; id, kind and template stay."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "Battery, gate", "parameters": {"capacity_kwh": 1800.0}}]
        }
    )

    template_version: Version | None = None
    """Absent: the version it is made of now."""

    def change(self, id_: str) -> ResourceChange:
        """Return the value it stands for."""
        return ResourceChange(
            definition=self.definition(id_),
            template_version=self.template_version,
            site=self.site.site(),
        )


class AggregationSettings(Body):
    """Name and control of an aggregation."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "Gate quarter", "period_s": 1.0}]}
    )

    name: Name
    period_s: Period = 1.0
    """Length of one turn of the dispatch loop."""
    tolerance_frac: ToleranceFrac = 0.02
    tolerance_kw: ToleranceKw = 5.0
    """Delivered means within the larger of both."""

    def change(self) -> AggregateChange:
        """Return the value it stands for."""
        return AggregateChange(
            name=self.name,
            period_s=self.period_s,
            tolerance_frac=self.tolerance_frac,
            tolerance_kw=self.tolerance_kw,
        )


class LimitsBody(Body):
    """Limits of the connection point; magnitudes, null is no limit."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"max_import_kw": 800.0, "max_export_kw": 500.0}]}
    )

    max_import_kw: Limit | None
    max_export_kw: Limit | None

    def limits(self) -> ConnectionLimits:
        """Return the value it stands for."""
        return ConnectionLimits(max_import_kw=self.max_import_kw, max_export_kw=self.max_export_kw)


class AggregationBody(AggregationSettings):
    """A new aggregation; it begins as a draft."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "vpp-gate",
                    "name": "Gate quarter",
                    "members": ["bess1", "ev1"],
                    "max_import_kw": 800.0,
                    "max_export_kw": 800.0,
                }
            ]
        }
    )

    id: BodyId | None = None
    """Absent: one is made."""
    members: Annotated[list[BodyId], Field(max_length=MAX_BULK)] = []
    """Resources and other aggregations."""
    max_import_kw: Limit | None = None
    max_export_kw: Limit | None = None

    def definition(self, id_: str) -> AggregateDefinition:
        """Return the value it stands for."""
        return AggregateDefinition(
            id=id_,
            members=list(self.members),
            max_import_kw=self.max_import_kw,
            max_export_kw=self.max_export_kw,
            **msgspec.structs.asdict(self.change()),
        )


class MemberBody(Body):
    """A member to add."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"resource_id": "bess1"}]})

    resource_id: BodyId
    """A resource, or another aggregation."""


class MembersBody(Body):
    """Members to add together, all or none."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"resource_ids": ["bess1", "pv1"]}]})

    resource_ids: Annotated[list[BodyId], Field(min_length=1, max_length=MAX_BULK)]
