"""Queues of news in PostgreSQL, one for each endpoint and customer.

The commits that write news take no lock here: whoever delivers wakes the queues that wait for what is fresh. A queue is
a place in the customer's order of facts: news up to it were begun, and stand as rows of `webhook_delivery`. Commits of
one customer come one after the other, so nothing appears before what is visible already. What is the first: what was
begun and is to be tried again, and then the next in the outbox.

Each statement is a transaction of its own: while an endpoint is called, nothing is locked. A claim is a number and a
time; who finds that the number has moved on, leaves the queue to others. All times are the database's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import asyncpg

from metergate.adapters.postgres.errors import driver_errors
from metergate.app.notify.ports import Claim, Message, Outcome, State
from metergate.domain.period import SECOND

_LEASE = 60 * SECOND  # one try takes at most a quarter of it
_ACQUIRE_SECONDS = 30.0  # it may wait: nothing hangs on it
_NEAR = 500  # due queues that are looked at for one claim

_IN = "clock_timestamp() + {0} * interval '1 microsecond'"

_WAKE = """
WITH news AS (
    SELECT tenant, customer, seq, place, kind FROM outbox WHERE fresh LIMIT $1 FOR UPDATE SKIP LOCKED
), seen AS (
    UPDATE outbox o SET fresh = false FROM news n
    WHERE o.tenant = n.tenant AND o.customer = n.customer AND o.seq = n.seq AND o.place = n.place
), woken AS (
    INSERT INTO webhook_queue AS q (tenant, endpoint, customer, next_at, moved_at)
    SELECT *, clock_timestamp(), clock_timestamp() FROM (
        SELECT DISTINCT n.tenant, e.endpoint, n.customer
        FROM news n JOIN webhook_endpoint e ON e.tenant = n.tenant AND e.enabled AND n.kind = ANY(e.kinds)
    ) whose
    ORDER BY 1, 2, 3
    ON CONFLICT (tenant, endpoint, customer) DO UPDATE SET woken = q.woken + 1,
        moved_at = CASE WHEN q.next_at IS NULL THEN excluded.moved_at ELSE q.moved_at END,
        next_at = coalesce(q.next_at, excluded.next_at)
)
SELECT count(*) FROM news"""

# The sub-select makes one instant of the clock, by which an index can be searched: there may be many queues that wait.
_CLAIM = f"""
WITH near AS (
    SELECT tenant, endpoint, customer, next_at FROM webhook_queue q
    WHERE next_at <= (SELECT clock_timestamp()) AND NOT EXISTS (
        SELECT FROM unnest($3::text[], $4::text[], $5::integer[]) AS r(tenant, endpoint, room)
        WHERE r.tenant = q.tenant AND r.endpoint = q.endpoint AND r.room <= 0
    )
    ORDER BY next_at LIMIT {_NEAR}
), ranked AS (
    SELECT tenant, endpoint, customer, row_number() OVER (PARTITION BY tenant, endpoint ORDER BY next_at) AS rank
    FROM near
), due AS (
    SELECT q.tenant, q.endpoint, q.customer FROM ranked r JOIN webhook_queue q USING (tenant, endpoint, customer)
    WHERE q.next_at <= clock_timestamp() AND r.rank <= coalesce((
        SELECT s.room FROM unnest($3::text[], $4::text[], $5::integer[]) AS s(tenant, endpoint, room)
        WHERE s.tenant = r.tenant AND s.endpoint = r.endpoint
    ), $2)
    ORDER BY r.rank LIMIT $1 FOR UPDATE OF q SKIP LOCKED
)
UPDATE webhook_queue q SET next_at = {_IN.format(_LEASE)}, claimed = true, claim = q.claim + 1
FROM due d WHERE q.tenant = d.tenant AND q.endpoint = d.endpoint AND q.customer = d.customer
RETURNING q.tenant, q.endpoint, q.customer, q.claim, q.woken"""

_FIRST = """
SELECT e.url, e.secret, CASE WHEN e.previous_until > clock_timestamp() THEN e.previous_secret END AS previous,
    m.seq, m.place, m.kind, m.recorded_at, m.since_at, m.attempts,
    (extract(epoch FROM clock_timestamp() - m.since_at) * 1000000)::bigint AS waited,
    convert_to(m.body, 'UTF8') AS body
