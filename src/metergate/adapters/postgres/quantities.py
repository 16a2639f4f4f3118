"""What events add up to, as SQL: the same rules as `domain/meter.py` and `domain/aggregation.py`.

`e` is a row of `usage_event`, `m` its meter, and `k` the key of a counter with its window's inner part, which whole
quarter hours cover. $1 is the tenant.
"""

from __future__ import annotations

# A correction takes a row out again by one with the sign turned round.
SIGN = "coalesce(e.sign, 1)"
# Which version of its event a row is or takes back: what takes a row back that was dropped takes back no other.
VERSION = "coalesce(e.version, 1)"

# A row that no correction took back: each makes the next version of its event.
STANDS = """e.sign IS NULL AND NOT EXISTS (
    SELECT FROM usage_version v WHERE v.tenant = e.tenant AND v.source = e.source AND v.id = e.id
        AND v.version > coalesce(e.version, 1) AND v.recorded_at >= e.recorded_at)"""

_VALUE = "(CASE WHEN m.value = '' THEN coalesce(e.amount, 1) ELSE (e.values ->> m.value)::numeric END)"

# An event without a label has the empty value of it.
_LABEL = "coalesce(e.labels ->> (f ->> 'label'), '')"
_FILTERED_OUT = f"""EXISTS (
    SELECT FROM jsonb_array_elements(m.filters) f WHERE (f ->> 'op' = 'not') = (CASE f ->> 'op'
        WHEN 'prefix' THEN EXISTS (
            SELECT FROM jsonb_array_elements_text(f -> 'values') v WHERE starts_with({_LABEL}, v))
        ELSE f -> 'values' ? {_LABEL} END))"""

# What UNIQUE tells apart: the values of a label, or subjects.
ITEM = "(CASE WHEN m.value = '' THEN e.subject ELSE e.labels ->> m.value END)"

# What one event adds to one meter; null where it does not count.
CONTRIBUTION = f"""(CASE
    WHEN m.filters <> '[]' AND {_FILTERED_OUT} THEN NULL
    WHEN m.aggregation = 'unique' THEN CASE WHEN {ITEM} <> '' THEN 1 END
    WHEN {_VALUE} < 0 AND NOT m.allow_negative THEN NULL
    WHEN m.aggregation = 'count' AND {_VALUE} IS NOT NULL THEN 1
    ELSE {_VALUE} * m.scale END)"""

LABELS_MATCH = """NOT EXISTS (
    SELECT FROM jsonb_each_text({filter}) f WHERE coalesce(e.labels ->> f.key, '') <> f.value)"""

# Breaks ties of one instant, the same way in whatever order the events came; as `tie_key` does.
KEY = "length(e.source) || ':' || e.source || e.id"

# Customers who share a pool: their events count for the customer that is the pool as well.
_MEMBERS = "customer_head p JOIN meter m ON p.tenant = $1 AND p.customer = k.customer AND p.is_pool"


def _matching(since: str, until: str, more: str) -> str:
    """Conditions on an event of the counter k between two instants."""
    return f"""
        AND e.counted_at >= {since} AND e.counted_at < {until} {more}
        AND (k.subject = '' OR e.subject = k.subject)
        AND (k.filter = '' OR {LABELS_MATCH.format(filter="k.filter::jsonb")})"""


def counted(since: str, until: str, more: str = "", columns: str = "") -> str:
    """Rows of events between two instants that count for the customer k.customer and, where it is a pool, for it; by
    default what they add up to, as `part`."""
    columns = columns or f"sum({CONTRIBUTION} * {SIGN}) AS part"
    mine = _matching(since, until, more)
    return f"""
    SELECT {columns} FROM meter m JOIN usage_event e
        ON e.tenant = $1 AND e.customer = k.customer AND e.type = m.event_type
    WHERE m.tenant = $1 AND m.name = k.meter {mine}
    UNION ALL
    SELECT {columns} FROM {_MEMBERS} JOIN usage_event e
        ON e.tenant = $1 AND e.pool = k.customer AND e.type = m.event_type
    WHERE m.tenant = $1 AND m.name = k.meter {mine}"""


