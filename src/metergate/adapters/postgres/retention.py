"""Dropping months of events: `app.retention.MonthStore` on PostgreSQL.

Closing balances are made from the month's partition, customers by the hundred, while everybody goes on: nothing is
appended to a month that is over, and a trigger notes the few statements that change its rows (a waiting event that gets
its customer). They count from the one short transaction on that drops the partition.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from metergate.adapters.postgres import export
from metergate.adapters.postgres import quantities as sql
from metergate.adapters.postgres.errors import engine_errors
from metergate.adapters.postgres.history import forget_history
from metergate.adapters.postgres.notify import CHANNEL
from metergate.app.retention import EventMonth, Months, Stage, Standing
from metergate.domain.retention import OpenLimit, before, start_of

# Any number of our own.
_LOCK = 7_400_7403
_SECONDS = 4 * 3600  # for one statement over a month of events
_CUSTOMERS = 500  # whose closing balances are made at a time
# Commits wait for as long as it takes to get this lock, or to give up.
_LOCK_WAIT = "2s"

_STANDING = """
SELECT month, coalesce(e.state, 'kept'), coalesce(e.changes, 0) > 0, coalesce(e.events, 0), coalesce(e.file, '')
FROM (
    SELECT to_date(right(inhrelid::regclass::text, 7), 'YYYY_MM') AS month
    FROM pg_inherits WHERE inhparent = 'usage_event'::regclass
) p FULL JOIN event_month e USING (month) ORDER BY month"""
_LIMITS = """
SELECT l.tenant, l.plan, l.name, m.aggregation, l.kind, l.period, l.length FROM plan_limit l
JOIN meter m ON m.tenant = l.tenant AND m.name = l.meter
WHERE m.aggregation IN ('unique', 'percentile', 'level') ORDER BY 1, 2, 3"""

# Where only COUNT meters read a measure, the values themselves are not summed up.
_SUMMED = "CASE WHEN m.aggregation = 'count' THEN m.measure || ':count' ELSE m.measure END"
_BACKFILLS = "SELECT count(*) FROM backfill WHERE state IN ('open', 'committing', 'reverting')"
_TENANTS = """
INSERT INTO closed_month (tenant, month, first_at, last_at, events, waiting, measures, extremes)
SELECT e.*, ARRAY(SELECT {summed} FROM meter m WHERE m.tenant = e.tenant AND m.leads ORDER BY 1),
    ARRAY(SELECT measure FROM meter m WHERE m.tenant = e.tenant AND m.leads AND m.extremes ORDER BY 1)
FROM (
    SELECT tenant, $1::date, min(counted_at), max(counted_at), count(*), count(*) FILTER (WHERE customer = '')
    FROM {partition} GROUP BY tenant
) e"""
_TAKEN_BACK = "INSERT INTO taken_back SELECT * FROM usage_event WHERE sign = -1 AND recorded_at >= $1"
_RANGE_END = """
SELECT max(customer) FROM (
    SELECT customer FROM customer_head WHERE tenant = $1 AND customer > $2 ORDER BY customer LIMIT $3) c"""

_CUT = "(h.anchor_at - date_bin('15 minutes', h.anchor_at, timestamptz '1970-01-01 00:00+00'))"
# Windows of the customer's anchor begin within quarter hours: the pieces end there too.
_PIECE = f"(CASE WHEN e.counted_at >= {sql.QUARTER} + e.cut THEN {sql.QUARTER} + e.cut ELSE {sql.QUARTER} END)"
# What was taken back since does not stand; what took it back counts in a later month.
_SIGN = f"CASE WHEN e.later THEN 0 ELSE {sql.SIGN} END"


_COLUMNS = "tenant, type, subject, counted_at, source, id, amount, values, labels, sign, version"


def _owned(partition: str) -> str:
    """The month's rows, and those that took back any since, with for whom they count: the customer, and its pool."""
    parts = [
        f"SELECT {owner} AS owner, {later} AS later, {_COLUMNS} FROM {table} "
        f"WHERE tenant = $1 AND {owner} > $2 AND {owner} <= $3"
        for owner in ("customer", "pool")
        for table, later in ((partition, "false"), ("taken_back", "true"))
    ]
    return f"""(
        SELECT o.*, {_CUT} AS cut FROM ({" UNION ALL ".join(parts)}) o
        JOIN customer_head h ON h.tenant = o.tenant AND h.customer = o.owner)"""


