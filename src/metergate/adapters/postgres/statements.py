"""The hot statements, written by hand. README.md shows their plans.

All take sorted lists, so that rows are touched in one order by every process. `OFFSET 0` in a lateral query is a
fence: each key of the list is looked up by the index, and the planner cannot turn the loop inside out.

Long lists go as one array literal (`::text::text[]`): for a list, the driver would look at each element for
lists inside it, which costs more than all the rest of sending it.
"""

from __future__ import annotations


def _lists(*places: int) -> str:
    """These parameters as lists of texts."""
    return ", ".join(f"${place}::text::text[]" for place in places)


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
SELECT customer, seq, plan, time_zone, metering_version, anchor_at, overrides::text, pool FROM customer_head
WHERE tenant = $1 AND customer = ANY($2::text::text[]) ORDER BY customer FOR UPDATE"""
LOCK_FREE = LOCK + " SKIP LOCKED"

LOOK = f"""
SELECT clock_timestamp() AS now, t.catalog_version, k.*
FROM tenant t LEFT JOIN LATERAL (
    SELECT i.*, decode(q.digest, 'hex') AS asked FROM unnest({_lists(2, 3, 4)}) AS q(source, id, digest)
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
        AND source = q.source AND id = q.id OFFSET 0
) e"""

COUNTERS = f"""
SELECT c.customer, c.meter, c.subject, c.filter, c.start_at, c.end_at,
    c.used, nullif(c.reserved, 0), nullif(c.leased, 0), nullif(c.forfeited, 0), nullif(c.tat, 0),
    NULL::numeric, nullif(c.pace, 0)
FROM unnest({_lists(2, 3, 4, 5)}) AS q(customer, meter, subject, filter)
CROSS JOIN LATERAL (
    SELECT * FROM usage_counter WHERE tenant = $1 AND customer = q.customer AND meter = q.meter
        AND subject = q.subject AND filter = q.filter AND end_at > $6 OFFSET 0
) c"""

# Customers who share a pool: their events count for the customer that is the pool as well.
_MEMBERS = "customer_head p JOIN meter m ON p.tenant = $1 AND p.customer = k.customer AND p.is_pool"


def _counted(since: str, until: str, more: str = "") -> str:
    """What events add up to between two instants, for the customer k.customer and, where it is a pool, for it."""
    mine = f"""
        AND e.counted_at >= {since} AND e.counted_at < {until} {more}
        AND (k.subject = '' OR e.subject = k.subject)
        AND (k.filter = '' OR {LABELS_MATCH.format(filter="k.filter::jsonb")})"""
    return f"""
    SELECT sum({CONTRIBUTION}) AS part FROM meter m JOIN usage_event e
        ON e.tenant = $1 AND e.customer = k.customer AND e.type = m.event_type
    WHERE m.tenant = $1 AND m.name = k.meter {mine}
    UNION ALL
    SELECT sum({CONTRIBUTION}) FROM {_MEMBERS} JOIN usage_event e
        ON e.tenant = $1 AND e.pool = k.customer AND e.type = m.event_type
    WHERE m.tenant = $1 AND m.name = k.meter {mine}"""


# The ledger's sum over a window: whole quarter hours from the rollups, the edges from the events.
# k holds the counter's key and the inner, quarter-aligned part of its window.
_SUM = f"""(
SELECT coalesce(sum(part), 0) FROM (
    SELECT sum(r.sum) AS part FROM usage_rollup r
    WHERE r.tenant = $1 AND r.customer = k.customer AND r.meter = k.meter
        AND r.quarter >= k.inner_start AND r.quarter < k.inner_end
        AND (k.subject = '' OR r.subject = k.subject)
        AND (k.filter = '' OR r.dimensions @> k.filter::jsonb)
    UNION ALL {_counted("k.start_at", "k.inner_start")}
    UNION ALL {_counted("k.inner_end", "k.end_at")}
) parts)"""

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

_KEYS = """unnest($2::text[], $3::text[], $4::text[], $5::text[],
    $6::timestamptz[], $7::timestamptz[], $8::timestamptz[], $9::timestamptz[])
    WITH ORDINALITY AS k(customer, meter, subject, filter, start_at, end_at, inner_start, inner_end, place)"""

SUMS = f"SELECT {_SUM} FROM {_KEYS} ORDER BY k.place"

# What holds keep, one by one: many counters may be born at once, and each hold is read once for all of them.
_KEPT_PART = "e.id, e.meter, e.subject, e.labels::text, e.counted_at, e.reserved, e.leased, e.forfeited"
_KEPT_HERE = """e.meter = q.meter AND e.counted_at >= $5 AND e.reserved + e.leased + e.forfeited > 0
        AND (q.subject = '' OR e.subject = q.subject)"""
KEPT = f"""
SELECT q.customer, e.* FROM unnest({_lists(2, 3, 4)}) AS q(customer, meter, subject)
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
    coalesce(c.used, {_SUM}) AS used, coalesce(c.reserved, held.reserved) AS reserved,
    coalesce(c.leased, held.leased) AS leased, coalesce(c.forfeited, held.forfeited) AS forfeited,
    coalesce(c.tat, heir.tat) AS tat, coalesce(c.pace, heir.pace) AS pace, granted.granted
