"""The hot statements, written by hand. README.md shows their plans.

All take sorted lists, so that rows are touched in one order by every process. `OFFSET 0` in a lateral query is a
fence: each key of the list is looked up by the index, and the planner cannot turn the loop inside out.

Long lists go as one array literal (`::text::text[]`): for a list, the driver would look at each element for
lists inside it, which costs more than all the rest of sending it.
"""

from __future__ import annotations

from metergate.adapters.postgres.quantities import (
    DROPPED,
    rolled_up,
    standing,
    with_closed,
)


def lists(*places: int) -> str:
    """These parameters as lists of texts."""
    return ", ".join(f"${place}::text::text[]" for place in places)


LOCK = """
SELECT customer, seq, plan, time_zone, metering_version, anchor_at, overrides::text, pool, moved,
    billed_until
FROM customer_head
WHERE tenant = $1 AND customer = ANY($2::text::text[]) ORDER BY customer FOR UPDATE"""
LOCK_FREE = LOCK + " SKIP LOCKED"

LOOK = f"""
SELECT clock_timestamp() AS now, t.catalog_version, k.*
FROM tenant t LEFT JOIN LATERAL (
    SELECT i.*, decode(q.digest, 'hex') AS asked FROM unnest({lists(2, 3, 4)}) AS q(source, id, digest)
    CROSS JOIN LATERAL (
        SELECT source, id, customer, seq, digest, counted_at FROM usage_id
        WHERE tenant = $1 AND source = q.source AND id = q.id AND slice <= $5 OFFSET 0
    ) i
) k ON true
WHERE t.tenant = $1"""

# For units that were refused a moment ago: nothing is locked.
PEEK = """
SELECT clock_timestamp(), t.catalog_version, h.seq, EXISTS (
    SELECT FROM unnest(string_to_array(u.sources, E'\\x1f'), string_to_array(u.ids, E'\\x1f')) AS q(source, id)
    CROSS JOIN LATERAL (
        SELECT FROM usage_id WHERE tenant = $1 AND source = q.source AND id = q.id AND slice <= $5 OFFSET 0
    ) i)
FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS u(customer, sources, ids, place)
JOIN tenant t ON t.tenant = $1
CROSS JOIN LATERAL (SELECT seq FROM customer_head WHERE tenant = $1 AND customer = u.customer OFFSET 0) h
ORDER BY u.place"""

FIRST_CONTENTS = """
SELECT e.source, e.id, e.type, e.subject, e.time, e.amount, e.values, e.labels, e.settles
FROM unnest($2::text[], $3::timestamptz[], $4::text[], $5::text[]) AS q(customer, counted_at, source, id)
CROSS JOIN LATERAL (
    SELECT * FROM usage_event WHERE tenant = $1 AND customer = q.customer AND counted_at = q.counted_at
        AND source = q.source AND id = q.id AND version IS NULL AND sign IS NULL OFFSET 0
) e"""

COUNTERS = f"""
SELECT c.customer, c.meter, c.subject, c.filter, c.start_at, c.end_at,
    c.used, nullif(c.reserved, 0), nullif(c.leased, 0), nullif(c.forfeited, 0), nullif(c.tat, 0),
    NULL::numeric, nullif(c.pace, 0)
FROM unnest({lists(2, 3, 4, 5)}) AS q(customer, meter, subject, filter)
CROSS JOIN LATERAL (
    SELECT * FROM usage_counter WHERE tenant = $1 AND customer = q.customer AND meter = q.meter
        AND subject = q.subject AND filter = q.filter AND end_at > $6 OFFSET 0
) c"""

METERING_VERSION = "SELECT metering_version FROM customer_head WHERE tenant = $1 AND customer = $2"

LIVE_COUNTERS = """
SELECT customer, meter, subject, filter, start_at, end_at FROM usage_counter
WHERE tenant = $1 AND customer = $2 AND meter = ANY($5::text[]) AND subject = ANY($6::text[])
    AND end_at > $3 AND start_at <= $4
ORDER BY meter, end_at, start_at, subject, filter"""

# A customer's own id is its subject, until it is merged into another one.
OWNERS = """
SELECT q.subject, coalesce(s.customer, c.customer) AS customer
FROM unnest($2::text[]) AS q(subject)
LEFT JOIN subject s ON s.tenant = $1 AND s.subject = q.subject
LEFT JOIN customer c ON c.tenant = $1 AND c.customer = q.subject AND c.merged_into = ''
WHERE coalesce(s.customer, c.customer) IS NOT NULL"""

