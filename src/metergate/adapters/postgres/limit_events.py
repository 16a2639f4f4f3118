"""Limit events in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from metergate.adapters.postgres.definitions import driver
from metergate.adapters.postgres.errors import engine_errors
from metergate.app.quota.limit_events import LimitEventQuery
from metergate.domain.quota import REACHED, CounterKey
from metergate.domain.threshold import LimitEvent, Reached

_COLUMNS = (
    "customer, meter, subject, filter, start_at, end_at, limit_name, threshold, taken, max, seq, recorded_at, place"
)
# Whoever writes holds the customers' heads, so that two of one key never wait for each other.
_WRITE = f"""
INSERT INTO limit_event (tenant, {_COLUMNS})
SELECT $1, q.* FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[],
    $8::text[], $9::integer[], $10::numeric[], $11::numeric[], $12::bigint[], $13::timestamptz[], $14::integer[]) q
ON CONFLICT DO NOTHING
RETURNING place"""


async def write_limit_events(connection: Any, tenant: str, events: Sequence[LimitEvent]) -> list[LimitEvent]:
    """Appends the events, but for those that fired already; returns those that it appended, in order."""
    rows = [(*event.key, *event[1:]) for event in sorted(events)]
    columns = [list(column) for column in zip(*rows, strict=True)]
    written = {row[0] for row in await connection.fetch(_WRITE, tenant, *columns)}
    return [event for event in events if event.place in written]


_REACHED = """
SELECT q.place, e.recorded_at, e.seq
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[], $8::text[])
    WITH ORDINALITY AS q(customer, meter, subject, filter, start_at, end_at, limit_name, place)
CROSS JOIN LATERAL (
    SELECT recorded_at, seq FROM limit_event WHERE tenant = $1 AND customer = q.customer AND limit_name = q.limit_name
        AND meter = q.meter AND subject = q.subject AND filter = q.filter AND start_at = q.start_at
        AND end_at = q.end_at AND threshold = $9 OFFSET 0
) e"""


async def load_reached(
    connection: Any, tenant: str, pairs: Sequence[tuple[CounterKey, str]]
) -> dict[tuple[CounterKey, str], Reached]:
    """When the limits of these names were first reached in the windows of these counters, where they were."""
    columns = zip(*[(*key, name) for key, name in pairs], strict=True)
    rows = await connection.fetch(_REACHED, tenant, *[list(column) for column in columns], REACHED)
    return {pairs[place - 1]: Reached(at, seq) for place, at, seq in map(tuple, rows)}


class PostgresLimitEvents:
    """`app.quota.limit_events.LimitEventReader` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def limit_events(self, tenant: str, query: LimitEventQuery) -> list[LimitEvent]:
        """See `app.quota.limit_events.LimitEventReader`."""
        statement, parameters = _listing(tenant, query)
        with engine_errors():
            async with self._engine.connect() as pooled:
                rows = await (await driver(pooled)).fetch(statement, *parameters)
        return [LimitEvent(CounterKey(*row[:6]), *row[6:]) for row in map(tuple, rows)]


def _listing(tenant: str, query: LimitEventQuery) -> tuple[str, list[Any]]:
    """The statement of a page, and its parameters. The place in the order is compared as one row value."""
    parameters: list[Any] = [tenant]
    conditions = ["tenant = $1"]
    if query.customer:
        parameters.append(query.customer)
        conditions.append("customer = $2")
    if query.after is not None:
        places = ", ".join(f"${len(parameters) + number}" for number in range(1, 5))
        parameters += query.after
        conditions.append(f"(recorded_at, customer, seq, place) < ({places})")
    order = f"ORDER BY recorded_at DESC, customer DESC, seq DESC, place DESC LIMIT {query.most:d}"
    return f"SELECT {_COLUMNS} FROM limit_event WHERE {' AND '.join(conditions)} {order}", parameters
