"""What stands behind a line of an invoice: `app.billing.close_ports.LineReader` on PostgreSQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from metergate.adapters.postgres import quantities as sql
from metergate.adapters.postgres.billing_usage import quantities_of
from metergate.adapters.postgres.connect import snapshots
from metergate.adapters.postgres.definitions import driver
from metergate.adapters.postgres.errors import engine_errors
from metergate.adapters.postgres.usage import EVENT, to_recorded
from metergate.app.billing.close_ports import EventPlace, UsageAsked
from metergate.app.ports.readers import Known, RecordedEvent
from metergate.domain.aggregation import HOLDS
from metergate.domain.draft import Quantities
from metergate.domain.invoice import Invoice
from metergate.domain.meter import LEVEL

_IS_POOL = """
SELECT is_pool, set_config('enable_seqscan', 'off', true) FROM customer_head WHERE tenant = $1 AND customer = $2"""

# Events that waited for their customer were not known as its own before they were adopted.
_ROWS = f"""
FROM meter m
JOIN unnest($4::timestamptz[], $5::timestamptz[]) AS w(since, until) ON true
JOIN LATERAL (
    SELECT * FROM usage_event WHERE tenant = $1 AND customer = $2 AND counted_at >= w.since AND counted_at < w.until
    UNION ALL
    SELECT * FROM usage_event WHERE tenant = $1 AND pool = $2 AND counted_at >= w.since AND counted_at < w.until
) e ON e.type = m.event_type
WHERE m.tenant = $1 AND m.name = $3 AND {sql.CONTRIBUTION} IS NOT NULL
    AND ($6::bigint IS NULL OR e.seq <= $6)
    AND ($7::timestamptz IS NULL OR (e.recorded_at <= $7 AND NOT EXISTS (
        SELECT FROM usage_adoption a WHERE a.tenant = $1 AND a.customer = e.customer AND a.seq = e.seq
            AND a.adopted_at > $7)))
    AND NOT EXISTS (
        SELECT FROM unnest($8::text[], $9::text[]) AS f(label, value)
        WHERE coalesce(e.labels ->> label, '') <> value)"""
_COUNT = f"SELECT count(*) {_ROWS}"
_PAGE = f"""
SELECT {EVENT} {_ROWS}
    AND ($10::timestamptz IS NULL
        OR (e.counted_at, e.source, e.id, {sql.VERSION}, -{sql.SIGN}) > ($10, $11, $12, $13, -$14::integer))
ORDER BY e.counted_at, e.source, e.id, {sql.VERSION}, -{sql.SIGN} LIMIT $15"""


class PostgresLines:
    """Reads in snapshots."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._snapshots = snapshots(engine)

    async def counted(self, tenant: str, asked: UsageAsked, invoice: Invoice, now: int) -> Quantities:
        """See `app.billing.close_ports.LineReader`."""
        with engine_errors():
            async with self._snapshots.connect() as pooled:
                connection = await driver(pooled)
                known = await _known(connection, tenant, invoice)
                return await quantities_of(connection, tenant, asked, now, known)

    async def events(
        self, tenant: str, asked: UsageAsked, invoice: Invoice, after: EventPlace | None, most: int
    ) -> tuple[list[RecordedEvent], int]:
        """See `app.billing.close_ports.LineReader`."""
        before = HOLDS if asked.meter.aggregation == LEVEL else 0
        with engine_errors():
            async with self._snapshots.connect() as pooled:
                connection = await driver(pooled)
                known = await _known(connection, tenant, invoice)
                parameters = [
                    tenant, asked.customer, asked.meter.name, [max(one.start - before, 0) for one in asked.windows],
                    [one.end for one in asked.windows], known.seq, known.at, [label for label, _ in asked.labels],
                    [value for _, value in asked.labels],
                ]  # fmt: skip
                count = await connection.fetchval(_COUNT, *parameters)
                rows = await connection.fetch(_PAGE, *parameters, *(after or (None, "", "", 0, 0)), most)
        return [to_recorded(row) for row in rows], count


async def _known(connection: Any, tenant: str, invoice: Invoice) -> Known:
    """Rows up to the invoice's `seq`; of a pool, up to when it was saved, which was under the pool's head."""
    is_pool, _ = await connection.fetchrow(_IS_POOL, tenant, invoice.customer)
    return Known(at=invoice.created_at) if is_pool else Known(seq=invoice.seq)
