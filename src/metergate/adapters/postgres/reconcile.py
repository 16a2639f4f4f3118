"""Reconciliation: events = ids = rollups = counters, and holds and grants = counters, by query.

A range of customers is compared in one snapshot. Postgres keeps each step of it within `_MEMORY` and puts the rest on
disk; only differences come to us. Rollups are compared with the events, a pass for each measure, and counters with the
rollups.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from metergate.adapters.postgres import differences as sql
from metergate.adapters.postgres.connect import snapshots
from metergate.adapters.postgres.definitions import driver
from metergate.adapters.postgres.errors import engine_errors
from metergate.app.reconcile import DIFFERENCES_MOST, Difference, Found, Range, Snapshot
from metergate.domain.quota import CounterKey, Figures

_MEMORY = "64MB"  # for each sort and hash table; the latter may take twice as much
_SECONDS = 3600
_CUSTOMERS = 20_000  # in one range at most

# About how many customers have so many events between them, as the planner's statistics have it.
_CUSTOMERS_OF = """
SELECT greatest(1, least($2, $1 * greatest(sum(reltuples) FILTER (WHERE relname = 'customer_head'), 1)
    / greatest(sum(reltuples) FILTER (WHERE relname <> 'customer_head'), 1)))::bigint
FROM pg_class WHERE oid = 'customer_head'::regclass
    OR oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'usage_event'::regclass)"""
_RANGE = """
SELECT min(customer), max(customer), count(*) FROM (
    SELECT customer FROM customer_head WHERE tenant = $1 AND customer > $2 ORDER BY customer LIMIT $3) c"""
_MEASURES = """
SELECT measure, event_type, aggregation, value, filters::text, scale, allow_negative, dimensions, name, extremes
FROM meter WHERE tenant = $1 AND leads AND aggregation NOT IN ('unique') ORDER BY name"""
_SHAPE = """
SELECT EXISTS (SELECT FROM customer_head WHERE tenant = $1 AND customer BETWEEN $2 AND $3 AND is_pool),
    EXISTS (SELECT FROM closed_month JOIN event_month USING (month) WHERE tenant = $1 AND state = 'dropped')"""
_FIRST_SLICE = """
SELECT to_date(min(right(inhrelid::regclass::text, 7)), 'YYYY_MM')::timestamp AT TIME ZONE 'UTC'
FROM pg_inherits WHERE inhparent = 'usage_id'::regclass"""
_COUNTERS = """
SELECT customer, meter, subject, filter, start_at, end_at, used, reserved, leased, forfeited FROM usage_counter
WHERE tenant = $1 AND customer BETWEEN $2 AND $3
    AND ($4::text IS NULL OR (customer, meter, end_at, start_at, subject, filter) > ($4, $5, $6, $7, $8, $9))
ORDER BY customer, meter, end_at, start_at, subject, filter LIMIT $10"""
_ANEW = "UPDATE customer_head SET metering_version = 0 WHERE tenant = $1 AND customer = ANY($2::text[])"


class Reconciler:
    """`app.reconcile.ReconcileReader` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._snapshots = snapshots(engine)

    async def differences(self) -> list[str]:
        """A line for each difference in the whole ledger, at most a hundred of a kind of each range of customers; none
        when all is well."""
        with engine_errors():
            async with self._snapshots.connect() as pooled:
                tenants = await (await driver(pooled)).fetch("SELECT tenant FROM tenant ORDER BY 1")
        lines: list[str] = []
        for (tenant,) in tenants:
            place: str | None = ""
            while place is not None:
                found, place = await self.next(tenant, place, EVENTS_MOST)
                lines += map(str, found.differences)
        return lines

    async def next(self, tenant: str, after: str, events: int) -> tuple[Found, str | None]:
        """See `app.reconcile.ReconcileReader`."""
        async with self._snapshot() as connection:
            now, most = (
                await connection.fetchval("SELECT now()"),
                await connection.fetchval(_CUSTOMERS_OF, events, _CUSTOMERS),
            )
            first, last, number = await connection.fetchrow(_RANGE, tenant, after, most)
            found = Found(now, Range(tenant, first or "", last or "", number))
            whole = not after and number < most
            if number:
                await _compare(connection, found, tenant, "" if whole else first, last, ids=whole)
            if number == most:
                return found, last
            if not whole or not number:
                await _compare_ids(connection, found, tenant, None)
            return found, None

    async def one(self, tenant: str, customer: str) -> Found:
        """See `app.reconcile.ReconcileReader`."""
        async with self._snapshot() as connection:
            found = Found(await connection.fetchval("SELECT now()"), Range(tenant, customer, customer, 1))
            await _compare(connection, found, tenant, customer, customer, ids=False)
            since = await connection.fetchval(_FIRST_SLICE)
            rows = await connection.fetch(sql.IDS_OF, tenant, since, customer, customer, timeout=_SECONDS)
            _add(found, "id", tenant, rows)
        return found

    async def counters(self, within: Range, after: CounterKey | None, most: int) -> Snapshot:
        """See `app.reconcile.ReconcileReader`."""
        place: tuple[Any, ...] = (None,) * 6
        if after is not None:
            place = (after.customer, after.meter, after.end, after.start, after.subject, after.filter)
        async with self._snapshot() as connection:
            version = await connection.fetchval("SELECT catalog_version FROM tenant WHERE tenant = $1", within.tenant)
            rows = [
                tuple(row)
                for row in await connection.fetch(_COUNTERS, within.tenant, within.first, within.last, *place, most)
            ]
            names = sorted({row[0] for row in rows})
            seqs = await connection.fetch(
                "SELECT customer, seq FROM customer_head WHERE tenant = $1 AND customer = ANY($2::text[])",
                within.tenant, names,
            )  # fmt: skip
        return Snapshot(version, dict(seqs), {CounterKey(*row[:6]): Figures(*row[6:]) for row in rows})

    async def make_anew(self, tenant: str, customers: Sequence[str]) -> None:
        """See `app.reconcile.ReconcileReader`."""
        with engine_errors():
            async with self._engine.begin() as pooled:
                await (await driver(pooled)).execute(_ANEW, tenant, customers)

    @asynccontextmanager
    async def _snapshot(self) -> AsyncGenerator[Any]:
        with engine_errors():
            async with self._snapshots.connect() as pooled:
                connection = await driver(pooled)
                for name, value in _SESSION.items():
                    await connection.execute(f"SET LOCAL {name} = '{value}'")
                yield connection


