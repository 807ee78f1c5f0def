"""The wanted park: resources, aggregates and their members."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Double,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
)

from cluster.storage.tables.base import ID, METADATA, PRINCIPAL, UtcInstant

PARKS = Table(
    "parks",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("name", String(120), nullable=False),
    Column("timezone", String(64), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("tariff", JSON, nullable=False),
    Column("valid_from", UtcInstant),
    # Rises with every change of any park.
    Column("version", Integer, nullable=False),
    # Of the park file it came from; None before the first.
    Column("file_digest", String(64)),
    # Changes over the API since then.
    Column("n_edits", Integer, nullable=False),
    # True for the one park this installation runs.
    Column("is_wanted", Boolean, nullable=False),
    Column("changed_at", UtcInstant, nullable=False),
)

RESOURCES = Table(
    "vpp_resources",
    METADATA,
    Column("park_id", ID, primary_key=True),
    Column("id", ID, primary_key=True),
    # Order in the park file, here and below.
    Column("position", Integer, nullable=False),
    Column("name", String(120), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("parameters", JSON, nullable=False),
    Column("consumption_positive", Boolean, nullable=False),
    Column("fallback", String(16), nullable=False),
    Column("fallback_limit_kw", Double),
    Column("latitude_deg", Double),
    Column("longitude_deg", Double),
    # For the map and the view in space: GeoJSON, and metres above the ground.
    Column("geometry", JSON(none_as_null=True)),
    Column("height_m", Double),
    Column("base_m", Double),
    Column("template_id", ID),
    Column("template_version", Integer),
    Column("status", String(16), nullable=False),
    # Rises with every change of this row and its members.
    Column("version", Integer, nullable=False),
    # Version of the park in which it changed last.
    Column("changed_in", Integer, nullable=False),
    Column("created_at", UtcInstant, nullable=False),
    Column("changed_at", UtcInstant, nullable=False),
    Column("retired_at", UtcInstant),
    Index(None, "park_id", "changed_in"),
    ForeignKeyConstraint(["park_id"], ["parks.id"]),
)

AGGREGATIONS = Table(
    "vpp_aggregations",
    METADATA,
    Column("park_id", ID, primary_key=True),
    Column("id", ID, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("name", String(120), nullable=False),
    Column("period_s", Double, nullable=False),
    Column("max_import_kw", Double),
    Column("max_export_kw", Double),
    Column("tolerance_frac", Double, nullable=False),
    Column("tolerance_kw", Double, nullable=False),
    Column("status", String(16), nullable=False),
    # Rises with every change of this row and its members.
    Column("version", Integer, nullable=False),
    # Version of the park in which it changed last.
    Column("changed_in", Integer, nullable=False),
    Column("created_at", UtcInstant, nullable=False),
    Column("changed_at", UtcInstant, nullable=False),
    Column("retired_at", UtcInstant),
    Index(None, "park_id", "changed_in"),
    ForeignKeyConstraint(["park_id"], ["parks.id"]),
)

AGGREGATION_RESOURCES = Table(
    "vpp_aggregation_resources",
    METADATA,
    Column("park_id", ID, primary_key=True),
    Column("aggregation_id", ID, primary_key=True),
    Column("position", Integer, primary_key=True),
    # A resource or a nested aggregation.
    Column("member_id", ID, nullable=False),
    Index(None, "park_id", "member_id"),
    ForeignKeyConstraint(
        ["park_id", "aggregation_id"], ["vpp_aggregations.park_id", "vpp_aggregations.id"]
    ),
)

WANTED_KILLS = Table(
    "wanted_kills",
    METADATA,
    Column("resource_id", ID, primary_key=True),
    Column("principal", PRINCIPAL, nullable=False),
    Column("wanted_at", UtcInstant, nullable=False),
)
