"""Reading usage in PostgreSQL: the events themselves, and whose there are new ones of."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from metergate.adapters.postgres import quantities as sql
from metergate.adapters.postgres.definitions import driver
from metergate.adapters.postgres.errors import engine_errors
from metergate.adapters.postgres.events import to_event
from metergate.app.ports.readers import EventQuery, RecordedEvent

_RECENT_HEADS = """
SELECT t.tenant, t.catalog_version, h.customer, h.seq
FROM (
    SELECT tenant, customer FROM usage_event WHERE recorded_at >= $1 AND customer <> ''
    UNION SELECT tenant, customer FROM hold_move WHERE recorded_at >= $1
    UNION SELECT tenant, customer FROM grant_move WHERE recorded_at >= $1
) e
JOIN customer_head h USING (tenant, customer) JOIN tenant t USING (tenant)"""

EVENT = (
    "e.customer, e.counted_at, e.recorded_at, e.seq, e.source, e.id, e.type, e.subject, e.time, e.amount, "
    "e.values, e.labels, e.settles, coalesce(e.sign, 1) AS sign, coalesce(e.version, 1) AS version"
)


class PostgresUsage:
    """`app.ports.readers.EventReader` and `app.ports.view.SweepSource` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def recent_heads(
        self, since: int | None, look_back: int
    ) -> tuple[int, dict[tuple[str, int], list[tuple[str, int]]]]:
        """See `app.ports.view.SweepSource`."""
        heads: dict[tuple[str, int], list[tuple[str, int]]] = {}
        with engine_errors():
            async with self._engine.connect() as pooled:
                connection = await driver(pooled)
                now: int = await connection.fetchval("SELECT now()")
                for row in await connection.fetch(_RECENT_HEADS, now - look_back if since is None else since):
                    heads.setdefault((row[0], row[1]), []).append((row[2], row[3]))
        return now, heads

    async def events(self, tenant: str, query: EventQuery) -> list[RecordedEvent]:
        """See `app.ports.readers.EventReader`."""
        statement, parameters = _listing(tenant, query)
        with engine_errors():
            async with self._engine.connect() as pooled:
                connection = await driver(pooled)
                rows = await connection.fetch(statement, *parameters)
        return [to_recorded(row) for row in rows]


def to_recorded(row: Any) -> RecordedEvent:
    """The recorded event that a row of `EVENT`'s columns is."""
    names = ("customer", "counted_at", "recorded_at", "seq", "sign", "version")
    return RecordedEvent(to_event(row), *[row[name] for name in names])


def _listing(tenant: str, query: EventQuery) -> tuple[str, list[Any]]:
    """The statement of a page, and its parameters. The place in the order is compared as one row value."""
    moment = "e.recorded_at" if query.customer is None else "e.counted_at"
    parameters: list[Any] = [tenant, query.start, query.end]
    conditions = [f"e.tenant = $1 AND {moment} >= $2 AND {moment} < $3 AND {sql.STANDS}"]

    def require(condition: str, *values: Any) -> None:
        places = [f"${len(parameters) + number}" for number in range(1, len(values) + 1)]
        parameters.extend(values)
        conditions.append(condition.format(*places))

    if query.customer is not None:
        require("e.customer = {}", query.customer)
    if query.subject:
        require("e.subject = {}", query.subject)
    if query.type:
        require("e.type = {}", query.type)
    if query.unmatched_only:
        conditions.append(
            "(e.customer = '' OR NOT EXISTS (SELECT FROM meter m WHERE m.tenant = $1 AND m.event_type = e.type "
            f"AND {sql.CONTRIBUTION} IS NOT NULL))"
        )
    if query.after is not None:
        require(f"({moment}, e.source, e.id) > ({{}}, {{}}, {{}})", *query.after)
    order = f"ORDER BY {moment}, e.source, e.id LIMIT {query.most:d}"
    return f"SELECT {EVENT} FROM usage_event e WHERE {' AND '.join(conditions)} {order}", parameters
