"""Closing the periods of 10,000 customers with five meters each, against the same rows by hand-written SQL; and what
that does to ingestion meanwhile."""

from __future__ import annotations

import asyncio
import time
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from typing import Any

import asyncpg
import orjson

from benchmarks import floors
from metergate import wiring
from metergate.adapters.postgres import connect
from metergate.adapters.postgres.billing_usage import PostgresBilling
from metergate.adapters.postgres.closing import PostgresClosing
from metergate.adapters.postgres.customers import PostgresCustomers
from metergate.adapters.postgres.definitions import PostgresCatalogs
from metergate.adapters.postgres.keys import PostgresKeys
from metergate.adapters.postgres.ledger import PostgresLedger
from metergate.adapters.redis.view import RedisView
from metergate.app.billing.close_period import ClosePeriods
from metergate.app.catch_up import CatchUp
from metergate.app.directory import Directory
from metergate.domain.catalog import Catalog
from metergate.domain.meter import Meter
from metergate.domain.period import QUARTER, SECOND
from metergate.domain.plan import Plan
from metergate.domain.price import Model, Price, Tier

CUSTOMERS = 10_000
WORKERS = 2
_BATCH = 200  # as the product's
DAYS = 31  # with a quarter hour of use each, of every meter
TENANT = wiring.DEV_TENANT
_OFF = 423 * SECOND  # windows begin within a quarter hour, so that their edges are read from events


def _price(name: str, model: Model, **fields: Any) -> Price:
    return Price(name, model, "USD", meter=name, **fields)


METERS = ("calls", "tokens", "jobs", "files", "seats")
CATALOG = Catalog(
    meters=tuple([Meter(name, name, dimensions=("region",)) for name in METERS]),
    plans=(
        Plan("default"),
        Plan(
            "pro",
            prices=(
                Price("base", Model.FLAT, "USD", unit_amount=Decimal(99)),
                _price(
                    "calls", Model.GRADUATED, tiers=(Tier(Decimal(100), Decimal("0.01")), Tier(None, Decimal("0.005")))
                ),
                _price("tokens", Model.UNIT, unit_amount=Decimal("0.0000025")),
                _price("jobs", Model.PACKAGE, unit_amount=Decimal(1), package_size=Decimal(10)),
                _price("files", Model.VOLUME, tiers=(Tier(Decimal(50), Decimal("0.1")), Tier(None, Decimal("0.05")))),
                _price("seats", Model.UNIT, unit_amount=Decimal("0.03"), included=Decimal(20)),
            ),
        ),
    ),
)


def _priced(counted: dict[str, Decimal]) -> list[floors.Rated]:
    """The same lines as the product makes of the catalog, by hand."""
    calls, tokens, jobs, files, seats = [counted.get(name, Decimal(0)) for name in METERS]
    first, more = min(calls, Decimal(100)), max(calls - 100, Decimal(0))
    blocks, paid = (jobs / 10).to_integral_value(ROUND_CEILING), max(seats - 20, Decimal(0))
    tier = "tier 1, up to 50" if files <= 50 else "tier 2, above 50"
    each = Decimal("0.1") if files <= 50 else Decimal("0.05")
    parts = [
        ("calls", first, calls, "0.01", "calls: tier 1, up to 100"),
        ("calls", more, None, "0.005", "calls: tier 2, above 100"),
        ("tokens", tokens, tokens, "0.0000025", "tokens"),
        ("jobs", blocks, jobs, "1", "jobs: blocks of 10"),
        ("files", files, files, str(each), f"files: {tier}"),
        ("seats", paid, seats, "0.03", "seats: first 20 included"),
    ]
    return [
        floors.Rated("", Decimal(1), None, 9900, {"description": "base", "unit_amount": "99"}),
        *[
            floors.Rated(
                meter, quantity, whole, _cents(quantity * Decimal(amount)), {"description": text, "unit_amount": amount}
            )
            for meter, quantity, whole, amount, text in parts
            if quantity
        ],
    ]


def _cents(amount: Decimal) -> int:
    return int((amount * 100).to_integral_value(ROUND_HALF_UP))


_CUSTOMERS_SQL = """
WITH made AS (
    INSERT INTO customer (tenant, customer) SELECT $1, 'customer-' || to_char(n, 'FM00000')
    FROM generate_series(1, $2::bigint) n RETURNING customer
)
INSERT INTO customer_head (tenant, customer, seq, plan, metering_version)
SELECT $1, customer, 10, 'pro@1', (SELECT metering_version FROM tenant WHERE tenant = $1) FROM made"""
_SUBSCRIPTIONS_SQL = """
INSERT INTO subscription (tenant, id, customer, currency, interval, anchor_at, time_zone, segments, coupons, created_at,
    billed_until, closes_at)
SELECT $1, 'sub-' || customer, customer, 'USD', 'month', $2, 'UTC', $3::text::jsonb, '[]', $2, $2, $4
FROM customer_head WHERE tenant = $1 AND plan = 'pro@1'"""
# What was charged in advance for that month.
_FIRST_SQL = """
WITH made AS (
    INSERT INTO invoice (tenant, id, customer, subscription, state, currency, period_start, period_end, seq, subtotal,
        discount, total, created_at, finalize_at, body)
    SELECT $1, 'first-' || customer, customer, 'sub-' || customer, 'draft', 'USD', $2, $2, 1, 9900, 0, 9900, $2, NULL,
        '{"taxes": []}'
    FROM customer_head WHERE tenant = $1 AND plan = 'pro@1' RETURNING id, customer, subscription
)
INSERT INTO invoice_line (tenant, invoice, number, customer, subscription, kind, price, meter, plan, version,
    window_start, window_end, labels, quantity, amount, discount, body)
SELECT $1, id, 1, customer, subscription, 'flat', 'base', '', 'pro', 1, $2, $3, '[]', 1, 9900, 0,
    '{"description": "base", "unit_amount": "99"}' FROM made"""
