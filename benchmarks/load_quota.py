"""Client loads on quotas; each runs in a process of its own and returns (units, seconds, notes)."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import asyncpg

from benchmarks import floors
from benchmarks.load import channel, customer, labels, metadata, unary
from benchmarks.stage import CUSTOMERS, METER
from metergate.adapters.postgres.connect import use_instants
from metergate.v1 import quota_pb2, usage_event_pb2

EVERYWHERE = tuple(customer(number) for number in range(CUSTOMERS))
_LABELS = {"region": "eu-west", "route": "/v1/items", "status": "200"}


def _run(seed: int) -> tuple[random.Random, str]:
    """A random source, and what the ids of this run begin with."""
    chance = random.Random(seed)
    return chance, uuid.UUID(int=chance.getrandbits(128)).hex


async def consume_batch(
    address: str, key: str, meter: str, among: Sequence[str], batches: int, size: int, in_flight: int, seed: int
) -> Any:
    """Units of one event through BatchConsumeQuota, of customers at random; how many were admitted."""
    chance, run = _run(seed)
    requests = [
        quota_pb2.BatchConsumeQuotaRequest(
            consumes=[
                quota_pb2.ConsumeQuotaRequest(
                    events=[
                        usage_event_pb2.UsageEvent(
                            id=f"{run}-{batch:05d}-{number:05d}", type=meter, subject=chance.choice(among), amount="1",
                            labels=labels(chance),
                        )
                    ]
                )
                for number in range(size)
            ]
        ).SerializeToString()
        for batch in range(batches)
    ]  # fmt: skip
    async with channel(address) as opened:
        call = opened.unary_unary("/metergate.v1.QuotaService/BatchConsumeQuota")
        answers, (units, seconds, notes) = await unary(call, metadata(key), requests, in_flight, warm_up=0)
    found: Counter[str] = Counter()
    for answer in answers:
        for one in quota_pb2.BatchConsumeQuotaResponse.FromString(answer).results:
            if one.error_reason:
                found[one.error_reason] += 1
            elif not one.allowed:
                found["refused"] += 1
            elif one.outcome == usage_event_pb2.OUTCOME_ACCEPTED:
                found["admitted"] += 1
    return found["admitted"], seconds, {**notes, "sent": units * size, **found}


async def consume_floor(
    postgres_url: str, tenant: str, among: Sequence[str], most: int, batches: int, size: int, in_flight: int, seed: int
) -> Any:
    """The same units by hand-written transactions over as many connections."""
    chance, run = _run(seed)
    work_list = [
        [(f"{run}-{batch:05d}-{number:05d}", chance.choice(among), labels(chance)) for number in range(size)]
        for batch in range(batches)
    ]
    connections = [await asyncpg.connect(postgres_url) for _ in range(in_flight)]
    for connection in connections:
        await use_instants(connection)
    queue, limit = iter(work_list), Decimal(most)
    admitted = 0

    async def work(connection: Any) -> None:
        nonlocal admitted
        for events in queue:
            now = time.time_ns() // 1000
            count = await floors.decide_batch(connection, tenant, METER, limit, events, now)
            admitted += count  # not in one statement: it would read `admitted` before the await

    began = time.perf_counter()
    await asyncio.gather(*(work(connection) for connection in connections))
    seconds = time.perf_counter() - began
    for connection in connections:
        await connection.close()
    return admitted, seconds, {"sent": batches * size}


async def consume(
    address: str,
    key: str,
    meter: str,
    subjects: Sequence[str],
    calls: int,
    in_flight: int,
    seed: int,
    most_seconds: float = 600.0,
) -> Any:
    """ConsumeQuota calls, each with an event of its own, of subjects in turn; every one must be admitted. None begins
    after `most_seconds`."""
    _, run = _run(seed)
    requests = [
        quota_pb2.ConsumeQuotaRequest(
            events=[
                usage_event_pb2.UsageEvent(
                    id=f"{run}-{number}", type=meter, subject=subjects[number % len(subjects)], amount="1",
                    labels=_LABELS,
                )
            ]
        ).SerializeToString()
        for number in range(calls)
    ]  # fmt: skip
    async with channel(address) as opened:
        call = opened.unary_unary("/metergate.v1.QuotaService/ConsumeQuota")
        answers, (units, seconds, notes) = await unary(call, metadata(key), requests, in_flight, 0, most_seconds)
    responses = [quota_pb2.ConsumeQuotaResponse.FromString(answer) for answer in answers]
    admitted = sum(
        one.decision.allowed and one.receipts[0].outcome == usage_event_pb2.OUTCOME_ACCEPTED for one in responses
    )
    return admitted, seconds, {**notes, "sent": units}


async def check_paced(address: str, key: str, per_second: float, seconds: float) -> Any:
    """CheckQuota calls that begin at a steady pace, whether or not the ones before were answered. Each is timed from
    the moment at which it was due, so that a server that falls behind is seen to."""
    requests = [
        quota_pb2.CheckQuotaRequest(
            subject=name, amounts=[quota_pb2.QuotaAmount(meter=METER, amount="1")]
        ).SerializeToString()
        for name in EVERYWHERE
    ]
    clock, latencies, calls = time.perf_counter, [], int(per_second * seconds)
    async with channel(address) as opened:
        call = opened.unary_unary("/metergate.v1.QuotaService/CheckQuota")
        for request in requests[:50]:
            await call(request, metadata=metadata(key), timeout=30)

        async def ask(number: int, due: float) -> bool:
            answer = await call(requests[number % CUSTOMERS], metadata=metadata(key), timeout=30)
            latencies.append(clock() - due)
            return bool(quota_pb2.CheckQuotaResponse.FromString(answer).decision.allowed)

        began, asking = clock() + 0.01, []
        for number in range(calls):
            due = began + number / per_second
            if (wait := due - clock()) > 0:
                await asyncio.sleep(wait)
            asking.append(asyncio.ensure_future(ask(number, due)))
        allowed = sum(await asyncio.gather(*asking))
        took = clock() - began
    cuts = statistics.quantiles(latencies, n=100)
    return allowed, took, {"sent": calls, "p50": cuts[49], "p99": cuts[98]}
