"""GetUsageSummary over 10 million events against 100 thousand: a month by day with a group-by, p99."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import asyncpg

from benchmarks import load
from benchmarks.report import BrokenPromise, Result, alternate, at_most
from benchmarks.stage import METER, Product, in_a_process, serving
from metergate import wiring
from metergate.v1 import usage_pb2

FEW, MANY = 100_000, 10_000_000
_CALLS = 300  # of which the third slowest is the p99
_AT_A_TIME = 1_000_000
_DAYS = 30

# Event n of a ledger: one of the customers, a region, and a moment of the last thirty days, spread by multiplication
# with numbers that share no factor with how many there are. $1 the tenant, $2 and $3 from and to n, $4 customers,
# $5 the end of the month, in whole quarter hours.
_EVENTS = """
SELECT $1::text AS tenant, 'customer-' || to_char(n % $4, 'FM0000') AS customer, n,
    $5::timestamptz - (n * 7919 % 2880000 + 1) * interval '900 milliseconds' AS at,
    (ARRAY['eu-west', 'eu-north', 'us-east', 'ap-south'])[n * 31 / 7 % 4 + 1] AS region, 1 + n % 9 AS amount
FROM generate_series($2::bigint, $3::bigint) n"""
_INSERT = f"""
INSERT INTO usage_event (tenant, customer, seq, counted_at, recorded_at, time, source, id, type, subject, amount,
    labels)
SELECT tenant, customer, n, at, now(), at, 'bench', n::text, '{METER}', customer, amount,
    jsonb_build_object('region', region, 'route', '/v1/items/' || n % 40, 'status', '200')
FROM ({_EVENTS}) e"""
_ROLL_UP = f"""
INSERT INTO usage_rollup (tenant, customer, measure, quarter, subject, dimensions, count, sum)
SELECT $1, customer, (SELECT measure FROM meter WHERE tenant = $1 AND name = '{METER}'),
    timestamptz '1970-01-01 00:00+00' + quarter * interval '15 minutes', customer,
    jsonb_build_object('region', region), count, sum
FROM (
    SELECT customer, floor(extract(epoch FROM at) / 900)::bigint AS quarter, region, count(*) AS count,
        sum(amount) AS sum
    FROM ({_EVENTS}) e GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
) e"""
_CUSTOMERS = """
WITH made AS (
    INSERT INTO customer (tenant, customer) SELECT $1, 'customer-' || to_char(n, 'FM0000')
    FROM generate_series(0, $2::bigint - 1) n ON CONFLICT DO NOTHING RETURNING tenant, customer
)
INSERT INTO customer_head (tenant, customer, seq, metering_version)
SELECT tenant, customer, $3::bigint, (SELECT metering_version FROM tenant WHERE tenant = $1) FROM made"""


def summary() -> Result:
    """Two ledgers side by side. All events are one customer's, and then those of a thousand."""
    result = _compared("summary", 1)
    result.parts.append(_compared("summary, of one in a thousand customers", 1_000))
    return result


def _compared(name: str, customers: int) -> Result:
    with serving() as small, serving() as large:
        loading = {}
        for server, events in ((small, FEW), (large, MANY)):
            began = time.monotonic()
            asyncio.run(fill_ledger(server.postgres_url, events, customers))
            loading[str(events)] = round(time.monotonic() - began, 1)
        for server, events in ((small, FEW), (large, MANY)):
            _ask(server, customers, events)  # caches and plans
        found = alternate(lambda: _ask(small, customers, FEW), lambda: _ask(large, customers, MANY))
    return at_most(name, found, "µs p99", 2.0, {**found, "seconds_to_load": loading})


def _ask(server: Product, customers: int, events: int) -> float:
    done = in_a_process(ask, server.address, server.key, customers, _CALLS)
    if customers == 1 and done.notes["events"] != events:
        raise BrokenPromise(f"{done.notes['events']} events were summed up of {events}")
    p99: float = done.notes["p99"]
    return p99 * 1e6


async def ask(address: str, key: str, customers: int, calls: int) -> Any:
    """The same question for one customer after the other; the 99th percentile of the time to its answer."""
    took, events = [], 0
    async with load.channel(address) as channel:
        call = channel.unary_unary(
            "/metergate.v1.UsageService/GetUsageSummary",
            request_serializer=usage_pb2.GetUsageSummaryRequest.SerializeToString,
            response_deserializer=usage_pb2.GetUsageSummaryResponse.FromString,
        )
        end = int(time.time()) + 86_400
        for number in range(calls):
            request = usage_pb2.GetUsageSummaryRequest(
                customer=load.customer(number * 7 % customers),
                meters=[METER],
                granularity=usage_pb2.GRANULARITY_DAY,
                group_by=["region"],
            )
            request.start_time.seconds = end - (_DAYS + 2) * 86_400
            request.end_time.seconds = end
            began = time.perf_counter()
            answer = await call(request, metadata=load.metadata(key))
            took.append(time.perf_counter() - began)
            events = sum(series.event_count for series in answer.series)
    took.sort()
    return calls, sum(took), {"p99": took[int(len(took) * 0.99)], "p50": took[len(took) // 2], "events": events}


async def fill_ledger(postgres_url: str, events: int, customers: int) -> None:
    """Writes events and their rollups as commits would have."""
    connection = await asyncpg.connect(postgres_url)
    tenant = wiring.DEV_TENANT
    try:
        await connection.execute("SET synchronous_commit = off")
        await connection.execute("SET work_mem = '256MB'")
        end = await connection.fetchval("SELECT date_bin('15 minutes', now(), timestamptz '1970-01-01 00:00+00')")
        await connection.execute(_CUSTOMERS, tenant, customers, events)
        for first in range(1, events + 1, _AT_A_TIME):
            last = min(first + _AT_A_TIME - 1, events)
            await connection.execute(_INSERT, tenant, first, last, customers, end, timeout=600)
        await connection.execute(_ROLL_UP, tenant, 1, events, customers, end, timeout=600)
        await connection.execute("VACUUM (ANALYZE) usage_event, usage_rollup, customer_head", timeout=600)
    finally:
        await connection.close()
