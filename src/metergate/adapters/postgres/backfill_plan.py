"""What a backfill would do, worked out in its staging: PREPARE puts it there, `planned` and `differences` read it.

$1 is the tenant, $2 the backfill.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from metergate.adapters.postgres import quantities as sql
from metergate.app.backfill.ports import Difference, Pair, Plan
from metergate.domain.aggregation import HOLDS, LevelUnit
from metergate.domain.backfill import RowState
from metergate.domain.period import EARLIEST, HOUR, Window
from metergate.domain.summary import LevelPieces, Part

_MINE = "r.tenant = $1 AND r.backfill = $2"
_OWNER = """coalesce(
    (SELECT customer FROM subject WHERE tenant = $1 AND subject = r.subject),
    (SELECT customer FROM customer WHERE tenant = $1 AND customer = r.subject), '')"""
_KNOWN = "'the id is known with another content'"
_OF_SCOPE = "FROM backfill b WHERE b.tenant = $1 AND b.id = $2 AND b.scope IS NOT NULL"
_NAMES = "ARRAY(SELECT jsonb_array_elements_text(b.scope -> {0}))"
_WHEN = "timestamptz '1970-01-01 00:00+00' + (b.scope ->> {0})::bigint * interval '1 microsecond'"

PREPARE = (
    f"DELETE FROM backfill_row r WHERE {_MINE} AND r.type IS NULL",
    f"""UPDATE backfill_row r SET replaces = NULL, stands_at = NULL, state = 'pending', reason = '', field = '',
        message = '', (customer, owner) = (SELECT name, name FROM (SELECT {_OWNER} AS name) o)
    WHERE {_MINE}""",
    # What is known is what its first content was.
    f"""UPDATE backfill_row r SET state = CASE WHEN i.digest = r.digest THEN 'duplicate' ELSE 'conflict' END,
        reason = CASE WHEN i.digest = r.digest THEN '' ELSE 'EVENT_CONFLICT' END,
        message = CASE WHEN i.digest = r.digest THEN '' ELSE {_KNOWN} END
    FROM usage_id i WHERE {_MINE} AND i.tenant = $1 AND i.source = r.source AND i.id = r.id""",
    f"""UPDATE backfill_row r SET state = 'conflict', reason = 'EVENT_CONFLICT', message = {_KNOWN}
    WHERE {_MINE} AND r.state = 'pending' AND EXISTS (
        SELECT FROM usage_version WHERE tenant = $1 AND source = r.source AND id = r.id)""",
    # What stands where events are replaced.
    f"""WITH s AS (
        SELECT {_NAMES.format(0)} AS customers, {_NAMES.format(1)} AS subjects, {_NAMES.format(2)} AS types,
            {_WHEN.format(3)} AS start_at, {_WHEN.format(4)} AS end_at {_OF_SCOPE}
    )
    INSERT INTO backfill_row AS r (tenant, backfill, source, id, customer, owner, counted_at, stands_at, state,
        replaces)
    SELECT $1, $2, e.source, e.id, e.customer, '', e.counted_at, e.counted_at, 'pending', coalesce(e.version, 1)
    FROM s CROSS JOIN LATERAL (
        SELECT unnest(s.customers) AS customer
        UNION SELECT customer FROM subject WHERE tenant = $1 AND subject = ANY(s.subjects)
        UNION SELECT customer FROM customer WHERE tenant = $1 AND customer = ANY(s.subjects)
        UNION SELECT '' WHERE s.subjects <> '{{}}') c
    JOIN usage_event e ON e.tenant = $1 AND e.customer = c.customer AND e.counted_at >= s.start_at
        AND e.counted_at < s.end_at
    WHERE (s.types = '{{}}' OR e.type = ANY(s.types)) AND (s.subjects = '{{}}' OR e.subject = ANY(s.subjects))
        AND {sql.STANDS}
    ON CONFLICT (tenant, backfill, source, id) DO UPDATE SET replaces = excluded.replaces,
        stands_at = excluded.stands_at, customer = excluded.customer, state = 'pending', reason = '', message = ''""",
    # What would be replaced by itself stays.
    f"""UPDATE backfill_row r SET replaces = NULL, state = 'duplicate' FROM usage_event e
    WHERE {_MINE} AND r.type IS NOT NULL AND r.replaces IS NOT NULL
        AND e.tenant = $1 AND e.customer = r.customer AND e.counted_at = r.stands_at AND e.source = r.source
        AND e.id = r.id AND coalesce(e.version, 1) = r.replaces AND e.sign IS NULL AND e.time = r.counted_at
        AND (e.type, e.subject, e.amount, coalesce(e.values, '{{}}'), coalesce(e.labels, '{{}}'))
            IS NOT DISTINCT FROM (r.type, r.subject, r.amount, coalesce(r.values, '{{}}'), coalesce(r.labels, '{{}}'))
    """,
    "UPDATE backfill SET planned = true WHERE tenant = $1 AND id = $2",
)

_PLANNED = f"""
SELECT min(least(counted_at, stands_at)) FILTER (WHERE pending),
    max(greatest(counted_at, stands_at)) FILTER (WHERE pending),
    count(*) FILTER (WHERE pending AND replaces IS NULL),
    count(*) FILTER (WHERE pending AND replaces IS NOT NULL AND type IS NOT NULL),
    count(*) FILTER (WHERE pending AND type IS NULL),
    (SELECT json_object_agg(state, number) FROM (
        SELECT state, count(*) AS number FROM backfill_row r WHERE {_MINE} AND state <> 'pending' GROUP BY 1) c)::text
