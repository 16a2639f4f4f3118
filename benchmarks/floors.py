"""What the product is measured against. This file changes only with a reason in the changelog.

- `EmptyServer`: gRPC calls with empty messages, a server without interceptors.
- `CannedServer`: the messages of BatchCheckQuota; each question is read and answered with a canned decision.
- `write_batch`: the rows of a batch by one hand-written transaction, straight into the same tables.
- `close_batch`: invoices of some subscriptions by one hand-written transaction, into the same tables.
- `decide_batch`: as `write_batch`, with a limit that is looked at under the heads' locks and never passed.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

import grpc
import orjson
from google.protobuf.timestamp_pb2 import Timestamp

from metergate.domain.meter import Meter
from metergate.domain.period import QUARTER, Period, window_at
from metergate.v1 import catalog_pb2, decision_pb2, quota_pb2

EMPTY = "/benchmarks.Floor/Empty"
CANNED = "/benchmarks.Floor/Canned"


async def empty_server(address: str) -> Any:
    """Answers empty messages with empty messages."""

    async def empty(request: bytes, context: Any) -> bytes:
        return b""

    return await _serve(address, "Empty", grpc.unary_unary_rpc_method_handler(empty))


async def canned_server(address: str) -> Any:
    """Reads each question of a BatchCheckQuota and answers it with a canned decision."""
    moment = Timestamp(seconds=1_795_000_000)
    canned = decision_pb2.Decision(
        allowed=True,
        plan="default",
        limits=[
            decision_pb2.LimitState(
                name="api_calls/month", meter="api_calls",
                window=decision_pb2.Window(start_time=moment, end_time=moment),
                max="1000000000", used="1234", reserved="0", leased="0", forfeited="0", remaining="999998766",
                would_fit="1", policy=catalog_pb2.POLICY_SOFT, reset_time=moment, overrun="0",
                scope=catalog_pb2.SCOPE_CUSTOMER,
            )
        ],
        as_of=moment,
        answered_by=decision_pb2.ANSWERED_BY_VIEW,
    )  # fmt: skip

    async def answer(request: bytes, context: Any) -> bytes:
        asked = quota_pb2.BatchCheckQuotaRequest.FromString(request)
        response = quota_pb2.BatchCheckQuotaResponse()
        for check in asked.checks:
            if not check.subject:
                raise ValueError("no subject")
            for amount in check.amounts:
                if not amount.meter or Decimal(amount.amount) < 0 or not dict(amount.labels):
                    raise ValueError("no amount")
            response.results.add().decision.CopyFrom(canned)
        return response.SerializeToString()

    return await _serve(address, "Canned", grpc.unary_unary_rpc_method_handler(answer))


async def _serve(address: str, method: str, handler: Any) -> Any:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("benchmarks.Floor", {method: handler}),))
    server.add_insecure_port(address)
    await server.start()
    return server


_LOCK = (
    "SELECT customer, seq FROM customer_head WHERE tenant = $1 AND customer = ANY($2::text[]) "
    "ORDER BY customer FOR UPDATE"
)
_IDS = """
INSERT INTO usage_id (tenant, source, id, slice, digest, customer, seq, counted_at)
SELECT $1, 'bench', q.id, date_trunc('month', now())::date, '\\x00000000000000000000000000000000',
    q.customer, q.seq, now()