FROM {_KEYS}
CROSS JOIN LATERAL (SELECT * FROM customer_head WHERE tenant = $1 AND customer = k.customer OFFSET 0) h
LEFT JOIN LATERAL (
    SELECT * FROM usage_counter WHERE tenant = $1 AND customer = k.customer AND meter = k.meter
        AND end_at = k.end_at AND start_at = k.start_at AND subject = k.subject AND filter = k.filter OFFSET 0
) c ON true
LEFT JOIN LATERAL {_HELD_UNCOUNTED} held ON true
{_HEIR}
{_GRANTED}
ORDER BY k.place"""

METERING_VERSION = "SELECT metering_version FROM customer_head WHERE tenant = $1 AND customer = $2"

LIVE_COUNTERS = """
SELECT customer, meter, subject, filter, start_at, end_at FROM usage_counter
WHERE tenant = $1 AND customer = $2 AND meter = ANY($5::text[]) AND subject = ANY($6::text[])
    AND end_at > $3 AND start_at <= $4
ORDER BY meter, end_at, start_at, subject, filter"""

OWNERS = """
SELECT q.subject, coalesce(s.customer, c.customer) AS customer
FROM unnest($2::text[]) AS q(subject)
LEFT JOIN subject s ON s.tenant = $1 AND s.subject = q.subject
LEFT JOIN customer c ON c.tenant = $1 AND c.customer = q.subject
WHERE coalesce(s.customer, c.customer) IS NOT NULL"""

OWNING_CUSTOMERS = """
SELECT q.subject, c.customer, c.name, h.plan, h.time_zone, c.created_at, h.anchor_at, h.overrides::text, h.pool
FROM unnest($2::text[]) AS q(subject)
LEFT JOIN subject s ON s.tenant = $1 AND s.subject = q.subject
JOIN customer c ON c.tenant = $1 AND c.customer = coalesce(s.customer, q.subject)
JOIN customer_head h ON h.tenant = $1 AND h.customer = c.customer"""

FORGET_ROLLUPS = "DELETE FROM usage_rollup WHERE tenant = $1 AND customer = ANY($2::text[]) AND meter = ANY($3::text[])"
# The state of a rate is told by nothing else: its counter stays, unless what it is for can no longer be told apart.
FORGET_COUNTERS = """
DELETE FROM usage_counter c USING meter m
WHERE c.tenant = $1 AND c.customer = ANY($2::text[]) AND c.meter = ANY($3::text[])
    AND m.tenant = $1 AND m.name = c.meter AND (c.tat = 0 OR EXISTS (
        SELECT FROM jsonb_object_keys(coalesce(nullif(c.filter, ''), '{}')::jsonb) k WHERE k <> ALL (m.dimensions)))"""
RATES_ANEW = """
UPDATE usage_counter c SET used = (
    SELECT coalesce(sum(r.sum), 0) FROM usage_rollup r
    WHERE r.tenant = $1 AND r.customer = c.customer AND r.meter = c.meter
        AND (c.subject = '' OR r.subject = c.subject) AND (c.filter = '' OR r.dimensions @> c.filter::jsonb))