def _close(partition: str) -> str:
    return f"""
    INSERT INTO usage_closed (tenant, customer, measure, quarter, subject, dimensions, month, count, sum, min, max,
        last_at, last_key, last)
    SELECT tenant, customer, measure, quarter, subject, dimensions, $4::date, count, sum, min, max,
        last_at, last_key, last
    FROM ({sql.rolled_up(_owned(partition), "m.tenant = $1", _PIECE, _SIGN)}) r
    WHERE count <> 0 OR sum <> 0 OR last_at IS NOT NULL"""


_STANDS = "SELECT state <> 'begun' AND changes = 0 FROM event_month WHERE month = $1 FOR UPDATE"
_OUTGROWN = f"""
SELECT EXISTS (
    SELECT FROM closed_month c JOIN meter m ON m.tenant = c.tenant AND m.leads
    WHERE c.month = $1 AND (m.measure <> ALL (c.measures) AND {_SUMMED} <> ALL (c.measures)
        OR m.extremes AND m.measure <> ALL (c.extremes)))"""
# A commit's rows may be seen up to a minute after the instant that they carry.
_TAKEN_BACK_SINCE = """
SELECT count(*) FROM {table} e JOIN closed_month c ON c.tenant = e.tenant AND c.month = $1 AND c.extremes <> '{{}}'
WHERE e.sign = -1 AND e.recorded_at >= $2::timestamptz - interval '1 minute'
    AND e.counted_at BETWEEN c.first_at AND c.last_at"""
_NEWLY_TAKEN_BACK = _TAKEN_BACK_SINCE.format(table="usage_event")
# What is dropped is part of the catalog that processes remember. As changes of catalogs do, this comes first.
_CATALOGS = """
SELECT tenant FROM tenant WHERE tenant IN (SELECT tenant FROM closed_month WHERE month = $1) ORDER BY 1 FOR UPDATE"""
_NOTIFY = """
SELECT pg_notify($1, json_build_object('kind', 'catalog', 'tenant', t, 'name', '')::text) FROM unnest($2::text[]) t"""


class PostgresMonths:
    """`app.retention.MonthStore`; exports go to `folder`."""

    def __init__(self, engine: AsyncEngine, folder: Path | None = None) -> None:
        self._engine = engine
        self._folder = folder

    def alone(self) -> AbstractAsyncContextManager[Months | None]:
        """See `app.retention.MonthStore`."""
        return self._alone()

    @asynccontextmanager
    async def _alone(self) -> AsyncGenerator[Months | None]:
        with engine_errors():
            async with self._engine.execution_options(isolation_level="AUTOCOMMIT").connect() as pooled:
                connection: Any = (await pooled.get_raw_connection()).driver_connection
                if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
                    yield None
                    return
                try:
                    await connection.execute(f"SET statement_timeout = {_SECONDS * 1000}")
                    yield _HeldMonths(connection, self._folder)
                finally:
                    # The lock and the settings are the session's: it does not go back to the pool.
                    await pooled.invalidate()