# Of a subject (that of the hold where none is named) and a hold: whose the subject is now, whose the hold is, of which
# subject, and whether the subject was that customer's.
ROUTES = """
SELECT coalesce(s.customer, c.customer), h.customer, h.subject, EXISTS (
    SELECT FROM subject_move m WHERE m.tenant = $1 AND m.subject = q.subject AND m.from_customer = h.customer)
FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS q(subject, hold, place)
LEFT JOIN hold h ON h.tenant = $1 AND h.id = q.hold AND h.part = 0
LEFT JOIN subject s ON s.tenant = $1 AND s.subject = coalesce(nullif(q.subject, ''), h.subject)
LEFT JOIN customer c ON c.tenant = $1 AND c.customer = coalesce(nullif(q.subject, ''), h.subject)
    AND c.merged_into = ''
ORDER BY q.place"""

OWNING_CUSTOMERS = """
SELECT q.subject, c.customer, c.name, h.plan, h.time_zone, c.created_at, h.anchor_at, h.overrides::text, h.pool,
    c.merged_into
FROM unnest($2::text[]) AS q(subject)
LEFT JOIN subject s ON s.tenant = $1 AND s.subject = q.subject
JOIN customer c ON c.tenant = $1 AND c.customer = coalesce(s.customer, q.subject)
    AND (s.customer IS NOT NULL OR c.merged_into = '')
JOIN customer_head h ON h.tenant = $1 AND h.customer = c.customer"""

_CHANGED = "(SELECT measure FROM meter WHERE tenant = $1 AND name = ANY($3::text[]))"
FORGET_ROLLUPS = f"DELETE FROM usage_rollup WHERE tenant = $1 AND customer = ANY($2::text[]) AND measure IN {_CHANGED}"
# The state of a rate is told by nothing else: its counter stays, unless what it is for can no longer be told apart.
FORGET_COUNTERS = """
DELETE FROM usage_counter c USING meter m
WHERE c.tenant = $1 AND c.customer = ANY($2::text[]) AND c.meter = ANY($3::text[])
    AND m.tenant = $1 AND m.name = c.meter AND (c.tat = 0 OR EXISTS (
        SELECT FROM jsonb_object_keys(coalesce(nullif(c.filter, ''), '{}')::jsonb) k WHERE k <> ALL (m.dimensions)))"""
RATES_ANEW = """
UPDATE usage_counter c SET used = (
    SELECT coalesce(sum(CASE WHEN m.aggregation = 'count' THEN r.count ELSE r.sum END), 0)
    FROM meter m JOIN usage_rollup r ON r.tenant = $1 AND r.customer = c.customer AND r.measure = m.measure
    WHERE m.tenant = $1 AND m.name = c.meter
        AND (c.subject = '' OR r.subject = c.subject) AND (c.filter = '' OR r.dimensions @> c.filter::jsonb))
WHERE c.tenant = $1 AND c.customer = ANY($2::text[]) AND c.meter = ANY($3::text[])"""
_OWNED = """(
    SELECT customer AS owner, * FROM usage_event WHERE tenant = $1 AND customer = ANY($2::text[])
    UNION ALL SELECT pool, * FROM usage_event WHERE tenant = $1 AND pool = ANY($2::text[])
)"""
ROLL_UP = f"""
INSERT INTO usage_rollup (tenant, customer, measure, quarter, subject, dimensions, count, sum, min, max, last_at,
    last_key, last)
{
    with_closed(
        rolled_up(_OWNED, f"m.tenant = $1 AND m.measure IN {_CHANGED}"),
        f"c.tenant = $1 AND c.customer = ANY($2::text[]) AND c.measure IN {_CHANGED}",
    )
}
HAVING sum(count) <> 0 OR sum(sum) <> 0"""

INSTANT = "(timestamptz '1970-01-01 00:00+00' + {0}::bigint * interval '1 microsecond')"
_TIME = f"CASE WHEN q.time <> '' THEN {INSTANT.format('q.time')} END"
_COUNTED = f"CASE WHEN q.counted <> '' THEN {INSTANT.format('q.counted')} ELSE $2 END"

# Of two instants alike, the greater key is the latest. Null: nothing is kept, or nothing was there.
_LATER = """CASE WHEN r.last_at IS NULL OR (excluded.last_at, excluded.last_key) > (r.last_at, r.last_key)
            THEN excluded.{0} ELSE r.{0} END"""

