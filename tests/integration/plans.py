"""The plans that Postgres really uses for a commit's statements, as auto_explain reports them to the client."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from metergate.adapters.postgres import connect
from metergate.adapters.postgres.ledger import PostgresLedger
from metergate.app.catch_up import CatchUp
from metergate.domain.meter import Meter

_MEASURE = {name: Meter(name, "llm", value=name, dimensions=("model",)).measure for name in ("in", "out")}
_METERS = f"unnest('{{in,out}}'::text[], '{{{_MEASURE['in']},{_MEASURE['out']}}}'::text[])"
_DEFINITIONS = """
INSERT INTO tenant (tenant) VALUES ('t'), ('u') ON CONFLICT DO NOTHING;
INSERT INTO meter (tenant, name, event_type, aggregation, value, dimensions, allow_negative, unit, description, since,
    measure)
SELECT t, m, 'llm', 'sum', m, '{model}', false, '', '', 1, measure
FROM unnest('{t,u}'::text[]) t, {meters} AS m(m, measure);
UPDATE tenant SET catalog_version = 1, metering_version = 1;
INSERT INTO customer_head (tenant, customer, seq, metering_version)
SELECT t, 'c' || n, 5, 1 FROM unnest('{t,u}'::text[]) t, generate_series(0, {customers} - 1) n ON CONFLICT DO NOTHING;
"""

# Ids as clients make them: UUIDv7, which begin with their instant. `n` runs on from what is there.
_IDS = """
CREATE TEMP TABLE made ON COMMIT DROP AS
SELECT n, 'c' || n % $3 AS customer, now() - ($2 - n) * interval '1 second' / 100 AS at,
    lpad(to_hex(1790000000000 + n), 12, '0') || '7' || substr(md5(n::text), 1, 19) AS id
FROM generate_series($1::bigint, $2::bigint - 1) n"""

_FILL = [
    """
INSERT INTO usage_id
SELECT 't', 'api', id, date_trunc('month', now())::date, sha256(id::bytea), customer, 5, at FROM made""",
    """
INSERT INTO usage_event
    (tenant, customer, seq, counted_at, recorded_at, time, source, id, type, subject, values, labels)
SELECT 't', customer, 5, at, now(), at, 'api', id, 'llm', customer, '{"in": 3, "out": 4}', '{"model": "m"}'
FROM made""",
    f"""
INSERT INTO usage_rollup AS r
SELECT 't', customer, measure, date_bin('15 minutes', at, 'epoch'::timestamptz), customer, '{{"model": "m"}}',
    count(*), count(*) * 3
FROM made, {_METERS} AS m(meter, measure) GROUP BY 2, 3, 4
ON CONFLICT (tenant, customer, measure, quarter, subject, dimensions)
DO UPDATE SET count = r.count + excluded.count, sum = r.sum + excluded.sum""",
    """
INSERT INTO usage_counter
SELECT 't', customer, meter, '', '', date_trunc('month', now()), date_trunc('month', now()) + interval '1 month',
    count(*) * 3
FROM made, unnest('{in,out}'::text[]) meter GROUP BY 2, 3 ON CONFLICT DO NOTHING""",
    """
INSERT INTO hold
SELECT 't', 'r_' || id, 0, 'reservation', customer, customer, '', 'in', '{}', 5, at, at + interval '5 minutes',
    'committed', 4, 1, 0, 3, 0, 0, 0, ''::bytea
FROM made""",
    """
INSERT INTO hold_move
SELECT 't', customer, 5, at, 'r_' || id, 'in', customer, '{}', at, change, 0, 0
FROM made, unnest('{4,-4}'::int[]) change""",
]


async def fill(postgres_url: str, ids: int, customers: int, already: int = 0) -> list[str]:
    """Brings the ledger of tenant "t" to so many events; returns ids that it holds, spread over all of them."""
    connection = await asyncpg.connect(connect.plain_url(postgres_url))
    try:
        if not already:
            await connection.execute(_DEFINITIONS.replace("{customers}", str(customers)).replace("{meters}", _METERS))
        async with connection.transaction():
            await connection.execute(_IDS, already, ids, customers)
            for statement in _FILL:
                await connection.execute(statement)
        await connection.execute("ANALYZE")
        step = max(ids // 5000, 1)
        rows = await connection.fetch(
            "SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM usage_id) i WHERE n % $1 = 0", step
        )
        return [row[0] for row in rows]
    finally:
        await connection.close()


class Watched:
    """Stands where a pool stands; hands out its one connection and keeps the plan of each statement that it runs."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.messages: list[str] = []

    def hear(self, _: object, message: Any) -> None:
        if "plan:" in message.message:
            self.messages.append(message.message)

    @asynccontextmanager
    async def acquire(self, timeout: float = 0) -> AsyncGenerator[Any]:  # noqa: ASYNC109  the pool's own
        yield self._connection

    def plans(self) -> list[dict[str, Any]]:
        """The plans so far, where `format` was json."""
        return [json.loads(message[message.index("{") :]) for message in self.messages]


@asynccontextmanager
async def watched(postgres_url: str, **settings: str) -> AsyncGenerator[Watched]:
    """A connection from a commit pool under watch; `settings` are auto_explain's."""
    pool = await connect.commit_pool(postgres_url, 1)
    async with pool.acquire() as connection:
        await connection.execute("LOAD 'auto_explain'")
        for name, value in {"log_min_duration": "0", "log_parameter_max_length": "0", **settings}.items():
            await connection.execute(f"SET auto_explain.{name} = '{value}'")
        await connection.execute("SET client_min_messages = log")
        made = Watched(connection)
        connection.add_log_listener(made.hear)
        try:
            yield made
        finally:
            connection.remove_log_listener(made.hear)
    pool.terminate()


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All nodes of a plan."""
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)


def nothing_behind(ledger: PostgresLedger) -> CatchUp:
    """What a committer needs where no catalog changes: it is never asked."""
    return CatchUp(ledger, None)  # type: ignore[arg-type]