_ROLLUPS_SQL = """
INSERT INTO usage_rollup (tenant, customer, measure, quarter, subject, dimensions, count, sum)
SELECT $1, h.customer, m.measure, $2::timestamptz + d * interval '1 day' + hashtext(h.customer || m.name) % 40 *
        interval '15 minutes' + interval '10 hours', h.customer, '{"region": "eu"}', 5, 5 + abs(hashtext(h.customer)) % 7
FROM customer_head h CROSS JOIN meter m CROSS JOIN generate_series(0, $3::int - 1) d
WHERE h.tenant = $1 AND h.plan = 'pro@1' AND m.tenant = $1
ORDER BY 2, 3, 4"""
_EDGES_SQL = """
INSERT INTO usage_event (tenant, customer, seq, counted_at, recorded_at, time, source, id, type, subject, amount,
    labels)
SELECT $1, h.customer, 9, $2::timestamptz + interval '1 second', now(), $2::timestamptz + interval '1 second', 'bench',
    h.customer || m.name, m.name, h.customer, 3, '{"region": "eu"}'
FROM customer_head h CROSS JOIN meter m WHERE h.tenant = $1 AND h.plan = 'pro@1' AND m.tenant = $1"""
_ANEW_SQL = (
    "SET session_replication_role = replica",  # drafts go here without a word
    "DELETE FROM invoice_line WHERE invoice NOT LIKE 'first-%'",
    "DELETE FROM invoice WHERE id NOT LIKE 'first-%'",
    "UPDATE subscription SET billed_until = anchor_at, closes_at = $1 WHERE billed_until <> anchor_at",
    "UPDATE customer_head SET billed_until = NULL WHERE billed_until IS NOT NULL",
)


async def fill(postgres_url: str, customers: int = CUSTOMERS) -> tuple[int, int]:
    """Subscriptions whose first month is over; it."""
    connection = await asyncpg.connect(connect.plain_url(postgres_url))
    await connect.use_instants(connection)
    try:
        await connection.execute("SET synchronous_commit = off")
        now = await connection.fetchval("SELECT now()")
        start = now - now % QUARTER - 40 * 86_400 * SECOND + _OFF
        end = (await connection.fetchval("SELECT $1::timestamptz AT TIME ZONE 'UTC' + interval '1 month'", start)).replace(
            tzinfo=None
        )
        end = await connection.fetchval("SELECT $1::timestamp AT TIME ZONE 'UTC'", end)
        segments = orjson.dumps(
            [{"start": start, "end": None, "items": [["pro", 1, "1"]], "mode": "active", "custom": []}]
        ).decode()
        await connection.execute(_CUSTOMERS_SQL, TENANT, customers)
        await connection.execute(_SUBSCRIPTIONS_SQL, TENANT, start, segments, end)
        await connection.execute(_FIRST_SQL, TENANT, start, end, timeout=600)
        await connection.execute(_ROLLUPS_SQL, TENANT, start - _OFF, DAYS, timeout=600)
        await connection.execute(_EDGES_SQL, TENANT, start, timeout=600)
        await connection.execute("VACUUM (ANALYZE)", timeout=600)
    finally:
        await connection.close()
    return start, end


async def anew(postgres_url: str, end: int) -> None:
    """As if nothing had been closed."""
    connection = await asyncpg.connect(connect.plain_url(postgres_url))
    await connect.use_instants(connection)
    for statement in _ANEW_SQL:
        await connection.execute(statement, *([end] if "$1" in statement else []), timeout=600)
    await connection.execute("VACUUM (ANALYZE) invoice, invoice_line, subscription, customer_head", timeout=600)
    await connection.close()


async def close(postgres_url: str, redis_url: str, workers: int = WORKERS) -> Any:
    """Closes all that is due, by so many workers in one process."""
    engine = connect.engine(postgres_url, 3 * workers)
    pool = await connect.commit_pool(postgres_url, 2)
    keys = PostgresKeys(engine)
    directory = Directory(PostgresCatalogs(engine), PostgresCustomers(engine), keys, make_on_first_use=False)
    view = RedisView(redis_url, keys.identity)
    catch_up = CatchUp(PostgresLedger(pool), view)
    verb = ClosePeriods(PostgresClosing(engine), PostgresBilling(engine), directory, catch_up)
    began = time.perf_counter()
    done = await asyncio.gather(*[verb.close() for _ in range(workers)])
    seconds = time.perf_counter() - began
    pool.terminate()
    await engine.dispose()
    return sum(one.invoices for one in done), seconds, {"failed": [one for each in done for one in each.failed][:5]}


async def close_floor(postgres_url: str, workers: int = WORKERS) -> Any:
    """The same rows by hand-written SQL, by as many connections."""

    async def work() -> int:
        connection = await asyncpg.connect(connect.plain_url(postgres_url))
        await connect.use_instants(connection)
        await connection.execute("SET enable_seqscan = off")
        whole = 0
        while made := await floors.close_batch(connection, TENANT, _priced, _BATCH):
            whole += made
        await connection.close()
        return whole

    began = time.perf_counter()
    done = await asyncio.gather(*[work() for _ in range(workers)])
    return sum(done), time.perf_counter() - began, {}
