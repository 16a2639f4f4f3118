"""What is looked for when the ledger is reconciled, as SQL: one statement for each kind of difference.

$1 is the tenant, $2 and $3 the first and the last of the customers. Each gives the customer, what differs, what the
events say, what is kept, and how many differences there are in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from metergate.adapters.postgres import quantities as sql
from metergate.app.reconcile import DIFFERENCES_MOST

_END = f"ORDER BY 1, 2 LIMIT {DIFFERENCES_MOST}"
_HERE = "BETWEEN $2 AND $3"
_QUARTER_OF_PIECE = sql.QUARTER.replace("e.counted_at", "r.quarter")

# Customers whose rollups wait for the next use after a catalog change are left out of the comparison, and so is
# what is left of meters that are gone: one that comes back under the same name is made anew.
_CURRENT = f"""
current AS (
    SELECT h.tenant, h.customer FROM customer_head h JOIN tenant t USING (tenant)
    WHERE h.tenant = $1 AND h.customer {_HERE} AND h.customer <> '' AND h.metering_version = t.metering_version
)"""

# The meter's constants are parameters: with a plan of its own, each choice of the formulas is made once, and not for
# each event. $4 measure, $5 event type, $11 dimensions.
_METER = """(SELECT $6::text AS aggregation, $7::text AS value, $8::text::jsonb AS filters, $9::numeric AS scale,
    $10::boolean AS allow_negative) m"""


def _owned(columns: str, pools: bool, whole: bool = False) -> str:
    """Events with for whom they count, the customer and the pool that it was in, of a range or the whole tenant."""
    mine = f"SELECT {{0}} AS owner, {{1}} AS own, {columns} FROM usage_event WHERE tenant = $1 AND {{0}} {{2}}"
    return mine.format("customer", "true", _HERE if not whole else "IS NOT NULL") + (
        f" UNION ALL {mine.format('pool', 'false', _HERE)}" if pools else ""
    )


# Ids recorded in the last ten minutes of a month stand in the next month's slice too (see `partitions.slices`), and
# are remembered for as long as that. $1 tenant, $2 the first slice that there is.
def _remembered(since: str) -> str:
    return f"version IS NULL AND sign IS NULL AND recorded_at >= {since}::timestamptz - interval '10 minutes'"


_HASH = "hashtextextended(id, hashtextextended(source, 0))"
_FIRST = f"tenant = $1 AND {_remembered('$2')}"
# Two slices hold it.
_TWICE = """recorded_at >= $2 AND date_trunc('month', recorded_at, 'UTC')
    <> date_trunc('month', recorded_at + interval '10 minutes', 'UTC')"""
# Sums of hashes: the ids are those of the events where they are alike, but once in 2^64.
ID_SUMS = f"""
SELECT coalesce((SELECT sum({_HASH}) FROM usage_id WHERE tenant = $1), 0), coalesce((
    SELECT sum({_HASH}) FROM generate_series($2::timestamptz, now() + interval '32 days', interval '1 month') border
    JOIN usage_event ON recorded_at >= $2 AND recorded_at >= border - interval '10 minutes' AND recorded_at < border
    WHERE tenant = $1 AND version IS NULL AND sign IS NULL), 0)"""
EVENT_SUM = f"SELECT coalesce(sum({_HASH}), 0) FROM usage_event WHERE {_FIRST}"

# What stands for a count beside a sum, so that both are compared as one figure.
_COUNT = 982_451_653
_TYPES = ("text", "text", "text", "text", "text", "numeric", "boolean", "text[]")


class Measure(NamedTuple):
    """What makes a difference to a statement: how many dimensions, whether events are only counted, and whether values
    are scaled."""

    dimensions: int
    counts: bool
    scaled: bool


def _weight(alias: str, quarter: str, labels: str, measure: Measure, dimensions: str) -> str:
    """A number for the key of a rollup within its customer, never 0."""
    key = f"hashtextextended({alias}.subject, timestamp_hash_extended({quarter} AT TIME ZONE 'UTC', 0))"
    for number in range(1, measure.dimensions + 1):
        key = f"hashtextextended(coalesce({labels} ->> ({dimensions}::text[])[{number}], ''), {key})"
    return f"(({key} >> 32) | 1)"


def suspects(measures: Sequence[Measure], pools: bool, closed: bool, ids: bool) -> str:
    """For each of the measures, whether its rollups are other than the events say, and the sum of the events' ids.

    Each key of a rollup has a random weight. Weighted sums over events and over rollups are compared by customer: they
    are alike where all rollups are right, and but once in 2^32 where two errors could make up for each other. So one
    pass over the events does for many measures, and for the ids, in no more memory than the customers need. $4 is the
    first slice of ids; the eight parameters of each measure follow.
    """
    told: list[str] = []
    kept: list[str] = []
    balances: list[str] = []
    for number, measure in enumerate(measures):
        name, type_, *constants, dimensions = (f"${5 + 8 * number + place}" for place in range(8))
        value = _of_constants(constants, measure)
        weight = _weight("e", sql.QUARTER, "e.labels", measure, dimensions)
        signed = f"(CASE WHEN e.sign < 0 THEN -{weight} ELSE {weight} END)"
        weighed = [("IS NOT NULL", signed)]
        if not measure.counts:  # most values are 1, for which integers will do
            weighed = [("= 1", f"{1 + _COUNT} * {signed}"), ("<> 1", f"({value} + {_COUNT}) * {signed}")]
        sums = [
            f"coalesce(sum(CASE WHEN e.type = {type_} AND {value} {if_} THEN {one} END), 0)" for if_, one in weighed
        ]
        told.append(f"{' + '.join(sums)} AS p{number}")
        of_rollup = "r.count" if measure.counts else f"(r.sum + r.count * {_COUNT})"
        for quarter, into in (("r.quarter", kept), (_QUARTER_OF_PIECE, balances)):
            kept_there = f"{of_rollup} * {_weight('r', quarter, 'r.dimensions', measure, dimensions)}"
            into.append(f"sum(CASE WHEN r.measure = {name} THEN {kept_there} END) AS p{number}")
    columns = "type, counted_at, recorded_at, subject, source, id, amount, values, labels, sign, version"
    told.append(f"sum(CASE WHEN e.own AND {_remembered('$4')} THEN {_HASH} END) AS ids" if ids else "0 AS ids")
    rolled = f"FROM {{}} r WHERE r.tenant = $1 AND r.customer {_HERE} {{}} GROUP BY 1"
    typed = [f"${5 + place}::{_TYPES[place % 8]} AS c{place}" for place in range(8 * len(measures))] or ["true AS none"]
    closed_too = "+ coalesce(b.p{0}, 0) " if closed else ""
    differs = [
        f"coalesce(bool_or(c.customer IS NOT NULL AND coalesce(t.p{place}, 0) {closed_too.format(place)}"
        f"<> coalesce(k.p{place}, 0)), false)"
        for place in range(len(measures))
    ]
    return f"""
