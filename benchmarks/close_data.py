"""A tenant whose customers' month is over: subscriptions to one plan with five meters, and what they used."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import asyncpg
import orjson

from metergate import wiring
from metergate.adapters.postgres import connect
from metergate.domain.catalog import Catalog
from metergate.domain.meter import Meter
from metergate.domain.period import DAY, QUARTER, SECOND, anchored_months
from metergate.domain.plan import Plan
from metergate.domain.price import Model, Price, Tier

CUSTOMERS = 10_000
TENANT = wiring.DEV_TENANT
_DAYS = 31
_QUARTERS = 8  # of an hour, of each day, in which a customer uses each meter
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
SELECT $1, h.customer, m.measure, $2::timestamptz + interval '15 minutes' * (
        96 * (q / $4::int) + (abs(hashtext(h.customer || m.name)) % 80) + q % $4::int),
    h.customer, '{"region": "eu"}', 5, 1 + (abs(hashtext(h.customer)) + q) % 7
FROM customer_head h CROSS JOIN meter m CROSS JOIN generate_series(0, $3::int * $4::int - 1) q
WHERE h.tenant = $1 AND h.plan = 'pro@1' AND m.tenant = $1
ORDER BY 2, 3, 4"""
_EDGES_SQL = """
INSERT INTO usage_event (tenant, customer, seq, counted_at, recorded_at, time, source, id, type, subject, amount,
    labels)
SELECT $1, h.customer, 9, $2::timestamptz + interval '1 second', now(), $2::timestamptz + interval '1 second', 'bench',
    h.customer || m.name, m.name, h.customer, 3, '{"region": "eu"}'
FROM customer_head h CROSS JOIN meter m WHERE h.tenant = $1 AND h.plan = 'pro@1' AND m.tenant = $1"""
_ROWS_SQL = """
SELECT count(*), sum(amount), md5(string_agg(
    (customer, kind, price, meter, window_start, window_end, quantity, billed, amount, body - 'tier')::text, ','
    ORDER BY customer, window_start, meter, price, number))
FROM invoice_line WHERE kind <> 'flat'"""
_ANEW_SQL = (
    "SET session_replication_role = replica",  # drafts go here without a word
    "DELETE FROM invoice_line WHERE invoice NOT LIKE 'first-%'",
    "DELETE FROM invoice WHERE id NOT LIKE 'first-%'",
    "UPDATE subscription SET billed_until = anchor_at, closes_at = $1 WHERE billed_until <> anchor_at",
    "UPDATE customer_head SET billed_until = NULL WHERE billed_until IS NOT NULL",
)


async def fill(postgres_url: str, customers: int = CUSTOMERS) -> int:
    """Subscriptions whose first month is over; when it ended."""
    connection = await asyncpg.connect(connect.plain_url(postgres_url))
    await connect.use_instants(connection)
    try:
        await connection.execute("SET synchronous_commit = off")
        now = await connection.fetchval("SELECT now()")
        start = now - now % QUARTER - 40 * DAY + _OFF
        end = anchored_months(1, "UTC", start, start).end
        segments = orjson.dumps(
            [{"start": start, "end": None, "items": [["pro", 1, "1"]], "mode": "active", "custom": []}]
        ).decode()
        await connection.execute(_CUSTOMERS_SQL, TENANT, customers)
        await connection.execute(_SUBSCRIPTIONS_SQL, TENANT, start, segments, end)
        await connection.execute(_FIRST_SQL, TENANT, start, end, timeout=600)
        await connection.execute(_ROLLUPS_SQL, TENANT, start - _OFF + QUARTER, _DAYS - 1, _QUARTERS, timeout=1200)
        await connection.execute(_EDGES_SQL, TENANT, start, timeout=600)
        await connection.execute("VACUUM (ANALYZE)", timeout=600)
    finally:
        await connection.close()
    return end


async def anew(postgres_url: str, end: int) -> None:
    """As if nothing had been closed."""
    connection = await asyncpg.connect(connect.plain_url(postgres_url))
    await connect.use_instants(connection)
    for statement in _ANEW_SQL:
        await connection.execute(statement, *([end] if "$1" in statement else []), timeout=600)
    await connection.execute("VACUUM (ANALYZE) invoice, invoice_line, subscription, customer_head", timeout=600)
    await connection.close()


async def rows(postgres_url: str) -> tuple[str, ...]:
    """What was made, but for ids and instants: how many lines, what they sum to, and a digest of them."""
    connection = await asyncpg.connect(connect.plain_url(postgres_url))
    try:
        return tuple(map(str, await connection.fetchrow(_ROWS_SQL)))
    finally:
        await connection.close()
