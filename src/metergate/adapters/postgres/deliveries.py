"""Deliveries in PostgreSQL: listing what was begun, replaying it, and forgetting what is old."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from metergate.adapters.postgres.definitions import driver
from metergate.adapters.postgres.errors import engine_errors
from metergate.app.notify.ports import Delivery, DeliveryQuery, Replay, State

_COLUMNS = (
    "endpoint, customer, seq, place, kind, state, attempts, coalesce(status, 0) AS status, error, recorded_at, tried_at"
)

# The queues are locked first, as by whoever delivers; those that are missing wait for nothing.
_LOCK = """
SELECT FROM webhook_queue WHERE tenant = $1 AND endpoint = $2 AND ($3::text IS NULL OR customer = $3)
ORDER BY customer FOR UPDATE"""
_DEAD = """
UPDATE webhook_delivery SET state = 'pending', attempts = 0, since_at = clock_timestamp(), tried_at = NULL
WHERE tenant = $1 AND endpoint = $2 AND ($3::text IS NULL OR customer = $3) AND state = 'dead'"""
# What the queue has still before it comes by itself.
_RANGE = """
INSERT INTO webhook_delivery AS d (tenant, endpoint, customer, seq, place, kind, state, attempts, error, recorded_at,
    since_at)
SELECT o.tenant, e.endpoint, o.customer, o.seq, o.place, o.kind, 'pending', 0, '', o.recorded_at, clock_timestamp()
FROM outbox o
JOIN webhook_endpoint e ON e.tenant = o.tenant AND o.kind = ANY(e.kinds)
LEFT JOIN webhook_queue q ON q.tenant = o.tenant AND q.endpoint = e.endpoint AND q.customer = o.customer
WHERE o.tenant = $1 AND e.endpoint = $2 AND ($3::text IS NULL OR o.customer = $3)
    AND o.recorded_at >= $4 AND o.recorded_at < $5
    AND ((o.seq, o.place) <= (q.seq, q.place) OR o.recorded_at < e.since[array_position(e.kinds, o.kind)])
ON CONFLICT (tenant, endpoint, customer, seq, place) DO UPDATE SET state = 'pending', attempts = 0,
    since_at = excluded.since_at, tried_at = NULL"""
_WAKE = """
INSERT INTO webhook_queue AS q (tenant, endpoint, customer, next_at, moved_at)
SELECT *, clock_timestamp(), clock_timestamp() FROM (
    SELECT DISTINCT tenant, endpoint, customer FROM webhook_delivery
    WHERE tenant = $1 AND endpoint = $2 AND ($3::text IS NULL OR customer = $3) AND state = 'pending'
) whose
ORDER BY customer
ON CONFLICT (tenant, endpoint, customer) DO UPDATE SET woken = q.woken + 1,
    moved_at = CASE WHEN q.next_at IS NULL THEN excluded.moved_at ELSE q.moved_at END,
    next_at = CASE WHEN q.claimed THEN q.next_at ELSE excluded.next_at END"""

# A few thousand at a time, so that no statement runs long.
_AT_ONCE = 5_000
_FORGET_DELIVERIES = f"""
DELETE FROM webhook_delivery WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM webhook_delivery WHERE recorded_at < clock_timestamp() - $1 * interval '1 day' AND (
        state = 'delivered' OR state = 'dead' AND recorded_at < clock_timestamp() - $2 * interval '1 day')
    LIMIT {_AT_ONCE} FOR UPDATE SKIP LOCKED
))"""
# News are kept for who has not had them, and with a delivery that can still be made.
_FORGET_NEWS = f"""
DELETE FROM outbox WHERE ctid = ANY(ARRAY(
    SELECT o.ctid FROM outbox o WHERE recorded_at < clock_timestamp() - $1 * interval '1 day' AND NOT fresh
        AND NOT EXISTS (
            SELECT FROM webhook_queue q JOIN webhook_endpoint e USING (tenant, endpoint)
            WHERE q.tenant = o.tenant AND q.customer = o.customer AND q.next_at IS NOT NULL
                AND (q.seq, q.place) < (o.seq, o.place) AND o.kind = ANY(e.kinds)
        )
        AND NOT EXISTS (
            SELECT FROM webhook_endpoint e JOIN webhook_delivery d USING (tenant, endpoint)
            WHERE e.tenant = o.tenant AND d.customer = o.customer AND d.seq = o.seq AND d.place = o.place
                AND d.state <> 'delivered'
        )
    LIMIT {_AT_ONCE} FOR UPDATE OF o SKIP LOCKED
))"""
_STAND = """
SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(moved_at)), 0)::float8,
    (SELECT count(*) FROM webhook_delivery WHERE state = 'dead')