WHERE c.tenant = $1 AND c.customer = ANY($2::text[]) AND c.meter = ANY($3::text[])"""
DIMENSIONS = (
    """(SELECT coalesce(jsonb_object_agg(d, coalesce(e.labels ->> d, '')), '{}') FROM unnest(m.dimensions) d)"""
)
# generate_series would do as well; date_bin keeps to quarter hours of UTC.
QUARTER = "date_bin('15 minutes', e.counted_at, timestamptz '1970-01-01 00:00+00')"
ROLL_UP = f"""
INSERT INTO usage_rollup (tenant, customer, meter, quarter, subject, dimensions, count, sum)
SELECT $1, e.owner, m.name, {QUARTER}, e.subject, {DIMENSIONS}, count(*), sum({CONTRIBUTION})
FROM meter m JOIN (
    SELECT customer AS owner, * FROM usage_event WHERE tenant = $1 AND customer = ANY($2::text[])
    UNION ALL SELECT pool, * FROM usage_event WHERE tenant = $1 AND pool = ANY($2::text[])
) e ON e.type = m.event_type
WHERE m.tenant = $1 AND m.name = ANY($3::text[]) AND {CONTRIBUTION} IS NOT NULL
GROUP BY 2, 3, 4, 5, 6"""

_INSTANT = "(timestamptz '1970-01-01 00:00+00' + {0}::bigint * interval '1 microsecond')"
_TIME = f"CASE WHEN q.time <> '' THEN {_INSTANT.format('q.time')} END"
_COUNTED = f"CASE WHEN q.counted <> '' THEN {_INSTANT.format('q.counted')} ELSE $2 END"

# Heads are locked before ids are written; in what order the parts of this one statement run does not matter,
# since all that they touch but the ids is behind those locks, and the ids are sorted.
WRITE = f"""
WITH ids AS (
    INSERT INTO usage_id (tenant, source, id, slice, digest, customer, seq, counted_at)
    SELECT $1, q.source, q.id, s.slice, decode(q.digest, 'hex'), q.customer, q.seq::bigint, {_COUNTED}
    FROM unnest({_lists(3, 4, 5, 6, 7, 32)})
        AS q(source, id, digest, customer, seq, counted)
    CROSS JOIN unnest($9::date[]) AS s(slice)
    ON CONFLICT DO NOTHING RETURNING 1
), events AS (
    INSERT INTO usage_event (tenant, customer, seq, counted_at, recorded_at, time, source, id,
        type, subject, amount, values, labels, settles, pool)
    SELECT $1, q.customer, q.seq::bigint, {_COUNTED}, $2, {_TIME}, q.source, q.id,
        q.type, q.subject, nullif(q.amount, '')::numeric, nullif(q.values, '')::jsonb, nullif(q.labels, '')::jsonb,
        nullif(q.settles, ''), nullif(q.pool, '')
    FROM unnest({_lists(6, 7, 8, 32, 3, 4, 10, 11, 12, 13, 14, 15, 33)})
        AS q(customer, seq, time, counted, source, id, type, subject, amount, values, labels, settles, pool)
), rollups AS (
    INSERT INTO usage_rollup AS r (tenant, customer, meter, quarter, subject, dimensions, count, sum)
    SELECT $1, q.customer, q.meter, {_INSTANT.format("q.quarter")}, q.subject, q.dimensions::jsonb,
        q.count::bigint, q.sum::numeric
    FROM unnest({_lists(16, 17, 18, 19, 20, 21, 22)})
        AS q(customer, meter, quarter, subject, dimensions, count, sum)
    ON CONFLICT (tenant, customer, meter, quarter, subject, dimensions)
    DO UPDATE SET count = r.count + excluded.count, sum = r.sum + excluded.sum
), counters AS (
    INSERT INTO usage_counter AS c (tenant, customer, meter, subject, filter, start_at, end_at, used)
    SELECT $1, q.customer, q.meter, q.subject, q.filter,
        {_INSTANT.format("q.start_at")}, {_INSTANT.format("q.end_at")}, q.used::numeric
    FROM unnest({_lists(23, 24, 25, 26, 27, 28, 29)})
        AS q(customer, meter, subject, filter, start_at, end_at, used)
    ON CONFLICT (tenant, customer, meter, end_at, start_at, subject, filter) DO UPDATE SET used = excluded.used
), heads AS (
    UPDATE customer_head SET seq = seq + 1, metering_version = $30
    WHERE tenant = $1 AND customer = ANY($31::text::text[])
)
SELECT count(*) FROM ids"""


HOLDS = f"""
SELECT id, kind, customer, subject, holder, seq, counted_at, end_at, state, digest,
    pool, meter, labels, granted, returned, spent, settled
