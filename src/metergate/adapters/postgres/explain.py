"""What stood behind a decision: `app.ports.readers.ExplainReader` on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from metergate.adapters.postgres import quantities as sql
from metergate.adapters.postgres.connect import snapshots
from metergate.adapters.postgres.definitions import driver
from metergate.adapters.postgres.errors import engine_errors
from metergate.adapters.postgres.grants import grants_at
from metergate.adapters.postgres.limit_events import load_reached
from metergate.app.ports.readers import Behind, CountedEvent, GrantPart, HeldPart
from metergate.domain.granting import counter_of
from metergate.domain.quantity import ZERO
from metergate.domain.quota import CounterKey, Figures
from metergate.domain.threshold import Reached

# k is one window of a limit's counter, e an event or a change of a hold up to the decision's seq. What members of a
# pool used has an order of its own: where the pool itself decided, it counts up to that instant too.
_KEYS = """unnest($3::timestamptz[], $4::timestamptz[]) WITH ORDINALITY AS k(start_at, end_at, place)"""
_MINE = f"""e.tenant = $1
    AND (CASE WHEN $5::bigint IS NULL OR e.customer <> $2 THEN e.recorded_at <= $9 ELSE e.seq <= $5 END)
    AND e.counted_at >= k.start_at AND e.counted_at < k.end_at
    AND ($7::text = '' OR e.subject = $7)
    AND ($8::text = '' OR {sql.LABELS_MATCH.format(filter="nullif($8::text, '')::jsonb")})"""
_OWNED = """(
    SELECT * FROM usage_event WHERE tenant = $1 AND customer = $2
    UNION ALL SELECT * FROM usage_event WHERE tenant = $1 AND pool = $2
)"""
_COUNTED = f"FROM {_OWNED} e WHERE e.type = m.event_type AND {_MINE} AND {sql.CONTRIBUTION} IS NOT NULL"
_SAMPLES = f"""
SELECT value, item, at, key, sum(sign) AS count FROM (
    SELECT {sql.CONTRIBUTION} AS value, {sql.ITEM} AS item, e.counted_at AS at, {sql.KEY} AS key, {sql.SIGN} AS sign
    {_COUNTED}
) samples GROUP BY 1, 2, 3, 4 HAVING sum(sign) <> 0"""
_WINDOWS = f"{_KEYS} JOIN meter m ON m.tenant = $1 AND m.name = $6"
_USED = f"""
SELECT k.place, coalesce({sql.of_samples(_SAMPLES)}, 0), (SELECT coalesce(sum(count), 0) FROM ({_SAMPLES}) s)::bigint
FROM {_WINDOWS}"""
# What was taken back stands there too, with what it took away.
_EVENTS = f"""
SELECT e.* FROM {_WINDOWS} CROSS JOIN LATERAL (
    SELECT e.id, e.source, e.seq, {sql.CONTRIBUTION} * {sql.SIGN} {_COUNTED}
) e ORDER BY e.seq DESC, e.source, e.id LIMIT $10"""
_HELD = f"""
SELECT k.place, e.id, sum(e.reserved) AS reserved, sum(e.leased) AS leased, sum(e.forfeited) AS forfeited
FROM {_KEYS} JOIN hold_move e ON e.customer = $2 AND e.meter = $6 AND {_MINE}
GROUP BY 1, 2 HAVING sum(e.reserved) + sum(e.leased) + sum(e.forfeited) > 0 ORDER BY 2"""


class PostgresExplain:
    """Reads in one snapshot."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._snapshots = snapshots(engine)

    async def behind(self, tenant: str, seq: int | None, at: int, keys: Sequence[CounterKey], most: int) -> Behind:
        """See `app.ports.readers.ExplainReader`."""
        one = keys[0]
        grants: list[GrantPart] = []
        parameters = (
            tenant, one.customer, [key.start for key in keys], [key.end for key in keys], seq, one.meter,
            one.subject, one.filter, at,
        )  # fmt: skip
        with engine_errors():
            async with self._snapshots.connect() as pooled:
                connection = await driver(pooled)
                used = await connection.fetch(_USED, *parameters)
                events = await connection.fetch(_EVENTS, *parameters, most)
                held = await connection.fetch(_HELD, *parameters)
                granted = ZERO
                if one == counter_of((one.customer, one.meter)):
                    granted, grants = await grants_at(connection, tenant, (one.customer, one.meter), seq, at, most)
        figures = [Figures(granted=granted) for _ in keys]
        for place, total, _ in used:
            figures[place - 1] = Figures(used=total, granted=granted)
        for place, _, *columns in held:
            before = figures[place - 1]
            figures[place - 1] = before.plus(Figures(ZERO, *columns))._replace(granted=granted)
        holds = [HeldPart(id_, Figures(ZERO, *columns)) for _, id_, *columns in held]
        return Behind(figures, [CountedEvent(*row) for row in events], sum(row[2] for row in used), holds, grants)

    async def reached(
        self, tenant: str, pairs: Sequence[tuple[CounterKey, str]]
    ) -> dict[tuple[CounterKey, str], Reached]:
        """See `app.ports.readers.ExplainReader`."""
        with engine_errors():
            async with self._snapshots.connect() as pooled:
                return await load_reached(await driver(pooled), tenant, pairs)
