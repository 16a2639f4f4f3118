"""Events by the million, written by SQL: what a ledger holds that has been used for a while."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import asyncpg

from benchmarks.stage import CUSTOMERS, METER

AT_ONCE = 500_000
EVENTS = 10_000_000
LENGTH = timedelta(days=7)

_HEADS = """
WITH people AS (
    INSERT INTO customer (tenant, customer) SELECT $1, 'customer-' || lpad(n::text, 4, '0')
    FROM generate_series(0, $2 - 1) n ON CONFLICT DO NOTHING
)
INSERT INTO customer_head (tenant, customer, seq, metering_version)
SELECT $1, 'customer-' || lpad(n::text, 4, '0'), 1, (SELECT metering_version FROM tenant WHERE tenant = $1)
FROM generate_series(0, $2 - 1) n ON CONFLICT (tenant, customer) DO UPDATE SET seq = customer_head.seq + 1"""

# As the load of `ingest`: one of a thousand customers each, in the order of time.
_EVENTS = """
WITH new AS (
    SELECT 'bulk-' || lpad(n::text, 9, '0') AS id,
        'customer-' || lpad(((hashint4(n) & 1073741823) % $4::int)::text || '', 4, '0') AS customer,
        $5::timestamptz + (n::float8 / $6::int) * $7::interval AS at,
        jsonb_build_object('region', (ARRAY['eu-west', 'eu-north', 'us-east', 'ap-south'])[1 + (hashint4(n + 1) & 3)],
            'route', '/v1/items/' || (hashint4(n + 2) & 31), 'status', '200') AS labels
    FROM generate_series($2::int, $3::int) n
), ids AS (
    INSERT INTO usage_id (tenant, source, id, slice, digest, customer, seq, counted_at)
    SELECT $1, 'bulk', id, date_trunc('month', at)::date, '\\x00000000000000000000000000000000'::bytea, customer, 1, at
    FROM new
    UNION ALL SELECT $1, 'bulk', id, date_trunc('month', at + interval '10 minutes')::date,
        '\\x00000000000000000000000000000000'::bytea, customer, 1, at FROM new
    WHERE date_trunc('month', at) <> date_trunc('month', at + interval '10 minutes')
)
INSERT INTO usage_event (tenant, customer, seq, counted_at, recorded_at, source, id, type, subject, amount, labels)
SELECT $1, customer, 1, at, at, 'bulk', id, $8, customer, 1, labels FROM new"""

_ROLLUPS = """
INSERT INTO usage_rollup AS r (tenant, customer, measure, quarter, subject, dimensions, count, sum)
SELECT e.tenant, e.customer, m.measure, date_bin('15 minutes', e.counted_at, timestamptz '1970-01-01 00:00+00'),
    e.subject, jsonb_build_object('region', e.labels ->> 'region'), count(*), sum(e.amount)
FROM usage_event e JOIN meter m ON m.tenant = e.tenant AND m.name = $2
WHERE e.tenant = $1 AND e.source = 'bulk' GROUP BY 1, 2, 3, 4, 5, 6"""


_MONTH = """
CREATE TABLE IF NOT EXISTS {table}_{month:%Y_%m} PARTITION OF {table}
    FOR VALUES FROM ('{month}{zone}') TO ('{after}{zone}')"""


async def load(postgres_url: str, tenant: str, events: int = EVENTS, length: timedelta = LENGTH) -> None:
    """So many events, evenly over the time `length` until now, of all customers, with ids, rollups and heads."""
    first_at = datetime.now(UTC) - length
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute("SET synchronous_commit = off")
        month = date(first_at.year, first_at.month, 1)
        after = (month + timedelta(days=31)).replace(day=1)
        for table, zone in (("usage_event", " 00:00+00"), ("usage_id", "")):
            await connection.execute(_MONTH.format(table=table, month=month, after=after, zone=zone))
        await connection.execute(_HEADS, tenant, CUSTOMERS)
        for first in range(0, events, AT_ONCE):
            last = min(first + AT_ONCE, events) - 1
            await connection.execute(_EVENTS, tenant, first, last, CUSTOMERS, first_at, events, length, METER)
        await connection.execute("SET work_mem = '512MB'")
        await connection.execute(_ROLLUPS, tenant, METER)
        for table in ("usage_event", "usage_id", "usage_rollup", "customer_head"):
            await connection.execute(f"VACUUM (ANALYZE) {table}")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()