WITH {_CURRENT}, parameters AS (  -- what some measures leave out has a type all the same
    SELECT $4::timestamptz AS first_slice, {", ".join(typed)}
), told AS (
    SELECT owner AS customer, {", ".join(told)} FROM ({_owned(columns, pools, ids)}) e GROUP BY 1
), kept AS (
    SELECT {", ".join(["customer", *kept])} {rolled.format("usage_rollup", "")}
), balances AS (
    SELECT {", ".join(["customer", *balances])} {rolled.format("usage_closed", f"AND r.month IN {sql.DROPPED}")}
)
SELECT ARRAY[{", ".join(differs)}]::boolean[], coalesce(sum(t.ids), 0)
FROM told t FULL JOIN kept k USING (customer)
{"FULL JOIN balances b USING (customer)" if closed else ""} LEFT JOIN current c USING (customer)"""


def _of_constants(constants: Sequence[str], measure: Measure) -> str:
    """What an event adds to the measure of these parameters."""
    aggregation, value, filters, scale, negative = constants
    found = sql.CONTRIBUTION if measure.scaled else sql.CONTRIBUTION.replace(" * m.scale", "")
    for column, parameter in (
        ("m.aggregation", f"{aggregation}::text"), ("m.value", f"{value}::text"), ("m.scale", f"{scale}::numeric"),
        ("m.filters", f"{filters}::text::jsonb"), ("m.allow_negative", f"{negative}::boolean"),
    ):  # fmt: skip
        found = found.replace(column, parameter)
    return found


def rollups(dimensions: int, pools: bool, closed: bool) -> str:
    """Counts and sums of one measure's rollups against its events, in one pass over both: what there is too much of."""
    names = [f"($11::text[])[{number + 1}]" for number in range(dimensions)]
    columns = "type, counted_at, subject, amount, values, labels, sign"
    of_event = "".join(f", coalesce(e.labels ->> {name}, '') AS d{place}" for place, name in enumerate(names))
    of_rollup = "".join(f", coalesce(r.dimensions ->> {name}, '') AS d{place}" for place, name in enumerate(names))
    keys = ", ".join(["customer", "quarter", "subject", "strange", *(f"d{place}" for place in range(dimensions))])
    told = ", ".join(f"{name}, d{place}" for place, name in enumerate(names))
    one = "CASE WHEN e.sign < 0 THEN -1 ELSE 1 END"
    value = f"CASE WHEN e.sign < 0 THEN -{sql.CONTRIBUTION} ELSE {sql.CONTRIBUTION} END"
    summed = "CASE WHEN $6::text = 'count' THEN r.count ELSE r.sum END"
    balances = f"""
        UNION ALL
        SELECT r.customer, {_QUARTER_OF_PIECE}, r.subject, false{of_rollup}, r.count, {summed} FROM usage_closed r
        WHERE r.tenant = $1 AND r.customer {_HERE} AND r.measure = $4 AND r.month IN {sql.DROPPED}"""
    return f"""
WITH {_CURRENT}, differing AS (
    SELECT {keys}, sum(count) AS count, coalesce(sum(sum), 0) AS sum FROM (
        SELECT e.owner AS customer, {sql.QUARTER} AS quarter, e.subject, false AS strange{of_event}, {one} AS count,
            {value} AS sum
        FROM ({_owned(columns, pools)}) e, {_METER} WHERE e.type = $5
        UNION ALL
        SELECT r.customer, r.quarter, r.subject, r.dimensions - $11::text[] <> '{{}}' OR NOT r.dimensions ?& $11::text[]
            {of_rollup}, -r.count, -{summed}
        FROM usage_rollup r WHERE r.tenant = $1 AND r.customer {_HERE} AND r.measure = $4
        {balances if closed else ""}
    ) parts WHERE sum IS NOT NULL
    GROUP BY {keys} HAVING sum(count) <> 0 OR sum(sum) <> 0
)
SELECT d.customer, $12::text || ' at ' || d.quarter, (d.count + coalesce(r.count, 0), d.sum + coalesce(r.sum, 0))::text,
    (coalesce(r.count, 0), coalesce(r.sum, 0))::text, count(*) OVER ()
FROM differing d JOIN current c USING (customer)
LEFT JOIN usage_rollup r ON r.tenant = $1 AND r.customer = d.customer AND r.measure = $4 AND r.quarter = d.quarter
    AND r.subject = d.subject AND NOT d.strange AND r.dimensions = jsonb_build_object({told})
{_END}"""