async def _compare(connection: Any, found: Found, tenant: str, first: str, last: str, ids: bool) -> None:
    """Compares all that is kept of a range of customers; with `ids`, which needs all customers, the ids too."""
    where = (tenant, first, last)
    pools, closed = await connection.fetchrow(_SHAPE, *where)
    since = await connection.fetchval(_FIRST_SLICE)
    measures = await connection.fetch(_MEASURES, tenant)
    plain = [row for row in measures if not row["extremes"]]
    for start in range(0, max(len(plain), ids), _AT_ONCE):
        part = plain[start : start + _AT_ONCE]
        with_ids = ids and not start
        shapes = [sql.Measure(len(row["dimensions"]), row["aggregation"] == "count", row["scale"] != 1) for row in part]
        constants = [one for row in part for one in tuple(row)[:8]]
        statement = sql.suspects(shapes, pools, closed, with_ids)
        differing, summed = await _row(connection, statement, *where, since, *constants)
        for row, shape, differs in zip(part, shapes, differing, strict=True):
            if differs:
                statement = sql.rollups(shape.dimensions, pools, closed)
                rows = await connection.fetch(statement, *where, *tuple(row)[:9], timeout=_SECONDS)
                _add(found, "rollup", tenant, rows)
        if with_ids:
            await _compare_ids(connection, found, tenant, summed)
    for row in measures:
        if row["extremes"]:
            rows = await connection.fetch(sql.extremes(pools), *where, row["measure"], row["name"], timeout=_SECONDS)
            _add(found, "rollup", tenant, rows)
    for kind, statement in sql.KINDS:
        _add(found, kind, tenant, await connection.fetch(statement, *where, timeout=_SECONDS))


async def _compare_ids(connection: Any, found: Found, tenant: str, summed: Decimal | None) -> None:
    """Compares the ids with those of the events, of which the sum may be known."""
    since = await connection.fetchval(_FIRST_SLICE)
    if summed is None:
        (summed,) = await _row(connection, sql.EVENT_SUM, tenant, since)
    kept, twice = await _row(connection, sql.ID_SUMS, tenant, since)
    if summed + twice != kept:
        _add(found, "id", tenant, await connection.fetch(sql.IDS, tenant, since, timeout=_SECONDS))


async def _row(connection: Any, statement: str, *parameters: Any) -> Any:
    """The one row of a statement that reads much. Asked for one row only, Postgres would not use several processes."""
    (row,) = await connection.fetch(statement, *parameters, timeout=_SECONDS)
    return row


_AT_ONCE = 20  # measures in one pass
EVENTS_MOST = 50_000_000  # of a range where nobody waits for an answer
# A meter's constants are worth a plan of their own.
_SESSION = {
    "work_mem": _MEMORY,
    "statement_timeout": f"{_SECONDS}s",
    "idle_in_transaction_session_timeout": "60s",
    "plan_cache_mode": "force_custom_plan",
}


def _add(found: Found, kind: str, tenant: str, rows: Sequence[Any]) -> None:
    if rows:
        found.counts[kind] += rows[0][4]
        room = DIFFERENCES_MOST - sum(one.kind == kind for one in found.differences)
        found.differences += [Difference(kind, tenant, row[0], row[1], row[2], row[3]) for row in rows[:room]]
