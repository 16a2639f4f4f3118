"""What is measured and allowed, by whom: tenants, keys, catalogs, customers, and answers of calls with a request id."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Integer,
    LargeBinary,
    Numeric,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from metergate.adapters.postgres.schema.columns import Instant, key_text, metadata, words

tenants = Table(
    "tenant",
    metadata,
    key_text("tenant", key=True),
    Column("catalog_version", BigInteger, nullable=False, server_default="0"),
    Column("metering_version", BigInteger, nullable=False, server_default="0"),
    Column("default_plan", Text(collation="C"), nullable=False, server_default="default"),
    Column("created_at", Instant, nullable=False, server_default="now()"),
    Column("offer", JSONB, nullable=False, server_default="{}"),
)
api_keys = Table(
    "api_key",
    metadata,
    key_text("key_id", key=True),
    key_text("tenant"),
    key_text("service"),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False, server_default="now()"),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
)
meters = Table(
    "meter",
    metadata,
    key_text("tenant", key=True),
    key_text("name", key=True),
    key_text("event_type"),
    words("aggregation"),
    words("value"),
    Column("dimensions", ARRAY(Text), nullable=False),
    Column("allow_negative", Boolean, nullable=False),
    words("unit"),
    words("description"),
    Column("since", BigInteger, nullable=False),
    Column("shapes", JSONB, nullable=False, server_default="[]"),
    Column("filters", JSONB, nullable=False, server_default="[]"),
    Column("scale", Numeric, nullable=False, server_default="1"),
    Column("percentile", Numeric),
    Column("level_unit", Text),
    Column("accept_window", BigInteger),
    Column("late", Text, nullable=False, server_default="next_invoice"),
    Column("measure", Text(collation="C"), nullable=False, server_default=""),
    Column("leads", Boolean, nullable=False, server_default="true"),
    Column("extremes", Boolean, nullable=False, server_default="false"),
)
plans = Table(
    "plan",
    metadata,
    key_text("tenant", key=True),
    key_text("name", key=True),
    words("display_name"),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("body", JSONB, nullable=False, server_default="{}"),
)
plan_versions = Table(
    "plan_version",
    metadata,
    key_text("tenant", key=True),
    key_text("plan", key=True),
    Column("version", Integer, primary_key=True, nullable=False),
    words("display_name"),
    Column("body", JSONB, nullable=False),
    Column("created_at", Instant, nullable=False, server_default="now()"),
)
limits = Table(
    "plan_limit",
    metadata,
    key_text("tenant", key=True),
    key_text("plan", key=True),
    key_text("name", key=True),
    key_text("meter"),
    Column("max", Numeric),
    words("period"),
    words("policy"),
    words("scope"),
    Column("labels", JSONB, nullable=False),
    Column("per_labels", ARRAY(Text), nullable=False),
    Column("kind", Text, nullable=False, server_default="calendar"),
    Column("length", BigInteger, nullable=False, server_default="0"),
    Column("sub_windows", Integer, nullable=False, server_default="10"),
    Column("week_start", Text, nullable=False, server_default="monday"),
    Column("burst", Numeric),
    Column("grace", Numeric),
    Column("shadow", Boolean, nullable=False, server_default="false"),
    Column("thresholds", ARRAY(Integer), nullable=False, server_default="{}"),
    Column("when_view_gone", Text, nullable=False, server_default="ledger"),
    Column("grace_period", BigInteger),
)
customers = Table(
    "customer",
    metadata,
    key_text("tenant", key=True),
    key_text("customer", key=True),
    Column("name", Text, nullable=False, server_default=""),
    Column("created_at", Instant, nullable=False, server_default="now()"),
    Column("merged_into", Text(collation="C"), nullable=False, server_default=""),
)
subjects = Table(
    "subject",
    metadata,
    key_text("tenant", key=True),
    key_text("subject", key=True),
    key_text("customer"),
    Column("created_at", Instant, nullable=False, server_default="now()"),
)
requests = Table(
    "request",
    metadata,
    key_text("tenant", key=True),
    key_text("request_id", key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False, server_default="now()"),
)
