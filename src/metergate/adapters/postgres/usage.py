"""Reading usage in PostgreSQL: sums over any range, and the events themselves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from metergate.adapters.postgres import quantities as sql
from metergate.adapters.postgres.connect import snapshots
from metergate.adapters.postgres.definitions import driver
from metergate.adapters.postgres.errors import engine_errors
from metergate.adapters.postgres.ledger import inner_part, to_event
from metergate.app.ports.readers import EventQuery, Point, RecordedEvent, SummaryQuery
from metergate.domain.period import QUARTER
from metergate.domain.quantity import ZERO
from metergate.domain.quota import Figures

# $1 tenant, $2 customer, $3 meter, $4 borders, $5 and $6 the range, $7 and $8 the part that whole quarter
# hours cover, $9 subject, $10 filters, $11 dimensions to group by ("subject" is one). Where the pieces are not
# made of whole quarter hours, the inner part is empty and all is read from the events.
_GROUPS = """ARRAY(
    SELECT CASE WHEN g = 'subject' THEN {subject} ELSE coalesce({labels} ->> g, '') END FROM unnest($11::text[]) g)"""
_SUMMARY = f"""
SELECT piece, groups, sum(count)::bigint, sum(sum) FROM (
    SELECT width_bucket(r.quarter, $4::timestamptz[]) AS piece,
        {_GROUPS.format(subject="r.subject", labels="r.dimensions")} AS groups,
        sum(r.count) AS count, sum(CASE WHEN m.aggregation = 'count' THEN r.count ELSE r.sum END) AS sum
    FROM meter m JOIN usage_rollup r ON r.tenant = $1 AND r.customer = $2 AND r.measure = m.measure
    WHERE m.tenant = $1 AND m.name = $3 AND r.quarter >= $7 AND r.quarter < $8
        AND ($9 = '' OR r.subject = $9) AND ($10 = '' OR r.dimensions @> $10::text::jsonb)
    GROUP BY 1, 2
    UNION ALL
    SELECT width_bucket(e.counted_at, $4::timestamptz[]), {_GROUPS.format(subject="e.subject", labels="e.labels")},
        sum({sql.SIGN}), sum({sql.CONTRIBUTION} * {sql.SIGN})
    FROM meter m JOIN (
        SELECT * FROM usage_event WHERE tenant = $1 AND customer = $2
        UNION ALL SELECT * FROM usage_event WHERE tenant = $1 AND pool = $2
    ) e ON e.type = m.event_type
    WHERE m.tenant = $1 AND m.name = $3 AND {sql.CONTRIBUTION} IS NOT NULL
        AND (e.counted_at >= $5 AND e.counted_at < $7 OR e.counted_at >= $8 AND e.counted_at < $6)
        AND ($9 = '' OR e.subject = $9)
        AND ($10 = '' OR {sql.LABELS_MATCH.format(filter="$10::text::jsonb")})
    GROUP BY 1, 2
) parts GROUP BY 1, 2 LIMIT $12"""

_HELD = f"""
SELECT coalesce(sum(e.reserved), 0), coalesce(sum(e.leased), 0), coalesce(sum(e.forfeited), 0) FROM hold e
WHERE e.tenant = $1 AND (e.customer = $2 OR e.pool = $2 AND e.pool <> '') AND e.meter = $3
    AND e.counted_at >= $4 AND e.counted_at < $5
    AND e.reserved + e.leased + e.forfeited > 0
    AND ($6 = '' OR e.subject = $6)
    AND ($7 = '' OR {sql.LABELS_MATCH.format(filter="$7::text::jsonb")})"""

_RECENT_HEADS = """
SELECT t.tenant, t.catalog_version, h.customer, h.seq
FROM (
    SELECT tenant, customer FROM usage_event WHERE recorded_at >= $1 AND customer <> ''
    UNION SELECT tenant, customer FROM hold_move WHERE recorded_at >= $1
    UNION SELECT tenant, customer FROM grant_move WHERE recorded_at >= $1
) e
JOIN customer_head h USING (tenant, customer) JOIN tenant t USING (tenant)"""

_EVENT = (
    "e.customer, e.counted_at, e.recorded_at, e.seq, e.source, e.id, e.type, e.subject, e.time, e.amount, "
    "e.values, e.labels, e.settles"
)


class PostgresUsage:
    """`app.ports.readers.UsageReader` and `app.ports.readers.EventReader` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._snapshots = snapshots(engine)

    async def summarize(
        self, tenant: str, queries: Sequence[SummaryQuery]
    ) -> tuple[int, list[list[Point]], list[Figures]]:
        """See `app.ports.readers.UsageReader`."""
        with engine_errors():
            async with self._snapshots.connect() as pooled:
                connection = await driver(pooled)
                as_of = await connection.fetchval("SELECT now()")
                points = [await _points(connection, tenant, query) for query in queries]
                return as_of, points, [await _held(connection, tenant, query) for query in queries]

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
        return [
            RecordedEvent(to_event(row), row["customer"], row["counted_at"], row["recorded_at"], row["seq"])
            for row in rows
        ]


async def _points(connection: Any, tenant: str, query: SummaryQuery) -> list[Point]:
    start, end = query.pieces[0].start, query.pieces[-1].end
    aligned = all(piece.start % QUARTER == 0 for piece in query.pieces[1:])
    inner_start, inner_end = inner_part(start, end) if aligned else (end, end)
    rows = await connection.fetch(
        _SUMMARY,
        tenant,
        query.customer,
        query.meter,
        [piece.start for piece in query.pieces],
        start,
        end,
        inner_start,
        inner_end,
        query.subject,
        json.dumps(dict(query.filters)) if query.filters else "",
        list(query.group_by),
        query.most,
    )
    return [Point(row[0] - 1, tuple(row[1]), row[2], row[3]) for row in rows]


async def _held(connection: Any, tenant: str, query: SummaryQuery) -> Figures:
    row = await connection.fetchrow(
        _HELD,
        tenant,
        query.customer,
        query.meter,
        query.pieces[0].start,
        query.pieces[-1].end,
        query.subject,
        json.dumps(dict(query.filters)) if query.filters else "",
    )
    return Figures(ZERO, *row)


def _listing(tenant: str, query: EventQuery) -> tuple[str, list[Any]]:
    """The statement of a page, and its parameters. The place in the order is compared as one row value."""
    moment = "e.recorded_at" if query.customer is None else "e.counted_at"
    parameters: list[Any] = [tenant, query.start, query.end]
    conditions = [f"e.tenant = $1 AND {moment} >= $2 AND {moment} < $3"]

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
    return f"SELECT {_EVENT} FROM usage_event e WHERE {' AND '.join(conditions)} {order}", parameters