FROM (SELECT *, state = 'pending' AS pending FROM backfill_row r WHERE {_MINE}) r"""

# What would be taken back, and what would come in its place, as rows like those of events.
_CONTENT = "source, {0}.id, {0}.type, {0}.subject, {0}.amount, {0}.values, {0}.labels, {0}.counted_at"
_MOVED = f"""(
    SELECT r.customer AS whose, {"e." + _CONTENT.format("e")}, coalesce(e.version, 1) AS version, -1 AS sign
    FROM backfill_row r JOIN usage_event e ON e.tenant = $1 AND e.customer = r.customer AND e.counted_at = r.stands_at
        AND e.source = r.source AND e.id = r.id AND coalesce(e.version, 1) = r.replaces AND e.sign IS NULL
    WHERE {_MINE} AND r.state = 'pending' AND r.replaces IS NOT NULL
    UNION ALL
    SELECT r.owner, {"r." + _CONTENT.format("r")}, 0, 1 FROM backfill_row r
    WHERE {_MINE} AND r.state = 'pending' AND r.type IS NOT NULL
)"""

_SAMPLE = f"""{sql.CONTRIBUTION} AS value, {sql.ITEM} AS item, e.counted_at AS at, {sql.KEY} AS key,
    {sql.VERSION} AS version, {sql.SIGN} AS sign"""
_STANDING = f"""
    SELECT {_SAMPLE} FROM usage_event e WHERE e.tenant = $1 AND e.customer = p.customer AND e.type = m.event_type
        AND e.counted_at >= $3 AND e.counted_at <= $4"""
_LATER = f"{_STANDING} UNION ALL SELECT {_SAMPLE} FROM {_MOVED} e WHERE e.whose = p.customer AND e.type = m.event_type"


def _samples(rows: str) -> str:
    return f"""
    SELECT sum(sign) AS count, value, item, at, key FROM ({rows}) samples
    WHERE value IS NOT NULL GROUP BY value, item, at, key, version HAVING sum(sign) <> 0"""


_DIFFERENCES = f"""
WITH pairs AS (
    SELECT DISTINCT whose AS customer, m.name AS meter FROM {_MOVED} e JOIN meter m ON m.tenant = $1
        AND m.event_type = e.type
    WHERE (whose, m.name) > ($5, $6) AND whose <> '' AND {sql.CONTRIBUTION} IS NOT NULL ORDER BY 1, 2 LIMIT $7
)
SELECT p.customer, p.meter,
    CASE WHEN m.aggregation <> 'level' THEN {sql.of_samples(_samples(_STANDING))} END,
    CASE WHEN m.aggregation <> 'level' THEN {sql.of_samples(_samples(_LATER))} END,
    m.level_unit, (SELECT time_zone FROM customer_head h WHERE h.tenant = $1 AND h.customer = p.customer), now()
