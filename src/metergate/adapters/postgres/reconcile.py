"""Reconciliation: events = ids = rollups = counters, and holds and grants = counters, by query in one snapshot."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine

from metergate.adapters.postgres import quantities as sql
from metergate.adapters.postgres.connect import snapshots
from metergate.adapters.postgres.definitions import driver
from metergate.adapters.postgres.errors import engine_errors

# Customers whose rollups wait for the next use after a catalog change are left out of the comparison, and so is
# what is left of meters that are gone: one that comes back under the same name is made anew.
_CURRENT = """
current AS (
    SELECT h.tenant, h.customer FROM customer_head h JOIN tenant t USING (tenant)
    WHERE h.customer <> '' AND h.metering_version = t.metering_version
)"""

# An event counts for its customer, and for the pool that this one was in.
_OWNED = """(
    SELECT customer AS owner, * FROM usage_event
    UNION ALL SELECT pool, * FROM usage_event WHERE pool IS NOT NULL
)"""

# What a meter that is gone needed of them may be there yet: nobody reads it before it is made anew.
_OF_EXTREMES = ", ".join(
    [f"CASE WHEN m.extremes THEN r.{name} END AS {name}" for name in ("min", "max", "last_at", "last_key", "last")]
)
_ROLLUPS = f"""
WITH {_CURRENT}, told AS (
    {sql.rolled_up(_OWNED, "EXISTS (SELECT FROM current c WHERE c.tenant = e.tenant AND c.customer = e.owner)")}
), kept AS (
    SELECT r.tenant, r.customer, r.measure, r.quarter, r.subject, r.dimensions, r.count,
        CASE WHEN m.aggregation = 'count' THEN r.count ELSE r.sum END AS sum,
        {_OF_EXTREMES}
    FROM usage_rollup r JOIN current c USING (tenant, customer)
    JOIN meter m ON m.tenant = r.tenant AND m.measure = r.measure AND m.leads
)
SELECT coalesce(t.tenant, k.tenant), coalesce(t.customer, k.customer),
    (SELECT name FROM meter WHERE tenant = coalesce(t.tenant, k.tenant) AND leads
        AND measure = coalesce(t.measure, k.measure)) || ' at ' || coalesce(t.quarter, k.quarter),
    (t.count, t.sum, t.min, t.max, t.last)::text, (k.count, k.sum, k.min, k.max, k.last)::text
FROM told t FULL JOIN kept k USING (tenant, customer, measure, quarter, subject, dimensions)
WHERE (coalesce(t.count, 0), coalesce(t.sum, 0), t.min, t.max, t.last_at, t.last)
    IS DISTINCT FROM (coalesce(k.count, 0), coalesce(k.sum, 0), k.min, k.max, k.last_at, k.last)
LIMIT 100"""

_SAMPLES = f"""
SELECT value, item, at, key, sum(sign) AS count FROM (
    SELECT {sql.CONTRIBUTION} AS value, {sql.ITEM} AS item, e.counted_at AS at, {sql.KEY} AS key, {sql.SIGN} AS sign
    FROM {_OWNED} e WHERE e.tenant = k.tenant AND e.owner = k.customer AND e.type = m.event_type
        AND e.counted_at >= k.start_at AND e.counted_at < k.end_at
        AND (k.subject = '' OR e.subject = k.subject)
        AND (k.filter = '' OR {sql.LABELS_MATCH.format(filter="nullif(k.filter, '')::jsonb")})
) samples WHERE value IS NOT NULL GROUP BY 1, 2, 3, 4 HAVING sum(sign) <> 0"""
_COUNTERS = f"""
WITH {_CURRENT}
SELECT k.tenant, k.customer, k.meter || ' ' || k.filter || ' from ' || k.start_at, s.quantity, k.used
FROM usage_counter k JOIN current c USING (tenant, customer)
JOIN meter m ON m.tenant = k.tenant AND m.name = k.meter
CROSS JOIN LATERAL (SELECT coalesce({sql.of_samples(_SAMPLES)}, 0) AS quantity) s
WHERE s.quantity <> k.used
LIMIT 100"""

# How many events of each value stand in the windows of UNIQUE counters.
_VALUES = f"""
WITH {_CURRENT}
SELECT k.tenant, k.customer, k.meter || ' ' || k.filter || ' from ' || k.start_at || ': ' || d.item, d.told, d.kept
FROM usage_counter k JOIN current c USING (tenant, customer)
JOIN meter m ON m.tenant = k.tenant AND m.name = k.meter AND m.aggregation = 'unique'
CROSS JOIN LATERAL (
    SELECT coalesce(t.item, v.value) AS item, t.number AS told, v.number AS kept
    FROM (SELECT item, sum(count) AS number FROM ({_SAMPLES}) s GROUP BY item) t FULL JOIN (
        SELECT value, number FROM counter_value WHERE tenant = k.tenant AND customer = k.customer AND meter = k.meter
            AND end_at = k.end_at AND start_at = k.start_at AND subject = k.subject AND filter = k.filter
    ) v ON v.value = t.item
) d
WHERE d.told IS DISTINCT FROM d.kept
LIMIT 100"""

_HELD = f"""
WITH {_CURRENT}
SELECT k.tenant, k.customer, k.meter || ' ' || k.filter || ' held from ' || k.start_at,
    (s.reserved, s.leased, s.forfeited)::text, (k.reserved, k.leased, k.forfeited)::text
