"""Another time for Postgres: a `clock_timestamp()` that is found before the real one and is shifted per session."""

from __future__ import annotations

import asyncpg

_SHIFTED = """
CREATE SCHEMA shifted;
CREATE FUNCTION shifted.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
    SELECT pg_catalog.clock_timestamp()
        + coalesce(nullif(current_setting('test.shift', true), ''), '0')::bigint * interval '1 microsecond'
$$;
"""


async def make_shiftable(postgres_url: str) -> None:
    """Sessions that begin from now on may carry a shift: see `shift`."""
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute(_SHIFTED)
        name = await connection.fetchval("SELECT quote_ident(current_database())")
        await connection.execute(f"ALTER DATABASE {name} SET search_path = shifted, pg_catalog, public")
    finally:
        await connection.close()


def shift(by: int) -> str:
    """The session setting that moves the clock by so many microseconds."""
    return f"test.shift={by}"