# Heads are locked before ids are written; in what order the parts of this one statement run does not matter,
# since all that they touch but the ids is behind those locks, and the ids are sorted.
WRITE = f"""
WITH ids AS (
    INSERT INTO usage_id (tenant, source, id, slice, digest, customer, seq, counted_at)
    SELECT $1, q.source, q.id, s.slice, decode(q.digest, 'hex'), q.customer, q.seq::bigint, {_COUNTED}
    FROM unnest({lists(3, 4, 5, 6, 7, 32)})
        AS q(source, id, digest, customer, seq, counted)
    CROSS JOIN unnest($9::date[]) AS s(slice)
    ON CONFLICT DO NOTHING RETURNING 1
), events AS (
    INSERT INTO usage_event (tenant, customer, seq, counted_at, recorded_at, time, source, id,
        type, subject, amount, values, labels, settles, pool)
    SELECT $1, q.customer, q.seq::bigint, {_COUNTED}, $2, {_TIME}, q.source, q.id,
        q.type, q.subject, nullif(q.amount, '')::numeric, nullif(q.values, '')::jsonb, nullif(q.labels, '')::jsonb,
        nullif(q.settles, ''), nullif(q.pool, '')
    FROM unnest({lists(6, 7, 8, 32, 3, 4, 10, 11, 12, 13, 14, 15, 33)})
        AS q(customer, seq, time, counted, source, id, type, subject, amount, values, labels, settles, pool)
), rollups AS (
    INSERT INTO usage_rollup AS r (tenant, customer, measure, quarter, subject, dimensions, count, sum, min, max,
        last_at, last_key, last)
    SELECT $1, q.customer, q.measure, {INSTANT.format("q.quarter")}, q.subject, q.dimensions::jsonb,
        q.count::bigint, q.sum::numeric, q.min::numeric, q.max::numeric, {INSTANT.format("q.last_at")}, q.last_key,
        q.last::numeric
    FROM unnest({lists(16, 17, 18, 19, 20, 21, 22, 34, 35, 36, 37, 38)})
        AS q(customer, measure, quarter, subject, dimensions, count, sum, min, max, last_at, last_key, last)
    ON CONFLICT (tenant, customer, measure, quarter, subject, dimensions)
    DO UPDATE SET count = r.count + excluded.count, sum = r.sum + excluded.sum,
        min = least(r.min, excluded.min), max = greatest(r.max, excluded.max),
        last = {_LATER.format("last")}, last_at = {_LATER.format("last_at")}, last_key = {_LATER.format("last_key")}
), counters AS (
    INSERT INTO usage_counter AS c (tenant, customer, meter, subject, filter, start_at, end_at, used)
    SELECT $1, q.customer, q.meter, q.subject, q.filter,
        {INSTANT.format("q.start_at")}, {INSTANT.format("q.end_at")}, q.used::numeric
    FROM unnest({lists(23, 24, 25, 26, 27, 28, 29)})
        AS q(customer, meter, subject, filter, start_at, end_at, used)
    ON CONFLICT (tenant, customer, meter, end_at, start_at, subject, filter) DO UPDATE SET used = excluded.used
), heads AS (
    UPDATE customer_head SET seq = seq + 1, metering_version = $30
    WHERE tenant = $1 AND customer = ANY($31::text::text[])
)
SELECT count(*) FROM ids"""

# Once the head's `seq` is raised. Since when rows count that came after the period in which they count was invoiced.
MARK_LATE = f"""
UPDATE customer_head h SET late_from = least(h.late_from, {INSTANT.format("q.late_from")}), late_seq = h.seq
FROM unnest({lists(2, 3)}) AS q(customer, late_from)
WHERE h.tenant = $1 AND h.customer = q.customer"""

# The extremes of rollups from which something was taken away, once the rows are written.
SHRINK = f"""
UPDATE usage_rollup r SET (min, max, last_at, last_key, last) = (
    SELECT min(least), max(most), max(at), (array_agg(key ORDER BY at DESC, key DESC))[1],
        (array_agg(last ORDER BY at DESC, key DESC))[1]
    FROM (
        SELECT value AS least, value AS most, at, key, value AS last
        FROM ({standing("k.quarter", "k.quarter + interval '15 minutes'")}) s WHERE count > 0
        UNION ALL
        SELECT c.min, c.max, c.last_at, c.last_key, c.last FROM usage_closed c
        WHERE c.tenant = $1 AND c.customer = k.customer AND c.measure = k.measure
            AND c.quarter >= k.quarter AND c.quarter < k.quarter + interval '15 minutes'
            AND c.subject = k.subject AND c.dimensions = k.filter::jsonb
            AND c.last_at IS NOT NULL AND c.month IN {DROPPED}
    ) s)
FROM (
    SELECT q.customer, q.measure, q.meter, {INSTANT.format("q.quarter")} AS quarter, q.subject, q.dimensions AS filter
    FROM unnest({lists(2, 3, 4, 5, 6, 7)}) AS q(customer, measure, meter, quarter, subject, dimensions)
) k
WHERE r.tenant = $1 AND r.customer = k.customer AND r.measure = k.measure AND r.quarter = k.quarter
    AND r.subject = k.subject AND r.dimensions = k.filter::jsonb"""

