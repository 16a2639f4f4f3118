"""A clock that tests may set while processes run: the database's, `now()` too, and that of the processes beside it."""

from __future__ import annotations

import time

import asyncpg
import pytest

_SHIFTED = """
CREATE SCHEMA shifted;
CREATE FUNCTION shifted.now() RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT pg_catalog.now() + interval '0' $$;
CREATE FUNCTION shifted.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
    SELECT pg_catalog.clock_timestamp() + interval '0' $$;
"""


class StepClock:
    """The shift of all clocks of one database and of this process, in microseconds."""

    def __init__(self, postgres_url: str, patch: pytest.MonkeyPatch) -> None:
        self.shift = 0
        self._url = postgres_url
        patch.setattr("metergate.app.clock.now", lambda: time.time_ns() // 1000 + self.shift)

    async def install(self) -> None:
        """Sessions that begin from now on live by this clock."""
        connection = await asyncpg.connect(self._url)
        try:
            await connection.execute(_SHIFTED)
            name = await connection.fetchval("SELECT quote_ident(current_database())")
            await connection.execute(f"ALTER DATABASE {name} SET search_path = shifted, pg_catalog, public")
        finally:
            await connection.close()

    async def step(self, by: int) -> None:
        """Puts the clocks forward, or back where it is negative."""
        self.shift += by
        parts = [
            f"CREATE OR REPLACE FUNCTION shifted.{name}() RETURNS timestamptz LANGUAGE sql {kind} AS $$ "
            f"SELECT pg_catalog.{name}() + bigint '{self.shift}' * interval '1 microsecond' $$"
            for name, kind in (("now", "STABLE"), ("clock_timestamp", "VOLATILE"))
        ]
        connection = await asyncpg.connect(self._url)
        try:
            await connection.execute(";".join(parts))
        finally:
            await connection.close()
