"""What is known of aggregations beside their definition: conflicts and last figures."""

from __future__ import annotations

from sqlalchemy import Column, Double, Index, Integer, String, Table

from cluster.storage.tables.base import ID, LONG_TEXT, METADATA, PRINCIPAL, UtcInstant

AGGREGATION_CONFLICTS = Table(
    "vpp_aggregation_conflicts",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("park_id", ID, nullable=False),
    Column("aggregation_id", ID, nullable=False),
    Column("rule_name", String(32), nullable=False),
    Column("severity", String(16), nullable=False),
    # What it is about: a member, another aggregation, a dispatch.
    Column("subject", PRINCIPAL, nullable=False),
    Column("explanation", LONG_TEXT, nullable=False),
    Column("resolution", LONG_TEXT, nullable=False),
    Column("state", String(16), nullable=False),
    Column("found_at", UtcInstant, nullable=False),
    Column("seen_at", UtcInstant, nullable=False),
    Column("resolved_at", UtcInstant),
    Index(None, "park_id", "aggregation_id", "state"),
)

AGGREGATION_REALTIME = Table(
    "vpp_aggregation_realtime",
    METADATA,
    Column("aggregation_id", ID, primary_key=True),
    Column("published_at", UtcInstant, nullable=False),
    Column("power_kw", Double, nullable=False),
    Column("sigma_kw", Double, nullable=False),
    Column("coverage_frac", Double, nullable=False),
    Column("rated_kw", Double, nullable=False),
    Column("min_kw", Double, nullable=False),
    Column("max_kw", Double, nullable=False),
    Column("energy_up_kwh", Double, nullable=False),
    Column("energy_down_kwh", Double, nullable=False),
    Column("reserve_up_kw", Double, nullable=False),
    Column("reserve_down_kw", Double, nullable=False),
    Column("target_kw", Double),
    Column("shortfall_kw", Double, nullable=False),
    Column("instruction_id", PRINCIPAL),
    Column("quality", String(16), nullable=False),
    Column("health", String(16), nullable=False),
    Column("n_members", Integer, nullable=False),
    Column("n_fresh", Integer, nullable=False),
)