HOLDS = f"""
SELECT id, kind, customer, subject, holder, seq, counted_at, end_at, state, digest,
    pool, meter, labels, granted, returned, spent, settled
FROM hold WHERE tenant = $1 AND id = ANY({lists(2)}) ORDER BY id, part"""

# How many open leases there are of each meter of a customer.
HOLDERS = f"""
SELECT q.customer, q.meter, (
    SELECT count(*) FROM hold WHERE tenant = $1 AND customer = q.customer AND meter = q.meter
        AND reserved + leased + forfeited > 0 AND kind = 'lease' AND state = 'open')
FROM unnest({lists(2, 3)}) AS q(customer, meter)"""

# The rest of what a commit writes where holds or rates changed. Their rows are behind the heads' locks too.
WRITE_HOLDS = f"""
WITH counters AS (
    UPDATE usage_counter c SET reserved = q.reserved::numeric, leased = q.leased::numeric,
        forfeited = q.forfeited::numeric, tat = q.tat::numeric, pace = q.pace::numeric
    FROM unnest({lists(3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)})
        AS q(customer, meter, subject, filter, start_at, end_at, reserved, leased, forfeited, tat, pace)
    WHERE c.tenant = $1 AND c.customer = q.customer AND c.meter = q.meter AND c.subject = q.subject
        AND c.filter = q.filter AND c.start_at = {INSTANT.format("q.start_at")}
        AND c.end_at = {INSTANT.format("q.end_at")}
), moves AS (
    INSERT INTO hold_move (tenant, customer, seq, recorded_at, id, meter, subject, labels, counted_at,
        reserved, leased, forfeited)
    SELECT $1, q.customer, q.seq::bigint, $2, q.id, q.meter, q.subject, q.labels::jsonb,
        {INSTANT.format("q.counted")}, q.reserved::numeric, q.leased::numeric, q.forfeited::numeric
    FROM unnest({lists(*range(14, 24))})
        AS q(customer, seq, id, meter, subject, labels, counted, reserved, leased, forfeited)
), written AS (
    INSERT INTO hold AS h (tenant, id, part, kind, customer, subject, holder, meter, labels, seq, counted_at, end_at,
        state, granted, returned, spent, settled, reserved, leased, forfeited, digest, pool)
    SELECT $1, q.id, q.part::integer, q.kind, q.customer, q.subject, q.holder, q.meter, q.labels::jsonb, q.seq::bigint,
        {INSTANT.format("q.counted")}, {INSTANT.format("q.end_at")}, q.state, q.granted::numeric, q.returned::numeric,
        q.spent::numeric, q.settled::numeric, q.reserved::numeric, q.leased::numeric, q.forfeited::numeric,
        decode(q.digest, 'hex'), q.pool
    FROM unnest({lists(*range(24, 45))})
        AS q(id, part, kind, customer, subject, holder, meter, labels, seq, counted, end_at, state, granted, returned,
            spent, settled, reserved, leased, forfeited, digest, pool)
    ON CONFLICT (tenant, id, part) DO UPDATE SET end_at = excluded.end_at, state = excluded.state,
        granted = excluded.granted, returned = excluded.returned, spent = excluded.spent, settled = excluded.settled,
        reserved = excluded.reserved, leased = excluded.leased, forfeited = excluded.forfeited
    WHERE h.customer = excluded.customer
    RETURNING 1
)
SELECT count(*) FROM written"""

HOLD_OWNERS = "SELECT id, customer, kind, subject FROM hold WHERE tenant = $1 AND id = ANY($2::text[]) AND part = 0"

DUE_HOLDS = """
SELECT tenant, customer, id FROM hold
WHERE (state = 'open' OR leased > 0) AND part = 0 AND end_at < now()
    AND (kind <> 'lease' OR end_at < now() - $1::interval)
    AND NOT EXISTS (SELECT FROM unnest($3::text[], $4::text[]) AS u(tenant, customer)
        WHERE u.tenant = hold.tenant AND u.customer = hold.customer)
ORDER BY end_at LIMIT $2"""
