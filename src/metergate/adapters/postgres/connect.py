"""Connections: two pools with bounded waits, one for commits and one for ordinary queries."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import asyncpg
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from metergate.domain import period

CONNECT_TIMEOUT = 5.0  # seconds
_PG_EPOCH = 946_684_800 * period.SECOND  # Postgres counts microseconds from 2000-01-01

# Bounds for every session: no statement and no forgotten transaction outlives them. Lock waits end long
# before the statement would, so that a stuck head is an error of its own.
_SESSION = {
    "application_name": "metergate",
    "timezone": "UTC",
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "30s",
    "jit": "off",
}
# The commit's statements look up lists of keys. A plan that was made while a table was small must never
# turn into a scan when it has grown, so these sessions know no other way than the index.
_BY_INDEX = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
}


DIALECT = "postgresql+asyncpg://"  # SQLAlchemy 2.1 would take psycopg


def opener(postgres_url: str, **options: Any) -> Callable[[], Coroutine[Any, Any, Any]]:
    """Opens connections for SQLAlchemy. The driver reads the URL itself, since SQLAlchemy would hand it parameters
    such as `sslmode` under names that it does not know."""
    return partial(asyncpg.connect, plain_url(postgres_url), **options)


def engine(postgres_url: str, size: int) -> AsyncEngine:
    """The pool for ordinary queries."""
    made = create_async_engine(
        DIALECT,
        async_creator=opener(postgres_url, timeout=CONNECT_TIMEOUT, command_timeout=35, server_settings=_SESSION),
        pool_size=size,
        max_overflow=0,
        pool_timeout=CONNECT_TIMEOUT,
        pool_pre_ping=False,
        pool_use_lifo=True,
    )

    @event.listens_for(made.sync_engine, "connect")
    def _instants(connection: Any, _: object) -> None:
        connection.run_async(use_instants)

    return made


def snapshots(pool: AsyncEngine) -> AsyncEngine:
    """The same pool, with transactions that see one snapshot from their first statement to their last."""
    return pool.execution_options(isolation_level="REPEATABLE READ")


async def commit_pool(postgres_url: str, size: int) -> asyncpg.Pool[asyncpg.Record]:
    """The pool for commits, with instants instead of datetimes and plans bound to indexes."""
    return await asyncpg.create_pool(
        plain_url(postgres_url),
        min_size=1,
        max_size=size,
        timeout=CONNECT_TIMEOUT,
        command_timeout=35,
        max_inactive_connection_lifetime=300,
        max_cacheable_statement_size=0,  # any: by default the driver plans long ones anew each time
        server_settings={**_SESSION, **_BY_INDEX},
        init=use_instants,
        reset=_nothing_to_reset,
    )


async def _nothing_to_reset(connection: Any) -> None:
    """Commits leave no session state behind, and a reset would be a round trip for each."""


def plain_url(postgres_url: str) -> str:
    """The URL as the driver takes it."""
    return make_url(postgres_url).set(drivername="postgresql").render_as_string(hide_password=False)


async def use_instants(connection: Any) -> None:
    """Makes timestamptz an instant (int, microseconds since 1970) on this connection."""
    await connection.set_type_codec(
        "timestamptz",
        schema="pg_catalog",
        encoder=lambda instant: (instant - _PG_EPOCH,),
        decoder=lambda value: value[0] + _PG_EPOCH,
        format="tuple",
    )