FROM webhook_queue WHERE next_at IS NOT NULL"""


class PostgresDeliveries:
    """`app.notify.ports.Deliveries` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def list(self, tenant: str, query: DeliveryQuery) -> list[Delivery]:
        """See `app.notify.ports.Deliveries`."""
        statement, parameters = _listing(tenant, query)
        with engine_errors():
            async with self._engine.connect() as pooled:
                rows = await (await driver(pooled)).fetch(statement, *parameters)
        return [Delivery(**dict(row) | {"state": State(row["state"])}) for row in rows]

    async def replay(self, tenant: str, replay: Replay, most: int) -> int:
        """See `app.notify.ports.Deliveries`."""
        whose = (tenant, replay.endpoint, replay.customer)
        with engine_errors():
            async with self._engine.connect() as pooled:
                connection = await driver(pooled)
                await connection.fetch(_LOCK, *whose)
                if replay.start is None:
                    done = await connection.execute(_DEAD, *whose)
                else:
                    done = await connection.execute(_RANGE, *whose, replay.start, replay.end)
                count = int(done.rpartition(" ")[2])
                if count <= most:
                    await connection.execute(_WAKE, *whose)
                    await pooled.commit()
        return count

    async def forget(self, keep_days: int, keep_dead_days: int) -> None:
        """Deletes deliveries and news that are kept no longer."""
        for statement, days in ((_FORGET_DELIVERIES, (keep_days, keep_dead_days)), (_FORGET_NEWS, (keep_days,))):
            while await self._forget_some(statement, days) == _AT_ONCE:
                pass

    async def _forget_some(self, statement: str, days: Sequence[int]) -> int:
        with engine_errors():
            async with self._engine.begin() as pooled:
                done = await (await driver(pooled)).execute(statement, *days)
        return int(done.rpartition(" ")[2])

    async def stand(self) -> tuple[int, float, int]:
        """How many queues wait, for how many seconds the one that moved last has, and how many dead letters there
        are."""
        with engine_errors():
            async with self._engine.connect() as pooled:
                queues, age, dead = await (await driver(pooled)).fetchrow(_STAND)
        return queues, age, dead


def _listing(tenant: str, query: DeliveryQuery) -> tuple[str, list[Any]]:
    """The statement of a page, and its parameters. The place in the order is compared as one row value."""
    parameters: list[Any] = [tenant]
    conditions = ["tenant = $1"]
    for column, value in (("endpoint", query.endpoint), ("customer", query.customer)):
        if value is not None:
            parameters.append(value)
            conditions.append(f"{column} = ${len(parameters)}")
    if query.state is not None:  # written out: partial indexes are found by it
        conditions.append(f"state = '{query.state.value}'")
    if query.after is not None:
        places = ", ".join(f"${len(parameters) + number}" for number in range(1, 6))
        parameters += query.after
        conditions.append(f"(recorded_at, endpoint, customer, seq, place) < ({places})")
    order = "ORDER BY recorded_at DESC, endpoint DESC, customer DESC, seq DESC, place DESC"
    return f"SELECT {_COLUMNS} FROM webhook_delivery WHERE {' AND '.join(conditions)} {order} LIMIT {query.most:d}", (
        parameters
    )
