"""Upkeep of the ledger's tables: partitions ahead, old id slices and old counters away."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from metergate.adapters.postgres.errors import engine_errors
from metergate.adapters.postgres.partitions import drop_id_slices, ensure_partitions, oldest_slice

# Any number of our own: one process at a time keeps house.
_LOCK = 7_400_7402

# Counters of windows that ended more than a day ago decide nothing; one that is asked for is summed up anew.
_OLD_COUNTERS = """
DELETE FROM usage_counter WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM usage_counter
    WHERE end_at < now() - interval '1 day' AND reserved = 0 AND leased = 0 AND forfeited = 0
    LIMIT 10000 FOR UPDATE SKIP LOCKED
))"""
# The values of UNIQUE counters that are gone, a customer at a time. Behind the head's lock no commit is between reading
# a counter and writing its values.
_VALUES_LEFT = """
SELECT h.tenant, h.customer FROM customer_head h WHERE EXISTS (
    SELECT FROM counter_value v WHERE v.tenant = h.tenant AND v.customer = h.customer AND {gone})
LIMIT 1 FOR UPDATE OF h SKIP LOCKED"""
_OLD_VALUES = """
DELETE FROM counter_value WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM counter_value v WHERE v.tenant = :tenant AND v.customer = :customer AND {gone} LIMIT 10000))"""
_GONE = """NOT EXISTS (SELECT FROM usage_counter c WHERE c.tenant = v.tenant AND c.customer = v.customer
    AND c.meter = v.meter AND c.end_at = v.end_at AND c.start_at = v.start_at AND c.subject = v.subject
    AND c.filter = v.filter)"""
# Usage that settles a hold may come for as long as any usage may; the history of holds is kept with the events.
_OLD_HOLDS = """
DELETE FROM hold WHERE end_at < now() - :age * interval '1 microsecond' - interval '7 days'
    AND reserved = 0 AND leased = 0 AND forfeited = 0"""
_AT_ONCE = 10_000
# Of months that are over nothing is new but for a while.
_BLOCK_RANGES = """
SELECT i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_class t ON t.oid = i.indrelid JOIN pg_am a ON a.oid = c.relam
WHERE a.amname = 'brin' AND c.relkind = 'i' AND i.indisvalid AND t.relnamespace = 'public'::regnamespace
    AND (NOT t.relispartition OR right(t.relname, 7) IN (
        to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM'), to_char(now() AT TIME ZONE 'UTC' - interval '1 day', 'YYYY_MM')))
ORDER BY 1"""
_OLD_REQUESTS = "DELETE FROM request WHERE created_at < now() - interval '7 days'"


class Upkeep:
    """Done by whichever process comes first."""

    def __init__(self, engine: AsyncEngine, accept_age: int) -> None:
        self._engine = engine
        self._accept_age = accept_age

    async def keep_house(self) -> None:
        """One round; short locks only."""
        with engine_errors():
            async with self._engine.begin() as connection:
                if not await connection.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": _LOCK}):
                    return
                now: int = (await connection.execute(text("SELECT now()"))).scalar_one()
                await ensure_partitions(connection)
                await drop_id_slices(connection, oldest_slice(now, self._accept_age))
                await connection.execute(text(_OLD_REQUESTS))
                await connection.execute(text(_OLD_HOLDS), {"age": self._accept_age})
            while await self._some_old_counters() == _AT_ONCE:
                pass
            await self._summarize()
            while await self._some_old_values():
                pass

    async def _summarize(self) -> None:
        """Brings the block range indexes of what is appended up to the newest pages: what they do not know is read."""
        async with self._engine.connect() as connection:
            names = (await connection.execute(text(_BLOCK_RANGES))).scalars().all()
        for name in names:
            async with self._engine.begin() as connection:
                await connection.execute(
                    text("SELECT brin_summarize_new_values(CAST(:name AS regclass))"), {"name": name}
                )

    async def _some_old_counters(self) -> int:
        async with self._engine.begin() as connection:
            return (await connection.execute(text(_OLD_COUNTERS))).rowcount

    async def _some_old_values(self) -> int:
        async with self._engine.begin() as connection:
            found = (await connection.execute(text(_VALUES_LEFT.format(gone=_GONE)))).mappings().first()
            if found is None:
                return 0
            return (await connection.execute(text(_OLD_VALUES.format(gone=_GONE)), dict(found))).rowcount
