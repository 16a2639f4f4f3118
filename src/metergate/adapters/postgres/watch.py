"""What was recorded, by `seq`: `app.ports.readers.WatchReader` on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from metergate.adapters.postgres.definitions import driver
from metergate.adapters.postgres.errors import engine_errors
from metergate.adapters.postgres.usage import EVENT, to_recorded
from metergate.app.ports.readers import RecordedEvent

_HEADS = """
SELECT now(), h.tenant, h.customer, h.seq FROM unnest($1::text[], $2::text[]) AS q(tenant, customer)
CROSS JOIN LATERAL (SELECT * FROM customer_head WHERE tenant = q.tenant AND customer = q.customer OFFSET 0) h"""

# A commit's rows of one event are told apart by version, and what takes one back comes before what stands in its place.
_AFTER = f"""
SELECT {EVENT} FROM usage_event e WHERE e.tenant = $1 AND e.customer = $2 AND e.seq > $3
ORDER BY e.seq, e.source, e.id, e.version NULLS FIRST, e.sign LIMIT $5 OFFSET $4"""


class PostgresWatch:
    """Reads heads and rows."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def heads(self, places: Sequence[tuple[str, str]]) -> tuple[int, dict[tuple[str, str], int]]:
        """See `app.ports.readers.WatchReader`."""
        tenants, customers = [place[0] for place in places], [place[1] for place in places]
        with engine_errors():
            async with self._engine.connect() as pooled:
                connection = await driver(pooled)
                rows = await connection.fetch(_HEADS, tenants, customers)
                now: int = rows[0][0] if rows else await connection.fetchval("SELECT now()")
        return now, {(row[1], row[2]): row[3] for row in rows}

    async def after(self, tenant: str, customer: str, seq: int, skip: int, most: int) -> list[RecordedEvent]:
        """See `app.ports.readers.WatchReader`."""
        with engine_errors():
            async with self._engine.connect() as pooled:
                connection = await driver(pooled)
                rows = await connection.fetch(_AFTER, tenant, customer, seq, skip, most)
        return [to_recorded(row) for row in rows]