def extremes(pools: bool) -> str:
    """All that rollups of a measure hold that keep extremes."""
    events = f"({_owned('*', pools)})"
    told = sql.with_closed(
        sql.rolled_up(events, "m.tenant = $1 AND m.measure = $4"),
        f"c.tenant = $1 AND c.customer {_HERE} AND c.measure = $4",
    )
    return f"""
WITH {_CURRENT}, told AS ({told}), kept AS (
    SELECT * FROM usage_rollup WHERE tenant = $1 AND customer {_HERE} AND measure = $4
)
SELECT customer, $5::text || ' at ' || quarter, (t.count, t.sum, t.min, t.max, t.last)::text,
    (k.count, k.sum, k.min, k.max, k.last)::text, count(*) OVER ()
FROM told t FULL JOIN kept k USING (customer, quarter, subject, dimensions) JOIN current USING (customer)
WHERE (coalesce(t.count, 0), coalesce(t.sum, 0), t.min, t.max, t.last_at, t.last)
    IS DISTINCT FROM (coalesce(k.count, 0), coalesce(k.sum, 0), k.min, k.max, k.last_at, k.last)
{_END}"""


# A counter is what the rollups of its window's whole quarter hours say, which are compared themselves, and the events
# at its edges; of what is made of the events, what those say.
_COUNTERS = f"""
WITH {_CURRENT}
SELECT k.customer, k.meter || ' ' || k.filter || ' from ' || k.start_at, s.quantity::text, k.used::text,
    count(*) OVER ()
FROM (
    SELECT u.*, CASE WHEN up < down THEN up ELSE end_at END AS inner_start,
        CASE WHEN up < down THEN down ELSE end_at END AS inner_end
    FROM usage_counter u CROSS JOIN LATERAL (
        SELECT date_bin('15 minutes', start_at + interval '899.999999 seconds', to_timestamp(0)) AS up,
            date_bin('15 minutes', end_at, to_timestamp(0)) AS down
    ) q WHERE tenant = $1 AND customer {_HERE}
) k JOIN current c USING (tenant, customer)
JOIN meter known ON known.tenant = k.tenant AND known.name = k.meter
CROSS JOIN LATERAL (SELECT {sql.QUANTITY} AS quantity OFFSET 0) s
WHERE s.quantity <> k.used
{_END}"""

