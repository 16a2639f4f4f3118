"""The values of UNIQUE counters: how many events of each stand in the counter's window."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson

from metergate.adapters.postgres.figures import KEYS
from metergate.adapters.postgres.holds import literal
from metergate.adapters.postgres.quantities import ITEM, standing
from metergate.adapters.postgres.statements import INSTANT, lists
from metergate.domain.distinct import Numbers
from metergate.domain.quota import CounterKey

# The values of UNIQUE counters: a few of them, before the decision; from the events where there is no counter.
_OF_COUNTER = """{0}.tenant = $1 AND {0}.customer = k.customer AND {0}.meter = k.meter AND {0}.end_at = k.end_at
        AND {0}.start_at = k.start_at AND {0}.subject = k.subject AND {0}.filter = k.filter"""
VALUES = f"""
SELECT CASE WHEN EXISTS (SELECT FROM usage_counter c WHERE {_OF_COUNTER.format("c")}) THEN (
        SELECT jsonb_object_agg(v.value, v.number) FROM counter_value v
        WHERE {_OF_COUNTER.format("v")} AND v.value = ANY(k.items))
    ELSE (
        SELECT jsonb_object_agg(item, number) FROM (
            SELECT item, sum(count) AS number
            FROM ({standing("k.start_at", "k.end_at", f"AND {ITEM} = ANY(k.items)")}) s GROUP BY item
        ) told) END
FROM (
    SELECT customer, meter, subject, filter, start_at, end_at, string_to_array(items, E'\\x1f') AS items, place
    FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[], $8::text[])
        WITH ORDINALITY AS q(customer, meter, subject, filter, start_at, end_at, items, place)
) k ORDER BY k.place"""
# All of them, of a counter that is born, once the rows are written. What one left that was there earlier goes.
VALUES_LEFT = f"""
DELETE FROM counter_value v USING {KEYS} WHERE {_OF_COUNTER.format("v")}"""
VALUES_BORN = f"""
INSERT INTO counter_value (tenant, customer, meter, end_at, start_at, subject, filter, value, number)
SELECT $1, k.customer, k.meter, k.end_at, k.start_at, k.subject, k.filter, s.item, sum(s.count)
FROM {KEYS} CROSS JOIN LATERAL ({standing("k.start_at", "k.end_at")}) s GROUP BY 2, 3, 4, 5, 6, 7, 8"""
VALUES_MOVED = f"""
INSERT INTO counter_value AS v (tenant, customer, meter, end_at, start_at, subject, filter, value, number)
SELECT $1, q.customer, q.meter, {INSTANT.format("q.end_at")}, {INSTANT.format("q.start_at")}, q.subject, q.filter,
    q.value, q.number::bigint
FROM unnest({lists(2, 3, 4, 5, 6, 7, 8, 9)}) AS q(customer, meter, subject, filter, start_at, end_at, value, number)
ON CONFLICT (tenant, customer, meter, end_at, start_at, subject, filter, value)
DO UPDATE SET number = v.number + excluded.number"""
VALUES_GONE = f"""
DELETE FROM counter_value v USING unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[],
    $7::timestamptz[], $8::text[]) AS k(customer, meter, subject, filter, start_at, end_at, value)
WHERE {_OF_COUNTER.format("v")} AND v.value = k.value AND v.number <= 0"""


async def load_values(
    connection: Any, tenant: str, sought: Mapping[CounterKey, Collection[str]]
) -> dict[CounterKey, dict[str, int]]:
    """See `app.ports.ledger.Commit.values`."""
    keys = sorted(sought)
    # No value holds a control character.
    items = ["\x1f".join(sorted(sought[key])) for key in keys]
    rows = await connection.fetch(VALUES, tenant, *_columns(keys), items)
    return {key: orjson.loads(row[0]) if row[0] else {} for key, row in zip(keys, rows, strict=True)}


async def write_values(connection: Any, tenant: str, born: Sequence[CounterKey], moves: Numbers) -> None:
    """See `app.ports.ledger.Commit.write_values`."""
    if born:
        columns = _columns(born)
        starts_and_ends = columns[4:]  # all of the window is read from the events
        await connection.execute(VALUES_LEFT, tenant, *columns, *starts_and_ends)
        await connection.execute(VALUES_BORN, tenant, *columns, *starts_and_ends)
    # What a correction takes away and gives back at once does not move.
    moved = sorted(
        (*key, value, number) for key, numbers in moves.items() for value, number in numbers.items() if number
    )
    if moved:
        texts = [literal([str(part) for part in column]) for column in zip(*moved, strict=True)]
        await connection.execute(VALUES_MOVED, tenant, *texts)
    fewer = [row[:7] for row in moved if row[7] < 0]
    if fewer:
        await connection.execute(VALUES_GONE, tenant, *[list(column) for column in zip(*fewer, strict=True)])


def _columns(keys: Sequence[CounterKey]) -> list[list[Any]]:
    return [list(column) for column in zip(*keys, strict=True)]