FROM unnest($2::text[], $3::text[], $4::bigint[]) AS q(id, customer, seq) ON CONFLICT DO NOTHING"""
_EVENTS = """
INSERT INTO usage_event (tenant, customer, seq, counted_at, recorded_at, source, id, type, subject, amount, labels)
SELECT $1, q.customer, q.seq, now(), now(), 'bench', q.id, $2, q.customer, 1, q.labels::jsonb
FROM unnest($3::text[], $4::bigint[], $5::text[], $6::text[]) AS q(customer, seq, id, labels)"""
_ROLLUPS = """
INSERT INTO usage_rollup AS r (tenant, customer, measure, quarter, subject, dimensions, count, sum)
SELECT $1, q.customer, $2, $3, q.customer, q.dimensions::jsonb, q.count, q.count
FROM unnest($4::text[], $5::text[], $6::bigint[]) AS q(customer, dimensions, count)
ON CONFLICT (tenant, customer, measure, quarter, subject, dimensions)
DO UPDATE SET count = r.count + excluded.count, sum = r.sum + excluded.sum"""
_COUNTERS = """
INSERT INTO usage_counter AS c (tenant, customer, meter, subject, filter, start_at, end_at, used)
SELECT $1, q.customer, $2, '', '', $3, $4, q.used FROM unnest($5::text[], $6::bigint[]) AS q(customer, used)
ON CONFLICT (tenant, customer, meter, end_at, start_at, subject, filter) DO UPDATE SET used = c.used + excluded.used"""
_HEADS = "UPDATE customer_head SET seq = seq + 1 WHERE tenant = $1 AND customer = ANY($2::text[])"


async def write_batch(
    connection: Any, tenant: str, meter: str, events: list[tuple[str, str, dict[str, str]]], now: int
) -> int:
    """Heads, dedupe, events, rollups and counters of (id, customer, labels) in one transaction; events written."""
    moves = _moves(events)
    async with connection.transaction():
        heads = {row[0]: row[1] + 1 for row in await connection.fetch(_LOCK, tenant, sorted(moves.counters))}
        await _write(connection, tenant, meter, events, moves, heads, now)
    return len(events)


class _Moves(NamedTuple):
    """What events add to rollups, by (customer, region), and to counters."""

    rollups: dict[tuple[str, str], int]
    counters: dict[str, int]


def _moves(events: list[tuple[str, str, dict[str, str]]]) -> _Moves:
    rollups: dict[tuple[str, str], int] = defaultdict(int)
    counters: dict[str, int] = defaultdict(int)
    for _, customer, labels in events:
        rollups[customer, labels["region"]] += 1
        counters[customer] += 1
    return _Moves(rollups, counters)


@cache
def _measure(meter: str) -> str:
    """The measure by which the product keys the rollups of the meter that it is measured with."""
    return Meter(meter, meter, dimensions=("region",)).measure


async def _write(
    connection: Any,
    tenant: str,
    meter: str,
    events: list[tuple[str, str, dict[str, str]]],
    moves: _Moves,
    heads: dict[str, int],
    now: int,
) -> None:
    window, quarter = window_at(Period.MONTH, "UTC", now), now - now % QUARTER
    rows = sorted(events)
    ids = [row[0] for row in rows]
    owners = [row[1] for row in rows]
    seqs = [heads[owner] for owner in owners]
    status = await connection.execute(_IDS, tenant, ids, owners, seqs)
    assert int(status.rsplit(" ", 1)[1]) == len(events), "an id was known"
    labels_ = [json.dumps(row[2]) for row in rows]
    await connection.execute(_EVENTS, tenant, meter, owners, seqs, ids, labels_)
    ordered, counters = sorted(moves.rollups.items()), sorted(moves.counters.items())
    await connection.execute(
        _ROLLUPS, tenant, _measure(meter), quarter, [key[0] for key, _ in ordered],
        [json.dumps({"region": key[1]}) for key, _ in ordered], [count for _, count in ordered],
    )  # fmt: skip
    await connection.execute(
        _COUNTERS, tenant, meter, window.start, window.end, [name for name, _ in counters],
        [count for _, count in counters],
    )  # fmt: skip
    await connection.execute(_HEADS, tenant, [name for name, _ in counters])


_TAKEN = """
SELECT customer, used + reserved + leased + forfeited FROM usage_counter
WHERE tenant = $1 AND customer = ANY($2::text[]) AND meter = $3 AND end_at = $5 AND start_at = $4
    AND subject = '' AND filter = ''"""


async def decide_batch(
    connection: Any, tenant: str, meter: str, most: Decimal, events: list[tuple[str, str, dict[str, str]]], now: int
) -> int:
    """Admits those of (id, customer, labels) that fit into `most` a month, in their order: heads, counters, then ids,
    events, rollups and counters of what was admitted, in one transaction; events admitted."""
    customers = sorted({customer for _, customer, _ in events})
    window = window_at(Period.MONTH, "UTC", now)
    async with connection.transaction():
        heads = {row[0]: row[1] + 1 for row in await connection.fetch(_LOCK, tenant, customers)}
        taken = dict.fromkeys(customers, Decimal(0))
        taken.update(await connection.fetch(_TAKEN, tenant, customers, meter, window.start, window.end))
        admitted = []
        for event in events:
            after = taken[event[1]] + 1
            if after <= most:
                taken[event[1]] = after
                admitted.append(event)
        if admitted:
            await _write(connection, tenant, meter, admitted, _moves(admitted), heads, now)
    return len(admitted)


_CLOSES = """
SELECT id, customer, billed_until, closes_at, closes_at + interval '30 days' FROM subscription
WHERE tenant = $1 AND closes_at <= now() ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED"""
_CUT = """
UPDATE customer_head SET billed_until = $3 WHERE tenant = $1 AND customer IN (
    SELECT customer FROM customer_head WHERE tenant = $1 AND customer = ANY($2::text[]) ORDER BY customer FOR UPDATE)