_SAMPLES = sql.standing("k.start_at", "k.end_at")
# How many events of each value stand in the windows of UNIQUE counters.
_VALUES = f"""
WITH {_CURRENT}
SELECT k.customer, k.meter || ' ' || k.filter || ' from ' || k.start_at || ': ' || d.item, d.told::text, d.kept::text,
    count(*) OVER ()
FROM usage_counter k JOIN current c USING (tenant, customer)
JOIN meter known ON known.tenant = k.tenant AND known.name = k.meter AND known.aggregation = 'unique'
CROSS JOIN LATERAL (
    SELECT coalesce(t.item, v.value) AS item, t.number AS told, v.number AS kept
    FROM (SELECT item, sum(count) AS number FROM ({_SAMPLES}) s GROUP BY item) t FULL JOIN (
        SELECT value, number FROM counter_value WHERE tenant = k.tenant AND customer = k.customer AND meter = k.meter
            AND end_at = k.end_at AND start_at = k.start_at AND subject = k.subject AND filter = k.filter
    ) v ON v.value = t.item
) d
WHERE d.told IS DISTINCT FROM d.kept
{_END}"""

_MATCHING = f"""e.meter = k.meter AND e.counted_at >= k.start_at AND e.counted_at < k.end_at
        AND e.reserved + e.leased + e.forfeited > 0
        AND (k.subject = '' OR e.subject = k.subject)
        AND (k.filter = '' OR {sql.LABELS_MATCH.format(filter="nullif(k.filter, '')::jsonb")})"""
_HELD = f"""
WITH {_CURRENT}
SELECT k.customer, k.meter || ' ' || k.filter || ' held from ' || k.start_at,
    (s.reserved, s.leased, s.forfeited)::text, (k.reserved, k.leased, k.forfeited)::text, count(*) OVER ()
FROM usage_counter k JOIN current c USING (tenant, customer)
JOIN meter known ON known.tenant = k.tenant AND known.name = k.meter
CROSS JOIN LATERAL (
    SELECT coalesce(sum(e.reserved), 0) AS reserved, coalesce(sum(e.leased), 0) AS leased,
        coalesce(sum(e.forfeited), 0) AS forfeited
    FROM (
        SELECT * FROM hold e WHERE e.tenant = $1 AND e.customer = k.customer AND {_MATCHING}
        UNION ALL
        SELECT * FROM hold e WHERE e.tenant = $1 AND e.pool = k.customer AND e.pool <> '' AND {_MATCHING}
    ) e
) s
WHERE k.tenant = $1 AND k.customer {_HERE}
    AND (s.reserved, s.leased, s.forfeited) <> (k.reserved, k.leased, k.forfeited)
{_END}"""