FROM pairs p JOIN meter m ON m.tenant = $1 AND m.name = p.meter ORDER BY 1, 2"""

# By how much a LEVEL changes in pieces of time that begin at $7, -1 = before the first: as `summaries` has it, with one
# series for each subject and its dimensions. $3 is the customer, $4 the meter, $5 and $6 the range, $8 whether what
# would come and go is taken in.
_SERIES = """e.subject || E'\\x1f' || ARRAY(SELECT coalesce(e.labels ->> d, '') FROM unnest(m.dimensions) d)::text"""
_LEVEL_SAMPLE = f"{_SERIES} AS series, {_SAMPLE}"
_LEVEL = f"""
WITH samples AS (
    SELECT {_LEVEL_SAMPLE} FROM meter m
    JOIN usage_event e ON e.tenant = $1 AND e.customer = $3 AND e.type = m.event_type
        AND e.counted_at >= $5 AND e.counted_at < $6
    WHERE m.tenant = $1 AND m.name = $4
    UNION ALL
    SELECT {_LEVEL_SAMPLE} FROM meter m JOIN {_MOVED} e ON e.whose = $3 AND e.type = m.event_type
        AND e.counted_at >= $5 AND e.counted_at < $6
    WHERE m.tenant = $1 AND m.name = $4 AND $8
), standing AS (
    SELECT series, value, at, lead(at) OVER (PARTITION BY series ORDER BY at, key) AS next FROM (
        SELECT series, value, at, key FROM samples WHERE value IS NOT NULL
        GROUP BY series, value, at, key, version HAVING sum(sign) <> 0
    ) s
)
SELECT width_bucket(t, $7::timestamptz[]) - 1, sum(d), sum(d * (extract(epoch FROM t) * 1000000))
FROM standing CROSS JOIN LATERAL (VALUES
    (at, value), (least(next, at + interval '{HOLDS // HOUR} hours'), -value)
) v(t, d) WHERE t < $6 GROUP BY 1"""


async def planned(connection: Any, tenant: str, id: str) -> Plan:
    """What a commit would do, as it was prepared."""
    start, end, new, amended, voided, others = tuple(await connection.fetchrow(_PLANNED, tenant, id))
    found = {RowState(name): number for name, number in (json.loads(others) if others else {}).items()}
    return Plan(EARLIEST if start is None else start, EARLIEST if end is None else end, new, amended, voided, found)


async def differences(
    connection: Any, tenant: str, id: str, plan: Plan, after: Pair, most: int
) -> Sequence[Difference]:
    """By customer and meter, from behind `after`, over the plan's span."""
    rows = await connection.fetch(_DIFFERENCES, tenant, id, plan.start, plan.end, *after, most)
    found = []
    for customer, meter, before, later, unit, time_zone, now in map(tuple, rows):
        difference = Difference(customer, meter, before, later)
        if unit is not None:
            window = Window(plan.start, max(min(plan.end + HOLDS, now), plan.start + 1))
            pieces = LevelPieces.of([window], LevelUnit(unit), time_zone)
            levels = [await _level(connection, tenant, id, difference, pieces, with_it) for with_it in (False, True)]
            difference = difference._replace(before=levels[0], after=levels[1])
        found.append(difference)
    return found


async def _level(
    connection: Any, tenant: str, id: str, pair: Difference, pieces: LevelPieces, with_it: bool
) -> Decimal | None:
    """The time-weighted level over the pieces, with or without the backfill; None where nothing was sampled."""
    start, end = pieces.windows[0].start, pieces.windows[-1].end
    starts = [window.start for window in pieces.windows]
    since = max(start - HOLDS, EARLIEST)
    rows = await connection.fetch(_LEVEL, tenant, id, pair.customer, pair.meter, since, end, starts, with_it)
    parts = [(piece, Part(0, change, 0, "", moment)) for piece, change, moment in rows]
    return pieces.quantities(pieces.areas(parts, end), 1)[0] if parts else None