FROM usage_counter k JOIN current c USING (tenant, customer)
JOIN meter known ON known.tenant = k.tenant AND known.name = k.meter
CROSS JOIN LATERAL (
    SELECT coalesce(sum(e.reserved), 0) AS reserved, coalesce(sum(e.leased), 0) AS leased,
        coalesce(sum(e.forfeited), 0) AS forfeited
    FROM hold e
    WHERE e.tenant = k.tenant AND (e.customer = k.customer OR e.pool = k.customer) AND e.meter = k.meter
        AND e.counted_at >= k.start_at AND e.counted_at < k.end_at
        AND (k.subject = '' OR e.subject = k.subject)
        AND (k.filter = '' OR {sql.LABELS_MATCH.format(filter="nullif(k.filter, '')::jsonb")})
) s
WHERE (s.reserved, s.leased, s.forfeited) <> (k.reserved, k.leased, k.forfeited)
LIMIT 100"""

# What a hold keeps = what it was handed less what came back of it = the sum of its history.
_HOLDS = """
SELECT tenant, customer, id || ' ' || h.meter, h.granted - h.returned - h.settled,
    (h.reserved, h.leased, h.forfeited, m.kept)::text
FROM (
    SELECT tenant, id, customer, meter, sum(granted) AS granted, sum(returned) AS returned, sum(settled) AS settled,
        sum(reserved) AS reserved, sum(leased) AS leased, sum(forfeited) AS forfeited
    FROM (SELECT * FROM hold UNION ALL
        SELECT tenant, id, part, kind, pool, subject, holder, meter, labels, seq, counted_at, end_at, state, granted,
            returned, spent, settled, reserved, leased, forfeited, digest, pool FROM hold WHERE pool <> '') both_of
    GROUP BY 1, 2, 3, 4
) h
LEFT JOIN (
    SELECT tenant, id, customer, meter, sum(reserved + leased + forfeited) AS kept FROM hold_move GROUP BY 1, 2, 3, 4
) told USING (tenant, id, customer, meter)
CROSS JOIN LATERAL (SELECT coalesce(told.kept, 0) AS kept) m
WHERE h.granted - h.returned - h.settled <> h.reserved + h.leased + h.forfeited
    OR h.reserved + h.leased + h.forfeited <> m.kept
LIMIT 100"""

# What a grant brought, burned and lost = the sum of its history; what is left of active ones is not negative.
_GRANTS = """
SELECT g.tenant, g.customer, g.id || ' ' || g.meter, (m.brought, m.burned, m.lost)::text,
    (g.amount + g.rolled, g.burned, g.lost)::text
FROM usage_grant g
CROSS JOIN LATERAL (
    SELECT coalesce(sum(amount) FILTER (WHERE kind IN ('start', 'roll')), 0) AS brought,
        coalesce(sum(amount) FILTER (WHERE kind = 'burn'), 0) AS burned,
        coalesce(sum(amount) FILTER (WHERE kind IN ('expire', 'void')), 0) AS lost
    FROM grant_move WHERE tenant = g.tenant AND id = g.id
) m
WHERE (m.burned <> g.burned OR m.burned + m.lost > m.brought)
    OR (m.brought > 0 AND (m.brought, m.lost) <> (g.amount + g.rolled, g.lost))
    OR (g.state IN ('ended', 'voided') AND g.amount + g.rolled <> g.burned + g.lost)