# What a hold keeps = what it was handed less what came back of it = the sum of its history.
_HOLDS = f"""
SELECT customer, id || ' ' || h.meter, (h.granted - h.returned - h.settled)::text,
    (h.reserved, h.leased, h.forfeited, m.kept)::text, count(*) OVER ()
FROM (
    SELECT id, customer, meter, sum(granted) AS granted, sum(returned) AS returned, sum(settled) AS settled,
        sum(reserved) AS reserved, sum(leased) AS leased, sum(forfeited) AS forfeited
    FROM (
        SELECT customer, id, meter, granted, returned, settled, reserved, leased, forfeited FROM hold
        WHERE tenant = $1 AND customer {_HERE}
        UNION ALL
        SELECT pool, id, meter, granted, returned, settled, reserved, leased, forfeited FROM hold
        WHERE tenant = $1 AND pool {_HERE} AND pool <> ''
    ) both_of GROUP BY 1, 2, 3
) h
LEFT JOIN (
    SELECT id, customer, meter, sum(reserved + leased + forfeited) AS kept FROM hold_move
    WHERE tenant = $1 AND customer {_HERE} GROUP BY 1, 2, 3
) told USING (id, customer, meter)
CROSS JOIN LATERAL (SELECT coalesce(told.kept, 0) AS kept) m
WHERE h.granted - h.returned - h.settled <> h.reserved + h.leased + h.forfeited
    OR h.reserved + h.leased + h.forfeited <> m.kept
{_END}"""

# What a grant brought, burned and lost = the sum of its history; what is left of active ones is not negative.
_GRANTS = f"""
SELECT g.customer, g.id || ' ' || g.meter, (m.brought, m.burned, m.lost)::text,
    (g.amount + g.rolled, g.burned, g.lost)::text, count(*) OVER ()
FROM usage_grant g
CROSS JOIN LATERAL (
    SELECT coalesce(sum(amount) FILTER (WHERE kind IN ('start', 'roll')), 0) AS brought,
        coalesce(sum(amount) FILTER (WHERE kind = 'burn'), 0) AS burned,
        coalesce(sum(amount) FILTER (WHERE kind IN ('expire', 'void')), 0) AS lost
    FROM grant_move WHERE tenant = g.tenant AND id = g.id
) m
WHERE g.tenant = $1 AND g.customer {_HERE} AND (
    (m.burned <> g.burned OR m.burned + m.lost > m.brought)
    OR (m.brought > 0 AND (m.brought, m.lost) <> (g.amount + g.rolled, g.lost))
    OR (g.state IN ('ended', 'voided') AND g.amount + g.rolled <> g.burned + g.lost))
{_END}"""

# What is granted in all = the sum of its history.
_ACCOUNTS = f"""
SELECT customer, meter, m.granted::text, a.granted::text, count(*) OVER ()
FROM (
    SELECT customer, meter, sum(CASE WHEN kind IN ('expire', 'void') THEN -amount ELSE amount END) AS granted,
        bool_or(kind = 'base') AS opened
    FROM grant_move WHERE tenant = $1 AND customer {_HERE} AND kind <> 'burn' GROUP BY 1, 2
) m
FULL JOIN (SELECT * FROM grant_account WHERE tenant = $1 AND customer {_HERE}) a USING (customer, meter)
WHERE (m.opened OR a.granted IS NOT NULL) AND m.granted IS DISTINCT FROM a.granted
{_END}"""