class _HeldMonths:
    """See `app.retention.Months`."""

    def __init__(self, connection: Any, folder: Path | None) -> None:
        self._connection = connection
        self._folder = folder

    async def standing(self) -> Standing:
        """See `app.retention.Months`."""
        now = await self._connection.fetchval("SELECT clock_timestamp()")
        months = [
            EventMonth(month, Stage(state), changed, events, file)
            for month, state, changed, events, file in await self._connection.fetch(_STANDING)
        ]
        limits = [OpenLimit(*row) for row in map(tuple, await self._connection.fetch(_LIMITS))]
        return Standing(now, months, limits, await self._connection.fetchval(_BACKFILLS))

    async def begin(self, month: date) -> None:
        """See `app.retention.Months`."""
        async with self._connection.transaction():
            begun = await self._connection.fetchval("DELETE FROM event_month WHERE month = $1 RETURNING true", month)
            if begun:
                for table in ("usage_closed", "closed_month"):
                    await self._execute(f"DELETE FROM {table} WHERE month = $1", month)
            await self._execute("INSERT INTO event_month (month, state) VALUES ($1, 'begun')", month)
        async with self._connection.transaction():  # those who do not see this yet end first
            await self._execute(f"SET LOCAL lock_timeout = '{_LOCK_WAIT}'")
            await self._execute(f"LOCK TABLE {partition_of(month)} IN SHARE MODE")

    async def close(self, month: date) -> None:
        """See `app.retention.Months`."""
        partition = partition_of(month)
        await self._execute(_TENANTS.format(partition=partition, summed=_SUMMED), month)
        await self._execute("DROP TABLE IF EXISTS taken_back")
        await self._execute("CREATE TEMP TABLE taken_back (LIKE usage_event)")
        if await self._connection.fetchval("SELECT EXISTS (SELECT FROM meter WHERE extremes)"):
            await self._execute(_TAKEN_BACK, start_of(before(month, -1)))
        tenants = await self._connection.fetch("SELECT tenant FROM closed_month WHERE month = $1 ORDER BY 1", month)
        statement = _close(partition)
        for (tenant,) in tenants:
            last = ""
            while end := await self._connection.fetchval(_RANGE_END, tenant, last, _CUSTOMERS):
                await self._execute(statement, tenant, last, end, month)
                last = end
        begun = await self._connection.fetchval("SELECT begun_at FROM event_month WHERE month = $1", month)
        taken = await self._connection.fetchval(_TAKEN_BACK_SINCE.format(table="taken_back"), month, begun)
        await self._execute(
            "UPDATE event_month SET state = 'closed', taken_back = $2, events = (SELECT coalesce(sum(events), 0) "
            "FROM closed_month WHERE month = $1) WHERE month = $1",
            month, taken,
        )  # fmt: skip

    async def export(self, month: date) -> None:
        """See `app.retention.Months`."""
        assert self._folder is not None, "no folder to export to"
        partition = partition_of(month)
        file, sha256 = await self._connection.fetchrow(
            "SELECT file, sha256 FROM event_month WHERE month = $1 AND state IN ('closed', 'exported')", month
        )
        if not file:
            file, sha256 = await export.write(self._connection, partition, month, self._folder, _SECONDS)
        await export.verify(self._folder / file, sha256)
        await self._execute(
            "UPDATE event_month SET state = 'exported', file = $2, sha256 = $3 WHERE month = $1", month, file, sha256
        )

    async def drop(self, month: date) -> bool:
        """See `app.retention.Months`."""
        begun, taken, now = await self._connection.fetchrow(
            "SELECT begun_at, taken_back, clock_timestamp() FROM event_month WHERE month = $1", month
        )
        # What may be long is looked at before the lock, and behind it only what came meanwhile.
        lately = await self._connection.fetchval(_NEWLY_TAKEN_BACK, month, now)
        stands = taken == await self._connection.fetchval(_NEWLY_TAKEN_BACK, month, begun, timeout=_SECONDS)
        async with self._connection.transaction():
            await self._execute(f"SET LOCAL lock_timeout = '{_LOCK_WAIT}'")
            tenants = await self._connection.fetch(_CATALOGS, month)
            await self._execute("LOCK TABLE usage_event IN ACCESS EXCLUSIVE MODE")
            stands = stands and await self._connection.fetchval(_STANDS, month)
            stands = stands and lately == await self._connection.fetchval(_NEWLY_TAKEN_BACK, month, now)
            if not stands or await self._connection.fetchval(_OUTGROWN, month):
                await self._execute("UPDATE event_month SET changes = changes + 1 WHERE month = $1", month)
                return False
            await self._execute(f"DROP TABLE {partition_of(month)}")
            await self._execute(
                "UPDATE event_month SET state = 'dropped', dropped_at = clock_timestamp() WHERE month = $1", month
            )
            names = [tenant for (tenant,) in tenants]
            await self._execute(
                "UPDATE tenant SET catalog_version = catalog_version + 1 WHERE tenant = ANY($1::text[])", names
            )
            await self._execute(_NOTIFY, CHANNEL, names)
        return True

    async def forget_history(self, until: date) -> int:
        """See `app.retention.Months`."""
        return await forget_history(self._connection, start_of(until))

    async def _execute(self, statement: str, *parameters: Any) -> None:
        await self._connection.execute(statement, *parameters, timeout=_SECONDS)


def partition_of(month: date) -> str:
    """The partition that holds the events recorded in a month."""
    return f"usage_event_{month:%Y_%m}"
