"""The tables as SQLAlchemy sees them, for ordinary queries. The migrations make them; a test compares the two."""

from metergate.adapters.postgres.schema.capacity import (
    grant_accounts,
    grant_moves,
    grants,
    hold_moves,
    holds,
    limit_events,
)
from metergate.adapters.postgres.schema.columns import Instant, metadata
from metergate.adapters.postgres.schema.corrections import (
    backfill_rows,
    backfills,
    erasures,
    subject_moves,
    versions,
)
from metergate.adapters.postgres.schema.definitions import (
    api_keys,
    customers,
    limits,
    meters,
    plans,
    requests,
    subjects,
    tenants,
)
from metergate.adapters.postgres.schema.news import (
    outbox,
    webhook_deliveries,
    webhook_endpoints,
    webhook_queues,
)
from metergate.adapters.postgres.schema.usage import (
    adoptions,
    closed,
    closed_months,
    counter_values,
    counters,
    event_months,
    events,
    heads,
    ids,
    rollups,
)

__all__ = [
    "Instant",
    "adoptions",
    "api_keys",
    "backfill_rows",
    "backfills",
    "closed",
    "closed_months",
    "counter_values",
    "counters",
    "customers",
    "erasures",
    "event_months",
    "events",
    "grant_accounts",
    "grant_moves",
    "grants",
    "heads",
    "hold_moves",
    "holds",
    "ids",
    "limit_events",
    "limits",
    "metadata",
    "meters",
    "outbox",
    "plans",
    "requests",
    "rollups",
    "subject_moves",
    "subjects",
    "tenants",
    "versions",
    "webhook_deliveries",
    "webhook_endpoints",
    "webhook_queues",
]
