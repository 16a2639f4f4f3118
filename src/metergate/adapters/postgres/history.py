"""History of holds, limits and grants that nothing needs any more.

What goes, goes whole: the moves of a hold add up to what it keeps, so they go together once the hold is gone. Of a
grant's moves only its burns are many: they become one, so that each sum stays what it was.
"""

from __future__ import annotations

from typing import Any

_AT_ONCE = 10_000

_HOLD_MOVES = """
DELETE FROM hold_move WHERE ctid = ANY(ARRAY(
    SELECT m.ctid FROM hold_move m WHERE m.recorded_at < $1
        AND NOT EXISTS (SELECT FROM hold h WHERE h.tenant = m.tenant AND h.id = m.id)
        AND NOT EXISTS (
            SELECT FROM hold_move l WHERE l.tenant = m.tenant AND l.customer = m.customer AND l.meter = m.meter
                AND l.counted_at = m.counted_at AND l.id = m.id AND l.recorded_at >= $1)
    LIMIT $2))"""

# One whose window is not over that long would fire again.
_LIMIT_EVENTS = """
DELETE FROM limit_event WHERE ctid = ANY(ARRAY(
    SELECT e.ctid FROM tenant t JOIN limit_event e ON e.tenant = t.tenant
    WHERE e.recorded_at < $1 AND e.end_at < $1 LIMIT $2))"""

# The last burn of each grant before takes over those before it.
_BURNS = """
WITH many AS (
    SELECT tenant, id FROM grant_move WHERE kind = 'burn' AND recorded_at < $1
    GROUP BY 1, 2 HAVING count(*) > 1 LIMIT 100
), before AS (
    SELECT tenant, customer, seq, place, sum(amount) OVER w AS whole,
        row_number() OVER (w ORDER BY seq DESC, place DESC) AS number
    FROM grant_move JOIN many USING (tenant, id) WHERE kind = 'burn' AND recorded_at < $1
    WINDOW w AS (PARTITION BY tenant, customer, meter, id)
), kept AS (
    UPDATE grant_move m SET amount = b.whole FROM before b
    WHERE b.number = 1 AND (m.tenant, m.customer, m.seq, m.place) = (b.tenant, b.customer, b.seq, b.place)
)
DELETE FROM grant_move m USING before b
WHERE b.number > 1 AND (m.tenant, m.customer, m.seq, m.place) = (b.tenant, b.customer, b.seq, b.place)"""


async def forget_history(connection: Any, until: int) -> int:
    """Deletes what was recorded before that instant and is not needed, in short transactions; how many rows."""
    gone = 0
    for statement in (_HOLD_MOVES, _LIMIT_EVENTS):
        while deleted := _count(await connection.execute(statement, until, _AT_ONCE, timeout=None)):
            gone += deleted
    while deleted := _count(await connection.execute(_BURNS, until, timeout=None)):
        gone += deleted
    return gone


def _count(status: str) -> int:
    return int(status.rsplit(" ", 1)[1])
