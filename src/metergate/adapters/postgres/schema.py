"""The tables as SQLAlchemy sees them, for ordinary queries. The migrations make them; a test compares the two."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData()


# Connections hand these out as instants: see `connect.use_instants`.
Instant = DateTime(timezone=True)


def _text(name: str, key: bool = False) -> Column[str]:
    return Column(name, Text(collation="C"), primary_key=key, nullable=False)


def _words(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


tenants = Table(
    "tenant",
    metadata,
    _text("tenant", key=True),
    Column("catalog_version", BigInteger, nullable=False, server_default="0"),
    Column("metering_version", BigInteger, nullable=False, server_default="0"),
    Column("default_plan", Text(collation="C"), nullable=False, server_default="default"),
    Column("created_at", Instant, nullable=False, server_default="now()"),
)
api_keys = Table(
    "api_key",
    metadata,
    _text("key_id", key=True),
    _text("tenant"),
    _text("service"),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False, server_default="now()"),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
)
meters = Table(
    "meter",
    metadata,
    _text("tenant", key=True),
    _text("name", key=True),
    _text("event_type"),
    _words("aggregation"),
    _words("value"),
    Column("dimensions", ARRAY(Text), nullable=False),
    Column("allow_negative", Boolean, nullable=False),
    _words("unit"),
    _words("description"),
    Column("since", BigInteger, nullable=False),
    Column("shapes", JSONB, nullable=False, server_default="[]"),
)
plans = Table("plan", metadata, _text("tenant", key=True), _text("name", key=True), _words("display_name"))
limits = Table(
    "plan_limit",
    metadata,
    _text("tenant", key=True),
    _text("plan", key=True),
    _text("name", key=True),
    _text("meter"),
    Column("max", Numeric),
    _words("period"),
    _words("policy"),
    _words("scope"),
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
    _text("tenant", key=True),
    _text("customer", key=True),
    Column("name", Text, nullable=False, server_default=""),
    Column("created_at", Instant, nullable=False, server_default="now()"),
)
subjects = Table(
    "subject",
    metadata,
    _text("tenant", key=True),
    _text("subject", key=True),
    _text("customer"),
    Column("created_at", Instant, nullable=False, server_default="now()"),
)
requests = Table(
    "request",
    metadata,
    _text("tenant", key=True),
    _text("request_id", key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False, server_default="now()"),
)
heads = Table(
    "customer_head",
    metadata,
    _text("tenant", key=True),
    _text("customer", key=True),
    Column("seq", BigInteger, nullable=False, server_default="0"),
    Column("plan", Text(collation="C"), nullable=False, server_default=""),
    Column("time_zone", Text, nullable=False, server_default="UTC"),
    Column("metering_version", BigInteger, nullable=False, server_default="0"),
    Column("anchor_at", Instant),
    Column("overrides", JSONB(none_as_null=True)),
    Column("pool", Text(collation="C"), nullable=False, server_default=""),
    Column("is_pool", Boolean, nullable=False, server_default="false"),
)
ids = Table(
    "usage_id",
    metadata,
    _text("tenant", key=True),
    _text("source", key=True),
    _text("id", key=True),
    Column("slice", Date, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    _text("customer"),
    Column("seq", BigInteger, nullable=False),
    Column("counted_at", Instant, nullable=False),
)
events = Table(
    "usage_event",
    metadata,
    _text("tenant"),
    _text("customer"),
    Column("seq", BigInteger, nullable=False),
    Column("counted_at", Instant, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Column("time", Instant),
    _text("source"),
    _text("id"),
    _text("type"),
    _text("subject"),
    Column("amount", Numeric),
    Column("values", JSONB),
    Column("labels", JSONB),
    Column("settles", Text),
    Column("pool", Text(collation="C")),
)
rollups = Table(
    "usage_rollup",
    metadata,
    _text("tenant", key=True),
    _text("customer", key=True),
    _text("meter", key=True),
    Column("quarter", Instant, primary_key=True),
    _text("subject", key=True),
    Column("dimensions", JSONB, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("sum", Numeric, nullable=False),
)
counters = Table(
    "usage_counter",
    metadata,
    _text("tenant", key=True),
    _text("customer", key=True),
    _text("meter", key=True),
    Column("end_at", Instant, primary_key=True),
    Column("start_at", Instant, primary_key=True),
    _text("subject", key=True),
    _text("filter", key=True),
    Column("used", Numeric, nullable=False),
    Column("reserved", Numeric, nullable=False, server_default="0"),
    Column("leased", Numeric, nullable=False, server_default="0"),
    Column("forfeited", Numeric, nullable=False, server_default="0"),
    Column("tat", Numeric, nullable=False, server_default="0"),
    Column("pace", Numeric, nullable=False, server_default="0"),
)
grants = Table(
    "usage_grant",
    metadata,
    _text("tenant", key=True),
    _text("id", key=True),
    _text("customer"),
    _text("meter"),
    Column("amount", Numeric, nullable=False),
    Column("start_at", Instant, nullable=False),
    Column("end_at", Instant),
    Column("priority", Integer, nullable=False),
    _words("recurs"),
    Column("until_at", Instant),
    Column("anchor_at", Instant, nullable=False),
    Column("rollover_min", Numeric, nullable=False),
    Column("rollover_max", Numeric, nullable=False),
    Column("rolled", Numeric, nullable=False),
    Column("burned", Numeric, nullable=False),
    Column("lost", Numeric, nullable=False),
    _words("state"),
    Column("seq", BigInteger, nullable=False),
    Column("place", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("due_at", Instant),
)
grant_accounts = Table(
    "grant_account",
    metadata,
    _text("tenant", key=True),
    _text("customer", key=True),
    _text("meter", key=True),
    Column("granted", Numeric, nullable=False),
)
grant_moves = Table(
    "grant_move",
    metadata,
    _text("tenant", key=True),
    _text("customer", key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("recorded_at", Instant, nullable=False),
    _text("meter"),
    _text("id"),
    _words("kind"),
    Column("amount", Numeric, nullable=False),
)
limit_events = Table(
    "limit_event",
    metadata,
    _text("tenant", key=True),
    _text("customer", key=True),
    _text("limit_name", key=True),
    _text("meter", key=True),
    _text("subject", key=True),
    _text("filter", key=True),
    Column("start_at", Instant, primary_key=True),
    Column("end_at", Instant, primary_key=True),
    Column("threshold", Integer, primary_key=True),
    Column("taken", Numeric, nullable=False),
    Column("max", Numeric, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("place", Integer, nullable=False),
    Column("recorded_at", Instant, nullable=False),
)
