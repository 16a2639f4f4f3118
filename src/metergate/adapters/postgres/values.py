"""The values of UNIQUE counters: how many events of each stand in the counter's window."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson

from metergate.adapters.postgres import statements as sql
from metergate.adapters.postgres.holds import literal
from metergate.domain.distinct import Numbers
from metergate.domain.quota import CounterKey


async def load_values(
    connection: Any, tenant: str, sought: Mapping[CounterKey, Collection[str]]
) -> dict[CounterKey, dict[str, int]]:
    """See `app.ports.ledger.Commit.values`."""
    keys = sorted(sought)
    # No value holds a control character.
    items = ["\x1f".join(sorted(sought[key])) for key in keys]
    rows = await connection.fetch(sql.VALUES, tenant, *_columns(keys), items)
    return {key: orjson.loads(row[0]) if row[0] else {} for key, row in zip(keys, rows, strict=True)}


async def write_values(connection: Any, tenant: str, born: Sequence[CounterKey], moves: Numbers) -> None:
    """See `app.ports.ledger.Commit.write_values`."""
    if born:
        columns = _columns(born)
        starts_and_ends = columns[4:]  # all of the window is read from the events
        await connection.execute(sql.VALUES_LEFT, tenant, *columns, *starts_and_ends)
        await connection.execute(sql.VALUES_BORN, tenant, *columns, *starts_and_ends)
    # What a correction takes away and gives back at once does not move.
    moved = sorted(
        (*key, value, number) for key, numbers in moves.items() for value, number in numbers.items() if number
    )
    if moved:
        texts = [literal([str(part) for part in column]) for column in zip(*moved, strict=True)]
        await connection.execute(sql.VALUES_MOVED, tenant, *texts)
    fewer = [row[:7] for row in moved if row[7] < 0]
    if fewer:
        await connection.execute(sql.VALUES_GONE, tenant, *[list(column) for column in zip(*fewer, strict=True)])


def _columns(keys: Sequence[CounterKey]) -> list[list[Any]]:
    return [list(column) for column in zip(*keys, strict=True)]