def standing(since: str, until: str, more: str = "") -> str:
    """The samples of events between two instants that no correction took out: their number, value, what UNIQUE tells
    apart, instant and tie key. What takes back a row that was dropped is among them, with a number below 0."""
    columns = f"{CONTRIBUTION} AS value, {ITEM} AS item, e.counted_at AS at, {KEY} AS key, {VERSION} AS version, "
    return f"""
    SELECT sum(sign) AS count, value, item, at, key FROM ({counted(since, until, more, columns + f"{SIGN} AS sign")})
        samples
    WHERE value IS NOT NULL GROUP BY value, item, at, key, version HAVING sum(sign) <> 0"""


# A quotient is rounded half up to 12 places; forty before keep the rounding from being done twice.
AVERAGE = "round((sum(sum) + 0::numeric(60, 40)) / nullif(sum(count), 0), 12)"
LATEST = "(array_agg(last ORDER BY last_at DESC, last_key DESC))[1]"


def of_samples(samples: str) -> str:
    """The quantity of standing samples by the aggregation of meter m, but for LEVEL; null where there is none."""
    return f"""(CASE m.aggregation
    WHEN 'unique' THEN (SELECT count(DISTINCT item)::numeric FROM ({samples}) s WHERE count > 0)
    WHEN 'percentile' THEN (
        SELECT min(value) FROM (
            SELECT value, sum(count) OVER (ORDER BY value) AS below, sum(count) OVER () AS whole FROM ({samples}) s
        ) ranked WHERE below * 100 >= whole * m.percentile)
    WHEN 'avg' THEN (SELECT {AVERAGE} FROM (SELECT value * count AS sum, count FROM ({samples}) s) s)
    WHEN 'min' THEN (SELECT min(value) FROM ({samples}) s WHERE count > 0)
    WHEN 'max' THEN (SELECT max(value) FROM ({samples}) s WHERE count > 0)
    WHEN 'latest' THEN (SELECT (array_agg(value ORDER BY at DESC, key DESC))[1] FROM ({samples}) s WHERE count > 0)
    ELSE (SELECT sum(value * count) FROM ({samples}) s) END)"""


# Months of events that were dropped: their closing balances count.
DROPPED = "(SELECT month FROM event_month WHERE state = 'dropped')"


def _closed(since: str, until: str) -> str:
    """The closing balances r of the counter k between two instants. They are of quarter hours, cut where windows of the
    customer's anchor begin: a window that begins elsewhere in one is taken to begin with it."""
    return f"""usage_closed r
    WHERE r.tenant = $1 AND r.customer = k.customer AND r.measure = m.measure
        AND r.quarter >= {since} AND r.quarter < {until} AND r.month IN {DROPPED}
        AND (k.subject = '' OR r.subject = k.subject)
        AND (k.filter = '' OR r.dimensions @> k.filter::jsonb)"""


_BEFORE, _AFTER = ("k.start_at", "k.inner_start"), ("k.inner_end", "k.end_at")
_ROLLED = """usage_rollup r
    WHERE r.tenant = $1 AND r.customer = k.customer AND r.measure = m.measure
        AND r.quarter >= k.inner_start AND r.quarter < k.inner_end
        AND (k.subject = '' OR r.subject = k.subject)
        AND (k.filter = '' OR r.dimensions @> k.filter::jsonb)"""


def _edges(columns: str, closed: str, where: str = "count > 0") -> str:
    return f"""
    SELECT {columns} FROM ({standing(*_BEFORE)}) before WHERE {where}
    UNION ALL SELECT {columns} FROM ({standing(*_AFTER)}) after WHERE {where}
    UNION ALL SELECT {closed} FROM {_closed(*_BEFORE)}
    UNION ALL SELECT {closed} FROM {_closed(*_AFTER)}"""


_PART = "sum(CASE WHEN m.aggregation = 'count' THEN r.count ELSE r.sum END)"


