"""Ledgers with many counters, made by SQL: all at zero, as if each had a refused or a voided use behind it."""

from __future__ import annotations

import time

import asyncpg

from benchmarks.stage import METER as BY_CUSTOMER
from metergate import wiring
from metergate.adapters.postgres.connect import use_instants
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.meter import Meter
from metergate.domain.period import Period, window_at
from metergate.domain.quantity import parse
from metergate.domain.quota import Limit, Scope

METER = "seats"
OWNER = "crowd"
TOUCHED = 10
_MOST = parse("1000000000", "max")
CATALOG = Catalog(
    meters=(Meter(BY_CUSTOMER, BY_CUSTOMER, dimensions=("region",)), Meter(METER, METER)),
    plans=(
        Plan(
            "default",
            (
                Limit(f"{BY_CUSTOMER}/month", BY_CUSTOMER, _MOST),
                Limit(f"{METER}/month", METER, _MOST, scope=Scope.SUBJECT),
            ),
        ),
    ),
)


async def customers(postgres_url: str, count: int) -> tuple[str, ...]:
    """Makes so many customers with a counter each; returns ten of them, evenly spread."""
    await _run(postgres_url, count, (_CUSTOMERS, _HEADS, _COUNTERS))
    return _spread(count)


async def subjects(postgres_url: str, count: int) -> tuple[str, ...]:
    """Makes so many subjects of one customer with a counter each; returns ten of them, evenly spread."""
    await _run(postgres_url, count, (_OWNER, _OWNER_HEAD, _SUBJECTS, _SUBJECT_COUNTERS))
    return _spread(count)


def _spread(count: int) -> tuple[str, ...]:
    return tuple(f"crowd-{number:07d}" for number in range(0, count, count // TOUCHED))


_IDS = "SELECT 'crowd-' || lpad(n::text, 7, '0') AS id FROM generate_series(0, $2::bigint - 1) n"
_VERSION = "(SELECT metering_version FROM tenant WHERE tenant = $1)"
_COUNTER = "INSERT INTO usage_counter (tenant, customer, meter, subject, filter, start_at, end_at, used)"
_CUSTOMERS = f"INSERT INTO customer (tenant, customer) SELECT $1, id FROM ({_IDS}) q"
_HEADS = f"INSERT INTO customer_head (tenant, customer, metering_version) SELECT $1, id, {_VERSION} FROM ({_IDS}) q"
_COUNTERS = f"{_COUNTER} SELECT $1, id, '{BY_CUSTOMER}', '', '', $3, $4, 0 FROM ({_IDS}) q"
_OWNER = f"INSERT INTO customer (tenant, customer) VALUES ($1, '{OWNER}')"
_OWNER_HEAD = f"INSERT INTO customer_head (tenant, customer, metering_version) SELECT $1, '{OWNER}', {_VERSION}"
_SUBJECTS = f"INSERT INTO subject (tenant, subject, customer) SELECT $1, id, '{OWNER}' FROM ({_IDS}) q"
_SUBJECT_COUNTERS = f"{_COUNTER} SELECT $1, '{OWNER}', '{METER}', id, '', $3, $4, 0 FROM ({_IDS}) q"


async def _run(postgres_url: str, count: int, statements: tuple[str, ...]) -> None:
    window = window_at(Period.MONTH, "UTC", time.time_ns() // 1000)
    connection = await asyncpg.connect(postgres_url)
    await use_instants(connection)
    parameters = (wiring.DEV_TENANT, count, window.start, window.end)
    for statement in statements:
        used = [value for number, value in enumerate(parameters, 1) if f"${number}" in statement]
        assert used == list(parameters[: len(used)])
        await connection.execute(statement, *used)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