# What grants still hold is not more than what is granted and not used. Customers of meters without such a limit burn
# with their next use under one.
_LEFT = f"""
WITH {_CURRENT}
SELECT a.customer, a.meter || ' left', greatest(a.granted - k.used, 0)::text, g.held::text, count(*) OVER ()
FROM grant_account a JOIN current c USING (tenant, customer)
JOIN usage_counter k ON k.tenant = a.tenant AND k.customer = a.customer AND k.meter = a.meter
    AND k.subject = '' AND k.filter = ''
    AND k.start_at = timestamptz '1970-01-01 00:00+00' AND k.end_at = timestamptz '2200-01-01 00:00+00'
CROSS JOIN LATERAL (
    SELECT coalesce(sum(amount + rolled - burned - lost), 0) AS held FROM usage_grant
    WHERE tenant = a.tenant AND customer = a.customer AND meter = a.meter AND state = 'active'
) g
WHERE a.tenant = $1 AND g.held > greatest(a.granted - k.used, 0)
    AND EXISTS (SELECT FROM plan_limit WHERE tenant = a.tenant AND meter = a.meter AND kind = 'grants')
{_END}"""

# Of an event that was corrected one row stands, or none; and where its newest version says. The row may be gone with
# its month.
_VERSIONS = f"""
SELECT v.customer, v.id || ' version ' || v.version, s.stand::text, ((v.kind <> 'void')::int)::text, count(*) OVER ()
FROM (
    SELECT DISTINCT ON (source, id) * FROM usage_version WHERE tenant = $1 ORDER BY source, id, version DESC
) v
CROSS JOIN LATERAL (
    SELECT coalesce(sum(coalesce(e.sign, 1)), 0) AS stand FROM usage_event e
    WHERE e.tenant = v.tenant AND e.customer = v.customer AND e.counted_at = v.counted_at AND e.source = v.source
        AND e.id = v.id AND coalesce(e.pool, '') = v.pool AND coalesce(e.version, 1) = v.content
) s
WHERE v.customer {_HERE} AND s.stand <> (v.kind <> 'void')::int
    AND (s.stand > 0 OR NOT EXISTS (SELECT FROM event_month WHERE state = 'dropped'))
{_END}"""

# Those that need nothing but the tenant and the customers.
KINDS = (
    ("counter", _COUNTERS),
    ("value", _VALUES),
    ("version", _VERSIONS),
    ("held", _HELD),
    ("hold", _HOLDS),
    ("grant", _GRANTS),
    ("granted", _ACCOUNTS),
    ("left", _LEFT),
)

IDS = f"""
SELECT e.number + t.number = i.number AND coalesce(e.hash # t.hash, 0) = coalesce(i.hash, 0) FROM
    (SELECT count(*) AS number, coalesce(bit_xor({_HASH}), 0) AS hash FROM usage_event WHERE {_FIRST}) e,
    (SELECT count(*) AS number, coalesce(bit_xor({_HASH}), 0) AS hash FROM usage_event WHERE {_FIRST} AND {_TWICE}) t,
    (SELECT count(*) AS number, bit_xor({_HASH}) AS hash FROM usage_id WHERE tenant = $1) i"""
IDS = f"""
SELECT coalesce(e.customer, i.customer), id, coalesce(e.events, 0)::text, coalesce(i.ids, 0)::text, count(*) OVER ()
FROM (SELECT source, id, min(customer) AS customer, count(*) AS ids FROM usage_id WHERE tenant = $1 GROUP BY 1, 2) i
FULL JOIN (
    SELECT source, id, min(customer) AS customer, count(*) AS events,
        sum(CASE WHEN {_TWICE} THEN 2 ELSE 1 END) AS slices
    FROM usage_event WHERE {_FIRST} GROUP BY 1, 2
) e USING (source, id)
WHERE e.events IS DISTINCT FROM 1 OR i.ids IS DISTINCT FROM e.slices
{_END}"""
IDS_OF = f"""
SELECT e.customer, e.id, count(*)::text, max(i.ids)::text, count(*) OVER () FROM usage_event e CROSS JOIN LATERAL (
    SELECT count(*) AS ids FROM usage_id WHERE tenant = $1 AND source = e.source AND id = e.id OFFSET 0
) i
WHERE {_FIRST} AND e.customer BETWEEN $3 AND $4 GROUP BY e.customer, e.source, e.id
HAVING count(*) <> 1 OR max(i.ids) <> sum(CASE WHEN {_TWICE} THEN 2 ELSE 1 END)
{_END}"""