LIMIT 100"""

# What is granted in all = the sum of its history.
_ACCOUNTS = """
SELECT coalesce(m.tenant, a.tenant), coalesce(m.customer, a.customer), coalesce(m.meter, a.meter), m.granted, a.granted
FROM (
    SELECT tenant, customer, meter,
        sum(CASE WHEN kind IN ('expire', 'void') THEN -amount ELSE amount END) AS granted,
        bool_or(kind = 'base') AS opened
    FROM grant_move WHERE kind <> 'burn' GROUP BY 1, 2, 3
) m
FULL JOIN grant_account a USING (tenant, customer, meter)
WHERE (m.opened OR a.granted IS NOT NULL) AND m.granted IS DISTINCT FROM a.granted
LIMIT 100"""

# What grants still hold is not more than what is granted and not used. Customers of meters without such a limit burn
# with their next use under one.
_LEFT = f"""
WITH {_CURRENT}
SELECT a.tenant, a.customer, a.meter || ' left', greatest(a.granted - k.used, 0), g.held
FROM grant_account a JOIN current c USING (tenant, customer)
JOIN usage_counter k ON k.tenant = a.tenant AND k.customer = a.customer AND k.meter = a.meter
    AND k.subject = '' AND k.filter = ''
    AND k.start_at = timestamptz '1970-01-01 00:00+00' AND k.end_at = timestamptz '2200-01-01 00:00+00'
CROSS JOIN LATERAL (
    SELECT coalesce(sum(amount + rolled - burned - lost), 0) AS held FROM usage_grant
    WHERE tenant = a.tenant AND customer = a.customer AND meter = a.meter AND state = 'active'
) g
WHERE g.held > greatest(a.granted - k.used, 0)
    AND EXISTS (SELECT FROM plan_limit WHERE tenant = a.tenant AND meter = a.meter AND kind = 'grants')
LIMIT 100"""

# Ids recorded in the last ten minutes of a month stand in the next month's slice too (see `partitions.slices`).
_IDS = """
SELECT coalesce(i.tenant, e.tenant), coalesce(i.customer, e.customer), coalesce(i.id, e.id), e.events, i.ids
FROM (SELECT tenant, source, id, min(customer) AS customer, 1 AS ids FROM usage_id GROUP BY 1, 2, 3) i
FULL JOIN (SELECT tenant, source, id, min(customer) AS customer, count(*) AS events FROM usage_event
    WHERE version IS NULL AND sign IS NULL
        AND recorded_at >= coalesce((SELECT min(slice) FROM usage_id) - interval '10 minutes', now())
    GROUP BY 1, 2, 3) e
USING (tenant, source, id)
WHERE e.events IS DISTINCT FROM 1 OR i.ids IS DISTINCT FROM 1
LIMIT 100"""

# Of an event that was corrected one row stands, or none; and where its newest version says.
_VERSIONS = """
SELECT v.tenant, v.customer, v.id || ' version ' || v.version, s.stand::text, (v.kind <> 'void')::int::text
FROM (SELECT DISTINCT ON (tenant, source, id) * FROM usage_version ORDER BY tenant, source, id, version DESC) v
CROSS JOIN LATERAL (
    SELECT coalesce(sum(coalesce(e.sign, 1)), 0) AS stand FROM usage_event e
    WHERE e.tenant = v.tenant AND e.customer = v.customer AND e.counted_at = v.counted_at AND e.source = v.source
        AND e.id = v.id AND coalesce(e.pool, '') = v.pool AND coalesce(e.version, 1) = v.content
) s
WHERE s.stand <> (v.kind <> 'void')::int
    AND (s.stand > 0 OR NOT EXISTS (SELECT FROM event_month WHERE state = 'dropped'))  -- the row may be gone with it
LIMIT 100"""


_KINDS = (
    ("rollup", _ROLLUPS),
    ("counter", _COUNTERS),
    ("value", _VALUES),
    ("held", _HELD),
    ("hold", _HOLDS),
    ("grant", _GRANTS),
    ("granted", _ACCOUNTS),
    ("left", _LEFT),
    ("id", _IDS),
    ("version", _VERSIONS),
)


class Reconciler:
    """Compares what is kept with what the events say."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._snapshots = snapshots(engine)

    async def differences(self) -> list[str]:
        """A line for each difference, at most a hundred of a kind; none when all is well."""
        lines = []
        with engine_errors():
            async with self._snapshots.connect() as pooled:
                connection = await driver(pooled)
                for kind, query in _KINDS:
                    for tenant, customer, what, events, kept in await connection.fetch(query):
                        lines.append(f"{kind} {tenant}/{customer} {what}: events say {events}, kept is {kept}")
        return lines
