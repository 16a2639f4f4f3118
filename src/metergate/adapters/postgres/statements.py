"""The hot statements, written by hand. README.md shows their plans.

All take sorted lists, so that rows are touched in one order by every process.
"""

from __future__ import annotations

# What one event adds to one meter; null where it has no such value or one that the meter forbids.
# The same rule in Python: `Meter.contribution`.
_VALUE = "(CASE WHEN m.value = '' THEN coalesce(e.amount, 1) ELSE (e.values ->> m.value)::numeric END)"
CONTRIBUTION = f"""(CASE
    WHEN {_VALUE} < 0 AND NOT m.allow_negative THEN NULL
    WHEN m.aggregation = 'count' AND {_VALUE} IS NOT NULL THEN 1
    ELSE {_VALUE} END)"""

# An event without a label has the empty value of it.
LABELS_MATCH = """NOT EXISTS (
    SELECT FROM jsonb_each_text({filter}) f WHERE coalesce(e.labels ->> f.key, '') <> f.value)"""

LOCK = """
SELECT customer, seq, plan, time_zone, metering_version FROM customer_head
WHERE tenant = $1 AND customer = ANY($2::text[]) ORDER BY customer FOR UPDATE"""
LOCK_FREE = LOCK + " SKIP LOCKED"

LOOK = """
SELECT clock_timestamp() AS now, t.catalog_version, k.*
FROM tenant t LEFT JOIN LATERAL (
    SELECT i.source, i.id, i.customer, i.seq, i.digest, i.counted_at, q.digest AS asked
    FROM unnest($2::text[], $3::text[], $4::bytea[]) AS q(source, id, digest)
    JOIN usage_id i ON i.tenant = $1 AND i.source = q.source AND i.id = q.id AND i.slice <= $5
) k ON true
WHERE t.tenant = $1"""

FIRST_CONTENTS = """
SELECT e.source, e.id, e.type, e.subject, e.time, e.amount, e.values, e.labels, e.settles
FROM unnest($2::text[], $3::timestamptz[], $4::text[], $5::text[]) AS q(customer, counted_at, source, id)
JOIN usage_event e ON e.tenant = $1 AND e.customer = q.customer AND e.counted_at = q.counted_at
    AND e.source = q.source AND e.id = q.id"""

COUNTERS = """
SELECT c.customer, c.meter, c.subject, c.filter, c.start_at, c.end_at, c.used, c.reserved, c.leased, c.forfeited
FROM unnest($2::text[], $3::text[]) AS q(customer, meter)
JOIN usage_counter c ON c.tenant = $1 AND c.customer = q.customer AND c.meter = q.meter AND c.end_at > $4"""

# The ledger's sum over a window: whole quarter hours from the rollups, the edges from the events.
# k holds the counter's key and the inner, quarter-aligned part of its window.
_SUM = f"""(
SELECT coalesce(sum(part), 0) FROM (
    SELECT sum(r.sum) AS part FROM usage_rollup r
    WHERE r.tenant = $1 AND r.customer = k.customer AND r.meter = k.meter
        AND r.quarter >= k.inner_start AND r.quarter < k.inner_end
        AND (k.subject = '' OR r.subject = k.subject)
        AND (k.filter = '' OR r.dimensions @> k.filter::jsonb)
    UNION ALL
    SELECT sum({CONTRIBUTION}) FROM meter m JOIN usage_event e
        ON e.tenant = $1 AND e.customer = k.customer AND e.type = m.event_type
    WHERE m.tenant = $1 AND m.name = k.meter
        AND e.counted_at >= k.start_at AND e.counted_at < k.inner_start
        AND (k.subject = '' OR e.subject = k.subject)
        AND (k.filter = '' OR {LABELS_MATCH.format(filter="k.filter::jsonb")})
    UNION ALL
    SELECT sum({CONTRIBUTION}) FROM meter m JOIN usage_event e
        ON e.tenant = $1 AND e.customer = k.customer AND e.type = m.event_type
    WHERE m.tenant = $1 AND m.name = k.meter
        AND e.counted_at >= k.inner_end AND e.counted_at < k.end_at
        AND (k.subject = '' OR e.subject = k.subject)
        AND (k.filter = '' OR {LABELS_MATCH.format(filter="k.filter::jsonb")})
) parts)"""

_KEYS = """unnest($2::text[], $3::text[], $4::text[], $5::text[],
    $6::timestamptz[], $7::timestamptz[], $8::timestamptz[], $9::timestamptz[])
    WITH ORDINALITY AS k(customer, meter, subject, filter, start_at, end_at, inner_start, inner_end, place)"""

SUMS = f"SELECT {_SUM} FROM {_KEYS} ORDER BY k.place"

FIGURES = f"""
SELECT now() AS as_of, h.seq, h.plan, h.time_zone, h.metering_version,
    coalesce(c.used, {_SUM}) AS used, c.reserved, c.leased, c.forfeited
FROM {_KEYS}
JOIN customer_head h ON h.tenant = $1 AND h.customer = k.customer
LEFT JOIN usage_counter c ON c.tenant = $1 AND c.customer = k.customer AND c.meter = k.meter
    AND c.end_at = k.end_at AND c.start_at = k.start_at AND c.subject = k.subject AND c.filter = k.filter
ORDER BY k.place"""

