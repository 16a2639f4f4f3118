"""What was recorded, by `seq`: `app.ports.readers.WatchReader` on PostgreSQL.

No index is kept on `seq`, which each commit would pay for. A customer's `seq` and `recorded_at` rise together, since
both are set under the head's lock, so that rows are found by when they were recorded: of a small customer by the index
on its events, of what is new by the block ranges of `usage_event_recorded`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from metergate.adapters.postgres.definitions import driver
from metergate.adapters.postgres.errors import engine_errors
from metergate.adapters.postgres.usage import EVENT, to_recorded
from metergate.app.ports.readers import Heads, RecordedEvent
from metergate.domain.period import EARLIEST, LATEST, MINUTE, SECOND, Window

_CLOCKS_STEP = SECOND  # by how much the database's clock may be put back

# Before the heads are read, and in a statement of its own: what is not visible to the next one was begun after this
# instant, or is one of the transactions that write now. Their clocks are read after their begin.
_SINCE = """
SELECT least(clock_timestamp(), min(xact_start)) FROM pg_stat_activity
WHERE datname = current_database() AND backend_xid IS NOT NULL"""
_HEADS = """
SELECT h.tenant, h.customer, h.seq FROM unnest($1::text[], $2::text[]) AS q(tenant, customer)
CROSS JOIN LATERAL (SELECT * FROM customer_head WHERE tenant = q.tenant AND customer = q.customer OFFSET 0) h"""

# A commit's rows of one event are told apart by version, and what takes one back comes before what stands in its place.
# Events that waited for their customer came to it when they were adopted.
_ROWS = f"""
SELECT * FROM (
    SELECT {EVENT} FROM usage_event e
    WHERE e.tenant = $1 AND e.customer = $2 AND e.seq > $3 AND e.recorded_at >= $5 AND e.recorded_at < $6
        AND NOT EXISTS (SELECT FROM usage_adoption WHERE tenant = $1 AND customer = $2 AND seq = e.seq)
    UNION ALL
    SELECT {EVENT} FROM usage_adoption a JOIN usage_event e
        ON e.tenant = $1 AND e.customer = $2 AND e.seq = a.seq AND e.recorded_at BETWEEN a.first_at AND a.last_at
    WHERE a.tenant = $1 AND a.customer = $2 AND a.seq > $3 AND a.adopted_at >= $5 AND a.adopted_at < $6
) e ORDER BY seq, source, id, version, sign LIMIT $7 OFFSET $4"""

_SPAN = """
SELECT created_at, now(), (
    SELECT (max(month) + interval '1 month') AT TIME ZONE 'UTC' FROM event_month WHERE state = 'dropped')
FROM customer WHERE tenant = $1 AND customer = $2"""
_FIRST_FROM = """
SELECT seq, recorded_at FROM usage_event WHERE tenant = $1 AND customer = $2 AND counted_at >= $3
ORDER BY counted_at LIMIT 1"""

# Block ranges that are not summarized are read each time. That is done for this month's now, unless a vacuum is at it.
_SUMMARIZE = """
SELECT brin_summarize_new_values(i.inhrelid) FROM pg_inherits i JOIN pg_index x ON x.indexrelid = i.inhrelid
WHERE i.inhparent = 'usage_event_recorded'::regclass
    AND x.indrelid = to_regclass('usage_event_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM'))"""


class PostgresWatch:
    """Reads heads and rows."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def heads(self, places: Sequence[tuple[str, str]]) -> Heads:
        """See `app.ports.readers.WatchReader`."""
        tenants, customers = [place[0] for place in places], [place[1] for place in places]
        with engine_errors():
            async with self._engine.connect() as pooled:
                connection = await driver(pooled)
                as_of: int = await connection.fetchval("SELECT clock_timestamp()")
                since: int = await connection.fetchval(_SINCE)
                rows = await connection.fetch(_HEADS, tenants, customers)
        return Heads(as_of, since - _CLOCKS_STEP, {(row[0], row[1]): row[2] for row in rows})

    async def recorded_after(self, tenant: str, customer: str, seq: int) -> tuple[int, int | None]:
        """See `app.ports.readers.WatchReader`.

        When any row up to `seq` was recorded will do. Most rows count when they are recorded, so that a late one is
        found by halving the time in which they count.
        """
        with engine_errors():
            async with self._engine.connect() as pooled:
                connection = await driver(pooled)
                created, now, kept = await connection.fetchrow(_SPAN, tenant, customer)
                latest: int = created
                low, high = EARLIEST, min(now, LATEST)
                while high - low > MINUTE:
                    middle = (low + high) // 2
                    found = await connection.fetchrow(_FIRST_FROM, tenant, customer, middle)
                    if found is not None and found[0] <= seq:
                        low, latest = middle, max(latest, found[1])
                    else:
                        high = middle
        return max(latest - _CLOCKS_STEP, EARLIEST), kept if kept is not None and latest < kept else None

    async def rows(
        self, tenant: str, customer: str, seq: int, skip: int, window: Window, most: int
    ) -> list[RecordedEvent]:
        """See `app.ports.readers.WatchReader`."""
        with engine_errors():
            async with self._engine.connect() as pooled:
                connection = await driver(pooled)
                rows = await connection.fetch(_ROWS, tenant, customer, seq, skip, window.start, window.end, most)
        return [to_recorded(row) for row in rows]

    async def keep_fresh(self) -> None:
        """See `app.ports.readers.WatchReader`."""
        with engine_errors():
            async with self._engine.connect() as pooled:
                connection: Any = await driver(pooled)
                await connection.execute("SET LOCAL lock_timeout = 20")
                try:
                    await connection.execute(_SUMMARIZE)
                except asyncpg.LockNotAvailableError:
                    pass  # a vacuum is at it, and summarizes as well