# The ledger's quantity in a window: whole quarter hours from the rollups, the edges from the events. One that does not
# add up is 0 where there is nothing: counters hold numbers.
QUANTITY = f"""(
SELECT coalesce((
    SELECT CASE
        WHEN m.aggregation IN ('sum', 'count') THEN (
            SELECT sum(part) FROM (
                SELECT {_PART} AS part FROM {_ROLLED}
                UNION ALL SELECT {_PART} FROM {_closed(*_BEFORE)}
                UNION ALL SELECT {_PART} FROM {_closed(*_AFTER)}
                UNION ALL {counted(*_BEFORE)}
                UNION ALL {counted(*_AFTER)}) parts)
        WHEN m.aggregation = 'avg' THEN (
            SELECT {AVERAGE} FROM (
                SELECT r.sum, r.count FROM {_ROLLED}
                UNION ALL {_edges("value * count, count", "r.sum, r.count", "true")}) parts)
        WHEN m.aggregation = 'min' THEN (
            SELECT min(min) FROM (SELECT r.min FROM {_ROLLED} UNION ALL {_edges("value", "r.min")}) parts)
        WHEN m.aggregation = 'max' THEN (
            SELECT max(max) FROM (SELECT r.max FROM {_ROLLED} UNION ALL {_edges("value", "r.max")}) parts)
        WHEN m.aggregation = 'latest' THEN (
            SELECT {LATEST} FROM (
                SELECT r.last, r.last_at, r.last_key FROM {_ROLLED}
                UNION ALL {_edges("value, at, key", "r.last, r.last_at, r.last_key")}
            ) parts WHERE last_at IS NOT NULL)
        ELSE {of_samples(standing("k.start_at", "k.end_at"))} END
    FROM meter m WHERE m.tenant = $1 AND m.name = k.meter), 0))"""

DIMENSIONS = (
    """(SELECT coalesce(jsonb_object_agg(d, coalesce(e.labels ->> d, '')), '{}') FROM unnest(m.dimensions) d)"""
)
# generate_series would do as well; date_bin keeps to quarter hours of UTC.
QUARTER = "date_bin('15 minutes', e.counted_at, timestamptz '1970-01-01 00:00+00')"


def rolled_up(events: str, where: str, quarter: str = QUARTER, sign: str = SIGN) -> str:
    """The rollups, as they should be, of the leading meters m over the rows `events` AS e, whose `owner` is for whom
    they count. What stands is told by grouping: extremes cannot be reckoned back. `sign` is what a row adds, where it
    may only say of another whether that stands."""
    number = "left_" if sign == SIGN else "number"
    also = "" if sign == SIGN else f"sum({sign}) AS number, "
    stands = "FILTER (WHERE extremes AND left_ > 0)"
    return f"""
    SELECT tenant, owner AS customer, measure, quarter, subject, dimensions, sum({number})::bigint AS count,
        sum(value * {number}) AS sum, min(value) {stands} AS min, max(value) {stands} AS max,
        max(at) {stands} AS last_at,
        (array_agg(key ORDER BY at DESC, key DESC) {stands})[1] AS last_key,
        (array_agg(value ORDER BY at DESC, key DESC) {stands})[1] AS last
    FROM (
        SELECT e.tenant, e.owner, m.measure, {quarter} AS quarter, e.subject, {DIMENSIONS} AS dimensions, m.extremes,
            {CONTRIBUTION} AS value, {also}sum({SIGN}) AS left_,
            CASE WHEN m.extremes THEN e.counted_at END AS at, CASE WHEN m.extremes THEN {KEY} END AS key,
            CASE WHEN m.extremes THEN {VERSION} END AS version
        FROM meter m JOIN {events} e ON e.tenant = m.tenant AND e.type = m.event_type
        WHERE m.leads AND {where} AND {CONTRIBUTION} IS NOT NULL
        GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, at, key, version
    ) samples GROUP BY 1, 2, 3, 4, 5, 6"""


_KEY_OF_ROLLUP = "tenant, customer, measure, quarter, subject, dimensions"


def with_closed(rollups: str, where: str) -> str:
    """These rollups, of events that there are, together with the closing balances c of leading meters m."""
    kept = ", ".join(
        f"CASE WHEN m.extremes THEN c.{name} END" for name in ("min", "max", "last_at", "last_key", "last")
    )
    quarter = QUARTER.replace("e.counted_at", "c.quarter")
    return f"""
    SELECT {_KEY_OF_ROLLUP}, sum(count)::bigint AS count, sum(sum) AS sum, min(min) AS min, max(max) AS max,
        max(last_at) AS last_at,
        (array_agg(last_key ORDER BY last_at DESC NULLS LAST, last_key DESC))[1] AS last_key,
        (array_agg(last ORDER BY last_at DESC NULLS LAST, last_key DESC))[1] AS last
    FROM (
        {rollups}
        UNION ALL
        SELECT c.tenant, c.customer, c.measure, {quarter}, c.subject, c.dimensions, c.count, c.sum, {kept}
        FROM usage_closed c JOIN meter m ON m.tenant = c.tenant AND m.measure = c.measure AND m.leads
        WHERE c.month IN {DROPPED} AND {where}
    ) parts GROUP BY {_KEY_OF_ROLLUP}"""
