"""What counters hold: kept, born from the ledger's sums, or as it was at a `seq`. For the form see `statements.py`."""

from __future__ import annotations

from metergate.adapters.postgres.quantities import (
    LABELS_MATCH,
    QUANTITY,
    counted,
    of_samples,
    standing,
)
from metergate.adapters.postgres.statements import lists

# What reservations and leases keep from others in a counter's window. Their labels are in `labels`.
_KEPT = f"""e.meter = k.meter AND e.counted_at >= k.start_at AND e.counted_at < k.end_at
        AND e.reserved + e.leased + e.forfeited > 0
        AND (k.subject = '' OR e.subject = k.subject)
        AND (k.filter = '' OR {LABELS_MATCH.format(filter="k.filter::jsonb")})"""
_HELD = f"""(
SELECT coalesce(sum(e.reserved), 0) AS reserved, coalesce(sum(e.leased), 0) AS leased,
    coalesce(sum(e.forfeited), 0) AS forfeited
FROM (
    SELECT e.reserved, e.leased, e.forfeited FROM hold e
    WHERE e.tenant = $1 AND e.customer = k.customer AND {_KEPT}
    UNION ALL
    SELECT e.reserved, e.leased, e.forfeited
    FROM customer_head p JOIN hold e ON e.tenant = $1 AND e.pool = k.customer AND e.pool <> ''
    WHERE p.tenant = $1 AND p.customer = k.customer AND p.is_pool AND {_KEPT}
) e)"""

# What grants allow in all, in the one counter that they are for: the customer's own of all time.
_GRANTED = """LEFT JOIN LATERAL (
    SELECT granted FROM grant_account WHERE tenant = $1 AND customer = k.customer AND meter = k.meter
        AND k.subject = '' AND k.filter = ''
        AND k.start_at = timestamptz '1970-01-01 00:00+00' AND k.end_at = timestamptz '2200-01-01 00:00+00' OFFSET 0
) granted ON true"""

KEYS = """unnest($2::text[], $3::text[], $4::text[], $5::text[],
    $6::timestamptz[], $7::timestamptz[], $8::timestamptz[], $9::timestamptz[])
    WITH ORDINALITY AS k(customer, meter, subject, filter, start_at, end_at, inner_start, inner_end, place)"""

SUMS = f"SELECT {QUANTITY} FROM {KEYS} ORDER BY k.place"

# What holds keep, one by one: many counters may be born at once, and each hold is read once for all of them.
_KEPT_PART = "e.id, e.meter, e.subject, e.labels::text, e.counted_at, e.reserved, e.leased, e.forfeited"
_KEPT_HERE = """e.meter = q.meter AND e.counted_at >= $5 AND e.reserved + e.leased + e.forfeited > 0
        AND (q.subject = '' OR e.subject = q.subject)"""
KEPT = f"""
SELECT q.customer, e.* FROM unnest({lists(2, 3, 4)}) AS q(customer, meter, subject)
CROSS JOIN LATERAL (
    SELECT {_KEPT_PART} FROM hold e WHERE e.tenant = $1 AND e.customer = q.customer AND {_KEPT_HERE}
    UNION ALL
    SELECT {_KEPT_PART} FROM customer_head p JOIN hold e ON e.tenant = $1 AND e.pool = q.customer AND e.pool <> ''
    WHERE p.tenant = $1 AND p.customer = q.customer AND p.is_pool AND {_KEPT_HERE}
) e"""

# A rate without a counter has the state of the one of another length that there was: see `domain.counting.with_rates`.
_HEIR = """LEFT JOIN LATERAL (
    SELECT tat, pace FROM usage_counter
    WHERE c.used IS NULL AND k.start_at < timestamptz '1970-01-01 00:00+00' AND tenant = $1 AND customer = k.customer
        AND meter = k.meter AND end_at = k.end_at AND start_at < timestamptz '1970-01-01 00:00+00'
        AND subject = k.subject AND filter = k.filter
    ORDER BY tat DESC, start_at DESC LIMIT 1
) heir ON true"""

# A condition of the join would be looked at afterwards: all holds would be read where there is a counter too.
_HELD_UNCOUNTED = _HELD.replace("WHERE e.tenant", "WHERE c.used IS NULL AND e.tenant")