FROM hold WHERE tenant = $1 AND id = ANY({_lists(2)}) ORDER BY id, part"""

# How many open leases there are of each meter of a customer.
HOLDERS = f"""
SELECT q.customer, q.meter, (
    SELECT count(*) FROM hold WHERE tenant = $1 AND customer = q.customer AND meter = q.meter
        AND reserved + leased + forfeited > 0 AND kind = 'lease' AND state = 'open')
FROM unnest({_lists(2, 3)}) AS q(customer, meter)"""

# The rest of what a commit writes where holds or rates changed. Their rows are behind the heads' locks too.
WRITE_HOLDS = f"""
WITH counters AS (
    UPDATE usage_counter c SET reserved = q.reserved::numeric, leased = q.leased::numeric,
        forfeited = q.forfeited::numeric, tat = q.tat::numeric, pace = q.pace::numeric
    FROM unnest({_lists(3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)})
        AS q(customer, meter, subject, filter, start_at, end_at, reserved, leased, forfeited, tat, pace)
    WHERE c.tenant = $1 AND c.customer = q.customer AND c.meter = q.meter AND c.subject = q.subject
        AND c.filter = q.filter AND c.start_at = {_INSTANT.format("q.start_at")}
        AND c.end_at = {_INSTANT.format("q.end_at")}
), moves AS (
    INSERT INTO hold_move (tenant, customer, seq, recorded_at, id, meter, subject, labels, counted_at,
        reserved, leased, forfeited)
    SELECT $1, q.customer, q.seq::bigint, $2, q.id, q.meter, q.subject, q.labels::jsonb,
        {_INSTANT.format("q.counted")}, q.reserved::numeric, q.leased::numeric, q.forfeited::numeric
    FROM unnest({_lists(*range(14, 24))})
        AS q(customer, seq, id, meter, subject, labels, counted, reserved, leased, forfeited)
), written AS (
    INSERT INTO hold AS h (tenant, id, part, kind, customer, subject, holder, meter, labels, seq, counted_at, end_at,
        state, granted, returned, spent, settled, reserved, leased, forfeited, digest, pool)
    SELECT $1, q.id, q.part::integer, q.kind, q.customer, q.subject, q.holder, q.meter, q.labels::jsonb, q.seq::bigint,
        {_INSTANT.format("q.counted")}, {_INSTANT.format("q.end_at")}, q.state, q.granted::numeric, q.returned::numeric,
        q.spent::numeric, q.settled::numeric, q.reserved::numeric, q.leased::numeric, q.forfeited::numeric,
        decode(q.digest, 'hex'), q.pool
    FROM unnest({_lists(*range(24, 45))})
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

_GRANTED_AT = """(
    SELECT coalesce(sum(CASE WHEN kind IN ('expire', 'void') THEN -amount ELSE amount END), 0) AS granted
    FROM grant_move
    WHERE tenant = $1 AND customer = k.customer AND meter = k.meter AND kind <> 'burn'
        AND (CASE WHEN k.customer = a.customer THEN seq <= a.seq ELSE recorded_at <= a.at END)
        AND k.subject = '' AND k.filter = ''
        AND k.start_at = timestamptz '1970-01-01 00:00+00' AND k.end_at = timestamptz '2200-01-01 00:00+00'
)"""

# The counters as they were at a seq of customer a.customer: as they are, without what came after it. A pool has an
# order of its own, and so have its members, so there it is what came after the same commit by the clock.
_AFTER = (
    "(CASE WHEN k.customer = a.customer AND e.customer = k.customer THEN e.seq > a.seq ELSE e.recorded_at > a.at END) "
    "AND e.recorded_at >= a.since"
)
FIGURES_AT = f"""
SELECT {_SUM} - (SELECT coalesce(sum(part), 0) FROM ({_counted("k.start_at", "k.end_at", f"AND {_AFTER}")}) parts),
    held.reserved - later.reserved, held.leased - later.leased, held.forfeited - later.forfeited,
    0::numeric, granted.granted
FROM {_KEYS}
JOIN unnest($10::text[], $11::bigint[], $12::timestamptz[], $13::timestamptz[]) WITH ORDINALITY
    AS a(customer, seq, at, since, place) ON a.place = k.place
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
