"""What webhooks are told, and how far they are."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Integer,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from metergate.adapters.postgres.schema.columns import Instant, key_text, metadata, words

outbox = Table(
    "outbox",
    metadata,
    key_text("tenant", key=True),
    key_text("customer", key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("place", Integer, primary_key=True),
    words("kind"),
    Column("recorded_at", Instant, nullable=False),
    words("body"),
    Column("fresh", Boolean, nullable=False, server_default="true"),
)
webhook_endpoints = Table(
    "webhook_endpoint",
    metadata,
    key_text("tenant", key=True),
    key_text("endpoint", key=True),
    words("url"),
    Column("kinds", ARRAY(Text), nullable=False),
    words("description"),
    Column("enabled", Boolean, nullable=False),
    words("disabled_reason"),
    words("secret"),
    Column("previous_secret", Text),
    Column("previous_until", Instant),
    Column("since", ARRAY(Instant), nullable=False),
    Column("created_at", Instant, nullable=False),
)
webhook_queues = Table(
    "webhook_queue",
    metadata,
    key_text("tenant", key=True),
    key_text("endpoint", key=True),
    key_text("customer", key=True),
    Column("seq", BigInteger, nullable=False, server_default="0"),
    Column("place", Integer, nullable=False, server_default="0"),
    Column("next_at", Instant),
    Column("moved_at", Instant, nullable=False, server_default="now()"),
    Column("claimed", Boolean, nullable=False, server_default="false"),
    Column("claim", BigInteger, nullable=False, server_default="0"),
    Column("woken", BigInteger, nullable=False, server_default="0"),
)
webhook_deliveries = Table(
    "webhook_delivery",
    metadata,
    key_text("tenant", key=True),
    key_text("endpoint", key=True),
    key_text("customer", key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("place", Integer, primary_key=True),
    words("kind"),
    words("state"),
    Column("attempts", Integer, nullable=False),
    Column("status", Integer),
    words("error"),
    Column("recorded_at", Instant, nullable=False),
    Column("since_at", Instant, nullable=False),
    Column("tried_at", Instant),
)