FIGURES = f"""
SELECT now() AS as_of, h.seq, h.plan, h.time_zone, h.metering_version, h.anchor_at, h.overrides::text AS overrides,
    h.pool,
    coalesce(c.used, {QUANTITY}) AS used, coalesce(c.reserved, held.reserved) AS reserved,
    coalesce(c.leased, held.leased) AS leased, coalesce(c.forfeited, held.forfeited) AS forfeited,
    coalesce(c.tat, heir.tat) AS tat, coalesce(c.pace, heir.pace) AS pace, granted.granted
FROM {KEYS}
CROSS JOIN LATERAL (SELECT * FROM customer_head WHERE tenant = $1 AND customer = k.customer OFFSET 0) h
LEFT JOIN LATERAL (
    SELECT * FROM usage_counter WHERE tenant = $1 AND customer = k.customer AND meter = k.meter
        AND end_at = k.end_at AND start_at = k.start_at AND subject = k.subject AND filter = k.filter OFFSET 0
) c ON true
LEFT JOIN LATERAL {_HELD_UNCOUNTED} held ON true
{_HEIR}
{_GRANTED}
ORDER BY k.place"""

# Counters of meters that do not add up, once the rows are written.
RECOUNT = f"""
WITH k AS (SELECT * FROM {KEYS}), found AS (
    SELECT k.*, {QUANTITY} AS used FROM k
), written AS (
    UPDATE usage_counter c SET used = q.used FROM found q
    WHERE c.tenant = $1 AND c.customer = q.customer AND c.meter = q.meter AND c.subject = q.subject
        AND c.filter = q.filter AND c.start_at = q.start_at AND c.end_at = q.end_at
)
SELECT used FROM found ORDER BY place"""

_GRANTED_AT = """(
    SELECT coalesce(sum(CASE WHEN kind IN ('expire', 'void') THEN -amount ELSE amount END), 0) AS granted
    FROM grant_move
    WHERE tenant = $1 AND customer = k.customer AND meter = k.meter AND kind <> 'burn'
        AND (CASE WHEN k.customer = a.customer THEN seq <= a.seq ELSE recorded_at <= a.at END)
        AND k.subject = '' AND k.filter = ''
        AND k.start_at = timestamptz '1970-01-01 00:00+00' AND k.end_at = timestamptz '2200-01-01 00:00+00'
)"""

# The counters as they were at a seq of customer a.customer: as they are, without what came after it. A pool has an
# order of its own, and so have its members, so there it is what came after the same commit by the clock. What waited
# for its customer came to it later than it was recorded.
_AFTER = (
    "((CASE WHEN k.customer = a.customer AND e.customer = k.customer THEN e.seq > a.seq ELSE e.recorded_at > a.at END) "
    "AND e.recorded_at >= a.since)"
)
FIGURES_AT = f"""
SELECT CASE WHEN m.aggregation IN ('sum', 'count') THEN
        {QUANTITY} - (SELECT coalesce(sum(part), 0) FROM ({counted("k.start_at", "k.end_at", f"AND {_AFTER}")}) parts)
        ELSE coalesce({of_samples(standing("k.start_at", "k.end_at", f"AND NOT {_AFTER}"))}, 0) END,
    held.reserved - later.reserved, held.leased - later.leased, held.forfeited - later.forfeited,
    0::numeric, granted.granted
FROM {KEYS}
JOIN (
    SELECT customer, seq, at, place, least(since, (
        SELECT min(first_at) FROM usage_adoption
        WHERE tenant = $1 AND customer = q.customer AND usage_adoption.seq > q.seq)) AS since
    FROM unnest($10::text[], $11::bigint[], $12::timestamptz[], $13::timestamptz[]) WITH ORDINALITY
        AS q(customer, seq, at, since, place)
) a ON a.place = k.place
LEFT JOIN LATERAL (SELECT * FROM meter WHERE tenant = $1 AND name = k.meter OFFSET 0) m ON true
CROSS JOIN LATERAL {_GRANTED_AT} granted
CROSS JOIN LATERAL {_HELD} held
CROSS JOIN LATERAL (
    SELECT coalesce(sum(e.reserved), 0) AS reserved, coalesce(sum(e.leased), 0) AS leased,
        coalesce(sum(e.forfeited), 0) AS forfeited
    FROM hold_move e
    WHERE e.tenant = $1 AND e.customer = k.customer AND e.meter = k.meter AND {_AFTER}
        AND e.counted_at >= k.start_at AND e.counted_at < k.end_at
        AND (k.subject = '' OR e.subject = k.subject)
        AND (k.filter = '' OR {LABELS_MATCH.format(filter="k.filter::jsonb")})
) later
ORDER BY k.place"""