METERING_VERSION = "SELECT metering_version FROM customer_head WHERE tenant = $1 AND customer = $2"

LIVE_COUNTERS = """
SELECT customer, meter, subject, filter, start_at, end_at FROM usage_counter
WHERE tenant = $1 AND customer = $2 AND start_at <= $3 AND end_at > $3
ORDER BY meter, end_at, start_at, subject, filter"""

OWNERS = """
SELECT q.subject, coalesce(s.customer, c.customer) AS customer
FROM unnest($2::text[]) AS q(subject)
LEFT JOIN subject s ON s.tenant = $1 AND s.subject = q.subject
LEFT JOIN customer c ON c.tenant = $1 AND c.customer = q.subject
WHERE coalesce(s.customer, c.customer) IS NOT NULL"""

FORGET_ROLLUPS = "DELETE FROM usage_rollup WHERE tenant = $1 AND customer = ANY($2::text[]) AND meter = ANY($3::text[])"
FORGET_COUNTERS = (
    "DELETE FROM usage_counter WHERE tenant = $1 AND customer = ANY($2::text[]) AND meter = ANY($3::text[])"
)
DIMENSIONS = (
    """(SELECT coalesce(jsonb_object_agg(d, coalesce(e.labels ->> d, '')), '{}') FROM unnest(m.dimensions) d)"""
)
# generate_series would do as well; date_bin keeps to quarter hours of UTC.
QUARTER = "date_bin('15 minutes', e.counted_at, timestamptz '1970-01-01 00:00+00')"
ROLL_UP = f"""
INSERT INTO usage_rollup (tenant, customer, meter, quarter, subject, dimensions, count, sum)
SELECT $1, e.customer, m.name, {QUARTER}, e.subject, {DIMENSIONS}, count(*), sum({CONTRIBUTION})
FROM meter m JOIN usage_event e ON e.tenant = $1 AND e.customer = ANY($2::text[]) AND e.type = m.event_type
WHERE m.tenant = $1 AND m.name = ANY($3::text[]) AND {CONTRIBUTION} IS NOT NULL
GROUP BY 2, 3, 4, 5, 6"""

# Ids come first in the text, but order is not what protects them: the heads are locked, and a unique
# index meets its equal in any order. One statement: one round trip.
WRITE = """
WITH ids AS (
    INSERT INTO usage_id (tenant, source, id, slice, digest, customer, seq, counted_at)
    SELECT $1, q.source, q.id, s.slice, q.digest, q.customer, q.seq, coalesce(q.time, $2)
    FROM unnest($3::text[], $4::text[], $5::bytea[], $6::text[], $7::bigint[], $8::timestamptz[])
        AS q(source, id, digest, customer, seq, time)
    CROSS JOIN unnest($9::date[]) AS s(slice)
    ON CONFLICT DO NOTHING RETURNING 1
), events AS (
    INSERT INTO usage_event (tenant, customer, seq, counted_at, recorded_at, time, source, id,
        type, subject, amount, values, labels, settles)
    SELECT $1, q.customer, q.seq, coalesce(q.time, $2), $2, q.time, q.source, q.id,
        q.type, q.subject, q.amount::numeric, q.values::jsonb, q.labels::jsonb, q.settles
    FROM unnest($6::text[], $7::bigint[], $8::timestamptz[], $3::text[], $4::text[],
        $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[])
        AS q(customer, seq, time, source, id, type, subject, amount, values, labels, settles)
), rollups AS (
    INSERT INTO usage_rollup AS r (tenant, customer, meter, quarter, subject, dimensions, count, sum)
    SELECT $1, q.customer, q.meter, q.quarter, q.subject, q.dimensions::jsonb, q.count, q.sum::numeric
    FROM unnest($16::text[], $17::text[], $18::timestamptz[], $19::text[], $20::text[], $21::bigint[], $22::text[])
        AS q(customer, meter, quarter, subject, dimensions, count, sum)
    ON CONFLICT (tenant, customer, meter, quarter, subject, dimensions)
    DO UPDATE SET count = r.count + excluded.count, sum = r.sum + excluded.sum
), counters AS (
    INSERT INTO usage_counter AS c (tenant, customer, meter, subject, filter, start_at, end_at, used)
    SELECT $1, q.customer, q.meter, q.subject, q.filter, q.start_at, q.end_at, q.used::numeric
    FROM unnest($23::text[], $24::text[], $25::text[], $26::text[], $27::timestamptz[], $28::timestamptz[], $29::text[])
        AS q(customer, meter, subject, filter, start_at, end_at, used)
    ON CONFLICT (tenant, customer, meter, end_at, start_at, subject, filter) DO UPDATE SET used = excluded.used
), heads AS (
    UPDATE customer_head SET seq = seq + 1, metering_version = $30
    WHERE tenant = $1 AND customer = ANY($31::text[])
)
SELECT count(*) FROM ids"""