RETURNING customer, seq"""
_TOTALS = """
SELECT customer, meter, sum(total) FROM (
    SELECT q.customer, m.name AS meter, (
        SELECT sum(sum) FROM usage_rollup WHERE tenant = $1 AND customer = q.customer AND measure = m.measure
            AND quarter >= $3 AND quarter < $4) AS total
    FROM unnest($2::text[]) AS q(customer) CROSS JOIN meter m WHERE m.tenant = $1
    UNION ALL
    SELECT e.customer, e.type, sum(e.amount) FROM unnest($2::text[]) AS q(customer)
    CROSS JOIN LATERAL (
        SELECT * FROM usage_event WHERE tenant = $1 AND customer = q.customer
            AND (counted_at >= $5 AND counted_at < $3 OR counted_at >= $4 AND counted_at < $6)
    ) e GROUP BY 1, 2
) parts GROUP BY 1, 2"""
_INVOICES = """
INSERT INTO invoice (tenant, id, customer, subscription, state, currency, period_start, period_end, seq, subtotal,
    discount, total, created_at, finalize_at, body)
SELECT $1, q.id, q.customer, q.subscription, 'draft', 'USD', $5, $6, q.seq, q.total, 0, q.total, now(),
    now() + interval '1 hour', '{"taxes": []}'
FROM unnest($2::text[], $3::text[], $4::text[], $7::bigint[], $8::bigint[])
    AS q(id, customer, subscription, seq, total)"""
_INVOICE_LINES = """
INSERT INTO invoice_line (tenant, invoice, number, customer, subscription, kind, price, meter, plan, version,
    window_start, window_end, labels, quantity, billed, amount, discount, body)
SELECT $1, q.invoice, q.number::int, q.customer, q.subscription, CASE WHEN q.meter = '' THEN 'flat' ELSE 'usage' END,
    CASE WHEN q.meter = '' THEN 'base' ELSE q.meter END, q.meter, 'pro', 1,
    CASE WHEN q.meter = '' THEN $3::timestamptz ELSE $2 END, CASE WHEN q.meter = '' THEN $4::timestamptz ELSE $3 END,
    '[]', q.quantity::numeric, q.billed::numeric, q.cents::bigint, 0, q.body::jsonb
FROM unnest($5::text::text[], $6::text::text[], $7::text::text[], $8::text::text[], $9::text::text[],
    $10::text::text[], $11::text::text[], $12::text::text[], $13::text::text[])
    AS q(invoice, number, customer, subscription, meter, quantity, billed, cents, body)"""
_CLOSED = """
UPDATE subscription SET billed_until = $3, closes_at = $4 WHERE tenant = $1 AND id = ANY($2::text[])"""


class Rated(NamedTuple):
    """A line as it is priced: meter, quantity, the whole quantity where it is told, cents, and what people read."""

    meter: str
    quantity: Decimal
    billed: Decimal | None
    cents: int
    body: dict[str, Any]


async def close_batch(
    connection: Any, tenant: str, price: Callable[[dict[str, Decimal]], list[Rated]], most: int
) -> int:
    """Closes the month of at most so many subscriptions, all of the same one, in one transaction: heads, sums of
    rollups and of events at the edges, an invoice with the lines that `price` makes of the sums by meter, and the
    subscription; how many."""
    async with connection.transaction():
        due = await connection.fetch(_CLOSES, tenant, most)
        if not due:
            return 0
        start, end, after = due[0][2:5]
        subscriptions, customers = [row[0] for row in due], [row[1] for row in due]
        seqs = dict(map(tuple, await connection.fetch(_CUT, tenant, customers, end)))
        inner = (-(-start // QUARTER) * QUARTER, end // QUARTER * QUARTER)
        counted: dict[str, dict[str, Decimal]] = defaultdict(dict)
        for customer, meter, quantity in await connection.fetch(_TOTALS, tenant, customers, *inner, start, end):
            counted[customer][meter] = quantity
        lines, totals = [], []
        for subscription, customer in zip(subscriptions, customers, strict=True):
            rated = price(counted[customer])
            lines += [
                (
                    f"inv-{subscription}", str(number), customer, subscription, one.meter, str(one.quantity),
                    None if one.billed is None else str(one.billed), str(one.cents), json.dumps(one.body),
                )
                for number, one in enumerate(rated, 1)
            ]  # fmt: skip
            totals.append(sum(one.cents for one in rated))
        ids, columns = [f"inv-{one}" for one in subscriptions], zip(*lines, strict=True)
        heads = [seqs[one] for one in customers]
        await connection.execute(_INVOICES, tenant, ids, customers, subscriptions, start, end, heads, totals)
        await connection.execute(_INVOICE_LINES, tenant, start, end, after, *[_array(column) for column in columns])
        await connection.execute(_CLOSED, tenant, subscriptions, end, after)
    return len(due)


def _array(column: Sequence[str | None]) -> str:
    return "{" + orjson.dumps(column).decode()[1:-1] + "}"