FROM webhook_queue q
JOIN webhook_endpoint e ON e.tenant = q.tenant AND e.endpoint = q.endpoint AND e.enabled
CROSS JOIN LATERAL (
    SELECT * FROM (
        (SELECT d.seq, d.place, d.kind, d.recorded_at, d.since_at, d.attempts, o.body
        FROM webhook_delivery d
        JOIN outbox o ON o.tenant = d.tenant AND o.customer = d.customer AND o.seq = d.seq AND o.place = d.place
        WHERE d.tenant = q.tenant AND d.endpoint = q.endpoint AND d.customer = q.customer AND d.state = 'pending'
        ORDER BY d.seq, d.place LIMIT 1)
        UNION ALL
        (SELECT o.seq, o.place, o.kind, o.recorded_at, o.recorded_at, 0, o.body
        FROM outbox o
        WHERE o.tenant = q.tenant AND o.customer = q.customer AND (o.seq, o.place) > (q.seq, q.place)
            AND o.recorded_at >= e.since[array_position(e.kinds, o.kind)]
        ORDER BY o.seq, o.place LIMIT 1)
    ) both_of_them
    ORDER BY seq, place LIMIT 1
) m
WHERE q.tenant = $1 AND q.endpoint = $2 AND q.customer = $3 AND q.claim = $4"""

_SETTLE = f"""
WITH queue AS (
    UPDATE webhook_queue q SET
        seq = CASE WHEN (q.seq, q.place) < ($5, $6) THEN $5 ELSE q.seq END,
        place = CASE WHEN (q.seq, q.place) < ($5, $6) THEN $6 ELSE q.place END,
        next_at = {_IN.format("$14::bigint")}, claimed = $15,
        moved_at = CASE WHEN $8 = 'pending' THEN q.moved_at ELSE clock_timestamp() END
    WHERE q.tenant = $1 AND q.endpoint = $2 AND q.customer = $3 AND q.claim = $4
    RETURNING 1
), noted AS (
    INSERT INTO webhook_delivery AS d (tenant, endpoint, customer, seq, place, kind, state, attempts, status, error,
        recorded_at, since_at, tried_at)
    SELECT $1, $2, $3, $5, $6, $7, $8, $9, $10, $11, $12, $13, clock_timestamp() FROM queue
    ON CONFLICT (tenant, endpoint, customer, seq, place) DO UPDATE SET state = excluded.state,
        attempts = excluded.attempts, status = excluded.status, error = excluded.error, tried_at = excluded.tried_at
)
SELECT count(*) FROM queue"""

_LEAVE = """
UPDATE webhook_queue SET claimed = false, next_at = CASE WHEN $5 AND woken = $6 THEN NULL ELSE clock_timestamp() END
WHERE tenant = $1 AND endpoint = $2 AND customer = $3 AND claim = $4"""


class PostgresQueues:
    """`app.notify.ports.Queues` over a pool made by `connect.commit_pool`, whose plans go by indexes."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    async def wake(self, most: int) -> int:
        """See `app.notify.ports.Queues`."""
        [row] = await self._rows(_WAKE, most)
        count: int = row[0]
        return count

    async def claim(self, most: int, each: int, rooms: Mapping[tuple[str, str], int]) -> list[Claim]:
        """See `app.notify.ports.Queues`."""
        columns = [[one[0] for one in rooms], [one[1] for one in rooms], list(rooms.values())]
        return [Claim(*row) for row in await self._rows(_CLAIM, most, each, *columns)]

    async def first(self, claim: Claim) -> Message | None:
        """See `app.notify.ports.Queues`."""
        for row in await self._rows(_FIRST, *claim[:4]):
            url, secret, previous, *others = row
            secrets = (secret, previous) if previous else (secret,)
            return Message(url, secrets, *others)
        return None

    async def settle(self, claim: Claim, message: Message, state: State, outcome: Outcome, pause: int | None) -> bool:
        """See `app.notify.ports.Queues`."""
        [row] = await self._rows(
            _SETTLE,
            *claim[:4],
            message.seq,
            message.place,
            message.kind,
            state.value,
            message.attempts + 1,
            outcome.status or None,
            outcome.error,
            message.recorded_at,
            message.since,
            _LEASE if pause is None else pause,
            pause is None,
        )
        return bool(row[0])

    async def leave(self, claim: Claim, is_empty: bool) -> None:
        """See `app.notify.ports.Queues`."""
        await self._rows(_LEAVE, *claim[:4], is_empty, claim.woken)

    async def _rows(self, statement: str, *parameters: Any) -> list[Any]:
        with driver_errors():
            async with self._pool.acquire(timeout=_ACQUIRE_SECONDS) as connection:
                return [tuple(row) for row in await connection.fetch(statement, *parameters)]
